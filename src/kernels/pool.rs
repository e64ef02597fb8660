//! Pooling over one to three spatial dimensions of row-major `[N, C, spatial…]`.

use num_traits::Float;

use super::window::{Window3, fold_row};
use crate::backend::Window;

/// `v` where it is larger than `best` or NaN; NaN stays.
#[inline(always)]
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn larger<T: PartialOrd + Copy>(best: T, v: T) -> T {
    if v > best || v != v { v } else { best }
}

/// The largest element under each window, `lowest` where it covers nothing. NaN wins.
pub fn max<T: PartialOrd + Copy>(x: &[T], planes: usize, spatial: &[usize], window: &Window, lowest: T) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let (from, to) = (w.input_len(), w.output_len());
    let mut out = vec![lowest; planes * to];
    if from > 0 && to > 0 {
        for (image, out) in x.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
            w.sweep(image, out, |out, inputs, step, _| fold_row(out, inputs, step, |best, v| *best = larger(*best, v)));
        }
    }
    out
}

/// [`max`], and the position of each largest element in the whole of `x`, row-major or
/// (`column_major`) with the spatial dimensions counted from the first.
pub fn max_with_positions<T: PartialOrd + Copy>(
    x: &[T],
    planes: usize,
    spatial: &[usize],
    window: &Window,
    lowest: T,
    column_major: bool,
) -> (Vec<T>, Vec<i64>) {
    let w = Window3::new(spatial, window);
    let mut values = Vec::with_capacity(planes * w.output_len());
    let mut positions = Vec::with_capacity(planes * w.output_len());
    let [d0, d1, d2] = w.input;
    for plane in 0..planes {
        let base = plane * w.input_len();
        for o in 0..w.output_len() {
            let (o0, o1, o2) = (o / (w.output[1] * w.output[2]), o / w.output[2] % w.output[1], o % w.output[2]);
            let (mut best, mut at) = (lowest, None);
            for i0 in w.taps(0, o0).map(|k| w.position(0, o0, k)) {
                for i1 in w.taps(1, o1).map(|k| w.position(1, o1, k)) {
                    for i2 in w.taps(2, o2).map(|k| w.position(2, o2, k)) {
                        let v = x[base + (i0 * d1 + i1) * d2 + i2];
                        if at.is_none() || v > best || is_first_nan(best, v) {
                            (best, at) = (v, Some([i0, i1, i2]));
                        }
                    }
                }
            }
            let [i0, i1, i2] = at.unwrap_or([0; 3]);
            let inside = if column_major { (i2 * d1 + i1) * d0 + i0 } else { (i0 * d1 + i1) * d2 + i2 };
            values.push(best);
            positions.push((base + inside) as i64);
        }
    }
    (values, positions)
}

#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn is_first_nan<T: PartialOrd + Copy>(best: T, v: T) -> bool {
    v != v && best == best
}

/// The mean under each window; NaN where it covers nothing.
pub fn average<T: Float>(
    x: &[T],
    planes: usize,
    spatial: &[usize],
    window: &Window,
    count_include_pad: bool,
) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let (from, to) = (w.input_len(), w.output_len());
    let mut out = vec![T::zero(); planes * to];
    if to == 0 {
        return out;
    }
    let count = |d: usize, o: usize| if count_include_pad { w.padded_taps(d, o) } else { w.taps(d, o).len() };
    let mut counts = Vec::with_capacity(to);
    for o0 in 0..w.output[0] {
        for o1 in 0..w.output[1] {
            let rows = count(0, o0) * count(1, o1);
            counts.extend((0..w.output[2]).map(|o2| T::from(rows * count(2, o2)).expect("a count is a float")));
        }
    }
    if from > 0 {
        for (image, out) in x.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
            w.sweep(image, out, |out, inputs, step, _| fold_row(out, inputs, step, |sum, v| *sum = *sum + v));
        }
    }
    for plane in out.chunks_exact_mut(to) {
        plane.iter_mut().zip(&counts).for_each(|(v, &count)| *v = *v / count);
    }
    out
}
