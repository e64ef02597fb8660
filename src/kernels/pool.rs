//! Pooling over one to three spatial dimensions of row-major `[N, C, spatial…]`, or `[N, spatial…, C]`. What
//! networks pool, float32 and bytes with channels last, is a [`Kernel`]; the rest are plain loops.

// A loop over registers is plain.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use num_traits::Float;

use super::arch::{Kernel, Level, Simd, dispatch_at};
use super::threads;
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
    ($($name:ident $at:ident $T:ty),*) => {$(
        /// [`max`].
        pub fn $name(x: &[$T], of: Channels, spatial: &[usize], window: &Window, lowest: $T) -> Vec<$T> {
            $at(Level::best(), x, of, spatial, window, lowest)
        }

        #[inline(never)]
        fn $at(level: Level, x: &[$T], of: Channels, spatial: &[usize], window: &Window, lowest: $T) -> Vec<$T> {
            let Channels::Last { channels, .. } = of else { return max(x, of, spatial, window, lowest) };
            let w = &Window3::new(spatial, window);
            let mut out = vec![lowest; of.count() * w.output_len()];
            pool(level, x, channels, w, &mut out, Largest(lowest));
            out
        }
    )*};
}
max_of!(max_f32 max_f32_at f32, max_i8 max_i8_at i8, max_u8 max_u8_at u8);

/// The mean of float32, as [`average`].
pub fn average_f32(x: &[f32], of: Channels, spatial: &[usize], window: &Window, count_include_pad: bool) -> Vec<f32> {
    average_f32_at(Level::best(), x, of, spatial, window, count_include_pad)
}

#[inline(never)]
fn average_f32_at(
    level: Level,
    x: &[f32],
    of: Channels,
    spatial: &[usize],
    window: &Window,
    count_include_pad: bool,
) -> Vec<f32> {
    let Channels::Last { channels, .. } = of else { return average(x, of, spatial, window, count_include_pad) };
    let w = &Window3::new(spatial, window);
    let mut out = vec![f32::NAN; of.count() * w.output_len()];
    let counts = counts(w, count_include_pad);
    pool(level, x, channels, w, &mut out, Mean(&counts));
    out
}

/// What becomes of the elements under a window, in vectors of channels.
trait Fold<T>: Copy {
    type V<S: Simd>: Copy;

    /// What nothing is folded into.
    unsafe fn start<S: Simd>(self) -> Self::V<S>;
    unsafe fn fold<S: Simd>(self, v: Self::V<S>, from: *const T) -> Self::V<S>;
    /// Writes the result of output `place` of a plane.
    unsafe fn finish<S: Simd>(self, v: Self::V<S>, place: usize, to: *mut T);
}

/// The largest; NaN wins. What nothing is larger than is what it starts with.
#[derive(Clone, Copy)]
struct Largest<T>(T);

impl Fold<f32> for Largest<f32> {
    /// The largest number, and where there was NaN.
    type V<S: Simd> = (S::F, S::I);

    #[inline(always)]
    unsafe fn start<S: Simd>(self) -> (S::F, S::I) {
        // SAFETY: the caller's.
        unsafe { (S::splat(self.0), S::splat_i32(0)) }
    }
    #[inline(always)]
    unsafe fn fold<S: Simd>(self, (top, nan): (S::F, S::I), from: *const f32) -> (S::F, S::I) {
        // SAFETY: the caller's; whatever NaN makes of a maximum, the result there is NaN.
        unsafe {
            let v = S::load(from);
            (S::max_number(top, v), S::or(nan, S::is_nan(v)))
        }
    }
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, (top, nan): (S::F, S::I), _: usize, to: *mut f32) {
        // SAFETY: the caller's; a mask's bits are those of a NaN.
        unsafe { S::store(to, S::from_bits(S::or(S::bits(top), nan))) }
    }
}

