//! Pooling over one to three spatial dimensions of row-major `[N, C, spatial…]`.

use num_traits::Float;

use crate::backend::Window;

/// The window as three spatial dimensions, leading ones of size 1 added.
struct Window3 {
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
    strides: [usize; 3],
    dilations: [usize; 3],
    begin: [usize; 3],
    end: [usize; 3],
}

fn three(values: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - values.len()..].copy_from_slice(values);
    out
}

impl Window3 {
    fn new(spatial: &[usize], window: &Window) -> Self {
        Self {
            input: three(spatial, 1),
            output: three(&window.output, 1),
            kernel: three(&window.kernel, 1),
            strides: three(&window.strides, 1),
            dilations: three(&window.dilations, 1),
            begin: three(&window.pads_begin, 0),
            end: three(&window.pads_end, 0),
        }
    }

    /// The input positions under output position `o` of dimension `d`.
    fn taps(&self, d: usize, o: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (start, begin, size, step) = (o * self.strides[d], self.begin[d], self.input[d], self.dilations[d]);
        (0..self.kernel[d])
            .map(move |k| start + k * step)
            .filter(move |&p| p >= begin && p - begin < size)
            .map(move |p| p - begin)
    }

    /// How many taps of dimension `d` lie inside the padded input.
    fn padded_taps(&self, d: usize, o: usize) -> usize {
        let limit = self.begin[d] + self.input[d] + self.end[d];
        (0..self.kernel[d]).filter(|k| o * self.strides[d] + k * self.dilations[d] < limit).count()
    }

    fn planes<T: Copy, U>(&self, x: &[T], mut f: impl FnMut(&[T], [usize; 3]) -> U) -> Vec<U> {
        let plane: usize = self.input.iter().product();
        let mut out = Vec::with_capacity(x.len() / plane.max(1) * self.output.iter().product::<usize>());
        for plane in x.chunks_exact(plane.max(1)) {
            for o0 in 0..self.output[0] {
                for o1 in 0..self.output[1] {
                    for o2 in 0..self.output[2] {
                        out.push(f(plane, [o0, o1, o2]));
                    }
                }
            }
        }
        out
    }
}

/// The largest element under each window and its position in the whole of `x`, row-major or
/// (`column_major`) with the spatial dimensions counted from the first. NaN wins.
pub fn max<T: PartialOrd + Copy>(
    x: &[T],
    spatial: &[usize],
    window: &Window,
    lowest: T,
    column_major: bool,
) -> (Vec<T>, Vec<i64>) {
    let w = Window3::new(spatial, window);
    let plane_len: usize = w.input.iter().product();
    let (per_plane, mut seen) = (w.output.iter().product::<usize>(), 0usize);
    let pairs = w.planes(x, |plane, [o0, o1, o2]| {
        let base = seen / per_plane * plane_len;
        seen += 1;
        let (mut best, mut at) = (lowest, None);
        for i0 in w.taps(0, o0) {
            for i1 in w.taps(1, o1) {
                for i2 in w.taps(2, o2) {
                    let v = plane[(i0 * w.input[1] + i1) * w.input[2] + i2];
                    let is_nan = v.partial_cmp(&v).is_none();
                    if at.is_none() || v > best || (is_nan && best.partial_cmp(&best).is_some()) {
                        best = v;
                        at = Some([i0, i1, i2]);
                    }
                }
            }
        }
        let [i0, i1, i2] = at.unwrap_or([0; 3]);
        let inside = if column_major {
            (i2 * w.input[1] + i1) * w.input[0] + i0
        } else {
            (i0 * w.input[1] + i1) * w.input[2] + i2
        };
        (best, (base + inside) as i64)
    });
    pairs.into_iter().unzip()
}

/// The mean under each window.
pub fn average<T: Float>(x: &[T], spatial: &[usize], window: &Window, count_include_pad: bool) -> Vec<T> {
    let w = Window3::new(spatial, window);
    w.planes(x, |plane, o| {
        let (mut sum, mut count) = (T::zero(), 0usize);
        for i0 in w.taps(0, o[0]) {
            for i1 in w.taps(1, o[1]) {
                for i2 in w.taps(2, o[2]) {
                    sum = sum + plane[(i0 * w.input[1] + i1) * w.input[2] + i2];
                    count += 1;
                }
            }
        }
        if count_include_pad {
            count = (0..3).map(|d| w.padded_taps(d, o[d])).product();
        }
        sum / T::from(count).expect("a count is a float")
    })
}
