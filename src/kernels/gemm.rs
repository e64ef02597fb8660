//! Matrix products: `A · B` with `B` packed once, of float32 ([`GemmF32`]); one row by a matrix
//! that is not packed ([`row_times_matrix`]); and a plain loop for other element types.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arch::{Kernel, Level, Simd, dispatch};
pub use super::product::GRAIN;
use super::product::{Finish, Floats, Multiply, Panels, Rows};

/// Fewer rows than this are multiplied one by one rather than packing the matrix.
pub const FEW_ROWS: usize = 4;
/// Steps of the depth that are packed for one column after another.
const STEPS: usize = 64;

/// A matrix in memory: the value at (`k`, `column`) lies at
/// `k * depth_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    pub data: &'a [T],
    pub depth_stride: usize,
    pub column_stride: usize,
}

impl<T: Copy> Matrix<'_, T> {
    pub fn at(&self, k: usize, column: usize) -> T {
        self.data[k * self.depth_stride + column * self.column_stride]
    }
}

/// What is applied to every result.
#[derive(Clone, Copy, Debug)]
pub enum Activation {
    None,
    /// Held between two bounds; NaN stays.
    Clamp {
        min: f32,
        max: f32,
    },
    /// Applied to finished results, any number of them at a time.
    Map(fn(&mut [f32])),
}

impl PartialEq for Activation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Clamp { min: a, max: b }, Self::Clamp { min: c, max: d }) => (a, b) == (c, d),
            (Self::Map(a), Self::Map(b)) => std::ptr::fn_addr_eq(*a, *b),
            _ => false,
        }
    }
}

/// What a float product does with its sums: plus `bias`, plus `residual`, then the activation.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// One per column.
    pub bias: Option<&'a [f32]>,
    /// As many as results, laid out as they are.
    pub residual: Option<&'a [f32]>,
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// The sums as they are.
    pub const NONE: Self = Self { bias: None, residual: None, activation: Activation::None };
}

/// An [`Epilogue`] and where its results go. Pointers are null where there is nothing.
#[derive(Clone, Copy)]
pub(super) struct ToFloats {
    pub bias: *const f32,
    pub residual: *const f32,
    pub y: *mut f32,
    pub stride: usize,
    pub activation: Activation,
}

