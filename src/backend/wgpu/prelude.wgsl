// Compilers may assume that no float is NaN or infinite: such values are told and made by bits.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn nan() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

fn infinity() -> f32 {
    var bits = 0x7f800000u;
    return bitcast<f32>(bits);
}

// NaN wins.
fn larger(a: f32, b: f32) -> f32 {
    return select(b, a, (a > b && !is_nan(b)) || is_nan(a));
}

fn smaller(a: f32, b: f32) -> f32 {
    return select(b, a, (a < b && !is_nan(b)) || is_nan(a));
}

fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0 && !is_nan(x));
}

fn clip(x: f32, low: f32, high: f32) -> f32 {
    var y = select(x, low, x < low);
    y = select(y, high, y > high);
    return select(y, x, is_nan(x));
}

// Drivers' log ends at the smallest normal float.
fn ln(x: f32) -> f32 {
    if (x == 0.0) {
        return -infinity();
    }
    return select(log(x), nan(), x < 0.0 || is_nan(x));
}
