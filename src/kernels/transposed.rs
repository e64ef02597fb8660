//! Products that are scattered or gathered around: transposed and deformable convolution.

use num_traits::Float;

use super::gemm::{GemmF32, Matrix, products};
use super::sample::linear;
use super::window::{Window, Window3};

/// The most elements that a product in between holds, where one row or column is not more.
pub const BLOCK: usize = 1 << 20;

/// `c[rows, columns] += a · b`, with `b` row-major and `a(row, k)` at
/// `row * strides[0] + k * strides[1]`.
pub type Product<T> = fn(a: &[T], strides: [usize; 2], sizes: [usize; 3], b: &[T], c: &mut [T]);

/// The product of float32.
pub fn fast(a: &[f32], [row, term]: [usize; 2], [rows, depth, columns]: [usize; 3], b: &[f32], c: &mut [f32]) {
    let b = GemmF32::new(&Matrix { data: b, depth_stride: columns, column_stride: 1 }, depth, columns);
    if term == 1 {
        return b.add_to(a, row, rows, c, columns);
    }
    let turned: Vec<f32> = (0..rows * depth).map(|i| a[i / depth * row + i % depth * term]).collect();
    b.add_to(&turned, depth, rows, c, columns);
}

/// The product of float64.
pub fn plain(a: &[f64], [row, term]: [usize; 2], [rows, depth, columns]: [usize; 3], b: &[f64], c: &mut [f64]) {
    let packed: Vec<f64> = (0..rows * depth).map(|i| a[i / depth * row + i % depth * term]).collect();
    products(&packed, b, [rows, depth, columns], c, |sum, a, b| sum + a * b);
}

/// `x` `[images, channels, in…]` spread by `weight` `[channels, outputs / group, kernel…]`, plus
/// `bias`; gives `[images, outputs, out…]`. `window` is that of the convolution from `out` to
/// `in` that this one transposes.
#[allow(clippy::too_many_arguments)]
pub fn conv_transpose<T: Float>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    [images, channels, outputs, group]: [usize; 4],
    out: &[usize],
    window: &Window,
    product: Product<T>,
) -> Vec<T> {
    let w = Window3::new(out, window);
    let (from, to) = (w.output_len(), w.input_len());
    let (depth, planes) = (channels / group, outputs / group);
    let taps: usize = w.kernel.iter().product();
    let mut y = vec![T::zero(); images * outputs * to];
    if y.is_empty() {
        return y;
    }
    if let Some(bias) = bias {
        y.chunks_exact_mut(to).zip(bias.iter().cycle()).for_each(|(plane, &value)| plane.fill(value));
    }
    if from == 0 || depth == 0 {
        return y;
    }
    let rows = planes * taps;
    let step = (BLOCK / from).clamp(1, rows);
    let mut block = vec![T::zero(); step * from];
    for n in 0..images {
        for g in 0..group {
            let image = &x[(n * channels + g * depth) * from..][..depth * from];
            let filters = &weight[g * depth * rows..][..depth * rows];
            let target = &mut y[(n * outputs + g * planes) * to..][..planes * to];
            for first in (0..rows).step_by(step) {
                let block = &mut block[..step.min(rows - first) * from];
                block.fill(T::zero());
                product(&filters[first..], [1, rows], [block.len() / from, depth, from], image, block);
                for (row, values) in (first..).zip(block.chunks_exact(from)) {
                    spread(&w, row % taps, values, &mut target[row / taps * to..][..to]);
                }
            }
        }
    }
    y
}

/// Adds one value per window to the element under its tap.
fn spread<T: Float>(w: &Window3, tap: usize, values: &[T], plane: &mut [T]) {
    let taps = [tap / (w.kernel[1] * w.kernel[2]), tap / w.kernel[2] % w.kernel[1], tap % w.kernel[2]];
    let inside = w.outputs(2, taps[2]);
    if inside.is_empty() {
        return;
    }
    for o0 in w.outputs(0, taps[0]) {
        for o1 in w.outputs(1, taps[1]) {
            let line = w.position(0, o0, taps[0]) * w.input[1] + w.position(1, o1, taps[1]);
            let first = line * w.input[2] + w.position(2, inside.start, taps[2]);
            let row = &values[(o0 * w.output[1] + o1) * w.output[2]..][inside.clone()];
            plane[first..].iter_mut().step_by(w.strides[2]).zip(row).for_each(|(to, &v)| *to = *to + v);
        }
    }
}

