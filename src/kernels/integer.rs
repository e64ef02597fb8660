//! Products of bytes: `u8` by `i8` into `i32`, exact and wrapping, the same on every machine
//! ([`super::arch`] says how), and what becomes of the sums.

use std::ops::Range;

use super::arch::{Dot, Level, Simd};
use super::gemm::{Activation, Matrix};
use super::product::{Bytes, Finish, Multiply, Panels, Rows, Words};

/// `clamp(round_half_even((sum + bias) * multiplier) + zero_point, min, max)`, in float32 without a
/// fused multiply-add.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// One per column.
    pub bias: Option<&'a [i32]>,
    /// One per column.
    pub multipliers: &'a [f32],
    pub zero_point: u8,
    pub min: u8,
    pub max: u8,
}

/// What becomes of sums, and where it goes. A sum is `Σ (x - x_zero) · w`.
#[derive(Debug)]
pub enum IntOutput<'a> {
    Requantize(Requantize<'a>, &'a mut [u8]),
    /// `activation(sum * (row_scale * column_scale) + bias)`.
    Dequantize {
        /// One, or one per row.
        row_scales: &'a [f32],
        /// One, or one per column.
        column_scales: &'a [f32],
        /// One per column.
        bias: Option<&'a [f32]>,
        activation: Activation,
        y: &'a mut [f32],
    },
    Sums(&'a mut [i32]),
}

/// The zero points of a matrix's rows.
#[derive(Clone, Copy, Debug)]
pub enum ZeroPoints<'a> {
    One(u8),
    /// One per row.
    Rows(&'a [u8]),
}

enum Target {
    Requantize { multipliers: *const f32, zero_point: u8, min: u8, max: u8, y: *mut u8 },
    Dequantize { scales: [(*const f32, bool); 2], bias: *const f32, activation: Activation, y: *mut f32 },
    Sums(*mut i32),
}

/// An [`IntOutput`] of a group of columns.
pub(super) struct ToIntegers<'a> {
    target: Target,
    /// Added to the sums; whole vectors.
    offsets: Vec<i32>,
    /// The sums of the weights and the zero points of the rows, where each row has its own.
    zeros: Option<(&'a [i32], &'a [u8])>,
    stride: usize,
}

impl<'a> ToIntegers<'a> {
    /// Results of `rows` rows, `stride` apart, of which the columns of `weights` from `first` on are
    /// written.
    pub fn new(
        out: &mut IntOutput<'_>,
        weights: &'a Sums,
        zeros: ZeroPoints<'a>,
        rows: usize,
        stride: usize,
        first: usize,
    ) -> Self {
        let columns = weights.columns;
        let reach = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + first + columns };
        let at = if reach == 0 { 0 } else { first };
        let length = match out {
            IntOutput::Requantize(_, y) => y.len(),
            IntOutput::Dequantize { y, .. } => y.len(),
            IntOutput::Sums(y) => y.len(),
        };
        assert!(length >= reach, "results of {rows} rows of {stride}");
        let mut offsets = weights.offsets.clone();
        let zeros = match zeros {
            ZeroPoints::One(zero) => {
                let shifts = offsets.iter_mut().zip(&weights.sums);
                shifts.for_each(|(to, sum)| *to = to.wrapping_sub(sum.wrapping_mul(i32::from(zero))));
                None
            }
            ZeroPoints::Rows(zeros) => {
                assert!(zeros.len() >= rows, "{} zero points of {rows} rows", zeros.len());
                Some((&weights.sums[..], zeros))
            }
        };
        let target = match out {
            IntOutput::Requantize(r, y) => {
                assert!(r.multipliers.len() >= first + columns, "multipliers of {} columns", first + columns);
                if let Some(bias) = r.bias {
                    let bias = &bias[first..first + columns];
                    offsets.iter_mut().zip(bias).for_each(|(to, bias)| *to = to.wrapping_add(*bias));
                }
                Target::Requantize {
                    multipliers: r.multipliers[first..].as_ptr(),
                    zero_point: r.zero_point,
                    min: r.min,
                    max: r.max,
                    y: y[at..].as_mut_ptr(),
                }
            }
            IntOutput::Dequantize { row_scales, column_scales, bias, activation, y } => {
                let many = |scales: &[f32], count: usize| {
                    assert!(scales.len() == 1 || scales.len() >= count, "{} scales of {count}", scales.len());
                    scales.len() > 1
                };
                let (by_row, by_column) = (many(row_scales, rows), many(column_scales, first + columns));
                assert!(bias.is_none_or(|b| b.len() >= first + columns), "a bias of {} columns", first + columns);
                Target::Dequantize {
                    scales: [
                        (row_scales.as_ptr(), by_row),
                        (column_scales[if by_column { first } else { 0 }..].as_ptr(), by_column),
                    ],
                    bias: bias.map_or(std::ptr::null(), |b| b[first..].as_ptr()),
                    activation: *activation,
                    y: y[at..].as_mut_ptr(),
                }
            }
            IntOutput::Sums(y) => Target::Sums(y[at..].as_mut_ptr()),
        };
        Self { target, offsets, zeros, stride }
    }
}

