struct Parameters {
    count: u32,
    shape: array<vec4<u32>, 2>,
    a: array<vec4<u32>, 2>,
    b: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Parameters;

fn power(x: f32, e: f32) -> f32 {
    if (e == 0.0 || x == 1.0) {
        return 1.0;
    }
    if (is_nan(x) || is_nan(e)) {
        return nan();
    }
    if (e == 2.0) {
        return x * x;
    }
    let integer = floor(e) == e;
    let odd = integer && abs(e) < 16777216.0 && fract(e * 0.5) != 0.0;
    var r: f32;
    if (x == 0.0) {
        r = select(0.0, infinity(), e < 0.0);
    } else if (x < 0.0 && !integer && is_finite(x)) {
        return nan();
    } else if (abs(x) == 1.0) {
        r = 1.0;
    } else {
        r = pow(abs(x), e);
    }
    let negative = (bitcast<u32>(x) >> 31u) != 0u;
    return select(r, -r, negative && odd);
}

fn apply(a: f32, b: f32) -> f32 {
    return {{formula}};
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= p.count) {
        return;
    }
    var at_a = 0u;
    var at_b = 0u;
    {{walk}}
    y[i] = apply(a[at_a], b[at_b]);
}
