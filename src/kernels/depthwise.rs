//! Depthwise convolution in channels-last memory: every channel has a filter of its own.
//!
//! Outputs that are neighbours along a line are computed together, for two vectors of channels at a
//! time, so that a weight is loaded once for all of them. Every tap is a pointer; a tap outside of
//! the image points to padding.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::conv::Geometry;
use super::product::{Bytes, Finish, Floats, GRAIN, Product, Words};
use super::threads;

/// Outputs that are computed together.
const TOGETHER: usize = 4;

/// A product of every channel with its own weight.
pub trait Channelwise: Product {
    /// Taps that are multiplied at a time.
    const TAPS: usize;
    /// Adds the products of two vectors of channels, `offset` elements from the pointers of the taps.
    unsafe fn taps<S: Simd>(
        self,
        sums: [Self::V<S>; 2],
        taps: *const *const Self::In,
        offset: usize,
        weights: [Self::V<S>; 2],
    ) -> [Self::V<S>; 2];
}

impl Channelwise for Floats {
    const TAPS: usize = 1;

    #[inline(always)]
    unsafe fn taps<S: Simd>(
        self,
        sums: [S::F; 2],
        taps: *const *const f32,
        offset: usize,
        weights: [S::F; 2],
    ) -> [S::F; 2] {
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
    unsafe fn taps<S: Simd>(
        self,
        sums: [S::I; 2],
        taps: *const *const u8,
        offset: usize,
        weights: [S::I; 2],
    ) -> [S::I; 2] {
        // SAFETY: the caller's.
        unsafe {
            let pairs = S::zip2_u8_i16((*taps).add(offset), (*taps.add(1)).add(offset));
            [S::dot_i16(sums[0], pairs[0], weights[0]), S::dot_i16(sums[1], pairs[1], weights[1])]
        }
    }
}

impl Channelwise for Bytes {
    const TAPS: usize = 4;

    #[inline(always)]
    unsafe fn taps<S: Simd>(
        self,
        sums: [S::I; 2],
        taps: *const *const u8,
        offset: usize,
        weights: [S::I; 2],
    ) -> [S::I; 2] {
        // SAFETY: the caller's.
        unsafe {
            let mut from = [*taps; 4];
            for k in 0..4 {
                from[k] = (*taps.add(k)).add(offset);
            }
            let mut fours = S::zip4_u8(from);
            if self.flipped {
                let top = S::splat_i32(i32::from_ne_bytes([0x80; 4]));
                fours = [S::xor(fours[0], top), S::xor(fours[1], top)];
            }
            [S::dot_u8i8(sums[0], fours[0], weights[0]), S::dot_u8i8(sums[1], fours[1], weights[1])]
        }
    }
}

/// A depthwise convolution of `x` `[batch, H, W, channels]`; `finish` must be good for all of its
/// outputs.
pub struct Depthwise<'a, P: Channelwise, F> {
    pub product: P,
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

/// Multiply-adds of a depthwise convolution that take as long as one of a product.
const SLOWER: usize = 8;

impl<P: Channelwise<In: Sync> + Sync, F: Finish + Sync> Depthwise<'_, P, F> {
    /// Computes it, on as many threads as are worth it.
    pub fn run(&self, level: Level) {
        let g = self.geometry;
        let lines = g.batch * g.output[0];
        let work = lines * g.output[1] * g.channels * g.kernel[0] * g.kernel[1];
        let parts = threads::parts(work * SLOWER / GRAIN).min(lines.max(1));
        threads::each(parts, |part| {
            dispatch_at(level, Lines { all: self, lines: lines * part / parts..lines * (part + 1) / parts });
        });
    }
}

/// Some lines of the outputs of all images.
struct Lines<'a, P: Channelwise, F> {
    all: &'a Depthwise<'a, P, F>,
    lines: Range<usize>,
}

impl<P: Channelwise, F: Finish> Kernel for Lines<'_, P, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        self.all.lines::<S>(self.lines);
    }
}