/// What a requantised value is added and held to.
struct Bounds<S: Simd> {
    low: S::F,
    high: S::F,
    /// 1.5 * 2^23, and its bits less the zero point; see [`Simd::to_i32`].
    magic: S::F,
    shift: S::I,
}

impl<S: Simd> Bounds<S> {
    #[inline(always)]
    unsafe fn new(zero_point: u8, min: u8, max: u8) -> Self {
        let zero = i32::from(zero_point);
        // SAFETY: the caller's.
        unsafe {
            Self {
                low: S::splat((i32::from(min) - zero) as f32),
                high: S::splat((i32::from(max) - zero) as f32),
                magic: S::splat(12_582_912.0),
                shift: S::splat_i32(0x4B40_0000 - zero),
            }
        }
    }

    #[inline(always)]
    unsafe fn requantized(&self, sum: S::I, scale: S::F) -> S::I {
        // SAFETY: the caller's.
        unsafe {
            let v = S::max_number(S::min_number(S::mul(S::to_f32(sum), scale), self.high), self.low);
            S::sub_i32(S::bits(S::add(v, self.magic)), self.shift)
        }
    }
}

impl ToIntegers<'_> {
    /// As [`Finish::tile`], requantised, of whole pairs of vectors.
    // On WebAssembly a function of its own: in a larger one, engines prepare for all of it.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn pairs<S: Simd>(
        &self,
        sums: *const u32,
        pitch: usize,
        row: usize,
        rows: usize,
        first: usize,
        width: usize,
    ) {
        let Target::Requantize { multipliers, zero_point, min, max, y } = self.target else { return };
        let zero = i32::from(zero_point);
        // SAFETY: as in `tile`.
        unsafe {
            let (multipliers, offsets) = (multipliers.add(first), self.offsets.as_ptr().add(first));
            let y = y.add(row * self.stride + first);
            let low = S::splat((i32::from(min) - zero) as f32);
            let most = S::splat_i32(i32::from_ne_bytes([max; 4]));
            // As in `Simd::to_i32`; what is too large for it stays too large, so a bound above may wait for bytes.
            let magic = S::splat(12_582_912.0);
            let shift = S::splat_i32(0x4B40_0000 - zero + S::BIAS);
            let mut at = 0;
            while at < width {
                let (scale, offset) = (multipliers.add(at), offsets.add(at));
                let scale = [S::load(scale), S::load(scale.add(S::LANES))];
                let offset = [S::load_i32(offset), S::load_i32(offset.add(S::LANES))];
                let (mut from, mut to) = (sums.add(at).cast::<i32>(), y.add(at));
                macro_rules! rows {
                    ($($r:literal)*) => {$(
                        if $r > 0 {
                            from = from.wrapping_add(pitch);
                            to = to.wrapping_add(self.stride);
                        }
                        let left = S::to_f32(S::add_i32(S::load_i32(from), offset[0]));
                        let right = S::to_f32(S::add_i32(S::load_i32(from.add(S::LANES)), offset[1]));
                        let left = S::add(S::max_number(S::mul(left, scale[0]), low), magic);
                        let right = S::add(S::max_number(S::mul(right, scale[1]), low), magic);
                        let units = [S::sub_i32(S::bits(left), shift), S::sub_i32(S::bits(right), shift)];
                        S::store2_biased(to, units, most);
                    )*};
                }
                let mut left = rows;
                while left >= 4 {
                    rows!(0 1 2 3);
                    left -= 4;
                    from = from.wrapping_add(pitch);
                    to = to.wrapping_add(self.stride);
                }
                while left > 0 {
                    rows!(0);
                    left -= 1;
                    from = from.wrapping_add(pitch);
                    to = to.wrapping_add(self.stride);
                }
                at += 2 * S::LANES;
            }
        }
    }

    /// As [`Finish::tile`], of anything.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn vectors<S: Simd>(
        &self,
        sums: *const u32,
        pitch: usize,
        row: usize,
        rows: usize,
        first: usize,
        width: usize,
    ) {
        let mut at = 0;
        while at < width {
            // SAFETY: as in `tile`.
            unsafe { self.vector::<S>(sums.add(at), pitch, row, rows, first + at, (width - at).min(S::LANES)) };
            at += S::LANES;
        }
    }

    /// The sums of a vector of columns of a row, complete.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, sums: *const u32, offset: S::I, row: usize, column: usize) -> S::I {
        // SAFETY: as in `tile`.
        unsafe {
            let sum = S::add_i32(S::load_i32(sums.cast()), offset);
            let Some((weights, zeros)) = self.zeros else { return sum };
            let zero = S::splat_i32(i32::from(*zeros.as_ptr().add(row)));
            S::sub_i32(sum, S::mul_i32(S::load_i32(weights.as_ptr().add(column)), zero))
        }
    }

    /// As [`Finish::tile`], of the first `count` columns of one vector.
    #[inline(always)]
    unsafe fn vector<S: Simd>(
        &self,
        sums: *const u32,
        pitch: usize,
        row: usize,
        rows: usize,
        column: usize,
        count: usize,
    ) {
        // SAFETY: as in `tile`.
        unsafe {
            let offset = S::load_i32(self.offsets.as_ptr().add(column));
            let place = |r: usize| (row + r) * self.stride + column;
            match self.target {
                Target::Requantize { multipliers, zero_point, min, max, y } => {
                    let scale = S::load_part(multipliers.add(column), count);
                    let to = Bounds::<S>::new(zero_point, min, max);
                    for r in 0..rows {
                        let sum = self.sum::<S>(sums.add(r * pitch), offset, row + r, column);
                        S::store_u8_part(y.add(place(r)), to.requantized(sum, scale), count);
                    }
                }
                Target::Dequantize { scales: [(row_scales, by_row), (scales, by_column)], bias, activation, y } => {
                    let scale = if by_column { S::load_part(scales.add(column), count) } else { S::splat(*scales) };
                    let bias = if bias.is_null() { None } else { Some(S::load_part(bias.add(column), count)) };
                    for r in 0..rows {
                        let sum = self.sum::<S>(sums.add(r * pitch), offset, row + r, column);
                        let by_row = S::splat(*row_scales.add(if by_row { row + r } else { 0 }));
                        let mut v = S::mul(S::to_f32(sum), S::mul(by_row, scale));
                        if let Some(bias) = bias {
                            v = S::add(v, bias);
                        }
                        if let Activation::Clamp { min, max } = activation {
                            v = S::clamp(v, S::splat(min), S::splat(max));
                        }
                        S::store_part(y.add(place(r)), v, count);
                    }
                }
                Target::Sums(y) => {
                    for r in 0..rows {
                        let sum = self.sum::<S>(sums.add(r * pitch), offset, row + r, column);
                        S::store_part(y.add(place(r)).cast(), S::from_bits(sum), count);
                    }
                }
            }
        }
    }
}

