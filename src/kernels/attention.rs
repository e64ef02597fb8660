//! Scaled dot product attention: `softmax(q · kᵀ * scale) · v`, head by head.

use std::ops::Range;

use super::arch::Level;
use super::gemm::{Epilogue, GRAIN, GemmF32, Matrix, ToFloats};
use super::product::portion;
use super::real::{Real, add_product};
use super::{threads, vector};

/// Scores that are held at once.
const SCORES: usize = 1 << 20;
/// Scores that are held at once where there are heads for every thread: they stay in the second cache.
const NEAR: usize = 16 << 10;
/// Queries that a block has a multiple of, so that it begins where a tile of a product does, of any instruction set:
/// results are the same however they are cut.
const TILES: usize = 12;

/// Which scores are wanted besides the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Scaled products.
    Products,
    /// After the softcap.
    Capped,
    /// After masks and biases.
    Masked,
    /// After the softmax.
    Weights,
}

/// Given batch, head and query, changes the scores of all keys.
pub type Mask<'a, T> = &'a dyn Fn(usize, usize, usize, &mut [T]);

/// Sizes, and what is done to scores.
pub struct Attention<'a, T> {
    pub batch: usize,
    pub heads: usize,
    /// Heads of keys and values; a divisor of `heads`, each serving as many in a row.
    pub kv_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub head: usize,
    pub value_head: usize,
    pub scale: T,
    /// 0 is none.
    pub softcap: T,
    /// Masks and biases.
    pub mask: Mask<'a, T>,
    /// Terms that the softmax adds below the line, `exp` of one for each head.
    pub sinks: Option<&'a [T]>,
}

impl<T: Real> Attention<'_, T> {
    /// `q` `[batch, heads, queries, head]`, `k` `[batch, kv_heads, keys, head]`, `v` the same with
    /// `value_head`; adds to `y` `[batch, heads, queries, value_head]`, and writes the scores of a
    /// stage, `[batch, heads, queries, keys]`. No size is 0 but those of batch, queries and keys.
    pub fn run(&self, q: &[T], k: &[T], v: &[T], y: &mut [T], mut wanted: Option<(Stage, &mut [T])>) {
        let (queries, keys) = (self.queries, self.keys);
        if q.is_empty() || k.is_empty() {
            return;
        }
        let rows = (SCORES / keys).clamp(1, queries);
        let mut scores = vec![T::zero(); rows * keys];
        for at in 0..self.batch * self.heads {
            let (b, h) = (at / self.heads, at % self.heads);
            let shared = b * self.kv_heads + h / (self.heads / self.kv_heads);
            let k = &k[shared * keys * self.head..][..keys * self.head];
            let v = &v[shared * keys * self.value_head..][..keys * self.value_head];
            for first in (0..queries).step_by(rows) {
                let count = rows.min(queries - first);
                let row = at * queries + first;
                let scores = &mut scores[..count * keys];
                let mut keep = |stage: Stage, scores: &[T]| {
                    if let Some((wanted, out)) = &mut wanted
                        && *wanted == stage
                    {
                        out[row * keys..][..count * keys].copy_from_slice(scores);
                    }
                };
                scores.fill(T::zero());
                add_product(&q[row * self.head..][..count * self.head], k, [count, self.head, keys], true, scores);
                scores.iter_mut().for_each(|s| *s = *s * self.scale);
                keep(Stage::Products, scores);
                if self.softcap > T::zero() {
                    scores.iter_mut().for_each(|s| *s = (*s / self.softcap).tanh() * self.softcap);
                }
                keep(Stage::Capped, scores);
                for (i, scores) in scores.chunks_exact_mut(keys).enumerate() {
                    (self.mask)(b, h, first + i, scores);
                }
                keep(Stage::Masked, scores);
                let sink = self.sinks.map(|sinks| sinks[h]);
                scores.chunks_exact_mut(keys).for_each(|row| softmax(row, sink));
                keep(Stage::Weights, scores);
                let y = &mut y[row * self.value_head..][..count * self.value_head];
                add_product(scores, v, [count, keys, self.value_head], false, y);
            }
        }
    }
}

/// A matrix for every batch and head: the first element in `data`, and how far the next batch, head, row and column
/// are.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    pub data: &'a [f32],
    pub strides: [usize; 4],
}