impl<P: Channelwise, F: Finish> Depthwise<'_, P, F> {
    #[inline(always)]
    fn lines<S: Simd>(&self, lines: Range<usize>) {
        if !P::possible::<S>() {
            return;
        }
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
        let ((top, bottom), (left, right)) = (g.interior(0), g.interior(1));
        let next = g.strides[1] * g.channels;
        let padding = vec![self.padding; (TOGETHER - 1) * next + line];
        // Whole vectors of the last channels may reach past the last element; such pixels are copied.
        let mut copies = vec![self.padding; if line == g.channels { 0 } else { taps * line }];
        let mut pointers = vec![padding.as_ptr(); steps * P::TAPS];
        // Where the taps lie from the first one on, where all are inside of the image.
        let offsets: Vec<usize> = (0..taps)
            .map(|tap| {
                let (ky, kx) = (tap / g.kernel[1], tap % g.kernel[1]);
                (ky * g.dilations[0] * g.input[1] + kx * g.dilations[1]) * g.channels
            })
            .collect();
        let reach = offsets.last().map_or(0, |last| last + (TOGETHER - 1) * next + line);
        let mut sums = vec![0u32; TOGETHER * line];
        for row in lines {
            let (n, oy) = (row / g.output[0], row % g.output[0]);
            let mut ox = 0;
            while ox < g.output[1] {
                let mut together = if ox >= left && ox + TOGETHER <= right { TOGETHER } else { 1 };
                let place = row * g.output[1] + ox;
                let first = ((n * g.input[0] + oy * g.strides[0]) * g.input[1] + ox * g.strides[1]) * g.channels;
                let first = first.wrapping_sub((g.begin[0] * g.input[1] + g.begin[1]) * g.channels);
                if together > 1 && oy >= top && oy < bottom && first + reach <= self.x.len() {
                    let first = self.x[first..].as_ptr();
                    for (pointer, &offset) in pointers.iter_mut().zip(&offsets) {
                        *pointer = first.wrapping_add(offset);
                    }
                } else {
                    together = self.point(n, [oy, ox], together, line, &padding, &mut copies, &mut pointers);
                }
                // SAFETY: every pointer is to whole vectors of all channels, and to those of the outputs
                // that are computed together, `next` apart, where there are more than one; `sums` holds
                // all of them.
                unsafe {
                    if together == 1 {
                        self.span::<S, 1>(&pointers, line, sums.as_mut_ptr());
                    } else {
                        self.span::<S, TOGETHER>(&pointers, line, sums.as_mut_ptr());
                    }
                    self.finish.tile::<S>(sums.as_ptr(), line, place, together, 0, g.channels);
                }
                ox += together;
            }
            self.finish.block(row * g.output[1]..(row + 1) * g.output[1], 0..g.channels);
        }
    }

    /// Points to every tap of an output, of the image or of `padding`; gives how many outputs may be computed
    /// together by these pointers.
    #[allow(clippy::too_many_arguments)]
    fn point(
        &self,
        n: usize,
        [oy, ox]: [usize; 2],
        mut together: usize,
        line: usize,
        padding: &[P::In],
        copies: &mut [P::In],
        pointers: &mut [*const P::In],
    ) -> usize {
        let g = self.geometry;
        let next = g.strides[1] * g.channels;
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
        together
    }

    /// The sums of `R` outputs, `line` apart, by the taps of the first.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn span<S: Simd, const R: usize>(&self, pointers: &[*const P::In], line: usize, out: *mut u32) {
        let next = self.geometry.strides[1] * self.geometry.channels;
        // SAFETY: the caller's.
        unsafe {
            let mut channel = 0;
            while channel < line {
                let mut sums = [[P::zero::<S>(); 2]; R];
                let mut weight = self.weights.as_ptr().add(channel);
                let mut taps = pointers.as_ptr();
                for _ in 0..pointers.len() / P::TAPS {
                    let weights = [P::load::<S>(weight), P::load::<S>(weight.add(S::LANES))];
                    let mut offset = channel;
                    for r in 0..R {
                        sums[r] = self.product.taps::<S>(sums[r], taps, offset, weights);
                        offset += next;
                    }
                    taps = taps.add(P::TAPS);
                    weight = weight.add(self.pitch);
                }
                for r in 0..R {
                    for c in 0..2 {
                        P::store::<S>(out.add(r * line + channel + c * S::LANES), sums[r][c]);
                    }
                }
                channel += 2 * S::LANES;
            }
        }
    }
}
