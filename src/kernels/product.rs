//! The one loop nest behind matrix products and convolutions, of float32 and of bytes: a block of
//! rows that stays in the second cache, in it the panels of columns, in them tiles of rows. A tile
//! walks the whole depth with its sums in registers.
//!
//! The right side is packed once ([`Panels`]). The left side is read where it lies: a tile takes a
//! pointer per row and tap, so a convolution copies nothing, and padding is a pointer to a row of
//! zeros. Rows that cannot be read so (few channels, bytes that must be widened, an end that
//! would be read past) are copied once per block.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::conv::Geometry;
use super::threads;

/// Bytes of rows and results that a block may touch.
const BLOCK: usize = 256 << 10;
/// Pointers of a block.
const POINTERS: usize = 8 << 10;
/// Channels from which on reading them where they lie beats copying.
const CHANNELS: usize = 16;
/// Multiply-adds from which on a part of a product is worth a thread.
pub const GRAIN: usize = 256 << 10;
/// The sums of the largest tile of any instruction set.
const SUMS: usize = 12 * 2 * 16;

/// A cache line of a packed matrix.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

// SAFETY: 64 bytes of integers, no padding.
unsafe impl Zeroable for Line {}
// SAFETY: as above.
unsafe impl Pod for Line {}

/// The right side of a product, for one instruction set: groups of two vectors of columns (the last
/// group of one, where that is enough), in each group 32 bits of every column for every step of the
/// depth; zeros beside the last column.
pub struct Panels {
    pub level: Level,
    /// Steps of the depth.
    pub words: usize,
    pub columns: usize,
    lines: Vec<Line>,
}

impl Panels {
    /// `fill(word, first, slots)` writes step `word` of the columns from `first` on.
    pub fn new(level: Level, words: usize, columns: usize, mut fill: impl FnMut(usize, usize, &mut [u32])) -> Self {
        let mut panels = Self::zeroed(level, words, columns);
        panels.groups(|columns, width, group| {
            for (word, slots) in group.chunks_exact_mut(width).enumerate() {
                fill(word, columns.start, &mut slots[..columns.len()]);
            }
        });
        panels
    }

    /// Calls `write` with the columns of every group, how many a step has room for, and the group.
    pub fn groups(&mut self, mut write: impl FnMut(Range<usize>, usize, &mut [u32])) {
        let (words, columns, lanes) = (self.words, self.columns, self.level.lanes());
        let padded = columns.next_multiple_of(lanes);
        let flat: &mut [u32] = bytemuck::cast_slice_mut(&mut self.lines);
        for first in (0..columns).step_by(2 * lanes) {
            let width = (padded - first).min(2 * lanes);
            write(first..columns.min(first + width), width, &mut flat[first * words..][..width * words]);
        }
    }

    pub fn byte_len(&self) -> usize {
        size_of_val(&self.lines[..])
    }

    /// Panels to write to: whole vectors of columns, in each group one step after another.
    pub fn zeroed(level: Level, words: usize, columns: usize) -> Self {
        let padded = columns.next_multiple_of(level.lanes());
        Self { level, words, columns, lines: vec![Line::zeroed(); (words * padded).div_ceil(16)] }
    }

    /// The first step of the first group; the group of the columns from `first` on starts at `first * words`.
    pub fn as_ptr(&self) -> *const u32 {
        self.lines.as_ptr().cast()
    }

    pub fn as_mut_ptr(&mut self) -> *mut u32 {
        self.lines.as_mut_ptr().cast()
    }

