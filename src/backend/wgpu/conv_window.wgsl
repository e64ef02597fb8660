fn load_b(k: u32, n: u32) -> vec4<f32> {
    let plane = x0 + k / TAPS * (p.input.y * p.input.z);
    let tap = k % TAPS;
    let shift = vec2<u32>(tap / KERNEL.z, tap % KERNEL.z) * p.dilations.yz - p.begin.yz;
    var o = vec2<u32>(n / p.output.z, n % p.output.z);
    var v = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        // Before the input wraps round to far beyond it.
        let at = o * p.strides.yz + shift;
        if (at.x < p.input.y && at.y < p.input.z && n + i < p.columns) {
            v[i] = x[plane + at.x * p.input.z + at.y];
        }
        o.y += 1u;
        if (o.y == p.output.z) {
            o = vec2<u32>(o.x + 1u, 0u);
        }
    }
    return v;
}
