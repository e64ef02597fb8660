//! Convolutions with kernels of 3 by 3, strides and dilations of 1, in channels-last memory, with fewer
//! multiplications: Winograd's F(2×2, 3×3), 16 for every four outputs where the sum of products has 36.
//!
//! The outputs are cut into tiles of 2 by 2. The 4 by 4 inputs under a tile become 16 sums of them, each is multiplied
//! by a matrix of its own, made of the filters once, and the outputs are sums of the 16 products:
//!
//! ```text
//! Bᵀ = 1  0 -1  0    G = 1   0   0    Aᵀ = 1  1  1  0
//!      0  1  1  0        ½   ½   ½         0  1 -1 -1
//!      0 -1  1  0        ½  -½   ½
//!      0  1  0 -1        0   0   1        outputs = Aᵀ ((G filter Gᵀ) · (Bᵀ inputs B)) A
//! ```
//!
//! A block of tiles, whose sums stay in the second cache, goes through the outputs two vectors at a time, whose products
//! stay in the first.
//!
//! The matrices are 16 ninths of the filters. Where these are megabytes and an image has a few pixels, reading them takes
//! about as long as is saved; how large images will be is not known when they are packed. An output of a single pixel is
//! the sum of nine products, so that no more is read for it than the filters themselves.

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::conv::Geometry;
use super::gemm::ToFloats;
use super::groups::are_finite;
use super::product::{Finish, Floats, GRAIN, Panels, portion, sums, tile_rows};
use super::threads;

/// Channels and outputs from which on what is saved is more than the sums cost. Vectors have no more lanes.
const CHANNELS: usize = 16;
/// Bytes of a block's sums of inputs.
const BLOCK: usize = 256 << 10;
/// Tiles of a block that are worth reading the filters for, however large their sums.
const TILES: usize = 64;
/// Tiles that are worth reading the filters for in a thread of their own.
const FEW: usize = 16;
/// Outputs that are worth computing sums of inputs for, in a thread of their own.
const COLUMNS: usize = 64;

/// Where each of the 16 of a tile lies, row-major: first the nine of which the first output is the sum.
const PLACES: [usize; 16] = [0, 1, 2, 9, 3, 4, 5, 10, 6, 7, 8, 11, 12, 13, 14, 15];

/// Filters `G filter Gᵀ`, 16 matrices `[channels, outputs]` below one another.
pub struct Filters {
    panels: Panels,
    channels: usize,
}

impl Filters {
    /// Packs a weight `[outputs, channels, 3, 3]`; `None` where it is better multiplied as it is.
    pub fn new(level: Level, weight: &[f32], outputs: usize, channels: usize) -> Option<Self> {
        if channels < CHANNELS || outputs < CHANNELS || !are_finite(weight) {
            return None;
        }
        let mut filters = Self { panels: Panels::zeroed(level, 16 * channels, outputs), channels };
        let step = |v: [f32; 3]| [v[0], 0.5 * (v[0] + v[1] + v[2]), 0.5 * (v[0] - v[1] + v[2]), v[2]];
        let all = weight.as_chunks::<9>().0;
        // Of some channels at a time: the 16 matrices may all lie in the same sets of the first cache.
        let mut some = vec![0u32; 16 * CHANNELS * 2 * level.lanes()];
        for first in (0..outputs).step_by(2 * level.lanes()) {
            let (start, pitch) = filters.place(first, 0);
            let slots = filters.panels.as_mut_slice();
            some.fill(0);
            for next in (0..channels).step_by(CHANNELS) {
                let count = CHANNELS.min(channels - next);
                for channel in 0..count {
                    for column in 0..pitch.min(outputs - first) {
                        let filter = &all[(first + column) * channels + next + channel];
                        let columns = [0, 1, 2].map(|kx| step([filter[kx], filter[3 + kx], filter[6 + kx]]));
                        for row in 0..4 {
                            for (kx, v) in step(columns.map(|column| column[row])).iter().enumerate() {
                                let place = PLACES[4 * row + kx] * CHANNELS + channel;
                                some[place * pitch + column] = v.to_bits();
                            }
                        }
                    }
                }
                for (k, some) in some.chunks_exact(CHANNELS * pitch).take(16).enumerate() {
                    let to = start + (k * channels + next) * pitch;
                    slots[to..to + count * pitch].copy_from_slice(&some[..count * pitch]);
                }
            }
        }
        Some(filters)
    }