    /// From [`Self::as_ptr`] on.
    pub fn as_slice(&self) -> &[u32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// As [`Self::as_slice`].
    pub fn as_mut_slice(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

/// What 32 bits of a row and of a column are, and how they are multiplied.
pub trait Product: Copy {
    /// An element of the left side.
    type In: Copy;
    /// The element that is multiplied: `In`, or wider.
    type Element: Copy + Default;
    /// Elements in 32 bits.
    const GROUP: usize;
    type V<S: Simd>: Copy;

    /// Whether the instruction set can multiply so.
    fn possible<S: Simd>() -> bool;
    /// Whether rows can be multiplied where they lie.
    fn in_place(self) -> bool;
    fn convert(self, from: &[Self::In], to: &mut [Self::Element]);
    unsafe fn zero<S: Simd>() -> Self::V<S>;
    unsafe fn splat<S: Simd>(from: *const u8) -> Self::V<S>;
    unsafe fn load<S: Simd>(from: *const u32) -> Self::V<S>;
    unsafe fn store<S: Simd>(to: *mut u32, v: Self::V<S>);
    unsafe fn add<S: Simd>(a: Self::V<S>, b: Self::V<S>) -> Self::V<S>;
    unsafe fn step<S: Simd>(sum: Self::V<S>, row: Self::V<S>, column: Self::V<S>) -> Self::V<S>;
}

/// float32.
#[derive(Clone, Copy)]
pub struct Floats;

impl Product for Floats {
    type In = f32;
    type Element = f32;
    const GROUP: usize = 1;
    type V<S: Simd> = S::F;

    #[inline(always)]
    fn possible<S: Simd>() -> bool {
        true
    }
    #[inline(always)]
    fn in_place(self) -> bool {
        true
    }
    #[inline(always)]
    fn convert(self, from: &[f32], to: &mut [f32]) {
        copy(bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to));
    }
    #[inline(always)]
    unsafe fn zero<S: Simd>() -> S::F {
        // SAFETY: the caller's, here and below.
        unsafe { S::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn splat<S: Simd>(from: *const u8) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::splat(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u32) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(to: *mut u32, v: S::F) {
        // SAFETY: the caller's.
        unsafe { S::store(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn add<S: Simd>(a: S::F, b: S::F) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::add(a, b) }
    }
    #[inline(always)]
    unsafe fn step<S: Simd>(sum: S::F, row: S::F, column: S::F) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::mul_add(row, column, sum) }
    }
}

/// The methods of products whose vectors are of integers.
macro_rules! integers {
    () => {
        #[inline(always)]
        unsafe fn zero<S: Simd>() -> S::I {
            // SAFETY: the caller's, here and below.
            unsafe { S::splat_i32(0) }
        }
        #[inline(always)]
        unsafe fn splat<S: Simd>(from: *const u8) -> S::I {
            // SAFETY: the caller's.
            unsafe { S::splat_i32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn load<S: Simd>(from: *const u32) -> S::I {
            // SAFETY: the caller's.
            unsafe { S::load_i32(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store<S: Simd>(to: *mut u32, v: S::I) {
            // SAFETY: the caller's.
            unsafe { S::store_i32(to.cast(), v) }
        }
        #[inline(always)]
        unsafe fn add<S: Simd>(a: S::I, b: S::I) -> S::I {
            // SAFETY: the caller's.
            unsafe { S::add_i32(a, b) }
        }
    };
}

/// `u8` by `i8`, four at a time.
#[derive(Clone, Copy)]
pub struct Bytes {
    /// The rows' top bits are flipped, which subtracts 128 from them as `i8`.
    pub flipped: bool,
}

impl Product for Bytes {
    type In = u8;
    type Element = u8;
    const GROUP: usize = 4;
    type V<S: Simd> = S::I;

    #[inline(always)]
    fn possible<S: Simd>() -> bool {
        S::BYTES
    }
    #[inline(always)]
    fn in_place(self) -> bool {
        !self.flipped
    }
    #[inline(always)]
    fn convert(self, from: &[u8], to: &mut [u8]) {
        if self.flipped {
            to.iter_mut().zip(from).for_each(|(to, v)| *to = v ^ 0x80);
        } else {
            copy(from, to);
        }
    }
    integers!();
    #[inline(always)]
    unsafe fn step<S: Simd>(sum: S::I, row: S::I, column: S::I) -> S::I {
        // SAFETY: the caller's; `possible` was asked.
        unsafe { S::dot_u8i8(sum, row, column) }
    }
}

/// `u8` widened to `i16` by `i16`, two at a time.
#[derive(Clone, Copy)]
pub struct Words;

impl Product for Words {
    type In = u8;
    type Element = i16;
    const GROUP: usize = 2;
    type V<S: Simd> = S::I;

    #[inline(always)]
    fn possible<S: Simd>() -> bool {
        true
    }
    #[inline(always)]
    fn in_place(self) -> bool {
        false
    }
    #[inline(always)]
    fn convert(self, from: &[u8], to: &mut [i16]) {
        to.iter_mut().zip(from).for_each(|(to, v)| *to = i16::from(*v));
    }
    integers!();
    #[inline(always)]
    unsafe fn step<S: Simd>(sum: S::I, row: S::I, column: S::I) -> S::I {
        // SAFETY: the caller's.
        unsafe { S::dot_i16(sum, row, column) }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type Piece = core::arch::wasm32::v128;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
type Piece = [u64; 2];

/// Copies some bytes, most often few: a call for them, which WebAssembly's engines make of every copy, costs more.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    let count = to.len();
    assert_eq!(from.len(), count, "as many bytes");
    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
    /// Some pieces of a type from both ends, which may overlap; written out, since loops are not always.
    macro_rules! ends {
        ($T:ty, $($at:literal),*) => {{$(
            let end = count - ($at + 1) * size_of::<$T>();
            let start = $at * size_of::<$T>();
            to.add(start).cast::<$T>().write_unaligned(from.add(start).cast::<$T>().read_unaligned());
            to.add(end).cast::<$T>().write_unaligned(from.add(end).cast::<$T>().read_unaligned());
        )*}};
    }
    // SAFETY: both slices are `count` long, and what is read and written of them ends there.
    unsafe {
        match count {
            0 => {}
            1..4 => {
                *to = *from;
                *to.add(count / 2) = *from.add(count / 2);
                *to.add(count - 1) = *from.add(count - 1);
            }
            4..8 => ends!(u32, 0),
            8..16 => ends!(u64, 0),
            16..=32 => ends!(Piece, 0),
            33..=64 => ends!(Piece, 0, 1),
            65..=128 => ends!(Piece, 0, 1, 2, 3),
            _ => from.copy_to_nonoverlapping(to, count),
        }
    }
}

/// Where the rows of the left side lie.
pub enum Rows<'a, T> {
    /// `count` rows of `depth` elements, `stride` apart.
    Matrix { x: &'a [T], stride: usize, count: usize, depth: usize },
    /// The channels from `first` on under every tap of every window; `padding` holds as many
    /// elements as a group has channels.
    Windows { x: &'a [T], geometry: &'a Geometry, first: usize, padding: &'a [T] },
}

impl<'a, T: Copy> Rows<'a, T> {
    pub fn matrix(x: &'a [T], stride: usize, count: usize, depth: usize) -> Self {
        let reach = if count == 0 { 0 } else { (count - 1) * stride + depth };
        assert!(x.len() >= reach, "{count} rows of {depth}, {stride} apart, in {} elements", x.len());
        Self::Matrix { x, stride, count, depth }
    }

    /// `padding` is repeated for every channel of a group.
    pub fn windows(x: &'a [T], geometry: &'a Geometry, first: usize, padding: &'a [T]) -> Self {
        let elements = geometry.batch * geometry.input[0] * geometry.input[1] * geometry.channels;
        assert!(x.len() >= elements && first + padding.len() <= geometry.channels, "an image of {} elements", x.len());
        Self::Windows { x, geometry, first, padding }
    }

    pub fn count(&self) -> usize {
        match self {
            Self::Matrix { count, .. } => *count,
            Self::Windows { geometry, .. } => geometry.batch * geometry.output[0] * geometry.output[1],
        }
    }

    /// Taps, elements under each, elements of the input that a row has for itself.
    fn sizes(&self) -> (usize, usize, usize) {
        match self {
            Self::Matrix { depth, .. } => (1, *depth, *depth),
            Self::Windows { geometry: g, padding, .. } => {
                (g.kernel[0] * g.kernel[1], padding.len(), padding.len() * g.strides[0] * g.strides[1])
            }
        }
    }

    /// Elements of all taps in a line of a window, where they lie together, are a whole number of groups, and those
    /// under a tap are few.
    fn run(&self, group: usize) -> Option<usize> {
        let Self::Windows { geometry: g, padding, .. } = self else { return None };
        let run = g.kernel[1] * padding.len();
        let together = padding.len() == g.channels && g.dilations[1] == 1 && g.kernel[1] <= g.input[1];
        (run > 0 && padding.len() < CHANNELS && together && run.is_multiple_of(group)).then_some(run)
    }

    /// Rows of which some taps lie beside the image, of any `count` rows one after the other, at most.
    fn cut(&self, count: usize) -> usize {
        let Self::Windows { geometry: g, .. } = self else { return 0 };
        let last = (g.input[1] + g.begin[1] - g.kernel[1]) / g.strides[1];
        let whole = (last + 1).min(g.output[1]).saturating_sub(g.begin[1].div_ceil(g.strides[1]));
        (count / g.output[1] + 2) * (g.output[1] - whole)
    }

    /// A line of `run` elements beside the image.
    fn outside(&self, run: usize) -> Vec<T> {
        match self {
            Self::Windows { padding, .. } => padding.iter().copied().cycle().take(run).collect(),
            Self::Matrix { .. } => Vec::new(),
        }
    }

    /// Writes the pointers of `row`, one per line of taps, `pitch` apart; `outside` is a line beside the image.
    /// `false` where some taps of its lines lie there.
    fn point_lines(&self, row: usize, pitch: usize, outside: &[T], to: &mut [*const u8]) -> bool {
        let Self::Windows { x, geometry: g, .. } = self else { return false };
        let (n, oy, ox) = g.position(row);
        let left = (ox * g.strides[1]).wrapping_sub(g.begin[1]);
        if left > g.input[1] - g.kernel[1] {
            return false;
        }
        for ky in 0..g.kernel[0] {
            let iy = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.begin[0]);
            let line = if iy < g.input[0] {
                &x[((n * g.input[0] + iy) * g.input[1] + left) * g.channels..][..outside.len()]
            } else {
                outside
            };
            to[ky * pitch] = line.as_ptr().cast();
        }
        true
    }

    /// Writes the pointers of `row`, one per tap, `pitch` apart.
    fn point(&self, row: usize, pitch: usize, to: &mut [*const u8]) {
        match self {
            Self::Matrix { x, stride, .. } => to[0] = x[row * stride..].as_ptr().cast(),
            Self::Windows { x, geometry: g, first, padding } => {
                let (n, oy, ox) = g.position(row);
                let mut at = 0;
                for ky in 0..g.kernel[0] {
                    let iy = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.begin[0]);
                    for kx in 0..g.kernel[1] {
                        let ix = (ox * g.strides[1] + kx * g.dilations[1]).wrapping_sub(g.begin[1]);
                        let inside = iy < g.input[0] && ix < g.input[1];
                        to[at] = if inside {
                            x[((n * g.input[0] + iy) * g.input[1] + ix) * g.channels + first..].as_ptr().cast()
                        } else {
                            padding.as_ptr().cast()
                        };
                        at += pitch;
                    }
                }
            }
        }
    }

    /// Writes the elements of `row`, tap after tap.
    #[inline(always)]
    fn gather<P: Product<In = T>>(&self, product: P, row: usize, to: &mut [P::Element]) {
        match self {
            Self::Matrix { x, stride, depth, .. } => product.convert(&x[row * stride..][..*depth], &mut to[..*depth]),
            Self::Windows { x, geometry: g, first, padding } => {
                let channels = padding.len();
                let (n, oy, ox) = g.position(row);
                let mut at = 0;
                for ky in 0..g.kernel[0] {
                    let iy = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.begin[0]);
                    let left = (ox * g.strides[1]).wrapping_sub(g.begin[1]);
                    let line = (n * g.input[0]).wrapping_add(iy).wrapping_mul(g.input[1]);
                    let whole = g.dilations[1] == 1 && channels == g.channels;
                    if whole && iy < g.input[0] && left < g.input[1] && g.kernel[1] <= g.input[1] - left {
                        let run = g.kernel[1] * channels;
                        product.convert(&x[(line + left) * channels..][..run], &mut to[at..at + run]);
                        at += run;
                        continue;
                    }
                    for kx in 0..g.kernel[1] {
                        let ix = left.wrapping_add(kx * g.dilations[1]);
                        let from = if iy < g.input[0] && ix < g.input[1] {
                            &x[(line + ix) * g.channels + first..][..channels]
                        } else {
                            padding
                        };
                        product.convert(from, &mut to[at..at + channels]);
                        at += channels;
                    }
                }
            }
        }
    }
}

/// What becomes of sums.
pub trait Finish {
    /// Takes the sums of `rows` rows from `row` on and `width` columns from `first` on; the rows
    /// are `pitch` apart.
    ///
    /// # Safety
    /// The machine has the instruction set; `sums` are whole vectors.
    unsafe fn tile<S: Simd>(&self, sums: *const u32, pitch: usize, row: usize, rows: usize, first: usize, width: usize);
    /// These columns of these rows have been finished.
    fn block(&self, rows: Range<usize>, columns: Range<usize>);
}

/// A product of rows and panels; `finish` must be good for all of their rows and columns.
pub struct Multiply<'a, P: Product, F> {
    pub product: P,
    pub panels: &'a Panels,
    pub rows: Rows<'a, P::In>,
    pub finish: F,
}

/// Rows of the tile that computes `rows` rows, the last of them again where it has more.
#[inline(always)]
pub(super) fn tile_rows<S: Simd>(rows: usize) -> usize {
    match rows {
        1 => 1,
        2..=4 if S::ROWS != 5 => 4,
        5..=8 if S::ROWS > 8 => 8,
        _ => S::ROWS,
    }
}

impl<P: Product<In: Sync> + Sync, F: Finish + Sync> Multiply<'_, P, F> {
    /// Computes it, on as many threads as are worth it.
    pub fn run(&self) {
        let (panels, count) = (self.panels, self.rows.count());
        let parts = threads::parts(count * panels.columns * panels.words * P::GROUP / GRAIN);
        let groups = panels.columns.div_ceil(2 * panels.level.lanes()).max(1);
        // What is larger is cut, so that every thread reads its part of that, and all of what is smaller.
        let (_, _, own) = self.rows.sizes();
        let across = if panels.byte_len() > count * own * size_of::<P::In>() { parts.min(groups) } else { 1 };
        let down = parts / across;
        threads::each(down * across, |part| {
            let (down, across) = ((part / across, down), (part % across, across));
            dispatch_at(panels.level, Part { all: self, down, across });
        });
    }
}

/// A part of a product: of its rows and its columns, the which of how many.
struct Part<'a, P: Product, F> {
    all: &'a Multiply<'a, P, F>,
    down: (usize, usize),
    across: (usize, usize),
}

/// Part `index` of `parts` of `length` things, in whole units.
pub(super) fn portion(length: usize, unit: usize, (index, parts): (usize, usize)) -> Range<usize> {
    let at = |index: usize| (length.div_ceil(unit) * index / parts * unit).min(length);
    at(index)..at(index + 1)
}

impl<P: Product, F: Finish> Kernel for Part<'_, P, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Multiply { product, panels, rows, finish } = self.all;
        let product = *product;
        if !P::possible::<S>() {
            return;
        }
        let lanes = S::LANES;
        let (part, columns) =
            (portion(rows.count(), S::ROWS, self.down), portion(panels.columns, 2 * lanes, self.across));
        let (taps, channels, own) = rows.sizes();
        let in_place = product.in_place() && channels.is_multiple_of(P::GROUP) && (taps == 1 || channels >= CHANNELS);
        let run = if product.in_place() && !in_place { rows.run(P::GROUP) } else { None };
        let (taps, words) = match run {
            Some(run) => (panels.words * P::GROUP / run, run / P::GROUP),
            None if in_place => (taps, channels / P::GROUP),
            None => (1, panels.words),
        };
        let read = if in_place || run.is_some() { own * size_of::<P::In>() } else { words * 4 };
        let block = (BLOCK / (read + columns.len() * 4).max(1)).min(POINTERS / taps.max(1)).max(1);
        let block = block.next_multiple_of(S::ROWS).min(part.len().next_multiple_of(S::ROWS));
        let mut pointers = vec![std::ptr::null::<u8>(); block * taps];
        // Rows that are not read where they lie.
        let depth = panels.words * P::GROUP;
        let copied = match run {
            Some(_) => rows.cut(block).min(block),
            None if in_place => 0,
            None => block,
        };
        let mut copies = vec![P::Element::default(); copied * depth];
        let outside = rows.outside(run.unwrap_or(0));
        let mut sums = [0u32; SUMS];
        for start in part.clone().step_by(block.max(1)) {
            let end = part.end.min(start + block);
            let (mut at, mut used) = (0, 0);
            for row in (start..end).step_by(S::ROWS) {
                let some = S::ROWS.min(end - row);
                let tall = tile_rows::<S>(some);
                for r in 0..tall {
                    if r >= some {
                        // The last row again.
                        let tile = &mut pointers[at..][..tall * taps];
                        tile.chunks_exact_mut(tall).for_each(|row| row[r] = row[some - 1]);
                        continue;
                    }
                    let to = &mut pointers[at + r..];
                    if in_place {
                        rows.point(row + r, tall, to);
                    } else if run.is_none() || !rows.point_lines(row + r, tall, &outside, to) {
                        let copy = &mut copies[used..][..depth];
                        rows.gather(product, row + r, copy);
                        let pieces = copy.chunks_exact((words * P::GROUP).max(1));
                        pieces.enumerate().for_each(|(tap, piece)| to[tap * tall] = piece.as_ptr().cast());
                        used += depth;
                    }
                }
                at += tall * taps;
            }
            for first in columns.clone().step_by(2 * lanes) {
                let width = (columns.end - first).min(2 * lanes);
                let wide = width > lanes;
                let pitch = if wide { 2 * lanes } else { lanes };
                let mut at = pointers.as_ptr();
                for row in (start..end).step_by(S::ROWS) {
                    let some = S::ROWS.min(end - row);
                    let tall = tile_rows::<S>(some);
                    // SAFETY: `pointers` has `tall * taps` of this tile from `at` on, each to `words`
                    // words of the input, of `padding` or of `copies`; the panels of the columns from
                    // `first` on start at `first * panels.words` and are `pitch` wide; `sums` holds the
                    // largest tile.
                    unsafe {
                        let panel = panels.as_ptr().add(first * panels.words);
                        let sums = sums.as_mut_ptr();
                        self::sums::<S, P>([tall, pitch / lanes], at, taps, words, panel, sums);
                        finish.tile::<S>(sums, pitch, row, some, first, width);
                        at = at.add(tall * taps);
                    }
                }
            }
            finish.block(start..end, columns.clone());
        }
    }
}

/// The sums of `[rows, vectors of columns]`, of [`tile_rows`] and one or two.
///
/// # Safety
/// As many pointers per tap to `words` words, a panel of `taps * words` steps, as many vectors to write.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, P: Product>(
    [tall, wide]: [usize; 2],
    pointers: *const *const u8,
    taps: usize,
    words: usize,
    panel: *const u32,
    out: *mut u32,
) {
    macro_rules! tile {
        ($R:literal) => {
            if wide > 1 {
                tile::<S, P, $R, 2>(pointers, taps, words, panel, out)
            } else {
                tile::<S, P, $R, 1>(pointers, taps, words, panel, out)
            }
        };
    }
    // SAFETY: the caller's.
    unsafe {
        if tall == 1 {
            if wide > 1 {
                single::<S, P, 2>(pointers, taps, words, panel, out)
            } else {
                single::<S, P, 1>(pointers, taps, words, panel, out)
            }
        } else if tall == 4 {
            tile!(4)
        } else if S::ROWS == 5 {
            tile!(5)
        } else if S::ROWS == 6 {
            tile!(6)
        } else if S::ROWS == 12 {
            if tall == 8 { tile!(8) } else { tile!(12) }
        }
    }
}

/// The sums of `R` rows and `C` vectors of columns.
// On WebAssembly a function of its own: engines replace functions by optimised ones between calls.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
unsafe fn tile<S: Simd, P: Product, const R: usize, const C: usize>(
    pointers: *const *const u8,
    taps: usize,
    words: usize,
    panel: *const u32,
    out: *mut u32,
) {
    // SAFETY: the caller's: `R` pointers per tap to `words` words, a panel of `taps * words` steps, `R * C` vectors.
    unsafe {
        let mut sums = [[P::zero::<S>(); C]; R];
        let mut b = panel;
        let mut next = pointers;
        macro_rules! step {
            ($a:ident, $word:expr) => {{
                let mut column = [P::zero::<S>(); C];
                for c in 0..C {
                    column[c] = P::load::<S>(b.add(($word * C + c) * S::LANES));
                }
                for r in 0..R {
                    let row = P::splat::<S>($a[r].add(4 * $word));
                    for c in 0..C {
                        sums[r][c] = P::step::<S>(sums[r][c], row, column[c]);
                    }
                }
            }};
        }
        for _ in 0..taps {
            let mut a = [std::ptr::null::<u8>(); R];
            for r in 0..R {
                a[r] = *next.add(r);
            }
            next = next.add(R);
            let mut left = words;
            while left >= S::UNROLL {
                step!(a, 0);
                if S::UNROLL > 1 {
                    step!(a, 1);
                }
                if S::UNROLL > 2 {
                    step!(a, 2);
                    step!(a, 3);
                }
                b = b.add(S::UNROLL * C * S::LANES);
                for r in 0..R {
                    a[r] = a[r].add(4 * S::UNROLL);
                }
                left -= S::UNROLL;
            }
            while left > 0 {
                step!(a, 0);
                b = b.add(C * S::LANES);
                for r in 0..R {
                    a[r] = a[r].add(4);
                }
                left -= 1;
            }
        }
        for r in 0..R {
            for c in 0..C {
                P::store::<S>(out.add((r * C + c) * S::LANES), sums[r][c]);
            }
        }
    }
}

/// As [`tile`] for one row: four sums of each column, which need not wait for one another.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
unsafe fn single<S: Simd, P: Product, const C: usize>(
    pointers: *const *const u8,
    taps: usize,
    words: usize,
    panel: *const u32,
    out: *mut u32,
) {
    // SAFETY: as in `tile`.
    unsafe {
        let mut sums = [[P::zero::<S>(); C]; 4];
        let mut b = panel;
        for tap in 0..taps {
            let mut a = *pointers.add(tap);
            let mut left = words;
            while left > 0 {
                let some = left.min(4);
                for k in 0..4 {
                    if k < some {
                        let row = P::splat::<S>(a.add(4 * k));
                        for c in 0..C {
                            sums[k][c] = P::step::<S>(sums[k][c], row, P::load::<S>(b.add((k * C + c) * S::LANES)));
                        }
                    }
                }
                a = a.add(4 * some);
                b = b.add(some * C * S::LANES);
                left -= some;
            }
        }
        for c in 0..C {
            let sum = P::add::<S>(P::add::<S>(sums[0][c], sums[1][c]), P::add::<S>(sums[2][c], sums[3][c]));
            P::store::<S>(out.add(c * S::LANES), sum);
        }
    }
}