/// What a deformable convolution has beyond a convolution.
pub struct Deformed<T> {
    /// Images, channels, outputs, groups.
    pub sizes: [usize; 4],
    /// Groups of channels that share offsets.
    pub offset_group: usize,
    /// `[images, offset_group, taps, dimensions, out…]`.
    pub offset: Vec<T>,
    /// `[images, offset_group, taps, out…]`.
    pub mask: Option<Vec<T>>,
}

impl<T: Float> Deformed<T> {
    /// `x` `[images, channels, spatial…]` by `weight` `[outputs, channels / group, kernel…]`
    /// plus `bias`.
    pub fn conv(
        &self,
        x: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        spatial: &[usize],
        window: &Window,
        product: Product<T>,
    ) -> Vec<T> {
        let [images, channels, outputs, group] = self.sizes;
        let (plane, points) = (spatial.iter().product::<usize>(), window.output.iter().product::<usize>());
        let taps: usize = window.kernel.iter().product();
        let (depth, planes) = (channels / group * taps, outputs / group);
        let mut y = vec![T::zero(); images * outputs * points];
        if y.is_empty() {
            return y;
        }
        if let Some(bias) = bias {
            y.chunks_exact_mut(points).zip(bias.iter().cycle()).for_each(|(plane, &value)| plane.fill(value));
        }
        if plane * depth == 0 {
            return y;
        }
        let step = (BLOCK / (channels * taps)).clamp(1, points);
        let mut columns = vec![T::zero(); channels * taps * step];
        for n in 0..images {
            let image = &x[n * channels * plane..][..channels * plane];
            for first in (0..points).step_by(step) {
                let count = step.min(points - first);
                let columns = &mut columns[..channels * taps * count];
                self.fill(n, first, image, spatial, window, columns);
                for g in 0..group {
                    let mut block = vec![T::zero(); planes * count];
                    let filters = &weight[g * planes * depth..][..planes * depth];
                    product(
                        filters,
                        [depth, 1],
                        [planes, depth, count],
                        &columns[g * depth * count..][..depth * count],
                        &mut block,
                    );
                    for (m, row) in block.chunks_exact(count).enumerate() {
                        let to = &mut y[(n * outputs + g * planes + m) * points + first..][..count];
                        to.iter_mut().zip(row).for_each(|(to, &v)| *to = *to + v);
                    }
                }
            }
        }
        y
    }

    /// The elements under every channel's taps, a row for each, of the outputs from `first` on.
    fn fill(&self, n: usize, first: usize, image: &[T], spatial: &[usize], window: &Window, columns: &mut [T]) {
        let number = |value: f64| T::from(value).expect("a number is a float");
        let (rank, plane) = (spatial.len(), spatial.iter().product::<usize>());
        let (channels, taps) = (self.sizes[1], window.kernel.iter().product::<usize>());
        let points: usize = window.output.iter().product();
        let count = columns.len() / (channels * taps);
        let shared = channels / self.offset_group;
        for row in 0..self.offset_group * taps {
            let (from, tap) = (row / taps * shared, row % taps);
            let row = n * self.offset_group * taps + row;
            for i in 0..count {
                let (mut output, mut k, mut scale) = (first + i, tap, 1);
                let scaled = self.mask.as_ref().map_or(T::one(), |mask| mask[row * points + first + i]);
                let mut terms = [(0, T::zero()); 8];
                terms[0] = (0, scaled);
                let mut used = 1;
                for d in (0..rank).rev() {
                    let at = output % window.output[d] * window.strides[d] + k % window.kernel[d] * window.dilations[d];
                    (output, k) = (output / window.output[d], k / window.kernel[d]);
                    let moved = self.offset[(row * rank + d) * points + first + i];
                    let place = number(at as f64 - window.pads_begin[d] as f64) + moved;
                    let mut next = [(0, T::zero()); 8];
                    let mut filled = 0;
                    for (at, weight) in linear(place, spatial[d]) {
                        let Some(at) = at else { continue };
                        for &(base, product) in &terms[..used] {
                            next[filled] = (base + at * scale, product * weight);
                            filled += 1;
                        }
                    }
                    (terms, used) = (next, filled);
                    scale *= spatial[d];
                }
                for c in from..from + shared {
                    let image = &image[c * plane..][..plane];
                    columns[(c * taps + tap) * count + i] =
                        terms[..used].iter().fold(T::zero(), |sum, &(at, weight)| sum + weight * image[at]);
                }
            }
        }
    }
}