    /// Where the first of the 16 values of a filter lies, and how wide the panel is that it is in.
    fn place(&self, output: usize, channel: usize) -> (usize, usize) {
        let lanes = self.panels.level.lanes();
        let first = output - output % (2 * lanes);
        let pitch = (self.panels.columns.next_multiple_of(lanes) - first).min(2 * lanes);
        (first * self.panels.words + channel * pitch + output - first, pitch)
    }

    /// The weight, to some `2^-22` of the largest value of a filter; what is less than that is zero.
    #[inline(never)]
    pub fn weight(&self) -> Vec<f32> {
        let slots = self.panels.as_slice();
        let step = |v: [f32; 4]| [v[0], v[1] - v[2], v[3]];
        let mut weight = Vec::with_capacity(self.panels.columns * self.channels * 9);
        for i in 0..self.panels.columns * self.channels {
            let (first, pitch) = self.place(i / self.channels, i % self.channels);
            let at = |k: usize| f32::from_bits(slots[first + PLACES[k] * self.channels * pitch]);
            let lines = [0, 4, 8, 12].map(|k| step([at(k), at(k + 1), at(k + 2), at(k + 3)]));
            let columns = [0, 1, 2].map(|kx| step(lines.map(|line| line[kx])));
            let filter = [0, 1, 2].map(|ky| columns.map(|column| column[ky]));
            let least = filter.as_flattened().iter().fold(0f32, |most, v| most.max(v.abs())) / (1 << 22) as f32;
            weight.extend(filter.as_flattened().iter().map(|v| if v.abs() < least { 0.0 } else { *v }));
        }
        weight
    }

    pub fn byte_len(&self) -> usize {
        self.panels.byte_len()
    }

    /// `x` `[batch, H, W, channels]`, which must be finite, to what `finish` does with the sums.
    pub fn run(&self, geometry: &Geometry, x: &[f32], finish: ToFloats) {
        let g = geometry;
        let (outputs, tiles) = (self.panels.columns, g.batch * g.output[0].div_ceil(2) * g.output[1].div_ceil(2));
        assert!(
            x.len() >= g.batch * g.input[0] * g.input[1] * self.channels && g.channels == self.channels,
            "an image of {} elements",
            x.len()
        );
        let parts = threads::parts(tiles * self.panels.words * outputs / GRAIN);
        // As in `Multiply::run`.
        let across = if self.byte_len() > size_of_val(x) { parts.min(outputs.div_ceil(COLUMNS)) } else { 1 };
        let down = (parts / across).min(tiles.div_ceil(FEW).max(1));
        threads::each(down * across, |part| {
            let (down, across) = ((part / across, down), (part % across, across));
            dispatch_at(self.panels.level, Part { filters: self, geometry, x, finish, tiles, down, across });
        });
    }
}

/// From one of 16 blocks of so many elements to the next: they begin in different sets of the first cache.
fn apart(elements: usize) -> usize {
    (elements.div_ceil(16) | 1) * 16
}

/// A part of a convolution: of its tiles and its outputs, the which of how many.
struct Part<'a> {
    filters: &'a Filters,
    geometry: &'a Geometry,
    x: &'a [f32],
    finish: ToFloats,
    tiles: usize,
    down: (usize, usize),
    across: (usize, usize),
}