impl ToFloats {
    /// Results of `rows` rows, `stride` apart, of which the columns from `first` on are written.
    pub fn new(e: &Epilogue<'_>, y: &mut [f32], rows: usize, stride: usize, first: usize, columns: usize) -> Self {
        let reach = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + first + columns };
        assert!(y.len() >= reach && e.residual.is_none_or(|r| r.len() >= reach), "results of {rows} rows of {stride}");
        assert!(e.bias.is_none_or(|b| b.len() >= first + columns), "a bias of {} columns", first + columns);
        let at = if reach == 0 { 0 } else { first };
        Self {
            bias: e.bias.map_or(std::ptr::null(), |b| b[at..].as_ptr()),
            residual: e.residual.map_or(std::ptr::null(), |r| r[at..].as_ptr()),
            y: y[at..].as_mut_ptr(),
            stride,
            activation: e.activation,
        }
    }

    /// The results from column `first` on.
    pub fn from(self, first: usize) -> Self {
        let at = |from: *const f32| if from.is_null() { from } else { from.wrapping_add(first) };
        Self { bias: at(self.bias), residual: at(self.residual), y: self.y.wrapping_add(first), ..self }
    }

    /// The bounds of the activation.
    #[inline(always)]
    unsafe fn bounds<S: Simd>(&self) -> [S::F; 2] {
        let (min, max) = match self.activation {
            Activation::Clamp { min, max } => (min, max),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        };
        // SAFETY: the caller's.
        unsafe { [S::splat(min), S::splat(max)] }
    }

    /// As [`Finish::tile`], of whole pairs of vectors.
    // On WebAssembly a function of its own: in a larger one, engines prepare for all of it.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    unsafe fn pairs<S: Simd, const RESIDUAL: bool>(
        &self,
        sums: *const u32,
        pitch: usize,
        row: usize,
        rows: usize,
        first: usize,
        width: usize,
    ) {
        // SAFETY: as in `tile`.
        unsafe {
            let [min, max] = self.bounds::<S>();
            let mut at = 0;
            while at < width {
                let bias = self.bias.wrapping_add(first + at);
                let bias =
                    if self.bias.is_null() { [S::splat(0.0); 2] } else { [S::load(bias), S::load(bias.add(S::LANES))] };
                let mut from = sums.add(at).cast::<f32>();
                let mut place = row * self.stride + first + at;
                for _ in 0..rows {
                    let left = S::add(S::load(from), bias[0]);
                    let right = S::add(S::load(from.add(S::LANES)), bias[1]);
                    let [left, right] = if RESIDUAL {
                        let residual = self.residual.add(place);
                        [S::add(left, S::load(residual)), S::add(right, S::load(residual.add(S::LANES)))]
                    } else {
                        [left, right]
                    };
                    let to = self.y.add(place);
                    S::store(to, S::clamp(left, min, max));
                    S::store(to.add(S::LANES), S::clamp(right, min, max));
                    from = from.wrapping_add(pitch);
                    place += self.stride;
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
        // SAFETY: as in `tile`.
        unsafe {
            let [min, max] = self.bounds::<S>();
            let mut at = 0;
            while at < width {
                let count = (width - at).min(S::LANES);
                let bias =
                    if self.bias.is_null() { S::splat(0.0) } else { S::load_part(self.bias.add(first + at), count) };
                for r in 0..rows {
                    let place = (row + r) * self.stride + first + at;
                    let mut v = S::add(S::load(sums.add(r * pitch + at).cast()), bias);
                    if !self.residual.is_null() {
                        v = S::add(v, S::load_part(self.residual.add(place), count));
                    }
                    S::store_part(self.y.add(place), S::clamp(v, min, max), count);
                }
                at += S::LANES;
            }
        }
    }
}

// SAFETY: a tile and a block read and write results of the rows and columns that they are given, and no two parts of
// a product have the same.
unsafe impl Sync for ToFloats {}

impl Finish for ToFloats {
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
        let whole = width - width % (2 * S::LANES);
        // SAFETY: the caller's; `new` held every row and column against the slices.
        unsafe {
            if self.residual.is_null() {
                self.pairs::<S, false>(sums, pitch, row, rows, first, whole);
            } else {
                self.pairs::<S, true>(sums, pitch, row, rows, first, whole);
            }
            if whole < width {
                self.vectors::<S>(sums.add(whole), pitch, row, rows, first + whole, width - whole);
            }
        }
    }

    #[inline(always)]
    fn block(&self, rows: Range<usize>, columns: Range<usize>) {
        if let Activation::Map(map) = self.activation {
            for row in rows {
                let first = row * self.stride + columns.start;
                // SAFETY: `new` held every row against the slice.
                map(unsafe { std::slice::from_raw_parts_mut(self.y.add(first), columns.len()) });
            }
        }
    }
}

/// A matrix `[depth, columns]` of float32, packed.
pub struct GemmF32 {
    panels: Panels,
}

impl GemmF32 {
    pub fn new(b: &Matrix<'_>, depth: usize, columns: usize) -> Self {
        Self::at(Level::best(), b, depth, columns)
    }

    /// As [`Self::new`], for one instruction set.
    pub fn at(level: Level, b: &Matrix<'_>, depth: usize, columns: usize) -> Self {
        let mut gemm = Self::zeroed(level, depth, columns);
        gemm.set(b, 1.0);
        gemm
    }

    /// A matrix of zeros, for others to be [`Self::set`] in its place.
    pub fn zeroed(level: Level, depth: usize, columns: usize) -> Self {
        Self { panels: Panels::zeroed(level, depth, columns) }
    }

    /// Packs `b` times `factor` in the place of the matrix, which is as large.
    // Of its own where size counts, as `multiply` is.
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub fn set(&mut self, b: &Matrix<'_>, factor: f32) {
        let value = |v: f32| (v * factor).to_bits();
        self.panels.groups(|columns, width, group| {
            // Column by column, of so many steps that they stay in the first cache.
            for (part, steps) in group.chunks_mut(STEPS * width).enumerate() {
                let (start, count) = (part * STEPS, steps.len() / width);
                if b.depth_stride == 1 {
                    for (slot, column) in columns.clone().enumerate() {
                        let column = &b.data[column * b.column_stride + start..][..count];
                        steps.chunks_exact_mut(width).zip(column).for_each(|(step, v)| step[slot] = value(*v));
                    }
                    continue;
                }
                for (step, slots) in steps.chunks_exact_mut(width).enumerate() {
                    let slots = &mut slots[..columns.len()];
                    let k = start + step;
                    if b.column_stride == 1 {
                        let row = &b.data[k * b.depth_stride + columns.start..][..slots.len()];
                        slots.iter_mut().zip(row).for_each(|(slot, v)| *slot = value(*v));
                    } else {
                        let row = columns.clone().map(|column| b.at(k, column));
                        slots.iter_mut().zip(row).for_each(|(slot, v)| *slot = value(v));
                    }
                }
            }
        });
    }

    /// The matrix in these panels.
    pub(super) fn of(panels: Panels) -> Self {
        Self { panels }
    }

    /// `y = A · B`, and what `e` says; rows of `a` are `a_stride` apart, those of `y` `y_stride`.
    pub fn run(&self, a: &[f32], a_stride: usize, rows: usize, e: &Epilogue<'_>, y: &mut [f32], y_stride: usize) {
        let finish = ToFloats::new(e, y, rows, y_stride, 0, self.panels.columns);
        self.multiply(a, a_stride, rows, finish);
    }

    /// `y += A · B`.
    pub fn add_to(&self, a: &[f32], a_stride: usize, rows: usize, y: &mut [f32], y_stride: usize) {
        let mut finish = ToFloats::new(&Epilogue::NONE, y, rows, y_stride, 0, self.panels.columns);
        finish.residual = finish.y;
        self.multiply(a, a_stride, rows, finish);
    }

    // Of its own where size counts: it is long, and has several callers.
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub(super) fn multiply(&self, a: &[f32], stride: usize, count: usize, finish: ToFloats) {
        let rows = Rows::matrix(a, stride, count, self.panels.words);
        Multiply { product: Floats, panels: &self.panels, rows, finish }.run();
    }

    /// Bytes that the packed matrix takes.
    pub fn byte_len(&self) -> usize {
        self.panels.byte_len()
    }
}

/// `c[column] += sum over k of a[k] * b(k, column)`: one row needs no packing.
pub fn row_times_matrix(a: &[f32], b: &Matrix<'_>, c: &mut [f32]) {
    if c.is_empty() || a.is_empty() {
        return;
    }
    let last = (a.len() - 1) * b.depth_stride + (c.len() - 1) * b.column_stride;
    assert!(last < b.data.len(), "a matrix of {} values, of which {last} is the last", b.data.len());
    if b.column_stride == 1 {
        dispatch(SumOfRows { a, b, c });
    } else if b.depth_stride == 1 {
        dispatch(Dots { a, b, c });
    } else {
        for (k, &value) in a.iter().enumerate() {
            for (column, to) in c.iter_mut().enumerate() {
                *to += value * b.at(k, column);
            }
        }
    }
}

/// `c` plus the rows of `b`, each times its value of `a`, four rows in one walk over `c`.
struct SumOfRows<'a> {
    a: &'a [f32],
    b: &'a Matrix<'a>,
    c: &'a mut [f32],
}

