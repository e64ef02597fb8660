struct Parameters {
    count: u32,
    axis: u32,
    picked: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Parameters;

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
    let inner = i % p.inner;
    let row = i / p.inner;
    let index = indices[row % p.picked];
    y[i] = x[((row / p.picked) * p.axis + index) * p.inner + inner];
}
