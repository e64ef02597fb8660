//! Scaled dot product attention: `softmax(q · kᵀ * scale) · v`, head by head.

use super::real::{Real, add_product};

/// Scores that are held at once.
const SCORES: usize = 1 << 20;

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
