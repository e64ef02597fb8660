//! Depthwise convolution in channels-last memory: every channel has a filter of its own.
//!
//! Outputs that are neighbours along a line are computed together, for one vector of channels at a
//! time, so that a weight is loaded once for all of them. Taps outside of the image are left out.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use super::arch::{Kernel, Simd};
use super::conv::Geometry;
use super::gemm::{Activation, ToFloats};
use super::integer::ToIntegers;
use super::product::Finish;

/// Outputs that are computed together.
const TOGETHER: usize = 4;

/// A float32 depthwise convolution of `x` `[batch, H, W, channels]`.
pub struct Depthwise<'a> {
    pub geometry: &'a Geometry,
    /// A line of `pitch` channels for every tap.
    pub weights: &'a [f32],
    pub pitch: usize,
    pub x: &'a [f32],
    pub finish: ToFloats,
}

/// Outputs that are neighbours, and the taps that lie inside the image for all of them.
struct Span {
    /// The first output.
    row: usize,
    /// The element under its first tap.
    input: usize,
    /// The first tap.
    tap: usize,
    lines: usize,
    taps: usize,
}

impl Kernel for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let g = self.geometry;
        assert!(
            self.x.len() >= g.batch * g.input[0] * g.input[1] * g.channels,
            "an image of {} elements",
            self.x.len()
        );
        assert!(self.pitch >= g.channels && self.weights.len() >= g.kernel[0] * g.kernel[1] * self.pitch);
        let (left, right) = g.interior(1);
        for line in 0..g.batch * g.output[0] {
            let (n, oy) = (line / g.output[0], line % g.output[0]);
            let (top, bottom) = g.taps(0, oy);
            let mut ox = 0;
            while ox < g.output[1] {
                let (from, to) = g.taps(1, ox);
                let inside = ox >= left && ox + TOGETHER <= right;
                let empty = top == bottom || from == to;
                let span = if empty {
                    Span { row: line * g.output[1] + ox, input: 0, tap: 0, lines: 0, taps: 0 }
                } else {
                    let iy = oy * g.strides[0] + top * g.dilations[0] - g.begin[0];
                    let ix = ox * g.strides[1] + from * g.dilations[1] - g.begin[1];
                    Span {
                        row: line * g.output[1] + ox,
                        input: ((n * g.input[0] + iy) * g.input[1] + ix) * g.channels,
                        tap: top * g.kernel[1] + from,
                        lines: bottom - top,
                        taps: to - from,
                    }
                };
                // SAFETY: the taps of the span lie inside of the image, those of the next outputs too where
                // they are inside the interior; the image and the weights were held against their sizes.
                unsafe {
                    if inside {
                        self.span::<S, TOGETHER>(&span);
                        ox += TOGETHER;
                    } else {
                        self.span::<S, 1>(&span);
                        ox += 1;
                    }
                }
            }
            self.finish.block(line * g.output[1]..(line + 1) * g.output[1]);
        }
    }
}

impl Depthwise<'_> {
    #[inline(always)]
    unsafe fn span<S: Simd, const R: usize>(&self, span: &Span) {
        let (g, finish) = (self.geometry, &self.finish);
        let (min, max) = match finish.activation {
            Activation::Clamp { min, max } => (min, max),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        };
        let (line, step, next) =
            (g.dilations[0] * g.input[1] * g.channels, g.dilations[1] * g.channels, g.strides[1] * g.channels);
        // SAFETY: the caller's.
        unsafe {
            let mut channel = 0;
            while channel < g.channels {
                let count = (g.channels - channel).min(S::LANES);
                let bias =
                    if finish.bias.is_null() { S::splat(0.0) } else { S::load_part(finish.bias.add(channel), count) };
                let mut sums = [bias; R];
                let mut input = self.x.as_ptr().add(span.input + channel);
                let mut weight = self.weights.as_ptr().add(span.tap * self.pitch + channel);
                for _ in 0..span.lines {
                    let (mut x, mut w) = (input, weight);
                    for _ in 0..span.taps {
                        let factor = S::load_part(w, count);
                        for r in 0..R {
                            sums[r] = S::mul_add(S::load_part(x.add(r * next), count), factor, sums[r]);
                        }
                        x = x.add(step);
                        w = w.add(self.pitch);
                    }
                    input = input.add(line);
                    weight = weight.add(g.kernel[1] * self.pitch);
                }
                for r in 0..R {
                    let place = (span.row + r) * finish.stride + channel;
                    let mut v = sums[r];
                    if !finish.residual.is_null() {
                        v = S::add(v, S::load_part(finish.residual.add(place), count));
                    }
                    S::store_part(finish.y.add(place), S::max(S::min(v, S::splat(max)), S::splat(min)), count);
                }
                channel += S::LANES;
            }
        }
    }
}

