//! Convolution of float32 over `[N, C, H, W]`: a matrix product whose right side is read from
//! the image as it is needed, and a direct loop where every channel has its own filter. Other
//! element types, three spatial dimensions and empty images go through one plain loop.

use num_traits::Float;

use super::gemm::{Columns, PackedA, gemm};
use super::window::{Window3, fold_row};
use crate::backend::Window;

/// A convolution's sizes; one spatial dimension is two, the first of size 1.
pub struct Conv2d {
    pub channels: usize,
    pub outputs: usize,
    pub group: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    begin: [usize; 2],
}

fn two(values: &[usize], fill: usize) -> [usize; 2] {
    match *values {
        [w] => [fill, w],
        [h, w] => [h, w],
        _ => unreachable!("a two-dimensional convolution has one or two spatial dimensions"),
    }
}

impl Conv2d {
    /// The sizes of a convolution of `[_, channels, spatial…]` to `outputs` channels.
    pub fn new(channels: usize, outputs: usize, group: usize, spatial: &[usize], window: &Window) -> Self {
        Self {
            channels,
            outputs,
            group,
            input: two(spatial, 1),
            output: two(&window.output, 1),
            kernel: two(&window.kernel, 1),
            strides: two(&window.strides, 1),
            dilations: two(&window.dilations, 1),
            begin: two(&window.pads_begin, 0),
        }
    }

    /// The outputs along dimension `d` whose tap `k` falls inside the input: from, to.
    fn inside(&self, d: usize, k: usize) -> (usize, usize) {
        let shift = k * self.dilations[d];
        let from = self.begin[d].saturating_sub(shift).div_ceil(self.strides[d]);
        let reach = (self.input[d] + self.begin[d]).saturating_sub(shift);
        let to = reach.div_ceil(self.strides[d]).min(self.output[d]);
        (from.min(to), to)
    }
}

/// One image's group of channels, seen as the matrix that a convolution multiplies by: a row per
/// channel and tap, a column per output position.
struct Taps<'a> {
    conv: &'a Conv2d,
    image: &'a [f32],
    /// Every position is used once and in order.
    pointwise: bool,
}

impl Columns for Taps<'_> {
    fn fill(&self, k: usize, first: usize, row: &mut [f32]) {
        let conv = self.conv;
        let plane = conv.input[0] * conv.input[1];
        if self.pointwise {
            row.copy_from_slice(&self.image[k * plane + first..k * plane + first + row.len()]);
            return;
        }
        let taps = conv.kernel[0] * conv.kernel[1];
        let (channel, ky, kx) = (k / taps, k % taps / conv.kernel[1], k % conv.kernel[1]);
        let image = &self.image[channel * plane..(channel + 1) * plane];
        let (top, bottom) = conv.inside(0, ky);
        let (left, right) = conv.inside(1, kx);
        let width = conv.output[1];
        row.fill(0.0);
        let mut at = 0;
        while at < row.len() {
            let (y, x) = ((first + at) / width, (first + at) % width);
            let run = (width - x).min(row.len() - at);
            let (from, to) = (left.max(x), right.min(x + run));
            if (top..bottom).contains(&y) && from < to {
                let line = (y * conv.strides[0] + ky * conv.dilations[0] - conv.begin[0]) * conv.input[1];
                let start = line + from * conv.strides[1] + kx * conv.dilations[1] - conv.begin[1];
                let target = &mut row[at + from - x..at + to - x];
                if conv.strides[1] == 1 {
                    target.copy_from_slice(&image[start..start + to - from]);
                } else {
                    for (v, s) in target.iter_mut().zip(image[start..].iter().step_by(conv.strides[1])) {
                        *v = *s;
                    }
                }
            }
            at += run;
        }
    }
}