impl Kernel for SumOfRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { a, b, c } = self;
        for (index, some) in a.chunks(4).enumerate() {
            let mut rows = [std::ptr::null::<f32>(); 4];
            for (k, row) in rows.iter_mut().enumerate().take(some.len()) {
                *row = b.data[(4 * index + k) * b.depth_stride..].as_ptr();
            }
            let mut column = 0;
            while column < c.len() {
                let count = (c.len() - column).min(S::LANES);
                // SAFETY: `row_times_matrix` held the last value of `b` against its slice.
                unsafe {
                    let mut sum = S::load_part(c.as_ptr().add(column), count);
                    for k in 0..4 {
                        if k < some.len() {
                            sum = S::mul_add(S::splat(some[k]), S::load_part(rows[k].add(column), count), sum);
                        }
                    }
                    S::store_part(c.as_mut_ptr().add(column), sum, count);
                }
                column += S::LANES;
            }
        }
    }
}

/// `c` plus the products of `a` and every column of `b`, whose values are neighbours.
struct Dots<'a> {
    a: &'a [f32],
    b: &'a Matrix<'a>,
    c: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { a, b, c } = self;
        let mut first = 0;
        while first < c.len() {
            // Four columns at a time need not wait for one another; past the last it is computed again.
            let mut columns = [std::ptr::null::<f32>(); 4];
            for (i, column) in columns.iter_mut().enumerate() {
                *column = b.data[(first + i).min(c.len() - 1) * b.column_stride..].as_ptr();
            }
            // SAFETY: `row_times_matrix` held the last value of `b` against its slice.
            unsafe {
                let mut sums = [S::splat(0.0); 4];
                let mut k = 0;
                while k < a.len() {
                    let count = (a.len() - k).min(S::LANES);
                    let row = S::load_part(a.as_ptr().add(k), count);
                    for i in 0..4 {
                        sums[i] = S::mul_add(row, S::load_part(columns[i].add(k), count), sums[i]);
                    }
                    k += S::LANES;
                }
                for i in 0..4 {
                    if first + i < c.len() {
                        c[first + i] += S::sum(sums[i]);
                    }
                }
            }
            first += 4;
        }
    }
}

/// Products of row-major matrices of any element type, `[batch, m, k]` by `[batch, k, n]`;
/// `f(sum, a, b)` adds one term.
pub fn products<T: Copy>(a: &[T], b: &[T], [m, k, n]: [usize; 3], c: &mut [T], f: impl Fn(T, T, T) -> T) {
    for ((a, b), c) in a.chunks_exact(m * k).zip(b.chunks_exact(k * n)).zip(c.chunks_exact_mut(m * n)) {
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
                c.iter_mut().zip(b).for_each(|(c, &b)| *c = f(*c, a, b));
            }
        }
    }
}
