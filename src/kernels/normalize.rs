//! Means and deviations of rows.

use super::real::Real;

/// Terms that are summed in the element type before float64 takes their sum.
const BLOCK: usize = 512;

/// The sum of `f` of every element, to float precision however many there are.
pub fn sum<T: Real>(row: &[T], f: impl Fn(T) -> T) -> f64 {
    let mut total = 0.0;
    for block in row.chunks(BLOCK) {
        let (lanes, rest) = block.as_chunks::<8>();
        let mut sums = [T::zero(); 8];
        for lane in lanes {
            sums.iter_mut().zip(lane).for_each(|(sum, &v)| *sum = *sum + f(v));
        }
        let last = rest.iter().fold(T::zero(), |sum, &v| sum + f(v));
        total += sums.into_iter().fold(last, |sum, v| sum + v).wide();
    }
    total
}

/// The mean (0 unless `centred`), and `1 / sqrt(mean of squared distances from it + epsilon)`.
pub fn moments<T: Real>(row: &[T], epsilon: f64, centred: bool) -> (T, T) {
    let count = row.len() as f64;
    let mean = if centred { T::of(sum(row, |v| v) / count) } else { T::zero() };
    let variance = sum(row, |v| (v - mean) * (v - mean)) / count;
    (mean, T::of(1.0 / (variance + epsilon).sqrt()))
}

/// What is left of [`moments`] to do: `(x - mean) * deviation * scale + bias`, with one scale and
/// one bias for each of the row's elements.
pub fn scale_elements<T: Real>(row: &mut [T], (mean, deviation): (T, T), scale: Option<&[T]>, bias: Option<&[T]>) {
    row.iter_mut().for_each(|v| *v = (*v - mean) * deviation);
    if let Some(scale) = scale {
        row.iter_mut().zip(scale).for_each(|(v, &s)| *v = *v * s);
    }
    if let Some(bias) = bias {
        row.iter_mut().zip(bias).for_each(|(v, &b)| *v = *v + b);
    }
}
