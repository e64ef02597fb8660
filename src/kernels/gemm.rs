//! Matrix products of float32: `C += A · B`, blocked so that a block of `B` stays in cache and
//! a tile of `C` in registers.
//!
//! `A` is packed into panels of [`ROWS`] rows, `B` into panels of [`COLUMNS`] columns; the
//! innermost loop walks one panel of each and multiplies every pair. 4 × 8 is the largest tile
//! that WebAssembly's sixteen vector registers hold without spilling.

use super::arch::{F32x4, Lanes};

/// Rows of a tile.
pub const ROWS: usize = 4;
/// Columns of a tile.
pub const COLUMNS: usize = 8;
/// Terms of the sum that one pass over a block adds.
const DEPTH: usize = 256;
/// Columns of a block.
const WIDTH: usize = 32 * COLUMNS;

/// `A`, packed: for every panel of rows, for every term, one value per row (0 past the last).
pub struct PackedA {
    panels: Vec<[f32; ROWS]>,
    rows: usize,
    depth: usize,
}

impl PackedA {
    /// Packs `rows` × `depth` values; the value at (`row`, `k`) lies at
    /// `row * row_stride + k * depth_stride`.
    pub fn new(data: &[f32], rows: usize, depth: usize, row_stride: usize, depth_stride: usize) -> Self {
        let mut panels = vec![[0f32; ROWS]; rows.div_ceil(ROWS) * depth];
        if depth > 0 {
            for (p, panel) in panels.chunks_exact_mut(depth).enumerate() {
                for r in 0..ROWS.min(rows - p * ROWS) {
                    let start = (p * ROWS + r) * row_stride;
                    if depth_stride == 1 {
                        for (slot, &v) in panel.iter_mut().zip(&data[start..start + depth]) {
                            slot[r] = v;
                        }
                    } else {
                        for (k, slot) in panel.iter_mut().enumerate() {
                            slot[r] = data[start + k * depth_stride];
                        }
                    }
                }
            }
        }
        Self { panels, rows, depth }
    }
}

/// Where the values of `B` come from.
pub trait Columns {
    /// Writes the values of term `k` for the columns from `first` on into `row`.
    fn fill(&self, k: usize, first: usize, row: &mut [f32]);
}

/// A matrix in memory: the value at (`k`, `column`) lies at
/// `k * depth_stride + column * column_stride`.
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub depth_stride: usize,
    pub column_stride: usize,
}

impl Columns for Matrix<'_> {
    fn fill(&self, k: usize, first: usize, row: &mut [f32]) {
        let start = k * self.depth_stride + first * self.column_stride;
        if self.column_stride == 1 {
            row.copy_from_slice(&self.data[start..start + row.len()]);
        } else {
            for (i, v) in row.iter_mut().enumerate() {
                *v = self.data[start + i * self.column_stride];
            }
        }
    }
}

/// `c[row * columns + column] += sum over k of a(row, k) * b(k, column)`.
pub fn gemm(a: &PackedA, b: &impl Columns, columns: usize, c: &mut [f32]) {
    let mut panels = vec![[0f32; COLUMNS]; DEPTH.min(a.depth) * (WIDTH.min(columns).div_ceil(COLUMNS))];
    let mut row = vec![0f32; WIDTH.min(columns).next_multiple_of(COLUMNS)];
    for first in (0..columns).step_by(WIDTH) {
        let width = WIDTH.min(columns - first);
        for k0 in (0..a.depth).step_by(DEPTH) {
            let depth = DEPTH.min(a.depth - k0);
            for k in 0..depth {
                b.fill(k0 + k, first, &mut row[..width]);
                row[width..width.next_multiple_of(COLUMNS)].fill(0.0);
                let (chunks, _) = row.as_chunks::<COLUMNS>();
                for (p, chunk) in chunks.iter().take(width.div_ceil(COLUMNS)).enumerate() {
                    panels[p * depth + k] = *chunk;
                }
            }
            for (p, rows) in a.panels.chunks_exact(a.depth).enumerate() {
                let rows = &rows[k0..k0 + depth];
                for (q, block) in panels.chunks_exact(depth).take(width.div_ceil(COLUMNS)).enumerate() {
                    let tile = tile(rows, block);
                    let column = first + q * COLUMNS;
                    let wide = COLUMNS.min(columns - column);
                    for (r, sums) in tile.iter().enumerate().take(a.rows - (p * ROWS).min(a.rows)) {
                        let start = (p * ROWS + r) * columns + column;
                        for (to, from) in c[start..start + wide].iter_mut().zip(sums) {
                            *to += from;
                        }
                    }
                }
            }
        }
    }
}

