//! Depthwise convolution in channels-last memory: every channel has a filter of its own.
//!
//! Outputs that are neighbours along a line are computed together, for two vectors of channels at a
//! time, so that a weight is loaded once for all of them. Every tap is a pointer; a tap outside of
//! the image points to padding.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use super::arch::{Kernel, Simd};
use super::conv::Geometry;
use super::product::{Finish, Floats, Product, Words};

/// Outputs that are computed together.
const TOGETHER: usize = 4;
/// Their sums with any instruction set.
const SUMS: usize = TOGETHER * 2 * 16;

/// A product of every channel with its own weight.
pub trait Channelwise: Product {
    /// Taps that are multiplied at a time.
    const TAPS: usize;
    /// Adds the products of two vectors of channels, `offset` elements from the pointers of the taps.
    unsafe fn taps<S: Simd>(
        sums: [Self::V<S>; 2],
        taps: *const *const Self::In,
        offset: usize,
        weights: [Self::V<S>; 2],
    ) -> [Self::V<S>; 2];
}

impl Channelwise for Floats {
    const TAPS: usize = 1;

    #[inline(always)]
    unsafe fn taps<S: Simd>(sums: [S::F; 2], taps: *const *const f32, offset: usize, weights: [S::F; 2]) -> [S::F; 2] {
        // SAFETY: the caller's.
        unsafe {
            let x = (*taps).add(offset);
            [S::mul_add(S::load(x), weights[0], sums[0]), S::mul_add(S::load(x.add(S::LANES)), weights[1], sums[1])]
        }
    }
}

impl Channelwise for Words {
    const TAPS: usize = 2;

    #[inline(always)]
    unsafe fn taps<S: Simd>(sums: [S::I; 2], taps: *const *const u8, offset: usize, weights: [S::I; 2]) -> [S::I; 2] {
        // SAFETY: the caller's.
        unsafe {
            let pairs = S::zip2_u8_i16((*taps).add(offset), (*taps.add(1)).add(offset));
            [S::dot_i16(sums[0], pairs[0], weights[0]), S::dot_i16(sums[1], pairs[1], weights[1])]
        }
    }
}

/// A depthwise convolution of `x` `[batch, H, W, channels]`; `finish` must be good for all of its
/// outputs.
pub struct Depthwise<'a, P: Channelwise, F> {
    pub geometry: &'a Geometry,
    /// A line of `pitch` channels, whole pairs of vectors, for every `P::TAPS` taps; zeros where
    /// there are none.
    pub weights: &'a [u32],
    pub pitch: usize,
    pub x: &'a [P::In],
    /// What is outside of the image.
    pub padding: P::In,
    pub finish: F,
}

impl<P: Channelwise, F: Finish> Kernel for Depthwise<'_, P, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let g = self.geometry;
        let taps = g.kernel[0] * g.kernel[1];
        let steps = taps.div_ceil(P::TAPS);
        let line = g.channels.next_multiple_of(2 * S::LANES);
        assert!(
            self.x.len() >= g.batch * g.input[0] * g.input[1] * g.channels,
            "an image of {} elements",
            self.x.len()
        );
        assert!(self.pitch >= line && self.weights.len() >= steps * self.pitch, "weights of {line} channels");
        let (left, right) = g.interior(1);
        let next = g.strides[1] * g.channels;
        let padding = vec![self.padding; (TOGETHER - 1) * next + line];
        // Whole vectors of the last channels may reach past the last element; such pixels are copied.
        let mut copies = vec![self.padding; if line == g.channels { 0 } else { taps * line }];
        let mut pointers = vec![padding.as_ptr(); steps * P::TAPS];
        let mut sums = [0u32; SUMS];
        let sums = sums.as_mut_ptr();
        for row in 0..g.batch * g.output[0] {
            let (n, oy) = (row / g.output[0], row % g.output[0]);
            let mut ox = 0;
            while ox < g.output[1] {
                let mut together = if ox >= left && ox + TOGETHER <= right { TOGETHER } else { 1 };
                let mut tap = 0;
                for ky in 0..g.kernel[0] {
                    let iy = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.begin[0]);
                    for kx in 0..g.kernel[1] {
                        let ix = (ox * g.strides[1] + kx * g.dilations[1]).wrapping_sub(g.begin[1]);
                        pointers[tap] = padding.as_ptr();
                        if iy < g.input[0] && ix < g.input[1] {
                            let from = ((n * g.input[0] + iy) * g.input[1] + ix) * g.channels;
                            if from + (together - 1) * next + line > self.x.len() {
                                together = 1;
                            }
                            pointers[tap] = self.x[from..].as_ptr();
                            if from + line > self.x.len() {
                                let copy = &mut copies[tap * line..][..line];
                                copy[..g.channels].copy_from_slice(&self.x[from..from + g.channels]);
                                pointers[tap] = copy.as_ptr();
                            }
                        }
                        tap += 1;
                    }
                }
                let place = row * g.output[1] + ox;
                // SAFETY: every pointer is to whole vectors of all channels, and to those of the outputs
                // that are computed together, `next` apart, where there are more than one.
                unsafe {
                    if together == 1 {
                        self.span::<S, 1>(&pointers, place, sums);
                    } else {
                        self.span::<S, TOGETHER>(&pointers, place, sums);
                    }
                }
                ox += together;
            }
            self.finish.block(row * g.output[1]..(row + 1) * g.output[1]);
        }
    }
}

impl<P: Channelwise, F: Finish> Depthwise<'_, P, F> {
    /// `R` outputs from `row` on, by the taps of the first.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn span<S: Simd, const R: usize>(&self, pointers: &[*const P::In], row: usize, out: *mut u32) {
        let next = self.geometry.strides[1] * self.geometry.channels;
        // SAFETY: the caller's.
        unsafe {
            let mut channel = 0;
            while channel < self.geometry.channels {
                let mut sums = [[P::zero::<S>(); 2]; R];
                let mut weight = self.weights.as_ptr().add(channel);
                let mut taps = pointers.as_ptr();
                for _ in 0..pointers.len() / P::TAPS {
                    let weights = [P::load::<S>(weight), P::load::<S>(weight.add(S::LANES))];
                    let mut offset = channel;
                    for r in 0..R {
                        sums[r] = P::taps::<S>(sums[r], taps, offset, weights);
                        offset += next;
                    }
                    taps = taps.add(P::TAPS);
                    weight = weight.add(self.pitch);
                }
                for r in 0..R {
                    for c in 0..2 {
                        P::store::<S>(out.add((2 * r + c) * S::LANES), sums[r][c]);
                    }
                }
                let count = (self.geometry.channels - channel).min(2 * S::LANES);
                self.finish.tile::<S>(out, 2 * S::LANES, row, R, channel, count);
                channel += 2 * S::LANES;
            }
        }
    }
}
