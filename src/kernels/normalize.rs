//! Means and deviations of rows.

use super::real::Real;
use super::vector;

/// The mean (0 unless `centred`), and `1 / sqrt(mean of squared distances from it + epsilon)`.
pub fn moments<T: Real>(row: &[T], epsilon: f64, centred: bool) -> (T, T) {
    if let Some(row) = T::f32s(row) {
        let (mean, deviation) = vector::moments(row, epsilon, centred);
        return (T::of(mean.into()), T::of(deviation.into()));
    }
    let count = row.len() as f64;
    let sum = |f: &dyn Fn(T) -> T| row.iter().fold(0.0, |sum, &v| sum + f(v).wide()) / count;
    let mean = if centred { T::of(sum(&|v| v)) } else { T::zero() };
    let variance = sum(&|v| (v - mean) * (v - mean));
    (mean, T::of(1.0 / (variance + epsilon).sqrt()))
}

/// What is left of [`moments`] to do: `(x - mean) * deviation * scale + bias`, with one scale and
/// one bias for each of the row's elements.
pub fn scale_elements<T: Real>(row: &mut [T], (mean, deviation): (T, T), scale: Option<&[T]>, bias: Option<&[T]>) {
    if let Some(row) = T::f32s_mut(row) {
        let moments = (mean.wide() as f32, deviation.wide() as f32);
        return vector::scale_elements(row, moments, scale.and_then(T::f32s), bias.and_then(T::f32s));
    }
    row.iter_mut().for_each(|v| *v = (*v - mean) * deviation);
    if let Some(scale) = scale {
        row.iter_mut().zip(scale).for_each(|(v, &s)| *v = *v * s);
    }
    if let Some(bias) = bias {
        row.iter_mut().zip(bias).for_each(|(v, &b)| *v = *v + b);
    }
}