// SAFETY: a tile and a block read and write results of the rows and columns that they are given, and no two parts of
// a product have the same.
unsafe impl Sync for ToIntegers<'_> {}

impl Finish for ToIntegers<'_> {
    #[inline(always)]
    unsafe fn tile<S: Simd>(
        &self,
        sums: *const u32,
        pitch: usize,
        row: usize,
        rows: usize,
        first: usize,
        width: usize,
    ) {
        // SAFETY: the caller's; `new` held every row and column against the slices, and the offsets and
        // the sums of weights are whole vectors.
        unsafe {
            let mut at = 0;
            if matches!(self.target, Target::Requantize { .. }) && self.zeros.is_none() {
                at = width - width % (2 * S::LANES);
                self.pairs::<S>(sums, pitch, row, rows, first, at);
            }
            if at < width {
                self.vectors::<S>(sums.add(at), pitch, row, rows, first + at, width - at);
            }
        }
    }

    #[inline(always)]
    fn block(&self, rows: Range<usize>, columns: Range<usize>) {
        if let Target::Dequantize { activation: Activation::Map(map), y, .. } = &self.target {
            for row in rows {
                let first = row * self.stride + columns.start;
                // SAFETY: `new` held every row against the slice.
                map(unsafe { std::slice::from_raw_parts_mut(y.add(first), columns.len()) });
            }
        }
    }
}

/// What the weights of every column come to.
pub(super) struct Sums {
    /// Whole vectors.
    sums: Vec<i32>,
    /// What flipping the rows' top bits subtracted.
    offsets: Vec<i32>,
    columns: usize,
}

impl Sums {
    pub fn new(level: Level, columns: usize, flipped: bool, sum: impl Fn(usize) -> i32) -> Self {
        let mut sums = vec![0i32; columns.next_multiple_of(level.lanes())];
        sums.iter_mut().enumerate().take(columns).for_each(|(column, to)| *to = sum(column));
        let shift = if flipped { 128 } else { 0 };
        let offsets = sums.iter().map(|sum| sum.wrapping_mul(shift)).collect();
        Self { sums, offsets, columns }
    }

    pub fn byte_len(&self) -> usize {
        8 * self.sums.len()
    }
}