impl Part<'_> {
    /// Image, line and column of a tile, in tiles.
    fn position(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.geometry.output.map(|size| size.div_ceil(2));
        [tile / across / down, tile / across % down, tile % across]
    }

    /// The inputs under a tile.
    fn point(&self, tile: usize, padding: &[f32]) -> [*const f32; 16] {
        let g = self.geometry;
        let [n, ty, tx] = self.position(tile);
        let mut pointers = [padding.as_ptr(); 16];
        for (i, pointer) in pointers.iter_mut().enumerate() {
            let (iy, ix) = ((2 * ty + i / 4).wrapping_sub(g.begin[0]), (2 * tx + i % 4).wrapping_sub(g.begin[1]));
            if iy < g.input[0] && ix < g.input[1] {
                *pointer = self.x[((n * g.input[0] + iy) * g.input[1] + ix) * g.channels..].as_ptr();
            }
        }
        pointers
    }
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let (g, panels, channels) = (self.geometry, &self.filters.panels, self.filters.channels);
        let lanes = S::LANES;
        let part = portion(self.tiles, S::ROWS, self.down);
        let columns = portion(panels.columns, 2 * lanes, self.across);
        if part.is_empty() || columns.is_empty() {
            return;
        }
        // Blocks of the same size, of whole tiles.
        let most = (BLOCK / (64 * channels)).max(TILES);
        let whole = |rows: usize| {
            let rest = (rows - 1) % S::ROWS + 1;
            rows - rest + tile_rows::<S>(rest)
        };
        let each = part.len().div_ceil(part.len().div_ceil(most)).next_multiple_of(S::ROWS);
        let height = each.min(whole(part.len()));
        // The only output of an image is the sum of the first nine products, which are one. Else what is only in outputs
        // beyond the last is left out.
        let alone = g.output == [1, 1];
        let kept = |place: usize| match place {
            0 => true,
            1..=8 => !alone,
            9..=11 => g.output[1] > 1,
            _ => g.output[0] > 1,
        };
        let (step, stride, depth) = match alone {
            true => (channels, 16 * channels, 9 * channels),
            false => (apart(height * channels), channels, channels),
        };
        let area = apart(height * 2 * lanes);
        let padding = vec![0f32; channels];
        // Written before it is read, as the results are; products that are left out are read.
        let mut inputs = Vec::<f32>::with_capacity(16 * apart(height * channels));
        let inputs = inputs.as_mut_ptr();
        let mut results = Vec::<u32>::with_capacity(4 * height * 2 * lanes);
        let results = results.as_mut_ptr();
        let mut products = vec![0u32; 16 * area];
        let rows = (0..16 * height).map(|row| inputs.wrapping_add(row / height * step + row % height * stride));
        let rows: Vec<*const u8> = rows.map(|row| row.cast_const().cast()).collect();
        for start in part.clone().step_by(each) {
            let end = part.end.min(start + each);
            for row in 0..whole(end - start) {
                let pointers = self.point((start + row).min(end - 1), &padding);
                // SAFETY: every pointer is to all channels of a pixel or of `padding`; there are `height` rows of
                // each of 16 sums, and no fewer channels than lanes.
                unsafe { gather::<S>(&pointers, channels, inputs.wrapping_add(row * stride), step) };
            }
            for first in columns.clone().step_by(2 * lanes) {
                let width = (columns.end - first).min(2 * lanes);
                let wide = width.div_ceil(lanes);
                let pitch = wide * lanes;
                for k in (0..16).filter(|&k| kept(k)) {
                    // SAFETY: the panels of the columns from `first` on start at `first * panels.words` and are `pitch`
                    // wide; `rows` and `products` have `height`, which is whole tiles, of each of 16.
                    unsafe {
                        let panel = panels.as_ptr().add(first * panels.words + k * channels * pitch);
                        for row in (0..end - start).step_by(S::ROWS) {
                            let to = products.as_mut_ptr().add(k * area + row * pitch);
                            let from = rows.as_ptr().add(k * height + row);
                            let tall = tile_rows::<S>(S::ROWS.min(end - start - row));
                            sums::<S, Floats>([tall, wide], from, 1, depth, panel, to);
                        }
                    }
                }
                // SAFETY: `products` has 16 areas of two vectors, `results` two lines of two results of each tile;
                // `finish` is good for all.
                unsafe {
                    let products = products.as_ptr();
                    if alone {
                        self.finish.tile::<S>(products, pitch, start, end - start, first, width);
                        continue;
                    }
                    let mut tile = start;
                    while tile < end {
                        // Tiles beside one another.
                        let [n, ty, tx] = self.position(tile);
                        let count = (end - tile).min(g.output[1].div_ceil(2) - tx);
                        let line = 2 * count * pitch;
                        scatter::<S>(products.add((tile - start) * pitch), area, results, line, [count, pitch]);
                        for down in 0..2.min(g.output[0] - 2 * ty) {
                            let row = (n * g.output[0] + 2 * ty + down) * g.output[1] + 2 * tx;
                            let across = (2 * count).min(g.output[1] - 2 * tx);
                            self.finish.tile::<S>(results.add(down * line), pitch, row, across, first, width);
                        }
                        tile += count;
                    }
                }
            }
            for tile in start..end {
                let [n, ty, tx] = self.position(tile);
                for down in 0..2.min(g.output[0] - 2 * ty) {
                    let row = (n * g.output[0] + 2 * ty + down) * g.output[1] + 2 * tx;
                    self.finish.block(row..row + 2.min(g.output[1] - 2 * tx), columns.clone());
                }
            }
        }
    }
}

