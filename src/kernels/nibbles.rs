//! Matrix products of float32 by weights of 4 bits, with a scale for every block along the depth
//! ([`GemmU4`]). The weights stay packed in memory.
//!
//! A few rows are multiplied by the codes as they are: a block's sum of `a * code` is scaled, and the zero
//! point times the sum of `a` is subtracted. More rows are multiplied by float32, which are made of the
//! codes one piece at a time, small enough for the cache, and used for all rows.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::gemm::{Activation, Epilogue, GemmF32, ToFloats};
use super::product::{Finish, GRAIN, Panels, portion};
use super::threads;

/// Codes in 32 bits.
const CODES: usize = 8;
/// Rows that are multiplied by codes together.
const TOGETHER: usize = 4;
/// From this many rows on, codes are made float32.
const MANY: usize = 9;
/// Steps of the depth that are made float32 at a time.
const PIECE: usize = 512;
/// Bytes of float32 that are made at a time.
const BYTES: usize = 128 << 10;
/// The sums of `TOGETHER` rows and two vectors of any instruction set.
const SUMS: usize = TOGETHER * 2 * 16;

/// Weights `[columns, depth]` of 4 bits in blocks along the depth, as MatMulNBits has them:
/// `real = (code - zero) * scale`.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    /// `[columns, blocks, size / 2]`, the lower half of a byte first.
    pub codes: &'a [u8],
    /// `[columns, blocks]`
    pub scales: &'a [f32],
    /// `[columns, blocks]`, one in each byte; 8 where there are none.
    pub zeros: Option<&'a [u8]>,
    /// Weights of a block: a multiple of 8.
    pub size: usize,
    pub depth: usize,
    pub columns: usize,
}

/// A matrix `[depth, columns]` of 4 bits, packed.
pub struct GemmU4 {
    /// Eight codes in each step, the first lowest.
    codes: Panels,
    /// A step for each block.
    scales: Panels,
    /// Four blocks in each step, the first lowest.
    zeros: Option<Panels>,
    depth: usize,
    /// Weights of a block.
    size: usize,
}

impl GemmU4 {
    pub fn new(weight: &Blocks<'_>) -> Self {
        Self::at(Level::best(), weight)
    }

    /// As [`Self::new`], for one instruction set.
    pub fn at(level: Level, weight: &Blocks<'_>) -> Self {
        let &Blocks { codes, scales, zeros, size, depth, columns } = weight;
        assert!(size > 0 && size.is_multiple_of(CODES), "blocks of {size}");
        let blocks = depth.div_ceil(size);
        let bytes = blocks * size / 2;
        assert!(codes.len() >= columns * bytes && scales.len() >= columns * blocks, "codes of {depth}x{columns}");
        let words = Panels::new(level, depth.div_ceil(CODES), columns, |word, first, slots| {
            for (i, slot) in slots.iter_mut().enumerate() {
                let at = (first + i) * bytes + word * 4;
                *slot = u32::from_le_bytes([codes[at], codes[at + 1], codes[at + 2], codes[at + 3]]);
            }
        });
        let scales = Panels::new(level, blocks, columns, |block, first, slots| {
            slots.iter_mut().enumerate().for_each(|(i, slot)| *slot = scales[(first + i) * blocks + block].to_bits());
        });
        let zeros = zeros.map(|zeros| {
            Panels::new(level, blocks.div_ceil(4), columns, |word, first, slots| {
                for (i, slot) in slots.iter_mut().enumerate() {
                    let some = &zeros[(first + i) * blocks..][..blocks][word * 4..];
                    // Of 4 bits, so that no sign is set.
                    *slot = some.iter().take(4).rev().fold(0, |all, &zero| all << 8 | u32::from(zero & 15));
                }
            })
        });
        Self { codes: words, scales, zeros, depth, size }
    }

