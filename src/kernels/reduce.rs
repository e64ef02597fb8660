//! Reductions over axes of row-major tensors, softmax and local response normalisation.

use num_traits::{Float, NumCast, PrimInt, WrappingAdd, WrappingMul, WrappingSub};

use crate::backend::{Lrn, ReduceOp};

/// Which neighbouring dimensions are kept and which are reduced, from the outermost.
struct Walk {
    dims: Vec<(usize, bool)>,
    kept: usize,
    reduced: usize,
}

impl Walk {
    fn new(shape: &[usize], axes: &[usize]) -> Self {
        let mut dims: Vec<(usize, bool)> = Vec::with_capacity(shape.len());
        let (mut kept, mut reduced) = (1, 1);
        for (d, &size) in shape.iter().enumerate() {
            let is_reduced = axes.contains(&d);
            *(if is_reduced { &mut reduced } else { &mut kept }) *= size;
            match dims.last_mut() {
                Some((outer, kind)) if *kind == is_reduced => *outer *= size,
                _ => dims.push((size, is_reduced)),
            }
        }
        Self { dims, kept, reduced }
    }

    /// Folds every element into the result it belongs to, each starting at `first`.
    fn fold<T: Copy, A: Copy>(&self, x: &[T], first: A, f: impl Fn(A, T) -> A) -> Vec<A> {
        let mut results = vec![first; self.kept];
        self.fold_into(x, &mut results, f);
        results
    }

    fn fold_into<T: Copy, A: Copy>(&self, x: &[T], results: &mut [A], f: impl Fn(A, T) -> A) {
        if !x.is_empty() {
            fold(&self.dims, x, results, &f);
        }
    }
}

fn fold<T: Copy, A: Copy>(dims: &[(usize, bool)], x: &[T], results: &mut [A], f: &impl Fn(A, T) -> A) {
    match *dims {
        [] | [(_, false)] => results.iter_mut().zip(x).for_each(|(r, &v)| *r = f(*r, v)),
        [(_, true)] => results[0] = x.iter().fold(results[0], |r, &v| f(r, v)),
        [(size, true), ref inner @ ..] => {
            x.chunks_exact(x.len() / size).for_each(|x| fold(inner, x, results, f));
        }
        [(size, false), ref inner @ ..] => {
            let each = results.len() / size;
            x.chunks_exact(x.len() / size).zip(results.chunks_exact_mut(each)).for_each(|(x, r)| fold(inner, x, r, f));
        }
    }
}

/// Reduces `axes` of `x`, sums in float64. An empty reduction gives the operation's neutral
/// element.
pub fn float<T: Float>(op: ReduceOp, x: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let walk = Walk::new(shape, axes);
    let wide = |v: T| v.to_f64().expect("every float is a float64");
    let narrow = |v: f64| T::from(v).expect("every float64 has a nearest float");
    let sum = |f: fn(f64) -> f64| walk.fold(x, 0f64, move |a, v| a + f(wide(v)));
    let each = |values: Vec<f64>, f: &dyn Fn(f64) -> f64| values.into_iter().map(|v| narrow(f(v))).collect();
    let max = || walk.fold(x, T::neg_infinity(), |a, v| if v > a || v.is_nan() { v } else { a });
    match op {
        ReduceOp::Sum => each(sum(|v| v), &|v| v),
        ReduceOp::Mean => each(sum(|v| v), &|v| v / walk.reduced as f64),
        ReduceOp::Max => max(),
        ReduceOp::Min => walk.fold(x, T::infinity(), |a, v| if v < a || v.is_nan() { v } else { a }),
        ReduceOp::Prod => walk.fold(x, T::one(), |a, v| a * v),
        ReduceOp::SumSquare => each(sum(|v| v * v), &|v| v),
        ReduceOp::L1 => each(sum(f64::abs), &|v| v),
        ReduceOp::L2 => each(sum(|v| v * v), &f64::sqrt),
        ReduceOp::LogSum => each(sum(|v| v), &f64::ln),
        ReduceOp::LogSumExp => {
            // The largest element is taken away first, so that nothing overflows.
            let shift = |m: T| if m.is_finite() { wide(m) } else { 0.0 };
            let mut sums: Vec<(f64, f64)> = max().into_iter().map(|m| (0.0, shift(m))).collect();
            walk.fold_into(x, &mut sums, |(sum, shift), v| (sum + (wide(v) - shift).exp(), shift));
            sums.into_iter().map(|(sum, shift)| narrow(sum.ln() + shift)).collect()
        }
    }
}

