//! Reductions over axes of row-major tensors, softmax and local response normalisation.

use num_traits::{Float, NumCast, PrimInt, WrappingAdd, WrappingMul, WrappingSub};

use super::real::Real;
use super::{threads, vector};

/// A reduction over axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    SumSquare,
    L1,
    L2,
    LogSum,
    LogSumExp,
}

/// Local response normalisation over channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lrn {
    pub size: usize,
    pub alpha: f32,
    pub beta: f32,
    pub bias: f32,
}

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
        self.fold_into(x, &mut results, &f, &|r, row| row.iter().fold(r, |r, &v| f(r, v)));
        results
    }

    /// As [`fold`](Self::fold), where partial results may be joined: rows are folded in several lanes.
    fn fold_joined<T: Copy, A: Copy>(
        &self,
        x: &[T],
        first: A,
        f: impl Fn(A, T) -> A,
        join: impl Fn(A, A) -> A,
    ) -> Vec<A> {
        let mut results = vec![first; self.kept];
        self.fold_into(x, &mut results, &f, &|r, row| {
            let (blocks, rest) = row.as_chunks::<8>();
            let mut lanes = [first; 8];
            for block in blocks {
                lanes.iter_mut().zip(block).for_each(|(lane, &v)| *lane = f(*lane, v));
            }
            lanes.into_iter().fold(rest.iter().fold(r, |r, &v| f(r, v)), &join)
        });
        results
    }

    /// Folds every element into one of `results` with `f`, and rows of them with `row`.
    fn fold_into<T: Copy, A: Copy>(
        &self,
        x: &[T],
        results: &mut [A],
        f: &impl Fn(A, T) -> A,
        row: &impl Fn(A, &[T]) -> A,
    ) {
        if !x.is_empty() {
            fold(&self.dims, x, results, f, row);
        }
    }
}

fn fold<T: Copy, A: Copy>(
    dims: &[(usize, bool)],
    x: &[T],
    results: &mut [A],
    f: &impl Fn(A, T) -> A,
    row: &impl Fn(A, &[T]) -> A,
) {
    match *dims {
        [] | [(_, false)] => results.iter_mut().zip(x).for_each(|(r, &v)| *r = f(*r, v)),
        [(_, true)] => results[0] = row(results[0], x),
        [(size, true), ref inner @ ..] => {
            x.chunks_exact(x.len() / size).for_each(|x| fold(inner, x, results, f, row));
        }
        [(size, false), ref inner @ ..] => {
            let each = results.len() / size;
            x.chunks_exact(x.len() / size)
                .zip(results.chunks_exact_mut(each))
                .for_each(|(x, r)| fold(inner, x, r, f, row));
        }
    }
}