/// `x` `[N, channels, H, W]` by `weight` `[outputs, channels / group, h, w]` plus `bias`.
pub fn conv2d(conv: &Conv2d, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let (plane_in, plane_out) = (conv.input[0] * conv.input[1], conv.output[0] * conv.output[1]);
    let (per_group, outputs) = (conv.channels / conv.group, conv.outputs / conv.group);
    let taps = conv.kernel[0] * conv.kernel[1];
    let depth = per_group * taps;
    let images = x.len() / (conv.channels * plane_in).max(1);
    let mut y = vec![0f32; images * conv.outputs * plane_out];
    if y.is_empty() {
        return y;
    }
    if let Some(bias) = bias {
        for (plane, value) in y.chunks_exact_mut(plane_out).zip(bias.iter().cycle()) {
            plane.fill(*value);
        }
    }
    if per_group == 1 {
        for (image, out) in x.chunks_exact(conv.channels * plane_in).zip(y.chunks_exact_mut(conv.outputs * plane_out)) {
            for (o, (out, filter)) in out.chunks_exact_mut(plane_out).zip(weight.chunks_exact(taps)).enumerate() {
                let channel = o / outputs;
                depthwise(conv, &image[channel * plane_in..(channel + 1) * plane_in], filter, out);
            }
        }
        return y;
    }
    let pointwise = taps == 1 && conv.strides == [1, 1] && conv.begin == [0, 0] && conv.input == conv.output;
    for g in 0..conv.group {
        let filters = &weight[g * outputs * depth..(g + 1) * outputs * depth];
        let packed = PackedA::new(filters, outputs, depth, depth, 1);
        for n in 0..images {
            let image = &x[(n * conv.channels + g * per_group) * plane_in..][..per_group * plane_in];
            let out = &mut y[(n * conv.outputs + g * outputs) * plane_out..][..outputs * plane_out];
            gemm(&packed, &Taps { conv, image, pointwise }, plane_out, out);
        }
    }
    y
}

/// One channel by one filter, added to `out`.
fn depthwise(conv: &Conv2d, image: &[f32], filter: &[f32], out: &mut [f32]) {
    let (width, stride) = (conv.output[1], conv.strides[1]);
    for ky in 0..conv.kernel[0] {
        let (top, bottom) = conv.inside(0, ky);
        for y in top..bottom {
            let line = (y * conv.strides[0] + ky * conv.dilations[0] - conv.begin[0]) * conv.input[1];
            for kx in 0..conv.kernel[1] {
                let (left, right) = conv.inside(1, kx);
                if left == right {
                    continue;
                }
                let weight = filter[ky * conv.kernel[1] + kx];
                let start = line + left * stride + kx * conv.dilations[1] - conv.begin[1];
                let target = &mut out[y * width + left..y * width + right];
                if stride == 1 {
                    for (to, from) in target.iter_mut().zip(&image[start..start + right - left]) {
                        *to += weight * from;
                    }
                } else {
                    for (to, from) in target.iter_mut().zip(image[start..].iter().step_by(stride)) {
                        *to += weight * from;
                    }
                }
            }
        }
    }
}

/// `images` of `[channels, spatial…]` by `weight` `[outputs, channels / group, kernel…]` plus
/// `bias`, one to three spatial dimensions.
#[allow(clippy::too_many_arguments)]
pub fn direct<T: Float>(
    images: usize,
    channels: usize,
    group: usize,
    spatial: &[usize],
    window: &Window,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    outputs: usize,
) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let (from, to) = (w.input_len(), w.output_len());
    let taps: usize = w.kernel.iter().product();
    let (per_group, outputs_per_group) = (channels / group, outputs / group);
    let mut y = vec![T::zero(); images * outputs * to];
    if y.is_empty() {
        return y;
    }
    for (i, out) in y.chunks_exact_mut(to).enumerate() {
        let (n, o) = (i / outputs, i % outputs);
        if let Some(bias) = bias {
            out.fill(bias[o]);
        }
        if from == 0 {
            continue;
        }
        for c in 0..per_group {
            let image = &x[(n * channels + o / outputs_per_group * per_group + c) * from..][..from];
            let filter = &weight[(o * per_group + c) * taps..][..taps];
            w.sweep(image, out, |out, inputs, step, tap| {
                fold_row(out, inputs, step, |sum, v| *sum = *sum + filter[tap] * v);
            });
        }
    }
    y
}

/// `x` `[N, channels, spatial…]` by `weight` `[outputs, channels / group, kernel…]`, wrapping; one
/// to three spatial dimensions.
pub fn integers(
    (x, shape): (&[i32], &[usize]),
    (weight, filters): (&[i32], &[usize]),
    window: &Window,
    group: usize,
) -> Vec<i32> {
    let w = Window3::new(&shape[2..], window);
    let (outputs, depth) = (filters[0], filters[1]);
    let output = w.output_len();
    let mut y = vec![0i32; shape[0] * outputs * output];
    if y.is_empty() || x.is_empty() || weight.is_empty() {
        return y;
    }
    let (plane, taps) = (w.input_len(), weight.len() / (outputs * depth));
    for (i, out) in y.chunks_exact_mut(output).enumerate() {
        let (n, o) = (i / outputs, i % outputs);
        let first = n * shape[1] + o / (outputs / group) * depth;
        for c in 0..depth {
            let filter = &weight[(o * depth + c) * taps..][..taps];
            w.sweep(&x[(first + c) * plane..][..plane], out, |out, inputs, step, tap| {
                let factor = filter[tap];
                fold_row(out, inputs, step, |sum, v| *sum = sum.wrapping_add(v.wrapping_mul(factor)));
            });
        }
    }
    y
}