/// Reduces integers; sums and products wrap, the mean is truncated.
pub fn int<T: PrimInt + WrappingAdd + WrappingSub + WrappingMul>(
    op: ReduceOp,
    x: &[T],
    shape: &[usize],
    axes: &[usize],
) -> Vec<T> {
    let walk = Walk::new(shape, axes);
    let (zero, one) = (T::zero(), T::one());
    let abs = |v: T| if v < zero { zero.wrapping_sub(&v) } else { v };
    let through_f64 = |values: Vec<T>, f: fn(f64) -> f64| {
        values
            .into_iter()
            .map(|v| <T as NumCast>::from(f(v.to_f64().expect("an integer is a float"))).unwrap_or(zero))
            .collect::<Vec<T>>()
    };
    match op {
        ReduceOp::Sum => walk.fold(x, zero, |a, v| a.wrapping_add(&v)),
        ReduceOp::Mean => {
            // Sums of 64-bit integers need more bits than one has.
            let sums = walk.fold(x, 0i128, |a, v| a.wrapping_add(v.to_i128().expect("an integer fits")));
            let count = walk.reduced.max(1) as i128;
            sums.into_iter().map(|s| <T as NumCast>::from(s / count).unwrap_or(zero)).collect()
        }
        ReduceOp::Max => walk.fold(x, T::min_value(), |a, v| a.max(v)),
        ReduceOp::Min => walk.fold(x, T::max_value(), |a, v| a.min(v)),
        ReduceOp::Prod => walk.fold(x, one, |a, v| a.wrapping_mul(&v)),
        ReduceOp::SumSquare => walk.fold(x, zero, |a, v| a.wrapping_add(&v.wrapping_mul(&v))),
        ReduceOp::L1 => walk.fold(x, zero, |a, v| a.wrapping_add(&abs(v))),
        ReduceOp::L2 => through_f64(walk.fold(x, zero, |a, v| a.wrapping_add(&v.wrapping_mul(&v))), f64::sqrt),
        ReduceOp::LogSum => through_f64(walk.fold(x, zero, |a, v| a.wrapping_add(&v)), f64::ln),
        ReduceOp::LogSumExp => {
            let sums = walk.fold(x, 0f64, |a, v| a + v.to_f64().expect("an integer is a float").exp());
            sums.into_iter().map(|s| <T as NumCast>::from(s.ln()).unwrap_or(zero)).collect()
        }
    }
}

/// Softmax, or its logarithm, along `axis`, in place. The largest element is taken away first,
/// so that nothing overflows.
pub fn softmax<T: Float>(x: &mut [T], shape: &[usize], axis: usize, log: bool) {
    let size = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    if x.is_empty() {
        return;
    }
    for block in x.chunks_exact_mut(size * inner) {
        for i in 0..inner {
            let mut top = T::neg_infinity();
            for k in 0..size {
                let v = block[k * inner + i];
                top = if v > top || v.is_nan() { v } else { top };
            }
            let mut sum = T::zero();
            for k in 0..size {
                let v = block[k * inner + i] - top;
                sum = sum + v.exp();
                block[k * inner + i] = if log { v } else { v.exp() };
            }
            let log_sum = sum.ln();
            for k in 0..size {
                let v = block[k * inner + i];
                block[k * inner + i] = if log { v - log_sum } else { v / sum };
            }
        }
    }
}

/// Local response normalisation over the channels of `[N, C, …]`.
pub fn lrn<T: Float>(x: &[T], shape: &[usize], lrn: &Lrn) -> Vec<T> {
    let channels = shape[1];
    let inner: usize = shape[2..].iter().product();
    let c = |v: f32| T::from(v).expect("every f32 is a float");
    let (alpha, beta, bias) = (c(lrn.alpha / lrn.size as f32), c(lrn.beta), c(lrn.bias));
    let (before, after) = ((lrn.size - 1) / 2, lrn.size / 2);
    let mut out = Vec::with_capacity(x.len());
    if x.is_empty() {
        return out;
    }
    for image in x.chunks_exact(channels * inner) {
        for channel in 0..channels {
            let (from, to) = (channel.saturating_sub(before), (channel + after).min(channels - 1));
            for i in 0..inner {
                let sum = (from..=to).fold(T::zero(), |a, k| a + image[k * inner + i] * image[k * inner + i]);
                out.push(image[channel * inner + i] / (bias + alpha * sum).powf(beta));
            }
        }
    }
    out
}