macro_rules! largest_byte {
    ($($T:ident $max:ident),*) => {$(
        impl Fold<$T> for Largest<$T> {
            type V<S: Simd> = S::I;

            #[inline(always)]
            unsafe fn start<S: Simd>(self) -> S::I {
                // SAFETY: the caller's.
                unsafe { S::splat_i32(i32::from_ne_bytes([self.0 as u8; 4])) }
            }
            #[inline(always)]
            unsafe fn fold<S: Simd>(self, v: S::I, from: *const $T) -> S::I {
                // SAFETY: the caller's.
                unsafe { S::$max(v, S::load_i32(from.cast())) }
            }
            #[inline(always)]
            unsafe fn finish<S: Simd>(self, v: S::I, _: usize, to: *mut $T) {
                // SAFETY: the caller's.
                unsafe { S::store_i32(to.cast(), v) }
            }
        }
    )*};
}
largest_byte!(u8 max_u8, i8 max_i8);

/// The sum by the count of every output of a plane.
#[derive(Clone, Copy)]
struct Mean<'a>(&'a [f32]);

impl Fold<f32> for Mean<'_> {
    type V<S: Simd> = S::F;

    #[inline(always)]
    unsafe fn start<S: Simd>(self) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn fold<S: Simd>(self, v: S::F, from: *const f32) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::add(v, S::load(from)) }
    }
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, v: S::F, place: usize, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { S::store(to, S::div(v, S::splat(self.0[place]))) }
    }
}

/// Bytes under the windows of a part that is worth a thread.
const GRAIN: usize = 256 << 10;

/// Folds what is under every window, channels last.
fn pool<T: Copy + Default + Send + Sync, F: Fold<T> + Sync>(
    level: Level,
    x: &[T],
    channels: usize,
    w: &Window3,
    out: &mut [T],
    fold: F,
) {
    let (images, row) = (out.len() / (w.output_len() * channels).max(1), w.output[2] * channels);
    assert!(x.len() >= images * w.input_len() * channels, "{} elements of {images} images", x.len());
    let grains = size_of_val(out) * w.kernel.iter().product::<usize>() / GRAIN;
    threads::each_slice(out, row, grains, |from, out| {
        dispatch_at(level, Pool { x, channels, w, first: from / row.max(1), out, fold });
    });
}

/// The rows of outputs from `first` on.
struct Pool<'a, T, F> {
    x: &'a [T],
    channels: usize,
    w: &'a Window3,
    first: usize,
    out: &'a mut [T],
    fold: F,
}

impl<T: Copy + Default, F: Fold<T>> Kernel for Pool<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { x, channels, w, first, out, fold } = self;
        if out.is_empty() {
            return;
        }
        let from = w.input_len() * channels;
        let across: Vec<Range<usize>> = (0..w.output[2]).map(|o| w.taps(2, o)).collect();
        let (mut lines, mut offsets) = (Vec::new(), Vec::new());
        for (row, out) in (first..).zip(out.chunks_exact_mut(w.output[2] * channels)) {
            let rows = w.output[0] * w.output[1];
            let (image, o0, o1) = (row / rows, row / w.output[1] % w.output[0], row % w.output[1]);
            lines.clear();
            for i0 in w.taps(0, o0).map(|k| w.position(0, o0, k)) {
                lines.extend(w.taps(1, o1).map(|k| i0 * w.input[1] + w.position(1, o1, k)));
            }
            // Most neighbours have the same taps, moved.
            let mut last = None;
            for ((o2, taps), out) in across.iter().enumerate().zip(out.chunks_exact_mut(channels)) {
                if last != Some(taps) {
                    last = Some(taps);
                    offsets.clear();
                    for line in &lines {
                        let tap = |k| (line * w.input[2] + (k - taps.start) * w.dilations[2]) * channels;
                        offsets.extend(taps.clone().map(tap));
                    }
                }
                let first = if offsets.is_empty() { 0 } else { w.position(2, o2, taps.start) * channels };
                let place = row % rows * w.output[2] + o2;
                // SAFETY: a window's taps lie inside the image, of which there are as many as outputs have.
                unsafe { pixel::<S, T, F>(fold, x.as_ptr().add(image * from + first), &offsets, place, out) };
            }
        }
    }
}

