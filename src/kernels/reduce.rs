//! Reductions over axes of row-major tensors, softmax and local response normalisation.

use num_traits::{Float, NumCast, PrimInt, WrappingAdd, WrappingMul};

use crate::backend::{Lrn, ReduceOp};

/// Moves the reduced axes last: gives for each output element the input positions it gathers,
/// as (start of outer, offsets of the reduced elements).
struct Walk {
    starts: Vec<usize>,
    offsets: Vec<usize>,
}

impl Walk {
    fn new(shape: &[usize], axes: &[usize]) -> Self {
        let strides = super::layout::row_major(shape);
        let positions = |keep: bool| {
            let mut list = vec![0usize];
            for (d, &size) in shape.iter().enumerate() {
                if axes.contains(&d) != keep {
                    list = list
                        .iter()
                        .flat_map(|&base| (0..size).map(move |i| (base, i)))
                        .map(|(base, i)| base + i * strides[d] as usize)
                        .collect();
                }
            }
            list
        };
        Self { starts: positions(true), offsets: positions(false) }
    }

    fn fold<T: Copy, A: Copy>(&self, x: &[T], first: A, f: impl Fn(A, T) -> A) -> Vec<A> {
        self.starts.iter().map(|&s| self.offsets.iter().fold(first, |acc, &o| f(acc, x[s + o]))).collect()
    }
}

/// Reduces `axes` of `x`. An empty reduction gives the operation's neutral element.
pub fn float<T: Float>(op: ReduceOp, x: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let walk = Walk::new(shape, axes);
    let (zero, one) = (T::zero(), T::one());
    let count = T::from(walk.offsets.len()).expect("a count is a float");
    let map = |values: Vec<T>, f: fn(T) -> T| values.into_iter().map(f).collect::<Vec<T>>();
    let max = |walk: &Walk| walk.fold(x, T::neg_infinity(), |a, v| if v > a || v.is_nan() { v } else { a });
    match op {
        ReduceOp::Sum => walk.fold(x, zero, |a, v| a + v),
        ReduceOp::Mean => walk.fold(x, zero, |a, v| a + v).into_iter().map(|v| v / count).collect(),
        ReduceOp::Max => max(&walk),
        ReduceOp::Min => walk.fold(x, T::infinity(), |a, v| if v < a || v.is_nan() { v } else { a }),
        ReduceOp::Prod => walk.fold(x, one, |a, v| a * v),
        ReduceOp::SumSquare => walk.fold(x, zero, |a, v| a + v * v),
        ReduceOp::L1 => walk.fold(x, zero, |a, v| a + v.abs()),
        ReduceOp::L2 => map(walk.fold(x, zero, |a, v| a + v * v), T::sqrt),
        ReduceOp::LogSum => map(walk.fold(x, zero, |a, v| a + v), T::ln),
        ReduceOp::LogSumExp => {
            let top = max(&walk);
            let shift = |m: T| if m.is_finite() { m } else { zero };
            walk.starts
                .iter()
                .zip(top)
                .map(|(&s, m)| walk.offsets.iter().fold(zero, |a, &o| a + (x[s + o] - shift(m)).exp()).ln() + shift(m))
                .collect()
        }
    }
}

/// Reduces integers; sums and products wrap, the mean is truncated.
pub fn int<T: PrimInt + WrappingAdd + WrappingMul>(op: ReduceOp, x: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let walk = Walk::new(shape, axes);
    let (zero, one) = (T::zero(), T::one());
    let abs = |v: T| if v < zero { zero - v } else { v };
    let through_f64 = |values: Vec<T>, f: fn(f64) -> f64| {
        values
            .into_iter()
            .map(|v| <T as NumCast>::from(f(v.to_f64().expect("an integer is a float"))).unwrap_or(zero))
            .collect::<Vec<T>>()
    };
    match op {
        ReduceOp::Sum => walk.fold(x, zero, |a, v| a.wrapping_add(&v)),
        ReduceOp::Mean => {
            let count = walk.offsets.len() as f64;
            let sums = walk.fold(x, 0f64, |a, v| a + v.to_f64().expect("an integer is a float"));
            sums.into_iter().map(|s| <T as NumCast>::from((s / count).trunc()).unwrap_or(zero)).collect()
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
