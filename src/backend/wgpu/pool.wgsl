struct Parameters {
    count: u32,
    input: vec3<u32>,
    output: vec3<u32>,
    kernel: vec3<u32>,
    strides: vec3<u32>,
    dilations: vec3<u32>,
    begin: vec3<u32>,
    padded: vec3<u32>,
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
    let o = vec3<u32>(i / (p.output.z * p.output.y) % p.output.x, i / p.output.z % p.output.y, i % p.output.z);
    let plane = i / (p.output.x * p.output.y * p.output.z) * (p.input.x * p.input.y * p.input.z);
    let corner = o * p.strides;
    var acc = {{first}};
    var counted = 0u;
    for (var kx = 0u; kx < p.kernel.x; kx++) {
        for (var ky = 0u; ky < p.kernel.y; ky++) {
            for (var kz = 0u; kz < p.kernel.z; kz++) {
                let at = corner + vec3<u32>(kx, ky, kz) * p.dilations;
                {{count_padded}}
                // Before the input wraps round to far beyond it.
                let inside = at - p.begin;
                if (all(inside < p.input)) {
                    let v = x[plane + (inside.x * p.input.y + inside.y) * p.input.z + inside.z];
                    acc = {{combine}};
                    {{count_inside}}
                }
            }
        }
    }
    y[i] = {{finish}};
}