/// The products of one panel of `A` and one of `B`, summed.
#[inline]
fn tile(a: &[[f32; ROWS]], b: &[[f32; COLUMNS]]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[Lanes::splat(0.0); 2]; ROWS];
    for (a, b) in a.iter().zip(b) {
        let (halves, _) = b.as_chunks::<4>();
        let (left, right) = (Lanes::load(&halves[0]), Lanes::load(&halves[1]));
        for (sum, &value) in sums.iter_mut().zip(a) {
            let value = Lanes::splat(value);
            sum[0] = value.mul_add(left, sum[0]);
            sum[1] = value.mul_add(right, sum[1]);
        }
    }
    let mut out = [[0f32; COLUMNS]; ROWS];
    for (out, sum) in out.iter_mut().zip(sums) {
        let (halves, _) = out.as_chunks_mut::<4>();
        sum[0].store(&mut halves[0]);
        sum[1].store(&mut halves[1]);
    }
    out
}

/// `c[column] += sum over k of a[k] * b(k, column)`: one row needs no packing.
pub fn row_times_matrix(a: &[f32], b: &Matrix<'_>, c: &mut [f32]) {
    let columns = c.len();
    if b.column_stride == 1 {
        for (k, &value) in a.iter().enumerate() {
            let start = k * b.depth_stride;
            for (to, &v) in c.iter_mut().zip(&b.data[start..start + columns]) {
                *to += value * v;
            }
        }
    } else if b.depth_stride == 1 {
        let depth = a.len();
        let column = |index: usize| &b.data[index * b.column_stride..][..depth];
        let mut fours = c.chunks_exact_mut(4);
        let mut next = 0;
        for four in &mut fours {
            let sums = dots(a, [column(next), column(next + 1), column(next + 2), column(next + 3)]);
            four.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
            next += 4;
        }
        for to in fours.into_remainder() {
            *to += dots(a, [column(next)])[0];
            next += 1;
        }
    } else {
        for (k, &value) in a.iter().enumerate() {
            for (column, to) in c.iter_mut().enumerate() {
                *to += value * b.data[k * b.depth_stride + column * b.column_stride];
            }
        }
    }
}

/// The sum of products of `a` with each of a few columns, which need not wait for one another.
#[inline]
fn dots<const N: usize>(a: &[f32], columns: [&[f32]; N]) -> [f32; N] {
    let (values, last) = a.as_chunks::<4>();
    let split = columns.map(|c| c.as_chunks::<4>());
    let mut sums = [Lanes::splat(0.0); N];
    for (i, v) in values.iter().enumerate() {
        let v = Lanes::load(v);
        for (sum, (chunks, _)) in sums.iter_mut().zip(&split) {
            *sum = v.mul_add(Lanes::load(&chunks[i]), *sum);
        }
    }
    let mut out = [0f32; N];
    for ((out, sum), (_, rest)) in out.iter_mut().zip(sums).zip(split) {
        let mut lanes = [0f32; 4];
        sum.store(&mut lanes);
        *out = lanes.iter().sum::<f32>() + last.iter().zip(rest).map(|(a, b)| a * b).sum::<f32>();
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn products_match_a_naive_loop_at_every_edge() {
        for (m, n, k) in [(1, 1, 1), (4, 8, 256), (5, 9, 257), (3, 300, 7), (17, 513, 300), (64, 64, 64), (2, 7, 600)] {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let naive =
                |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum::<f64>();
            let mut c = vec![1f32; m * n];
            gemm(&PackedA::new(&a, m, k, k, 1), &Matrix { data: &b, depth_stride: n, column_stride: 1 }, n, &mut c);
            for i in 0..m {
                for j in 0..n {
                    assert!((f64::from(c[i * n + j]) - 1.0 - naive(i, j)).abs() < 1e-4, "{m}x{n}x{k} at {i},{j}");
                }
            }
            let mut row = vec![0f32; n];
            row_times_matrix(&a[..k], &Matrix { data: &b, depth_stride: n, column_stride: 1 }, &mut row);
            for (j, v) in row.iter().enumerate() {
                assert!((f64::from(*v) - naive(0, j)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn transposed_operands_give_the_same_product() {
        let (m, n, k) = (6, 11, 13);
        let (a, b) = (values(m * k, 3), values(k * n, 4));
        let at: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
        let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
        let (mut straight, mut turned, mut row) = (vec![0f32; m * n], vec![0f32; m * n], vec![0f32; n]);
        gemm(&PackedA::new(&a, m, k, k, 1), &Matrix { data: &b, depth_stride: n, column_stride: 1 }, n, &mut straight);
        let turned_b = Matrix { data: &bt, depth_stride: 1, column_stride: k };
        gemm(&PackedA::new(&at, m, k, 1, m), &turned_b, n, &mut turned);
        assert_eq!(straight, turned);
        row_times_matrix(&a[..k], &turned_b, &mut row);
        for (x, y) in row.iter().zip(&straight) {
            assert!((x - y).abs() < 1e-5);
        }
    }
}
