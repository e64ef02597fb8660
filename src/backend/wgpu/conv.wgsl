struct Parameters {
    // Output channels of a group, output positions, weights of an output channel.
    rows: u32,
    columns: u32,
    depth: u32,
    groups: u32,
    // Elements of an image's channels of one group.
    image: u32,
    count: u32,
    has_bias: u32,
    input: vec3<u32>,
    output: vec3<u32>,
    strides: vec3<u32>,
    dilations: vec3<u32>,
    begin: vec3<u32>,
}

@group(0) @binding(0) var<storage, read> x: array<{{element_in}}>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<{{element_out}}>;
@group(0) @binding(4) var<uniform> p: Parameters;

const KERNEL = vec3<u32>({{kernel}});
const TAPS = KERNEL.x * KERNEL.y * KERNEL.z;

fn finish(sum: f32, channel: u32) -> f32 {
    if (p.has_bias != 0u) {
        return sum + bias[channel];
    }
    return sum;
}