impl<'a> Heads<'a> {
    /// The elements from the first of a matrix on.
    fn from(&self, batch: usize, head: usize) -> &'a [f32] {
        &self.data[batch * self.strides[0] + head * self.strides[1]..]
    }

    fn matrix(&self, batch: usize, head: usize) -> Matrix<'a> {
        Matrix { data: self.from(batch, head), depth_stride: self.strides[2], column_stride: self.strides[3] }
    }
}

/// `softmax(q · k * scale + mask) · v` of float32, read where it lies.
pub struct StridedAttention<'a> {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub head: usize,
    pub value_head: usize,
    pub scale: f32,
    /// `[queries, head]`; columns are neighbours.
    pub q: Heads<'a>,
    /// `[head, keys]`.
    pub k: Heads<'a>,
    /// `[keys, value_head]`.
    pub v: Heads<'a>,
    /// `[queries, keys]`; columns are neighbours, and so are rows, or all are one.
    pub mask: Option<Heads<'a>>,
}

impl StridedAttention<'_> {
    /// Writes `y` `[batch, queries, heads, value_head]`. No size is 0; few queries are not worth what is packed.
    pub fn run(&self, y: &mut [f32]) {
        let (count, row) = (self.batch * self.heads, self.heads * self.value_head);
        let to = ToFloats::new(&Epilogue::NONE, y, self.batch * self.queries, row, 0, row);
        let depths = self.head + self.value_head;
        let parts = threads::parts(count * self.queries * self.keys * depths / GRAIN).clamp(1, count);
        // Few heads are computed one after the other, each by all threads.
        let (parts, most) = if count < threads::count() { (1, SCORES) } else { (parts, NEAR) };
        let rows = (most / self.keys / TILES * TILES).max(TILES).min(self.queries);
        threads::each(parts, |part| self.some(portion(count, 1, (part, parts)), rows, to));
    }

    /// Computes some heads, counted over all batches, of `rows` queries at a time.
    fn some(&self, heads: Range<usize>, rows: usize, to: ToFloats) {
        let (queries, keys, width) = (self.queries, self.keys, self.value_head);
        let mut scores = vec![0.0; rows * keys];
        let level = Level::best();
        let (mut k, mut v) = (GemmF32::zeroed(level, self.head, keys), GemmF32::zeroed(level, keys, width));
        for at in heads {
            let (b, h) = (at / self.heads, at % self.heads);
            k.set(&self.k.matrix(b, h), self.scale);
            v.set(&self.v.matrix(b, h), 1.0);
            for first in (0..queries).step_by(rows) {
                let count = rows.min(queries - first);
                let scores = &mut scores[..count * keys];
                let mut e = Epilogue::NONE;
                if let Some(mask) = self.mask {
                    let rows = Some(&mask.from(b, h)[first * mask.strides[2]..]);
                    if mask.strides[2] == 0 { e.bias = rows } else { e.residual = rows }
                }
                let stride = self.q.strides[2];
                k.run(&self.q.from(b, h)[first * stride..], stride, count, &e, scores, keys);
                threads::each_slice(scores, keys, count * keys / vector::GRAIN, |_, part| {
                    part.chunks_exact_mut(keys).for_each(|row| vector::softmax(row, false));
                });
                v.multiply(scores, keys, count, to.from(((b * queries + first) * self.heads + h) * width));
            }
        }
    }
}

/// Softmax of a row, and of one more element that is left out of the result. Where everything is
/// masked by −∞, nothing is attended to.
fn softmax<T: Real>(row: &mut [T], sink: Option<T>) {
    if let Some(row) = T::f32s_mut(row) {
        return super::vector::softmax_masked(row, sink.map(|s| s.wide() as f32));
    }
    let lowest = T::neg_infinity();
    let largest = row.iter().fold(sink.unwrap_or(lowest), |m, &v| if v > m || v.is_nan() { v } else { m });
    if largest == lowest {
        return row.fill(T::zero());
    }
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum = row.iter().fold(sink.map_or(T::zero(), |s| (s - largest).exp()), |sum, &v| sum + v);
    row.iter_mut().for_each(|v| *v = *v / sum);
}

/// `[batch, a, b, n]` from `[batch, b, a, n]`: heads before places, or back.
pub fn swapped<T: Copy>(x: &[T], [batch, b, a, n]: [usize; 4]) -> Vec<T> {
    let mut out = Vec::with_capacity(x.len());
    if x.is_empty() {
        return out;
    }
    for first in 0..batch {
        for i in 0..a {
            for j in 0..b {
                let at = ((first * b + j) * a + i) * n;
                out.extend_from_slice(&x[at..at + n]);
            }
        }
    }
    out
}

