//! Weighted sums along one axis.

use num_traits::Float;

/// What every position of an axis is a sum of.
#[derive(Debug, Clone, PartialEq)]
pub struct Taps {
    /// Elements added for each position.
    pub count: usize,
    /// `count` places on the old axis for each position of the new one.
    pub places: Vec<usize>,
    /// As many weights.
    pub weights: Vec<f32>,
}

/// `[outer, size, inner]` to `[outer, places / count, inner]`.
pub fn resample<T: Float>(x: &[T], size: usize, inner: usize, taps: &Taps) -> Vec<T> {
    let weights: Vec<T> = taps.weights.iter().map(|&w| T::from(w).expect("a float32 is a float")).collect();
    let out = taps.places.len() / taps.count;
    let mut y = vec![T::zero(); x.len() / (size * inner) * out * inner];
    for (from, to) in x.chunks_exact(size * inner).zip(y.chunks_exact_mut(out * inner)) {
        let terms = taps.places.chunks_exact(taps.count).zip(weights.chunks_exact(taps.count));
        if inner == 1 {
            for (sum, (places, weights)) in to.iter_mut().zip(terms) {
                *sum = std::iter::zip(places, weights).fold(*sum, |sum, (&place, &weight)| sum + weight * from[place]);
            }
            continue;
        }
        for (row, (places, weights)) in to.chunks_exact_mut(inner).zip(terms) {
            for (&place, &weight) in places.iter().zip(weights) {
                let line = &from[place * inner..][..inner];
                row.iter_mut().zip(line).for_each(|(sum, &v)| *sum = *sum + weight * v);
            }
        }
    }
    y
}
