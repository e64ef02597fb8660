struct Parameters {
    count: u32,
    channels: u32,
    inner: u32,
    before: u32,
    after: u32,
    alpha: f32,
    beta: f32,
    bias: f32,
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
    let c = (i / p.inner) % p.channels;
    let base = i - c * p.inner;
    let first = c - min(c, p.before);
    let last = min(c + p.after, p.channels - 1u);
    var sum = 0.0;
    for (var k = first; k <= last; k++) {
        let v = x[base + k * p.inner];
        sum += v * v;
    }
    let r = x[i] / pow(p.bias + p.alpha * sum, p.beta);
    y[i] = select(r, nan(), is_nan(sum));
}