/// `[outer, past + new, n]` from two tensors with other sizes in the middle.
pub fn appended<T: Copy>(past: &[T], new: &[T], outer: usize, past_size: usize, new_size: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(past.len() + new.len());
    if past.is_empty() && new.is_empty() {
        return out;
    }
    for i in 0..outer {
        out.extend_from_slice(&past[i * past_size..(i + 1) * past_size]);
        out.extend_from_slice(&new[i * new_size..(i + 1) * new_size]);
    }
    out
}

/// Turns pairs of `x` by angles of which `cos` and `sin` are given, one for each: neighbours where
/// `interleaved`, else those half of the row apart.
pub fn rotate<T: Real>(x: &mut [T], cos: &[T], sin: &[T], interleaved: bool) {
    let half = x.len() / 2;
    for (i, (&cos, &sin)) in cos.iter().zip(sin).enumerate().take(half) {
        let (a, b) = if interleaved { (2 * i, 2 * i + 1) } else { (i, half + i) };
        (x[a], x[b]) = (x[a] * cos - x[b] * sin, x[b] * cos + x[a] * sin);
    }
}

/// `x * cos + turned * sin`, where `turned` is what is left of the row from `first` on, negated, and then the elements
/// before that. All rows are as long.
pub fn rotate_halves(x: &[f32], cos: &[f32], sin: &[f32], first: usize, to: &mut [f32]) {
    let (before, after) = x.split_at(first);
    let at = after.len();
    let (to_left, to_right) = to.split_at_mut(at);
    let terms = to_left.iter_mut().zip(after).zip(x.iter().zip(cos)).zip(sin);
    terms.for_each(|(((to, t), (x, cos)), sin)| *to = x * cos - t * sin);
    let terms = to_right.iter_mut().zip(before).zip(x[at..].iter().zip(&cos[at..])).zip(&sin[at..]);
    terms.for_each(|(((to, t), (x, cos)), sin)| *to = x * cos + t * sin);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn strided_heads_have_the_same_bits_on_any_number_of_threads() {
        threads::start(4);
        let mut random = Random::new(9);
        // Heads for every thread, and too few; rows that no tile ends at.
        for [batch, heads, queries, keys] in [[2, 6, 97, 130], [1, 2, 205, 6000], [1, 1, 3, 40]] {
            let (head, width) = (24, 16);
            let mut of = |count: usize| -> Vec<f32> { (0..count).map(|_| random.float()).collect() };
            let (q, k, v) =
                (of(batch * queries * heads * head), of(batch * keys * heads * head), of(batch * keys * heads * width));
            let mask = of(queries * keys);
            let last = |data, places: usize, size: usize| Heads {
                data,
                strides: [places * heads * size, size, heads * size, 1],
            };
            let columns = Heads { data: &k, strides: [keys * heads * head, head, 1, heads * head] };
            let attention = StridedAttention {
                batch,
                heads,
                queries,
                keys,
                head,
                value_head: width,
                scale: 0.25,
                q: last(&q, queries, head),
                k: columns,
                v: last(&v, keys, width),
                mask: Some(Heads { data: &mask, strides: [0, 0, keys, 1] }),
            };
            let run = |count| {
                let mut y = vec![f32::NAN; batch * queries * heads * width];
                threads::with(count, || attention.run(&mut y));
                y
            };
            let one = run(1);
            (2..=4).for_each(|count| assert!(run(count) == one, "{heads} heads, {count} threads"));

            let add = |_: usize, _: usize, s: usize, scores: &mut [f32]| {
                scores.iter_mut().zip(&mask[s * keys..]).for_each(|(score, m)| *score += m);
            };
            let plain = Attention {
                batch,
                heads,
                kv_heads: heads,
                queries,
                keys,
                head,
                value_head: width,
                scale: 0.25,
                softcap: 0.0,
                mask: &add,
                sinks: None,
            };
            let mut y = vec![0.0; one.len()];
            let [q, k] = [(&q, queries), (&k, keys)].map(|(x, places)| swapped(x, [batch, places, heads, head]));
            plain.run(&q, &k, &swapped(&v, [batch, keys, heads, width]), &mut y, None);
            let y = swapped(&y, [batch, heads, queries, width]);
            assert!(one.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-6), "{heads} heads");
        }
    }
}
