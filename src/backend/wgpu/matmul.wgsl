struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    batch: array<vec4<u32>, 2>,
    a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<{{element}}>;
@group(0) @binding(2) var<storage, read_write> y: array<{{element}}>;
@group(0) @binding(3) var<uniform> p: Parameters;

var<private> a0: u32;
var<private> b0: u32;
var<private> y0: u32;

fn enter(number: u32) {
    var i = number;
    var at_a = 0u;
    var at_b = 0u;
    {{walk}}
    a0 = at_a;
    b0 = at_b;
    y0 = number * p.rows * p.columns;
}