/// The output of all channels at `place`, of the elements from each of `offsets` on.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
unsafe fn pixel<S: Simd, T: Copy + Default, F: Fold<T>>(
    fold: F,
    from: *const T,
    offsets: &[usize],
    place: usize,
    out: &mut [T],
) {
    // Elements of a vector.
    let width = S::LANES * 4 / size_of::<T>();
    let to = out.as_mut_ptr();
    // SAFETY: the caller's; vectors end where the channels do.
    unsafe {
        let mut channel = 0;
        while channel + 4 * width <= out.len() {
            vectors::<S, T, F, 4>(fold, from.add(channel), offsets, place, to.add(channel));
            channel += 4 * width;
        }
        while channel < out.len() && out.len() >= width {
            // The last vector may begin among channels that are done.
            let at = channel.min(out.len() - width);
            vectors::<S, T, F, 1>(fold, from.add(at), offsets, place, to.add(at));
            channel = at + width;
        }
        if channel < out.len() {
            // A vector of bytes is 64 at most.
            let mut lanes = [T::default(); 64];
            let mut sum = fold.start::<S>();
            for &offset in offsets {
                lanes.as_mut_ptr().copy_from_nonoverlapping(from.add(offset), out.len());
                sum = fold.fold::<S>(sum, lanes.as_ptr());
            }
            fold.finish::<S>(sum, place, lanes.as_mut_ptr());
            out.copy_from_slice(&lanes[..out.len()]);
        }
    }
}

