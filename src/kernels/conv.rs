//! Convolution: of float32 in channels-last memory on the loop nest of [`super::product`]
//! ([`ConvF32`]), with a loop of its own where every channel has its own filters. Other element
//! types and three spatial dimensions go through one plain loop over `[N, C, spatial…]`.

use std::borrow::Cow;

use num_traits::Float;

use super::arch::{Dot, Level};
use super::depthwise::{Channelwise, Depthwise, Taps};
use super::gemm::{Epilogue, ToFloats};
use super::groups::{are_finite, is_depthwise, place, repeated, together};
use super::integer::{IntOutput, IntPanels, Sums, ToIntegers, ZeroPoints};
use super::product::{Bytes, Floats, Multiply, Panels, Rows, Words};
use super::window::{Window, Window3, fold_row};
use super::winograd;

/// A convolution's sizes; one spatial dimension is two, the first of size 1.
#[derive(Debug, Clone)]
pub struct Geometry {
    pub batch: usize,
    pub channels: usize,
    pub outputs: usize,
    pub group: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    pub begin: [usize; 2],
}

impl Geometry {
    /// The sizes of a convolution of `[batch, channels, spatial…]`, one or two spatial dimensions,
    /// to `outputs` channels.
    pub fn new(x: &[usize], outputs: usize, group: usize, window: &Window) -> Self {
        let two = |values: &[usize], fill: usize| match *values {
            [w] => [fill, w],
            [h, w] => [h, w],
            _ => unreachable!("a two-dimensional convolution has one or two spatial dimensions"),
        };
        Self {
            batch: x[0],
            channels: x[1],
            outputs,
            group,
            input: two(&x[2..], 1),
            output: two(&window.output, 1),
            kernel: two(&window.kernel, 1),
            strides: two(&window.strides, 1),
            dilations: two(&window.dilations, 1),
            begin: two(&window.pads_begin, 0),
        }
    }

    /// Image, line and column of an output.
    pub(super) fn position(&self, row: usize) -> (usize, usize, usize) {
        let line = row / self.output[1];
        (line / self.output[0], line % self.output[0], row % self.output[1])
    }

    /// With every channel of the input `times` times, each for one output.
    fn repeated(&self, times: usize) -> Self {
        if times == 1 { self.clone() } else { Self { channels: self.outputs, group: self.outputs, ..self.clone() } }
    }

    /// The input of [`Self::repeated`].
    fn repeat<'a, T: Copy>(&self, x: &'a [T], times: usize) -> Cow<'a, [T]> {
        if times == 1 { x.into() } else { repeated(x, times).into() }
    }

    /// Every position is used once and in order.
    fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && self.begin == [0, 0] && self.input == self.output
    }

    /// The rows of a group of channels.
    fn rows<'a, T: Copy>(&'a self, x: &'a [T], first: usize, padding: &'a [T]) -> Rows<'a, T> {
        let count = self.batch * self.output[0] * self.output[1];
        if self.pointwise() && count > 0 {
            Rows::matrix(&x[first..], self.channels, count, padding.len())
        } else {
            Rows::windows(x, self, first, padding)
        }
    }
}

/// A float32 convolution's filters, packed.
pub struct ConvF32 {
    filters: Filters,
    level: Level,
    /// Input channels of a group.
    channels: usize,
}

enum Filters {
    /// One matrix for every `together` groups. Where these are several, the weight itself too: what is not finite
    /// must not be multiplied by the zeros of another group.
    Groups { panels: Vec<Panels>, together: usize, weight: Vec<f32> },
    /// Lines of `pitch` channels, as [`Taps`] says; every channel of the input has `repeats`.
    Depthwise { weights: Vec<f32>, pitch: usize, repeats: usize },
    /// For strides and dilations of 1, 16 ninths of the weight. They mix neighbours, of which none must be infinite;
    /// what they do not fit is multiplied by the weight that they are made of.
    Winograd(winograd::Filters),
}

