// One tile of a matrix product: TM rows and TN columns for each workgroup, 4 × 4 for each
// thread, TK deep in workgroup memory at a time.
const TM = {{tm}}u;
const TN = {{tn}}u;
const TK = 16u;
const THREADS = TM * TN / 16u;

var<workgroup> tile_a: array<vec4<f32>, TK * TM / 4u>;
var<workgroup> tile_b: array<vec4<f32>, TK * TN / 4u>;

{{bindings}}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row0 = group.y * TM;
    let column0 = group.x * TN;
    let row = thread / (TN / 4u);
    let column = thread % (TN / 4u);
    {{start}}
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k0 = 0u; k0 < p.depth; k0 += TK) {
        // Neighbouring threads load along k, as the rows lie in memory.
        for (var i = thread; i < TK * TM / 4u; i += THREADS) {
            let k = k0 + i % TK;
            let m = row0 + i / TK * 4u;
            var v = vec4<f32>();
            if (k < p.depth) {
                if (m < p.rows) { v.x = load_a(m, k); }
                if (m + 1u < p.rows) { v.y = load_a(m + 1u, k); }
                if (m + 2u < p.rows) { v.z = load_a(m + 2u, k); }
                if (m + 3u < p.rows) { v.w = load_a(m + 3u, k); }
            }
            tile_a[i % TK * (TM / 4u) + i / TK] = v;
        }
        for (var i = thread; i < TK * TN / 4u; i += THREADS) {
            let k = k0 + i / (TN / 4u);
            let n = column0 + i % (TN / 4u) * 4u;
            var v = vec4<f32>();
            if (k < p.depth && n < p.columns) {
                v = load_b(k, n);
            }
            tile_b[i] = v;
        }
        workgroupBarrier();
        for (var k = 0u; k < TK; k++) {
            let a = tile_a[k * (TM / 4u) + row];
            let b = tile_b[k * (TN / 4u) + column];
            c0 = fma(vec4<f32>(a.x), b, c0);
            c1 = fma(vec4<f32>(a.y), b, c1);
            c2 = fma(vec4<f32>(a.z), b, c2);
            c3 = fma(vec4<f32>(a.w), b, c3);
        }
        workgroupBarrier();
    }
    let m = row0 + row * 4u;
    let n = column0 + column * 4u;
    if (n < p.columns) {
        if (m < p.rows) { store(m, n, c0); }
        if (m + 1u < p.rows) { store(m + 1u, n, c1); }
        if (m + 2u < p.rows) { store(m + 2u, n, c2); }
        if (m + 3u < p.rows) { store(m + 3u, n, c3); }
    }
}
