struct Parameters {
    count: u32,
    from_start: u32,
    to_start: u32,
    shape: array<vec4<u32>, 2>,
    from_strides: array<vec4<u32>, 2>,
    to_strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Parameters;

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
    // Negative strides wrap round.
    var at = p.from_start;
    var to = p.to_start;
    {{walk}}
    y[to] = x[at];
}