/// A matrix of bytes, or of bytes less a zero point, packed.
pub(super) struct IntPanels {
    panels: Panels,
    dot: Dot,
    pub sums: Sums,
}

impl IntPanels {
    /// `fill(columns, depth, to)` writes the weights of some columns, one column of `depth` after the other, to what
    /// is zeros before; they fit `i8` unless `dot` is [`Dot::Words`].
    pub fn new(
        level: Level,
        dot: Dot,
        depth: usize,
        columns: usize,
        fill: impl Fn(Range<usize>, usize, &mut [i16]),
    ) -> Self {
        let group = if dot == Dot::Words { 2 } else { 4 };
        let pitch = depth.next_multiple_of(group);
        // Of the columns that are packed together: weights are read once, in the order in which they lie.
        let mut weights = vec![0i16; 2 * level.lanes() * pitch];
        let mut sums = vec![0i32; columns];
        let panels = Panels::new(level, pitch / group, columns, |word, first, slots| {
            if word == 0 {
                let weights = &mut weights[..slots.len() * pitch];
                weights.fill(0);
                fill(first..first + slots.len(), pitch, weights);
                for (sum, column) in sums[first..].iter_mut().zip(weights.chunks_exact(pitch)) {
                    *sum = column.iter().fold(0, |sum: i32, &weight| sum.wrapping_add(weight.into()));
                }
            }
            for (slot, column) in slots.iter_mut().zip(weights.chunks_exact(pitch)) {
                *slot = match column[word * group..][..group] {
                    [a, b] => u32::from(a as u16) | u32::from(b as u16) << 16,
                    [a, b, c, d] => u32::from_ne_bytes([a as u8, b as u8, c as u8, d as u8]),
                    _ => 0,
                };
            }
        });
        Self { panels, dot, sums: Sums::new(level, columns, dot == Dot::FlippedBytes, |column| sums[column]) }
    }

    pub fn multiply(&self, rows: Rows<'_, u8>, finish: ToIntegers<'_>) {
        let panels = &self.panels;
        match self.dot {
            Dot::Bytes => Multiply { product: Bytes { flipped: false }, panels, rows, finish }.run(),
            Dot::FlippedBytes => Multiply { product: Bytes { flipped: true }, panels, rows, finish }.run(),
            Dot::Words => Multiply { product: Words, panels, rows, finish }.run(),
        }
    }

    pub fn byte_len(&self) -> usize {
        self.panels.byte_len() + self.sums.byte_len()
    }
}

/// A matrix `[depth, columns]` of bytes, packed.
pub struct GemmI8 {
    panels: IntPanels,
    depth: usize,
}

impl GemmI8 {
    pub fn new(b: &Matrix<'_, i8>, depth: usize, columns: usize) -> Self {
        let level = Level::best();
        Self::at(level, level.dot(), b, depth, columns)
    }

    /// As [`Self::new`], for one instruction set and way to multiply.
    pub fn at(level: Level, dot: Dot, b: &Matrix<'_, i8>, depth: usize, columns: usize) -> Self {
        Self::pack(level, dot, b, depth, columns)
    }

    /// A matrix of -255 to 255: bytes of which a zero point was subtracted.
    pub fn from_words(b: &Matrix<'_, i16>, depth: usize, columns: usize) -> Self {
        Self::words_at(Level::best(), b, depth, columns)
    }

    /// As [`Self::from_words`], for one instruction set.
    pub fn words_at(level: Level, b: &Matrix<'_, i16>, depth: usize, columns: usize) -> Self {
        Self::pack(level, Dot::Words, b, depth, columns)
    }

    fn pack<T: Copy + Into<i16>>(level: Level, dot: Dot, b: &Matrix<'_, T>, depth: usize, columns: usize) -> Self {
        let panels = IntPanels::new(level, dot, depth, columns, |columns, pitch, to| {
            for k in 0..depth {
                for (i, column) in columns.clone().enumerate() {
                    to[i * pitch + k] = b.at(k, column).into();
                }
            }
        });
        Self { panels, depth }
    }

    /// Multiplies `rows` rows of `a`, `a_stride` apart; those of the results are `y_stride` apart.
    pub fn run(
        &self,
        a: &[u8],
        a_stride: usize,
        rows: usize,
        a_zero: ZeroPoints<'_>,
        mut out: IntOutput<'_>,
        y_stride: usize,
    ) {
        let finish = ToIntegers::new(&mut out, &self.panels.sums, a_zero, rows, y_stride, 0);
        self.panels.multiply(Rows::matrix(a, a_stride, rows, self.depth), finish);
    }

    /// Bytes that the packed matrix takes.
    pub fn byte_len(&self) -> usize {
        self.panels.byte_len()
    }
}