/// Reduces `axes` of `x`, sums in float64. An empty reduction gives the operation's neutral
/// element.
pub fn float<T: Float>(op: ReduceOp, x: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let walk = Walk::new(shape, axes);
    let wide = |v: T| v.to_f64().expect("every float is a float64");
    let narrow = |v: f64| T::from(v).expect("every float64 has a nearest float");
    let sum = || walk.fold_joined(x, 0f64, |a, v| a + wide(v), |a, b| a + b);
    let squares = || walk.fold_joined(x, 0f64, |a, v| a + wide(v) * wide(v), |a, b| a + b);
    let each = |values: Vec<f64>, f: &dyn Fn(f64) -> f64| values.into_iter().map(|v| narrow(f(v))).collect();
    let larger = |a: T, v: T| if v > a || v.is_nan() { v } else { a };
    let smaller = |a: T, v: T| if v < a || v.is_nan() { v } else { a };
    let max = || walk.fold_joined(x, T::neg_infinity(), larger, larger);
    match op {
        ReduceOp::Sum => each(sum(), &|v| v),
        ReduceOp::Mean => each(sum(), &|v| v / walk.reduced as f64),
        ReduceOp::Max => max(),
        ReduceOp::Min => walk.fold_joined(x, T::infinity(), smaller, smaller),
        ReduceOp::Prod => walk.fold(x, T::one(), |a, v| a * v),
        ReduceOp::SumSquare => each(squares(), &|v| v),
        ReduceOp::L1 => each(walk.fold_joined(x, 0f64, |a, v| a + wide(v).abs(), |a, b| a + b), &|v| v),
        ReduceOp::L2 => each(squares(), &f64::sqrt),
        ReduceOp::LogSum => each(sum(), &f64::ln),
        ReduceOp::LogSumExp => {
            // The largest element is taken away first, so that nothing overflows.
            let shift = |m: T| if m.is_finite() { wide(m) } else { 0.0 };
            let mut sums: Vec<(f64, f64)> = max().into_iter().map(|m| (0.0, shift(m))).collect();
            let add = |(sum, shift): (f64, f64), v: T| (sum + (wide(v) - shift).exp(), shift);
            walk.fold_into(x, &mut sums, &add, &|r, row: &[T]| row.iter().fold(r, |r, &v| add(r, v)));
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
pub fn softmax<T: Real>(x: &mut [T], shape: &[usize], axis: usize, log: bool) {
    let size = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    if x.is_empty() {
        return;
    }
    let grains = x.len() / vector::GRAIN;
    threads::each_slice(x, size * inner, grains, |_, part| softmax_blocks(part, size, inner, log));
}

/// Softmax over the first dimension of every `[size, inner]`.
fn softmax_blocks<T: Real>(x: &mut [T], size: usize, inner: usize, log: bool) {
    for block in x.chunks_exact_mut(size * inner) {
        if let Some(block) = T::f32s_mut(block) {
            if inner == 1 {
                vector::softmax(block, log);
            } else {
                vector::softmax_columns(block, inner, log);
            }
            continue;
        }
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

/// Local response normalisation in place, over the channels of `[…, channels, inner]`.
pub fn lrn<T: Real>(x: &mut [T], channels: usize, inner: usize, lrn: &Lrn) {
    let c = |v: f32| T::of(v.into());
    let (alpha, beta, bias) = (c(lrn.alpha / lrn.size as f32), c(lrn.beta), c(lrn.bias));
    let (before, after) = ((lrn.size - 1) / 2, lrn.size / 2);
    let mut sums = vec![T::zero(); channels * inner];
    if x.is_empty() {
        return;
    }
    for image in x.chunks_exact_mut(channels * inner) {
        sums.fill(T::zero());
        let add = |(sum, &v): (&mut T, &T)| *sum = *sum + v * v;
        for k in (1..=before.min(channels - 1)).rev() {
            sums[k * inner..].iter_mut().zip(&*image).for_each(add);
        }
        for k in 0..=after.min(channels - 1) {
            sums.iter_mut().zip(&image[k * inner..]).for_each(add);
        }
        let terms = image.iter_mut().zip(&sums);
        if beta == c(0.75) {
            // Two roots are much quicker than a power.
            terms.for_each(|(v, &sum)| {
                let root = (bias + alpha * sum).sqrt();
                *v = *v / (root * root.sqrt());
            });
        } else {
            terms.for_each(|(v, &sum)| *v = *v / (bias + alpha * sum).powf(beta));
        }
    }
}

/// `x * factor + shift` in place, with one of each for each channel of `[…, channels, inner]`.
pub fn scale_channels<T: Real>(x: &mut [T], inner: usize, factor: &[T], shift: &[T]) {
    if x.is_empty() {
        return;
    }
    if inner == 1 {
        for position in x.chunks_exact_mut(factor.len()) {
            let terms = position.iter_mut().zip(std::iter::zip(factor, shift));
            terms.for_each(|(v, (&factor, &shift))| *v = *v * factor + shift);
        }
        return;
    }
    for (plane, (&factor, &shift)) in x.chunks_exact_mut(inner).zip(std::iter::zip(factor, shift).cycle()) {
        plane.iter_mut().for_each(|v| *v = *v * factor + shift);
    }
}
