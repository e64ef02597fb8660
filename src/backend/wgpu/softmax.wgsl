struct Parameters {
    count: u32,
    length: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Parameters;

const LANES = {{lanes}}u;
{{shared}}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    {{row}}
    let base = (row / p.inner) * p.length * p.inner + row % p.inner;
    var top = -infinity();
    for (var j = lane; j < p.length; j += LANES) {
        top = larger(top, x[base + j * p.inner]);
    }
    {{share_top}}
    var sum = 0.0;
    for (var j = lane; j < p.length; j += LANES) {
        sum += exp(x[base + j * p.inner] - top);
    }
    {{share_sum}}
    for (var j = lane; j < p.length; j += LANES) {
        let v = x[base + j * p.inner] - top;
        var r = {{result}};
        // The sum is NaN where an element is, but compilers may assume that it is not.
        r = select(r, nan(), is_nan(top) || is_nan(v));
        y[base + j * p.inner] = r;
    }
}