    /// `y = A · B`, and what `e` says; rows of `a` are `a_stride` apart, those of `y` `y_stride`.
    pub fn run(&self, a: &[f32], a_stride: usize, rows: usize, e: &Epilogue<'_>, y: &mut [f32], y_stride: usize) {
        let columns = self.codes.columns;
        if rows == 0 || columns == 0 {
            return;
        }
        let level = self.codes.level;
        let group = 2 * level.lanes();
        let all = ToFloats::new(e, y, rows, y_stride, 0, columns);
        if rows < MANY || self.depth == 0 {
            let left = &Scaled::new(a, a_stride, rows, self.depth, self.size);
            let parts = threads::parts(rows * self.depth * columns / GRAIN).min(columns.div_ceil(group));
            return threads::each(parts, |part| {
                let columns = portion(columns, group, (part, parts));
                dispatch_at(level, Few { of: self, left, rows, columns, finish: all });
            });
        }
        let piece = PIECE.min(self.depth);
        let width = (BYTES / 4 / piece / group * group).max(group);
        threads::each(columns.div_ceil(width), |part| {
            let first = part * width;
            let width = width.min(columns - first);
            for from in (0..self.depth).step_by(PIECE) {
                let depth = PIECE.min(self.depth - from);
                let mut panels = Panels::zeroed(level, depth, width);
                dispatch_at(level, Unpack { of: self, first, from, to: &mut panels });
                let (starts, ends) = (from == 0, from + depth == self.depth);
                // What there is of the sums is added to as a residual is; what `e` says comes with the last piece,
                // and its residual with the first.
                let mut finish = all.from(first);
                if !starts {
                    finish.residual = finish.y;
                }
                if !ends {
                    (finish.bias, finish.activation) = (std::ptr::null(), Activation::None);
                }
                GemmF32::of(panels).multiply(&a[from..], a_stride, rows, finish);
            }
        });
    }

    /// Bytes that the packed matrix takes.
    pub fn byte_len(&self) -> usize {
        self.codes.byte_len() + self.scales.byte_len() + self.zeros.as_ref().map_or(0, Panels::byte_len)
    }

    /// The zero points of block `block` of `C` vectors of columns from `first` on.
    #[inline(always)]
    unsafe fn zeros<S: Simd, const C: usize>(&self, first: usize, block: usize) -> [S::F; C] {
        // SAFETY: the caller's: panels have `C` vectors from `first` on, and as many steps as blocks ask for.
        unsafe {
            let mut zeros = [S::splat(8.0); C];
            if let Some(panels) = &self.zeros {
                let from = panels.as_ptr().add(first * panels.words + block / 4 * C * S::LANES).cast::<i32>();
                let (mask, factor) = (255 << (block % 4 * 8), 1.0 / (1u32 << (block % 4 * 8)) as f32);
                for c in 0..C {
                    let zero = S::and(S::load_i32(from.add(c * S::LANES)), S::splat_i32(mask));
                    zeros[c] = S::mul(S::to_f32(zero), S::splat(factor));
                }
            }
            zeros
        }
    }
}

/// What stays of code `J` of eight, times [`weight_of`]`(J)`.
macro_rules! code {
    ($S:ident, $v:expr, 7) => {
        // The highest would be a sign.
        $S::and($S::shr::<4>($v), $S::splat_i32(15 << 24))
    };
    ($S:ident, $v:expr, $J:literal) => {
        $S::and($v, $S::splat_i32(15 << (4 * $J)))
    };
}

/// What code `j` of eight is multiplied by where it is not shifted down.
const fn weight_of(j: usize) -> f32 {
    (1u32 << (4 * if j == 7 { 6 } else { j })) as f32
}

/// Rows of the left side for codes that are not shifted down.
struct Scaled {
    /// `[rows, depth]`, each over [`weight_of`] its place; the depth is a multiple of eight, zeros at the end.
    a: Vec<f32>,
    depth: usize,
    /// `[rows, blocks]`: sums of the elements.
    sums: Vec<f32>,
    blocks: usize,
}