impl ConvF32 {
    /// Packs a weight `[outputs, channels, kernel…]`, where `channels` are those of a group.
    pub fn new(weight: &[f32], outputs: usize, channels: usize, kernel: [usize; 2], group: usize) -> Self {
        Self::at(Level::best(), weight, outputs, channels, kernel, group)
    }

    /// As [`Self::new`], for one instruction set.
    pub fn at(level: Level, weight: &[f32], outputs: usize, channels: usize, kernel: [usize; 2], group: usize) -> Self {
        let taps = kernel[0] * kernel[1];
        if is_depthwise(outputs, channels, group) {
            let pitch = outputs.next_multiple_of(2 * level.lanes());
            let places = Taps::new(kernel, Floats::TAPS);
            let mut weights = vec![0f32; places.lines() * pitch];
            for (channel, filter) in weight.chunks_exact(taps.max(1)).enumerate() {
                filter.iter().enumerate().for_each(|(tap, v)| weights[places.place(tap).0 * pitch + channel] = *v);
            }
            return Self { filters: Filters::Depthwise { weights, pitch, repeats: outputs / group }, level, channels };
        }
        Self::groups(level, weight, outputs, channels, taps, group, together(channels, group))
    }

    /// As [`Self::new`], to be run with strides and dilations of 1. Kernels of 3 by 3 of enough channels and outputs are
    /// packed for fewer products, in 16 ninths of the memory; an input that is not finite, and other strides, have the
    /// filters packed as they are for one run.
    pub fn one_apart(weight: &[f32], outputs: usize, channels: usize, kernel: [usize; 2], group: usize) -> Self {
        Self::one_apart_at(Level::best(), weight, outputs, channels, kernel, group)
    }

    /// As [`Self::one_apart`], for one instruction set.
    pub fn one_apart_at(
        level: Level,
        weight: &[f32],
        outputs: usize,
        channels: usize,
        kernel: [usize; 2],
        group: usize,
    ) -> Self {
        let fits = kernel == [3, 3] && group == 1;
        match fits.then(|| winograd::Filters::new(level, weight, outputs, channels)).flatten() {
            Some(filters) => Self { filters: Filters::Winograd(filters), level, channels },
            None => Self::at(level, weight, outputs, channels, kernel, group),
        }
    }

    /// Packs the filters of `together` groups into each matrix.
    fn groups(
        level: Level,
        weight: &[f32],
        outputs: usize,
        channels: usize,
        taps: usize,
        group: usize,
        together: usize,
    ) -> Self {
        let (depth, columns) = (channels * taps, outputs / group);
        let pack = |g: usize| {
            let some = together.min(group - g);
            Panels::new(level, some * depth, some * columns, |k, first, slots| {
                let (tap, channel) = (k / (some * channels), k % (some * channels));
                if some == 1 {
                    let values = weight[(g * columns + first) * depth + channel * taps + tap..].iter().step_by(depth);
                    slots.iter_mut().zip(values).for_each(|(slot, v)| *slot = v.to_bits());
                    return;
                }
                for (i, slot) in slots.iter_mut().enumerate() {
                    let at = place([channels, columns, taps], g, [channel, first + i, tap]);
                    *slot = at.map_or(0, |at| weight[at].to_bits());
                }
            })
        };
        let panels = (0..group).step_by(together).map(pack).collect();
        let weight = if together > 1 { weight.to_vec() } else { Vec::new() };
        Self { filters: Filters::Groups { panels, together, weight }, level, channels }
    }

