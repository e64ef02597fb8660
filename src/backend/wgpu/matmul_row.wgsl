// Few rows: 32 columns for each workgroup, whose threads share out the depth.
var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) thread: vec3<u32>) {
    enter(group.z);
    let column = group.x * 32u + thread.x;
    var sum = 0.0;
    if (column < p.columns) {
        let row = a0 + group.y * p.depth;
        for (var k = thread.y; k < p.depth; k += 8u) {
            sum = fma(a[row + k], b[b0 + k * p.columns + column], sum);
        }
    }
    partial[thread.y * 32u + thread.x] = sum;
    workgroupBarrier();
    if (thread.y == 0u && column < p.columns) {
        for (var i = 1u; i < 8u; i++) {
            sum += partial[i * 32u + thread.x];
        }
        y[y0 + group.y * p.columns + column] = sum;
    }
}
