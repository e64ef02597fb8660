//! Depthwise convolution in channels-last memory: every channel has a filter of its own.
//!
//! Outputs that are neighbours along a line are computed together, for one vector of channels at a
//! time, so that a weight is loaded once for all of them. Taps outside of the image are left out.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use super::arch::{Kernel, Simd};
use super::conv::Geometry;
use super::gemm::{Activation, ToFloats};
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