    /// `x` `[batch, H, W, channels]` to `y` `[batch, H, W, outputs]`.
    pub fn run(&self, g: &Geometry, x: &[f32], e: &Epilogue<'_>, y: &mut [f32]) {
        let rows = g.batch * g.output[0] * g.output[1];
        match &self.filters {
            Filters::Depthwise { weights, pitch, repeats } => {
                let finish = ToFloats::new(e, y, rows, g.outputs, 0, g.outputs);
                let weights = bytemuck::cast_slice(weights);
                let pitch = *pitch;
                let (g, x) = (&g.repeated(*repeats), &g.repeat(x, *repeats)[..]);
                Depthwise { product: Floats, geometry: g, weights, pitch, x, padding: 0.0, finish }.run(self.level);
            }
            Filters::Groups { together, weight, .. } if *together > 1 && !are_finite(x) => {
                let taps = g.kernel[0] * g.kernel[1];
                Self::groups(self.level, weight, g.outputs, self.channels, taps, g.group, 1).run(g, x, e, y);
            }
            Filters::Winograd(filters) => {
                if [g.strides, g.dilations] != [[1, 1]; 2] || !are_finite(x) {
                    let direct = Self::groups(self.level, &filters.weight(), g.outputs, self.channels, 9, 1, 1);
                    return direct.run(g, x, e, y);
                }
                filters.run(g, x, ToFloats::new(e, y, rows, g.outputs, 0, g.outputs));
            }
            Filters::Groups { panels, together, .. } => {
                let padding = vec![0f32; together * self.channels];
                let columns = g.outputs / g.group;
                for (panels, first) in panels.iter().zip((0..g.group).step_by(*together)) {
                    let some = (*together).min(g.group - first);
                    let finish = ToFloats::new(e, y, rows, g.outputs, first * columns, some * columns);
                    let rows = g.rows(x, first * self.channels, &padding[..some * self.channels]);
                    Multiply { product: Floats, panels, rows, finish }.run();
                }
            }
        }
    }

    /// Bytes that the packed filters take.
    pub fn byte_len(&self) -> usize {
        match &self.filters {
            Filters::Groups { panels, weight, .. } => {
                panels.iter().map(Panels::byte_len).sum::<usize>() + size_of_val(&weight[..])
            }
            Filters::Depthwise { weights, .. } => size_of_val(&weights[..]),
            Filters::Winograd(filters) => filters.byte_len(),
        }
    }
}

/// A convolution's filters of bytes, or of bytes less a zero point, packed.
pub struct ConvI8 {
    filters: IntFilters,
    level: Level,
    /// Input channels of a group.
    channels: usize,
}

enum IntFilters {
    /// One matrix for every `together` groups.
    Groups { panels: Vec<IntPanels>, together: usize },
    /// Lines of `pitch` channels, each two `i16` or four `i8`, as [`Taps`] says; every channel of the input has
    /// `repeats`.
    Depthwise { weights: Vec<u32>, pitch: usize, repeats: usize, dot: Dot, sums: Sums },
}

impl ConvI8 {
    /// Packs a weight `[outputs, channels, kernel…]`, where `channels` are those of a group.
    pub fn new(weight: &[i8], outputs: usize, channels: usize, kernel: [usize; 2], group: usize) -> Self {
        let level = Level::best();
        Self::at(level, level.dot(), weight, outputs, channels, kernel, group)
    }

    /// As [`Self::new`], for one instruction set and way to multiply.
    pub fn at(
        level: Level,
        dot: Dot,
        weight: &[i8],
        outputs: usize,
        channels: usize,
        kernel: [usize; 2],
        group: usize,
    ) -> Self {
        Self::pack(level, dot, |i| i16::from(weight[i]), outputs, channels, kernel, group)
    }

    /// Packs a weight of -255 to 255: bytes of which a zero point was subtracted.
    pub fn from_words(weight: &[i16], outputs: usize, channels: usize, kernel: [usize; 2], group: usize) -> Self {
        Self::words_at(Level::best(), weight, outputs, channels, kernel, group)
    }

    /// As [`Self::from_words`], for one instruction set.
    pub fn words_at(
        level: Level,
        weight: &[i16],
        outputs: usize,
        channels: usize,
        kernel: [usize; 2],
        group: usize,
    ) -> Self {
        Self::pack(level, Dot::Words, |i| weight[i], outputs, channels, kernel, group)
    }

