struct Parameters {
    count: u32,
    length: u32,
    scale: f32,
    kept: array<vec4<u32>, 2>,
    kept_strides: array<vec4<u32>, 2>,
    reduced: array<vec4<u32>, 2>,
    reduced_strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Parameters;

const LANES = {{lanes}}u;
{{shared}}

fn start(i: u32) -> u32 {
    var at = 0u;
    {{kept}}
    return at;
}

fn offset(i: u32) -> u32 {
    var at = 0u;
    {{reduced}}
    return at;
}

fn first() -> f32 {
    return {{first}};
}

fn map(v: f32) -> f32 {
    return {{map}};
}

fn combine(a: f32, b: f32) -> f32 {
    return {{combine}};
}

fn finish(v: f32) -> f32 {
    return {{finish}};
}

fn fold(base: u32, lane: u32) -> f32 {
    var acc = first();
    for (var j = lane; j < p.length; j += LANES) {
        acc = combine(acc, map(x[base + offset(j)]));
    }
    return acc;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = group.y * groups.x + group.x;
    {{body}}
}
