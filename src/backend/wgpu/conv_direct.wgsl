@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    let channels = p.rows * p.groups;
    let n = i / p.columns;
    if (n >= p.count) {
        return;
    }
    let m = n % channels;
    let position = i % p.columns;
    let o = vec3<u32>(position / (p.output.y * p.output.z), position / p.output.z % p.output.y, position % p.output.z);
    let corner = o * p.strides - p.begin;
    let area = p.input.x * p.input.y * p.input.z;
    var plane = (n / channels * p.groups + m / p.rows) * p.image;
    var weight = m * p.depth;
    var sum = 0.0;
    for (var c = 0u; c < p.depth / TAPS; c++) {
        for (var kx = 0u; kx < KERNEL.x; kx++) {
            for (var ky = 0u; ky < KERNEL.y; ky++) {
                for (var kz = 0u; kz < KERNEL.z; kz++) {
                    // Before the input wraps round to far beyond it.
                    let at = corner + vec3<u32>(kx, ky, kz) * p.dilations;
                    if (all(at < p.input)) {
                        sum = fma(x[plane + (at.x * p.input.y + at.y) * p.input.z + at.z], w[weight], sum);
                    }
                    weight += 1u;
                }
            }
        }
        plane += area;
    }
    y[i] = finish(sum, m);
}
