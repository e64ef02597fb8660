//! Pooling over one to three spatial dimensions of row-major `[N, C, spatial…]`, or `[N, spatial…, C]`.

// A loop over registers is plain.
#![allow(clippy::needless_range_loop)]

use num_traits::Float;

use super::window::{Window, Window3, fold_row};

/// `v` where it is larger than `best` or NaN; NaN stays.
#[inline(always)]
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn larger<T: PartialOrd + Copy>(best: T, v: T) -> T {
    if v > best || v != v { v } else { best }
}

/// Channels that are pooled together.
const TOGETHER: usize = 16;

/// Where the channels of a tensor are, and how large what holds them is.
#[derive(Debug, Clone, Copy)]
pub enum Channels {
    /// So many planes, each of one image and channel.
    First { planes: usize },
    /// So many images, with so many channels at each position.
    Last { images: usize, channels: usize },
}

impl Channels {
    /// How many times the spatial sizes there are.
    fn count(self) -> usize {
        match self {
            Self::First { planes } => planes,
            Self::Last { images, channels } => images * channels,
        }
    }

    /// Folds every element under a window into the window's output, of which `out` holds the first values.
    fn fold<T: Copy>(self, w: &Window3, x: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
        let (from, to) = (w.input_len(), w.output_len());
        if x.is_empty() || out.is_empty() {
            return;
        }
        match self {
            Self::First { .. } => {
                for (image, out) in x.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
                    w.sweep(image, out, |out, inputs, step, _| fold_row(out, inputs, step, |o, v| *o = f(*o, v)));
                }
            }
            Self::Last { channels, .. } => {
                let mut taps = Vec::new();
                for (image, out) in x.chunks_exact(from * channels).zip(out.chunks_exact_mut(to * channels)) {
                    for (o, out) in out.chunks_exact_mut(channels).enumerate() {
                        taps.clear();
                        w.positions(o, |at| taps.push(at * channels));
                        // Some channels at a time, which stay in registers while the taps pass.
                        let (chunks, rest) = out.as_chunks_mut::<TOGETHER>();
                        for (c, out) in chunks.iter_mut().enumerate() {
                            let mut folded = *out;
                            for &at in &taps {
                                let inputs = &image[at + c * TOGETHER..][..TOGETHER];
                                for i in 0..TOGETHER {
                                    folded[i] = f(folded[i], inputs[i]);
                                }
                            }
                            *out = folded;
                        }
                        let whole = channels - rest.len();
                        for &at in &taps {
                            let inputs = &image[at + whole..][..rest.len()];
                            rest.iter_mut().zip(inputs).for_each(|(o, &v)| *o = f(*o, v));
                        }
                    }
                }
            }
        }
    }
}

/// The largest element under each window, `lowest` where it covers nothing. NaN wins.
pub fn max<T: PartialOrd + Copy>(x: &[T], of: Channels, spatial: &[usize], window: &Window, lowest: T) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let mut out = vec![lowest; of.count() * w.output_len()];
    of.fold(&w, x, &mut out, larger);
    out
}

// Of the types that networks pool here, so that they are compiled with the kernels.
macro_rules! max_of {
    ($($name:ident $T:ty),*) => {$(
        /// [`max`].
        #[inline(never)]
        pub fn $name(x: &[$T], of: Channels, spatial: &[usize], window: &Window, lowest: $T) -> Vec<$T> {
            max(x, of, spatial, window, lowest)
        }
    )*};
}
max_of!(max_f32 f32, max_i8 i8, max_u8 u8);

/// The mean of float32, as [`average`].
#[inline(never)]
pub fn average_f32(x: &[f32], of: Channels, spatial: &[usize], window: &Window, count_include_pad: bool) -> Vec<f32> {
    average(x, of, spatial, window, count_include_pad)
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
pub fn average<T: Float>(x: &[T], of: Channels, spatial: &[usize], window: &Window, count_include_pad: bool) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let mut out = vec![T::zero(); of.count() * w.output_len()];
    if out.is_empty() {
        return out;
    }
    let count = |d: usize, o: usize| if count_include_pad { w.padded_taps(d, o) } else { w.taps(d, o).len() };
    let mut counts = Vec::with_capacity(w.output_len());
    for o0 in 0..w.output[0] {
        for o1 in 0..w.output[1] {
            let rows = count(0, o0) * count(1, o1);
            counts.extend((0..w.output[2]).map(|o2| T::from(rows * count(2, o2)).expect("a count is a float")));
        }
    }
    of.fold(&w, x, &mut out, |sum, v| sum + v);
    match of {
        Channels::First { .. } => {
            for plane in out.chunks_exact_mut(counts.len()) {
                plane.iter_mut().zip(&counts).for_each(|(v, &count)| *v = *v / count);
            }
        }
        Channels::Last { channels, .. } => {
            for (position, &count) in out.chunks_exact_mut(channels).zip(counts.iter().cycle()) {
                position.iter_mut().for_each(|v| *v = *v / count);
            }
        }
    }
    out
}