/// `Bᵀ inputs B` of all channels, each of the 16 `step` from the one before.
// On WebAssembly a function of its own, here and below: engines replace functions by optimised ones between calls.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
unsafe fn gather<S: Simd>(inputs: &[*const f32; 16], channels: usize, to: *mut f32, step: usize) {
    let mut next = 0;
    while next < channels {
        // The last vector may take channels of the one before again.
        let at = next.min(channels - S::LANES);
        // SAFETY: the caller's: pointers to all channels, and room for 16 times as many.
        unsafe {
            // An input is read again for every line, rather than keeping all 16.
            macro_rules! sums {
                ($($line:literal: $a:literal $op:ident $b:literal),*) => {$({
                    let v0 = S::$op(S::load(inputs[4 * $a].add(at)), S::load(inputs[4 * $b].add(at)));
                    let v1 = S::$op(S::load(inputs[4 * $a + 1].add(at)), S::load(inputs[4 * $b + 1].add(at)));
                    let v2 = S::$op(S::load(inputs[4 * $a + 2].add(at)), S::load(inputs[4 * $b + 2].add(at)));
                    let v3 = S::$op(S::load(inputs[4 * $a + 3].add(at)), S::load(inputs[4 * $b + 3].add(at)));
                    let to = to.add(at);
                    S::store(to.add(PLACES[4 * $line] * step), S::sub(v0, v2));
                    S::store(to.add(PLACES[4 * $line + 1] * step), S::add(v1, v2));
                    S::store(to.add(PLACES[4 * $line + 2] * step), S::sub(v2, v1));
                    S::store(to.add(PLACES[4 * $line + 3] * step), S::sub(v1, v3));
                })*};
            }
            sums!(0: 0 sub 2, 1: 1 add 2, 2: 2 sub 1, 3: 1 sub 3);
        }
        next += S::LANES;
    }
}

/// `Aᵀ products A` of `count` tiles beside one another, `pitch` columns of each; the 16 products are `step` apart, the
/// lines of results `line`.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
unsafe fn scatter<S: Simd>(products: *const u32, step: usize, to: *mut u32, line: usize, [count, pitch]: [usize; 2]) {
    for i in 0..count {
        let mut column = 0;
        while column < pitch {
            // SAFETY: the caller's: 16 products of all tiles and columns, and room for four results of them.
            unsafe {
                let from = products.add(i * pitch + column).cast::<f32>();
                let to = to.add(2 * i * pitch + column).cast::<f32>();
                macro_rules! product {
                    ($k:expr) => {
                        S::load(from.add(PLACES[$k] * step))
                    };
                }
                macro_rules! columns {
                    ($($k:literal: $upper:ident $lower:ident),*) => {$(
                        let (a, b) = (product!(4 + $k), product!(8 + $k));
                        let $upper = S::add(product!($k), S::add(a, b));
                        let $lower = S::sub(S::sub(a, b), product!(12 + $k));
                    )*};
                }
                columns!(0: u0 l0, 1: u1 l1, 2: u2 l2, 3: u3 l3);
                S::store(to, S::add(u0, S::add(u1, u2)));
                S::store(to.add(pitch), S::sub(S::sub(u1, u2), u3));
                S::store(to.add(line), S::add(l0, S::add(l1, l2)));
                S::store(to.add(line + pitch), S::sub(S::sub(l1, l2), l3));
            }
            column += S::LANES;
        }
    }
}
