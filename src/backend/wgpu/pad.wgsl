struct Parameters {
    count: u32,
    value: f32,
    shape: array<vec4<u32>, 2>,
    input: array<vec4<u32>, 2>,
    begin: array<vec4<u32>, 2>,
    strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Parameters;

var<private> outside: bool;

// The input position of output position `o` in a dimension of `size`.
fn source(o: u32, begin: u32, size: u32) -> u32 {
    let at = i32(o) - i32(begin);
    let n = i32(size);
    {{mode}}
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
    var at = 0u;
    {{walk}}
    if (outside) {
        y[i] = p.value;
    } else {
        y[i] = x[at];
    }
}
