//! Depthwise convolution in channels-last memory: every channel has a filter of its own.
//!
//! Outputs that are neighbours along a line are computed together, for two vectors of channels at a
//! time, so that a weight is loaded once for all of them, and a column of inputs under them once for
//! all whose windows it lies in. Every tap of every column is a pointer; one outside of the image
//! points to padding.

use std::ops::Range;

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::conv::Geometry;
use super::product::{Bytes, Finish, Floats, GRAIN, Product, Words};
use super::threads;

/// Outputs that are computed together.
const TOGETHER: usize = 4;

/// A product of every channel with its own weight.
pub trait Channelwise: Product {
    /// Taps of a column that are multiplied at a time.
    const TAPS: usize;
    /// Two vectors of channels of a column, `offset` elements from the pointers of its taps.
    unsafe fn column<S: Simd>(self, taps: *const *const Self::In, offset: usize) -> [Self::V<S>; 2];
}

impl Channelwise for Floats {
    const TAPS: usize = 1;

    #[inline(always)]
    unsafe fn column<S: Simd>(self, taps: *const *const f32, offset: usize) -> [S::F; 2] {
        // SAFETY: the caller's.
        unsafe {
            let x = (*taps).add(offset);
            [S::load(x), S::load(x.add(S::LANES))]
        }
    }
}

impl Channelwise for Words {
    const TAPS: usize = 2;

    #[inline(always)]
    unsafe fn column<S: Simd>(self, taps: *const *const u8, offset: usize) -> [S::I; 2] {
        // SAFETY: the caller's.
        unsafe { S::zip2_u8_i16((*taps).add(offset), (*taps.add(1)).add(offset)) }
    }
}

impl Channelwise for Bytes {
    /// Of four, since most kernels are three high; the weight of the fourth is zero.
    const TAPS: usize = 3;

    #[inline(always)]
    unsafe fn column<S: Simd>(self, taps: *const *const u8, offset: usize) -> [S::I; 2] {
        // SAFETY: the caller's.
        unsafe {
            let last = (*taps.add(2)).add(offset);
            let fours = S::zip4_u8([(*taps).add(offset), (*taps.add(1)).add(offset), last, last]);
            if !self.flipped {
                return fours;
            }
            let top = S::splat_i32(i32::from_ne_bytes([0x80; 4]));
            [S::xor(fours[0], top), S::xor(fours[1], top)]
        }
    }
}

/// How the weights of a kernel lie: lines of all channels, in each `together` taps of a column below one another.
/// Columns of kernels of other widths than 3 and 5 are one long column.
#[derive(Clone, Copy)]
pub struct Taps {
    width: usize,
    height: usize,
    together: usize,
    /// Lines of a column.
    groups: usize,
}

impl Taps {
    pub fn new([height, width]: [usize; 2], together: usize) -> Self {
        let apart = matches!(width, 3 | 5) && (height > 1 || together == 1);
        let [height, width] = if apart { [height, width] } else { [height * width, 1] };
        Self { width, height, together, groups: height.div_ceil(together) }
    }

    pub fn lines(&self) -> usize {
        self.width * self.groups
    }

    /// The line of a tap, row-major in the kernel, and its place among those that are together.
    pub fn place(&self, tap: usize) -> (usize, usize) {
        let (ky, kx) = (tap / self.width, tap % self.width);
        (kx * self.groups + ky / self.together, ky % self.together)
    }
}