/// `R` vectors of [`pixel`].
#[inline(always)]
unsafe fn vectors<S: Simd, T, F: Fold<T>, const R: usize>(
    fold: F,
    from: *const T,
    offsets: &[usize],
    place: usize,
    to: *mut T,
) {
    let width = S::LANES * 4 / size_of::<T>();
    // SAFETY: the caller's.
    unsafe {
        let mut folded = [fold.start::<S>(); R];
        for &offset in offsets {
            let from = from.add(offset);
            for r in 0..R {
                folded[r] = fold.fold::<S>(folded[r], from.add(r * width));
            }
        }
        for r in 0..R {
            fold.finish::<S>(folded[r], place, to.add(r * width));
        }
    }
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

/// By how many elements the sum under each window of a plane is divided.
fn counts<T: Float>(w: &Window3, count_include_pad: bool) -> Vec<T> {
    let count = |d: usize, o: usize| if count_include_pad { w.padded_taps(d, o) } else { w.taps(d, o).len() };
    let mut counts = Vec::with_capacity(w.output_len());
    for o0 in 0..w.output[0] {
        for o1 in 0..w.output[1] {
            let rows = count(0, o0) * count(1, o1);
            counts.extend((0..w.output[2]).map(|o2| T::from(rows * count(2, o2)).expect("a count is a float")));
        }
    }
    counts
}

/// The mean under each window; NaN where it covers nothing.
pub fn average<T: Float>(x: &[T], of: Channels, spatial: &[usize], window: &Window, count_include_pad: bool) -> Vec<T> {
    let w = Window3::new(spatial, window);
    let mut out = vec![T::zero(); of.count() * w.output_len()];
    if out.is_empty() {
        return out;
    }
    let counts = counts::<T>(&w, count_include_pad);
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

// A WebAssembly build runs them too: see `oracle`.
#[cfg(any(test, feature = "oracle"))]
pub mod tests {
    use super::*;
    use crate::random::Random;

    fn window(random: &mut Random, spatial: &[usize]) -> Window {
        let mut some = |from, to| spatial.iter().map(|_| random.within(from, to)).collect::<Vec<_>>();
        let (kernel, strides, dilations) = (some(1, 4), some(1, 3), some(1, 2));
        let (pads_begin, pads_end) = (some(0, 2), some(0, 2));
        let output = (0..spatial.len()).map(|d| {
            (spatial[d] + pads_begin[d] + pads_end[d]).saturating_sub((kernel[d] - 1) * dilations[d] + 1) / strides[d]
                + 1
        });
        Window { output: output.collect(), kernel, strides, dilations, pads_begin, pads_end }
    }

    /// The elements under each window, NaN first, by image, place and channel.
    fn under<T: Copy>(x: &[T], [images, channels]: [usize; 2], w: &Window3) -> Vec<Vec<T>> {
        let mut all = Vec::new();
        for image in 0..images {
            for place in 0..w.output_len() {
                for channel in 0..channels {
                    let mut elements = Vec::new();
                    w.positions(place, |at| elements.push(x[(image * w.input_len() + at) * channels + channel]));
                    all.push(elements);
                }
            }
        }
        all
    }

    #[cfg_attr(test, test)]
    pub fn channels_last_are_pooled_as_one_at_a_time() {
        let mut random = Random::new(3);
        let sizes = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 31, 33, 48, 63, 64, 65, 70, 130, 257, 300];
        for (i, &channels) in sizes.iter().chain(&sizes).enumerate() {
            let spatial: Vec<usize> = (0..1 + i % 3).map(|_| random.within(0, 7)).collect();
            let window = window(&mut random, &spatial);
            let (w, images) = (Window3::new(&spatial, &window), random.within(1, 2));
            let of = Channels::Last { images, channels };
            let count = images * channels * w.input_len();
            let bytes: Vec<u8> = (0..count).map(|_| random.bits() as u8).collect();
            let signed: Vec<i8> = bytes.iter().map(|&v| v as i8).collect();
            let mut floats = random.floats(count);
            // NaN of both signs, before and after larger and smaller numbers.
            for v in &mut floats {
                match random.within(0, 30) {
                    0 => *v = f32::NAN,
                    1 => *v = -f32::NAN,
                    2 => *v = f32::INFINITY,
                    3 => *v = f32::NEG_INFINITY,
                    _ => {}
                }
            }
            let under_floats = under(&floats, [images, channels], &w);
            let same = |got: &[f32], expected: Vec<f32>, what: &str| {
                let differs = |(a, b): (&f32, &f32)| a != b && !(a.is_nan() && b.is_nan());
                assert_eq!(got.len(), expected.len(), "{what}");
                assert_eq!(got.iter().zip(&expected).position(differs), None, "{what} {channels} {window:?}");
            };
            for level in Level::available() {
                let got = max_u8_at(level, &bytes, of, &spatial, &window, 0);
                let largest = |v: &Vec<u8>| v.iter().copied().max().unwrap_or(0);
                assert_eq!(got, under(&bytes, [images, channels], &w).iter().map(largest).collect::<Vec<_>>());
                let got = max_i8_at(level, &signed, of, &spatial, &window, -128);
                let largest = |v: &Vec<i8>| v.iter().copied().max().unwrap_or(-128);
                assert_eq!(got, under(&signed, [images, channels], &w).iter().map(largest).collect::<Vec<_>>());

                let got = max_f32_at(level, &floats, of, &spatial, &window, f32::NEG_INFINITY);
                let largest = |v: &Vec<f32>| match v.iter().any(|v| v.is_nan()) {
                    true => f32::NAN,
                    false => v.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                };
                same(&got, under_floats.iter().map(largest).collect(), &format!("{level:?} max"));
                for padded in [false, true] {
                    let counts = counts::<f32>(&w, padded);
                    let got = average_f32_at(level, &floats, of, &spatial, &window, padded);
                    let mean = |(i, v): (usize, &Vec<f32>)| {
                        v.iter().fold(0.0, |sum, v| sum + v) / counts[i / channels % counts.len()]
                    };
                    same(&got, under_floats.iter().enumerate().map(mean).collect(), &format!("{level:?} mean"));
                }
            }
        }
    }
}