impl Scaled {
    fn new(a: &[f32], stride: usize, rows: usize, depth: usize, size: usize) -> Self {
        let (padded, blocks) = (depth.next_multiple_of(CODES), depth.div_ceil(size));
        let mut all = Self { a: vec![0.0; rows * padded], depth: padded, sums: Vec::new(), blocks };
        for row in 0..rows {
            let from = &a[row * stride..][..depth];
            let to = &mut all.a[row * padded..][..padded];
            let factors: [f32; CODES] = std::array::from_fn(|j| 1.0 / weight_of(j));
            for (to, from) in to.chunks_mut(CODES).zip(from.chunks(CODES)) {
                to.iter_mut().zip(from).zip(factors).for_each(|((to, v), factor)| *to = v * factor);
            }
            all.sums.extend(from.chunks(size).map(|block| block.iter().sum::<f32>()));
        }
        all
    }
}

/// A few rows by codes.
struct Few<'a> {
    of: &'a GemmU4,
    left: &'a Scaled,
    rows: usize,
    columns: Range<usize>,
    finish: ToFloats,
}

impl Kernel for Few<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let mut sums = [0f32; SUMS];
        for first in self.columns.clone().step_by(2 * S::LANES) {
            let width = (self.columns.end - first).min(2 * S::LANES);
            let wide = width > S::LANES;
            let pitch = if wide { 2 * S::LANES } else { S::LANES };
            for row in (0..self.rows).step_by(TOGETHER) {
                let some = TOGETHER.min(self.rows - row);
                // SAFETY: `Scaled::new` made as many rows as there are, of whole words; the panels have `pitch`
                // columns from `first` on; `sums` holds the rows that are computed together.
                unsafe {
                    match (some, wide) {
                        (1, true) => self.sums::<S, 1, 2>(row, some, first, &mut sums),
                        (1, false) => self.sums::<S, 1, 1>(row, some, first, &mut sums),
                        (_, true) => self.sums::<S, TOGETHER, 2>(row, some, first, &mut sums),
                        (_, false) => self.sums::<S, TOGETHER, 1>(row, some, first, &mut sums),
                    }
                    self.finish.tile::<S>(sums.as_ptr().cast(), pitch, row, some, first, width);
                }
            }
        }
        self.finish.block(0..self.rows, self.columns.clone());
    }
}

impl Few<'_> {
    /// The sums of `R` rows from `row` on, the last of `some` again where there are fewer, and `C` vectors of columns.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn sums<S: Simd, const R: usize, const C: usize>(
        &self,
        row: usize,
        some: usize,
        first: usize,
        out: &mut [f32; SUMS],
    ) {
        let Self { of, left, .. } = self;
        let words = of.codes.words;
        // SAFETY: the caller's.
        unsafe {
            let mut codes = of.codes.as_ptr().add(first * words).cast::<i32>();
            let mut scales = of.scales.as_ptr().add(first * of.scales.words).cast::<f32>();
            let mut a = [std::ptr::null::<f32>(); R];
            let mut sums = [std::ptr::null::<f32>(); R];
            for r in 0..R {
                a[r] = left.a.as_ptr().add((row + r.min(some - 1)) * left.depth);
                sums[r] = left.sums.as_ptr().add((row + r.min(some - 1)) * left.blocks);
            }
            // Totals are in memory: registers hold the sums of a block.
            for at in 0..R * C {
                S::store(out.as_mut_ptr().add(at * S::LANES), S::splat(0.0));
            }
            for block in 0..left.blocks {
                let mut even = [[S::splat(0.0); C]; R];
                // One row has two sums, which need not wait for one another.
                let mut odd = even;
                for _ in 0..(of.size / CODES).min(words - block * (of.size / CODES)) {
                    let mut v = [S::splat_i32(0); C];
                    for c in 0..C {
                        v[c] = S::load_i32(codes.add(c * S::LANES));
                    }
                    macro_rules! step {
                        ($into:ident, $J:tt) => {
                            let mut column = [S::splat(0.0); C];
                            for c in 0..C {
                                column[c] = S::to_f32(code!(S, v[c], $J));
                            }
                            for r in 0..R {
                                let row = S::splat(*a[r].add($J));
                                for c in 0..C {
                                    $into[r][c] = S::mul_add(row, column[c], $into[r][c]);
                                }
                            }
                        };
                    }
                    step!(even, 0);
                    if R == 1 {
                        step!(odd, 1);
                        step!(even, 2);
                        step!(odd, 3);
                        step!(even, 4);
                        step!(odd, 5);
                        step!(even, 6);
                        step!(odd, 7);
                    } else {
                        step!(even, 1);
                        step!(even, 2);
                        step!(even, 3);
                        step!(even, 4);
                        step!(even, 5);
                        step!(even, 6);
                        step!(even, 7);
                    }
                    codes = codes.add(C * S::LANES);
                    for r in 0..R {
                        a[r] = a[r].add(CODES);
                    }
                }
                let zeros = of.zeros::<S, C>(first, block);
                for c in 0..C {
                    let scale = S::load(scales.add(c * S::LANES));
                    for r in 0..R {
                        let shift = S::mul(zeros[c], S::splat(*sums[r].add(block)));
                        let sum = if R == 1 { S::add(even[r][c], odd[r][c]) } else { even[r][c] };
                        let total = out.as_mut_ptr().add((r * C + c) * S::LANES);
                        S::store(total, S::mul_add(S::sub(sum, shift), scale, S::load(total)));
                    }
                }
                scales = scales.add(C * S::LANES);
            }
        }
    }
}