/// A depthwise convolution of `x` `[batch, H, W, channels]`; `finish` must be good for all of its
/// outputs.
pub struct Depthwise<'a, P: Channelwise, F> {
    pub product: P,
    pub geometry: &'a Geometry,
    /// Lines of `pitch` channels, whole pairs of vectors, as [`Taps`] says; zeros where there are none.
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
        let taps = Taps::new(g.kernel, P::TAPS);
        let line = g.channels.next_multiple_of(2 * S::LANES);
        assert!(
            self.x.len() >= g.batch * g.input[0] * g.input[1] * g.channels,
            "an image of {} elements",
            self.x.len()
        );
        assert!(self.pitch >= line && self.weights.len() >= taps.lines() * self.pitch, "weights of {line} channels");
        let table = Table::new(g, taps);
        let padding = vec![self.padding; line];
        let mut pointers = vec![padding.as_ptr(); table.places.len()];
        // Whole vectors of the last pixels may reach past the last element: the end is copied, and padding follows.
        let mut end = self.x[self.x.len().saturating_sub(line)..].to_vec();
        end.resize(end.len() + line, self.padding);
        let mut sums = vec![0u32; TOGETHER * line];
        for row in lines {
            for ox in (0..g.output[1]).step_by(TOGETHER) {
                let together = TOGETHER.min(g.output[1] - ox);
                self.point(&table, row, ox, &padding, &end, &mut pointers);
                let (pointers, out) = (pointers.as_ptr(), sums.as_mut_ptr());
                // SAFETY: every pointer is to whole vectors of all channels; `sums` holds all outputs.
                unsafe {
                    match (taps.width, table.step) {
                        (3, 1) => self.span::<S, 3, 1>(pointers, taps.groups, line, out),
                        (3, 2) => self.span::<S, 3, 2>(pointers, taps.groups, line, out),
                        (5, 1) => self.span::<S, 5, 1>(pointers, taps.groups, line, out),
                        (5, 2) => self.span::<S, 5, 2>(pointers, taps.groups, line, out),
                        _ => self.span::<S, 1, 1>(pointers, taps.lines(), line, out),
                    }
                    self.finish.tile::<S>(sums.as_ptr(), line, row * g.output[1] + ox, together, 0, g.channels);
                }
            }
            self.finish.block(row * g.output[1]..(row + 1) * g.output[1], 0..g.channels);
        }
    }
}

/// The pointers of outputs that are computed together: for every group of taps, for every column, for every tap.
struct Table {
    /// Columns from an output to the next; 0 where their columns are not shared, and those of every output are
    /// groups of one long column.
    step: usize,
    /// Of each pointer the row and the column in the input, from those of the first output's first tap on.
    places: Vec<[usize; 2]>,
    /// The same in elements.
    offsets: Vec<usize>,
    /// The last place.
    reach: [usize; 2],
}

impl Table {
    fn new(g: &Geometry, taps: Taps) -> Self {
        let step = if taps.width > 1 && g.dilations[1] == 1 && g.strides[1] <= 2 { g.strides[1] } else { 0 };
        let [lines, columns] =
            if step > 0 { [taps.groups, (TOGETHER - 1) * step + taps.width] } else { [taps.lines(), TOGETHER] };
        let mut places = Vec::with_capacity(lines * columns * taps.together);
        for line in 0..lines {
            for column in 0..columns {
                for k in 0..taps.together {
                    // Below the last there are weights of zero.
                    let down = (line % taps.groups * taps.together + k).min(taps.height - 1);
                    let [ky, kx] = if taps.width > 1 {
                        [down, line / taps.groups]
                    } else {
                        [down / g.kernel[1], down % g.kernel[1]]
                    };
                    let right = if step > 0 { column } else { column * g.strides[1] + kx * g.dilations[1] };
                    places.push([ky * g.dilations[0], right]);
                }
            }
        }
        let offsets = places.iter().map(|[down, right]| (down * g.input[1] + right) * g.channels).collect();
        let reach = places.iter().fold([0; 2], |[y, x], &[down, right]| [y.max(down), x.max(right)]);
        Self { step, places, offsets, reach }
    }
}