    fn pack(
        level: Level,
        dot: Dot,
        weight: impl Fn(usize) -> i16,
        outputs: usize,
        channels: usize,
        kernel: [usize; 2],
        group: usize,
    ) -> Self {
        let taps = kernel[0] * kernel[1];
        if is_depthwise(outputs, channels, group) {
            let pitch = outputs.next_multiple_of(2 * level.lanes());
            let (bits, together) = if dot == Dot::Words { (16, Words::TAPS) } else { (8, Bytes::TAPS) };
            let places = Taps::new(kernel, together);
            let mut weights = vec![0u32; places.lines() * pitch];
            for channel in 0..outputs {
                for tap in 0..taps {
                    let value = weight(channel * taps + tap) as u32 & (u32::MAX >> (32 - bits));
                    let (line, place) = places.place(tap);
                    weights[line * pitch + channel] |= value << (place * bits);
                }
            }
            let sum = |channel| (0..taps).map(|tap| i32::from(weight(channel * taps + tap))).sum();
            let sums = Sums::new(level, outputs, dot == Dot::FlippedBytes, sum);
            let repeats = outputs / group;
            return Self { filters: IntFilters::Depthwise { weights, pitch, repeats, dot, sums }, level, channels };
        }
        let (columns, together) = (outputs / group, together(channels, group));
        let pack = |g: usize| {
            let some = together.min(group - g);
            IntPanels::new(level, dot, some * channels * taps, some * columns, |of, pitch, to| {
                for (column, to) in of.zip(to.chunks_exact_mut(pitch)) {
                    // The channels of its own group; those of the others are multiplied by zero.
                    let (filter, first) = ((g * columns + column) * channels * taps, column / columns * channels);
                    for channel in 0..channels {
                        for tap in 0..taps {
                            to[tap * some * channels + first + channel] = weight(filter + channel * taps + tap);
                        }
                    }
                }
            })
        };
        let panels = (0..group).step_by(together).map(pack).collect();
        Self { filters: IntFilters::Groups { panels, together }, level, channels }
    }

    /// `x` `[batch, H, W, channels]`, of which `x_zero` is zero, to `[batch, H, W, outputs]`.
    pub fn run(&self, g: &Geometry, x: &[u8], x_zero: u8, mut out: IntOutput<'_>) {
        let (rows, zero) = (g.batch * g.output[0] * g.output[1], ZeroPoints::One(x_zero));
        match &self.filters {
            IntFilters::Depthwise { weights, pitch, repeats, dot, sums } => {
                let finish = ToIntegers::new(&mut out, sums, zero, rows, g.outputs, 0);
                let (pitch, padding) = (*pitch, x_zero);
                let (g, x) = (&g.repeated(*repeats), &g.repeat(x, *repeats)[..]);
                match dot {
                    Dot::Words => {
                        let product = Words;
                        Depthwise { product, geometry: g, weights, pitch, x, padding, finish }.run(self.level);
                    }
                    _ => {
                        let product = Bytes { flipped: *dot == Dot::FlippedBytes };
                        Depthwise { product, geometry: g, weights, pitch, x, padding, finish }.run(self.level);
                    }
                }
            }
            IntFilters::Groups { panels, together } => {
                let padding = vec![x_zero; together * self.channels];
                for (panels, group) in panels.iter().zip((0..g.group).step_by(*together)) {
                    let first = group * (g.outputs / g.group);
                    let padding = &padding[..(*together).min(g.group - group) * self.channels];
                    let finish = ToIntegers::new(&mut out, &panels.sums, zero, rows, g.outputs, first);
                    panels.multiply(g.rows(x, group * self.channels, padding), finish);
                }
            }
        }
    }

    /// Bytes that the packed filters take.
    pub fn byte_len(&self) -> usize {
        match &self.filters {
            IntFilters::Groups { panels, .. } => panels.iter().map(IntPanels::byte_len).sum(),
            IntFilters::Depthwise { weights, sums, .. } => size_of_val(&weights[..]) + sums.byte_len(),
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
