var<private> x0: u32;
var<private> w0: u32;
var<private> m0: u32;
var<private> y0: u32;

fn enter(number: u32) {
    let group = number % p.groups;
    x0 = number * p.image;
    w0 = group * p.rows * p.depth;
    m0 = group * p.rows;
    y0 = number * p.rows * p.columns;
}

fn load_a(m: u32, k: u32) -> f32 {
    return w[w0 + m * p.depth + k];
}