/// A depthwise convolution of bytes `x` `[batch, H, W, channels]`: two taps at a time, zipped.
pub struct DepthwiseI8<'a> {
    pub geometry: &'a Geometry,
    /// A line of `pitch` channels for every two taps, each two `i16`.
    pub weights: &'a [i32],
    pub pitch: usize,
    pub x: &'a [u8],
    pub x_zero: u8,
    pub finish: ToIntegers<'a>,
}

impl Kernel for DepthwiseI8<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let g = self.geometry;
        let taps = g.kernel[0] * g.kernel[1];
        let pairs = taps.div_ceil(2);
        assert!(
            self.x.len() >= g.batch * g.input[0] * g.input[1] * g.channels,
            "an image of {} elements",
            self.x.len()
        );
        assert!(self.pitch >= g.channels.next_multiple_of(S::LANES) && self.weights.len() >= pairs * self.pitch);
        let (left, right) = g.interior(1);
        let (top, bottom) = g.interior(0);
        // Where the taps of an output lie from its first one on: in the image, and in a patch of it that
        // stands in for what is outside. An odd last tap is paired with itself; its second weight is 0.
        let line = g.channels.next_multiple_of(S::LANES);
        let mut in_image = Vec::with_capacity(2 * pairs);
        let mut in_patch = Vec::with_capacity(2 * pairs);
        for tap in 0..2 * pairs {
            let tap = tap.min(taps - 1);
            let (ky, kx) = (tap / g.kernel[1], tap % g.kernel[1]);
            in_image.push((ky * g.dilations[0] * g.input[1] + kx * g.dilations[1]) * g.channels);
            in_patch.push(tap * line);
        }
        let mut patch = vec![self.x_zero; taps * line];
        // Whole vectors of the last channels may reach past the last element.
        let reach = in_image.last().copied().unwrap_or(0) + (TOGETHER - 1) * g.strides[1] * g.channels + line;
        for row in 0..g.batch * g.output[0] {
            let (n, oy) = (row / g.output[0], row % g.output[0]);
            let mut ox = 0;
            while ox < g.output[1] {
                let iy = (oy * g.strides[0]).wrapping_sub(g.begin[0]);
                let ix = (ox * g.strides[1]).wrapping_sub(g.begin[1]);
                let place = row * g.output[1] + ox;
                if oy >= top && oy < bottom && ox >= left && ox + TOGETHER <= right {
                    let input = ((n * g.input[0] + iy) * g.input[1] + ix) * g.channels;
                    if input + reach <= self.x.len() {
                        // SAFETY: all taps of these outputs lie inside of the image, whole vectors too.
                        unsafe { self.span::<S, TOGETHER>(self.x.as_ptr().add(input), &in_image, place) };
                        ox += TOGETHER;
                        continue;
                    }
                }
                for (tap, to) in patch.chunks_exact_mut(line.max(1)).enumerate() {
                    let iy = iy.wrapping_add(tap / g.kernel[1] * g.dilations[0]);
                    let ix = ix.wrapping_add(tap % g.kernel[1] * g.dilations[1]);
                    if iy < g.input[0] && ix < g.input[1] {
                        let from = ((n * g.input[0] + iy) * g.input[1] + ix) * g.channels;
                        to[..g.channels].copy_from_slice(&self.x[from..from + g.channels]);
                    } else {
                        to.fill(self.x_zero);
                    }
                }
                // SAFETY: the patch has whole vectors of every tap.
                unsafe { self.span::<S, 1>(patch.as_ptr(), &in_patch, place) };
                ox += 1;
            }
            self.finish.block(row * g.output[1]..(row + 1) * g.output[1]);
        }
    }
}

impl DepthwiseI8<'_> {
    /// `R` outputs from `row` on, the first tap of the first at `input`.
    #[inline(always)]
    unsafe fn span<S: Simd, const R: usize>(&self, input: *const u8, taps: &[usize], row: usize) {
        let g = self.geometry;
        let next = g.strides[1] * g.channels;
        let mut buffer = [0u32; TOGETHER * 16];
        // SAFETY: the caller's.
        unsafe {
            let mut channel = 0;
            while channel < g.channels {
                let mut sums = [S::splat_i32(0); R];
                let x = input.add(channel);
                let mut weight = self.weights.as_ptr().add(channel);
                let mut tap = taps.as_ptr();
                for _ in 0..taps.len() / 2 {
                    let (a, b) = (x.add(*tap), x.add(*tap.add(1)));
                    let factor = S::load_i32(weight);
                    for r in 0..R {
                        sums[r] = S::dot_i16(sums[r], S::zip_u8_i16(a.add(r * next), b.add(r * next)), factor);
                    }
                    tap = tap.add(2);
                    weight = weight.add(self.pitch);
                }
                for r in 0..R {
                    S::store_i32(buffer.as_mut_ptr().add(r * S::LANES).cast(), sums[r]);
                }
                let count = (g.channels - channel).min(S::LANES);
                self.finish.tile::<S>(buffer.as_ptr(), S::LANES, row, R, channel, count);
                channel += S::LANES;
            }
        }
    }
}