impl<P: Channelwise, F: Finish> Depthwise<'_, P, F> {
    /// Points to every tap of the outputs from `ox` on, of the image, of `padding`, or of the image's `end`.
    fn point(
        &self,
        table: &Table,
        row: usize,
        ox: usize,
        padding: &[P::In],
        end: &[P::In],
        pointers: &mut [*const P::In],
    ) {
        let g = self.geometry;
        let (n, oy) = (row / g.output[0], row % g.output[0]);
        let (top, left) = ((oy * g.strides[0]).wrapping_sub(g.begin[0]), (ox * g.strides[1]).wrapping_sub(g.begin[1]));
        let [below, beside] = table.reach;
        if top < g.input[0] && left < g.input[1] && below < g.input[0] - top && beside < g.input[1] - left {
            let pixel = |y: usize, x: usize| ((n * g.input[0] + y) * g.input[1] + x) * g.channels;
            if pixel(top + below, left + beside) + padding.len() <= self.x.len() {
                let first = self.x[pixel(top, left)..].as_ptr();
                for (pointer, offset) in pointers.iter_mut().zip(&table.offsets) {
                    *pointer = first.wrapping_add(*offset);
                }
                return;
            }
        }
        for (pointer, [down, right]) in pointers.iter_mut().zip(&table.places) {
            let (iy, ix) = (top.wrapping_add(*down), left.wrapping_add(*right));
            *pointer = if iy < g.input[0] && ix < g.input[1] {
                let from = ((n * g.input[0] + iy) * g.input[1] + ix) * g.channels;
                if from + padding.len() > self.x.len() {
                    end[from + end.len() - padding.len() - self.x.len()..].as_ptr()
                } else {
                    self.x[from..].as_ptr()
                }
            } else {
                padding.as_ptr()
            };
        }
    }

    /// The sums of [`TOGETHER`] outputs, `line` apart, of kernels of `WIDTH` columns in `groups` of taps; from an
    /// output to the next there are `STEP` columns.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn span<S: Simd, const WIDTH: usize, const STEP: usize>(
        &self,
        pointers: *const *const P::In,
        groups: usize,
        line: usize,
        out: *mut u32,
    ) {
        let columns = (TOGETHER - 1) * STEP + WIDTH;
        // SAFETY: the caller's.
        unsafe {
            let zero = P::zero::<S>();
            let mut channel = 0;
            while channel < line {
                // Written out, since the compiler keeps an array that a loop goes through in memory.
                let mut sums = [[zero; 2]; TOGETHER];
                let mut taps = pointers;
                let mut weight = self.weights.as_ptr().add(channel);
                for _ in 0..groups {
                    let mut weights = [[zero; 2]; WIDTH];
                    macro_rules! weights {
                        ($($kx:literal)*) => {$(
                            if $kx < WIDTH {
                                let weight = weight.add($kx * groups * self.pitch);
                                weights[$kx] = [P::load::<S>(weight), P::load::<S>(weight.add(S::LANES))];
                            }
                        )*};
                    }
                    weights!(0 1 2 3 4);
                    macro_rules! output {
                        ($column:literal, $x:ident, $($r:literal)*) => {$(
                            if $column >= $r * STEP && $column < $r * STEP + WIDTH {
                                let [left, right] = weights[$column - $r * STEP];
                                sums[$r] =
                                    [P::step::<S>(sums[$r][0], $x[0], left), P::step::<S>(sums[$r][1], $x[1], right)];
                            }
                        )*};
                    }
                    macro_rules! columns {
                        ($($column:literal)*) => {$(
                            if $column < columns {
                                let x = self.product.column::<S>(taps.add($column * P::TAPS), channel);
                                output!($column, x, 0 1 2 3);
                            }
                        )*};
                    }
                    columns!(0 1 2 3 4 5 6 7 8 9 10);
                    taps = taps.add(columns * P::TAPS);
                    weight = weight.add(self.pitch);
                }
                macro_rules! store {
                    ($($r:literal)*) => {$(
                        let to = out.add($r * line + channel);
                        P::store::<S>(to, sums[$r][0]);
                        P::store::<S>(to.add(S::LANES), sums[$r][1]);
                    )*};
                }
                store!(0 1 2 3);
                channel += 2 * S::LANES;
            }
        }
    }
}