/// Makes float32 of the codes of the columns from `first` and the depth from `from` on.
struct Unpack<'a> {
    of: &'a GemmU4,
    first: usize,
    from: usize,
    to: &'a mut Panels,
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { of, first, from, to } = self;
        let columns = to.columns;
        assert!(first % (2 * S::LANES) == 0 && from % CODES == 0, "columns from {first}, depth from {from}");
        assert!(first + columns <= of.codes.columns && from + to.words <= of.depth, "{columns} columns");
        for column in (0..columns).step_by(2 * S::LANES) {
            // SAFETY: `to` was just held against the codes. A group of one vector is the last of the matrix: others
            // are whole, in `to` too.
            unsafe {
                if of.codes.columns - first - column > S::LANES {
                    panel::<S, 2>(of, first + column, from, to.words, to.as_mut_ptr().add(column * to.words));
                } else {
                    panel::<S, 1>(of, first + column, from, to.words, to.as_mut_ptr().add(column * to.words));
                }
            }
        }
    }
}

/// Writes the float32 of a group of `C` vectors of columns.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
unsafe fn panel<S: Simd, const C: usize>(of: &GemmU4, first: usize, from: usize, depth: usize, to: *mut u32) {
    let (codes, scales) = (&of.codes, &of.scales);
    // SAFETY: the caller's.
    unsafe {
        let mut to = to.cast::<f32>();
        for k in (0..depth).step_by(CODES) {
            let (word, block) = ((from + k) / CODES, (from + k) / of.size);
            let from = codes.as_ptr().add(first * codes.words + word * C * S::LANES).cast::<i32>();
            let scale = scales.as_ptr().add(first * scales.words + block * C * S::LANES).cast::<f32>();
            let zeros = of.zeros::<S, C>(first, block);
            for c in 0..C {
                let v = S::load_i32(from.add(c * S::LANES));
                let scale = S::load(scale.add(c * S::LANES));
                macro_rules! step {
                    ($J:tt) => {
                        if k + $J < depth {
                            let code = S::mul(S::to_f32(code!(S, v, $J)), S::splat(1.0 / weight_of($J)));
                            S::store(to.add(($J * C + c) * S::LANES), S::mul(S::sub(code, zeros[c]), scale));
                        }
                    };
                }
                step!(0);
                step!(1);
                step!(2);
                step!(3);
                step!(4);
                step!(5);
                step!(6);
                step!(7);
            }
            to = to.add(CODES * C * S::LANES);
        }
    }
}
