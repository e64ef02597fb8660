// A matrix product without workgroup memory: 4 × 4 for each thread, straight from the buffers.
// Software adapters run it several times as fast, as each barrier there suspends every thread.
{{bindings}}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(global_invocation_id) thread: vec3<u32>) {
    {{start}}
    let m = thread.y * 4u;
    let n = thread.x * 4u;
    if (m >= p.rows || n >= p.columns) {
        return;
    }
    // Rows past the last repeat it and are not stored.
    let m1 = min(m + 1u, p.rows - 1u);
    let m2 = min(m + 2u, p.rows - 1u);
    let m3 = min(m + 3u, p.rows - 1u);
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k = 0u; k < p.depth; k++) {
        let b = load_b(k, n);
        c0 = fma(vec4<f32>(load_a(m, k)), b, c0);
        c1 = fma(vec4<f32>(load_a(m1, k)), b, c1);
        c2 = fma(vec4<f32>(load_a(m2, k)), b, c2);
        c3 = fma(vec4<f32>(load_a(m3, k)), b, c3);
    }
    store(m, n, c0);
    if (m + 1u < p.rows) { store(m + 1u, n, c1); }
    if (m + 2u < p.rows) { store(m + 2u, n, c2); }
    if (m + 3u < p.rows) { store(m + 3u, n, c3); }
}
