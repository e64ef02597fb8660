//! A window moving over one to three spatial dimensions, seen as three.

use std::ops::Range;

/// How a window moves over the spatial dimensions of `[N, C, spatial…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Size in each spatial dimension.
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Padding before each spatial dimension.
    pub pads_begin: Vec<usize>,
    /// Padding after each spatial dimension.
    pub pads_end: Vec<usize>,
    /// Sizes of the output's spatial dimensions.
    pub output: Vec<usize>,
}

/// The window as three spatial dimensions, leading ones of size 1 added.
pub struct Window3 {
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub strides: [usize; 3],
    pub dilations: [usize; 3],
    pub begin: [usize; 3],
    pub end: [usize; 3],
}

fn three(values: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - values.len()..].copy_from_slice(values);
    out
}

impl Window3 {
    /// `window` over an input of `spatial` sizes.
    pub fn new(spatial: &[usize], window: &Window) -> Self {
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

    /// Elements of one input plane.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of one output plane.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// The taps over output position `o` of dimension `d` that lie inside the input.
    pub fn taps(&self, d: usize, o: usize) -> Range<usize> {
        let (start, step) = (o * self.strides[d], self.dilations[d]);
        let to = (self.begin[d] + self.input[d]).saturating_sub(start).div_ceil(step).min(self.kernel[d]);
        let from = self.begin[d].saturating_sub(start).div_ceil(step).min(to);
        from..to
    }

    /// How many taps over output position `o` of dimension `d` lie inside the padded input.
    pub fn padded_taps(&self, d: usize, o: usize) -> usize {
        let limit = self.begin[d] + self.input[d] + self.end[d];
        limit.saturating_sub(o * self.strides[d]).div_ceil(self.dilations[d]).min(self.kernel[d])
    }

    /// The output positions of dimension `d` whose tap `k` lies inside the input.
    pub fn outputs(&self, d: usize, k: usize) -> Range<usize> {
        let (shift, stride) = (k * self.dilations[d], self.strides[d]);
        let to = (self.begin[d] + self.input[d]).saturating_sub(shift).div_ceil(stride).min(self.output[d]);
        let from = self.begin[d].saturating_sub(shift).div_ceil(stride).min(to);
        from..to
    }

    /// The input position under tap `k` of output position `o`; both must lie inside.
    pub fn position(&self, d: usize, o: usize, k: usize) -> usize {
        o * self.strides[d] + k * self.dilations[d] - self.begin[d]
    }

    /// Calls `f` with every input position under output position `o`, each counted in its plane.
    pub fn positions(&self, o: usize, mut f: impl FnMut(usize)) {
        let [_, height, width] = self.output;
        let (o0, o1, o2) = (o / (height * width), o / width % height, o % width);
        let across = self.taps(2, o2);
        for k0 in self.taps(0, o0) {
            for k1 in self.taps(1, o1) {
                let line = self.position(0, o0, k0) * self.input[1] + self.position(1, o1, k1);
                across.clone().for_each(|k2| f(line * self.input[2] + self.position(2, o2, k2)));
            }
        }
    }

    /// The taps of the last dimension that lie inside the input for some output. A kernel may be
    /// far larger than the input, in the padding for most of its taps.
    #[expect(clippy::single_range_in_vec_init, reason = "it is the range that is wanted, not its numbers")]
    fn used_taps(&self) -> Vec<Range<usize>> {
        if self.kernel[2] <= self.input[2].max(16) {
            return vec![0..self.kernel[2]];
        }
        let mut used: Vec<Range<usize>> = Vec::new();
        // Both ends of the taps grow from the last output to the first.
        for taps in (0..self.output[2]).rev().map(|o| self.taps(2, o)).filter(|taps| !taps.is_empty()) {
            match used.last_mut() {
                Some(last) if taps.start <= last.end => last.end = taps.end,
                _ => used.push(taps),
            }
        }
        used
    }

    /// Walks every tap of every output that lies inside the input, a row of outputs at a time:
    /// `f(outputs, inputs, step, tap)` with the row's outputs, the inputs under the tap, `step`
    /// apart, and the tap's place in the kernel.
    pub fn sweep<T, U>(&self, image: &[T], out: &mut [U], mut f: impl FnMut(&mut [U], &[T], usize, usize)) {
        let [_, height, width] = self.output;
        let used = self.used_taps();
        for o0 in 0..self.output[0] {
            for o1 in 0..height {
                let row = &mut out[(o0 * height + o1) * width..][..width];
                for k0 in self.taps(0, o0) {
                    for k1 in self.taps(1, o1) {
                        let line = self.position(0, o0, k0) * self.input[1] + self.position(1, o1, k1);
                        for k2 in used.iter().cloned().flatten() {
                            let inside = self.outputs(2, k2);
                            if inside.is_empty() {
                                continue;
                            }
                            let first = line * self.input[2] + self.position(2, inside.start, k2);
                            let tap = (k0 * self.kernel[1] + k1) * self.kernel[2] + k2;
                            f(&mut row[inside], &image[first..], self.strides[2], tap);
                        }
                    }
                }
            }
        }
    }
}

/// Folds each input, `step` apart, into the output over it.
#[inline(always)]
pub fn fold_row<T: Copy, U>(out: &mut [U], inputs: &[T], step: usize, f: impl Fn(&mut U, T)) {
    if step == 1 {
        out.iter_mut().zip(inputs).for_each(|(o, &v)| f(o, v));
    } else {
        out.iter_mut().zip(inputs.iter().step_by(step)).for_each(|(o, &v)| f(o, v));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn used_taps_are_those_of_the_outputs() {
        let mut random = Random::new(7);
        let window =
            |input: usize, output: usize, kernel: usize, stride: usize, dilation: usize, begin: usize| Window3 {
                input: [1, 1, input],
                output: [1, 1, output],
                kernel: [1, 1, kernel],
                strides: [1, 1, stride],
                dilations: [1, 1, dilation],
                begin: [0, 0, begin],
                end: [0, 0, 0],
            };
        for _ in 0..500 {
            let mut within = |from: usize, to: usize| random.within(from, to);
            let w = window(within(1, 5), within(1, 5), within(1, 40), within(1, 9), within(1, 3), within(0, 40));
            let used: Vec<usize> = w.used_taps().into_iter().flatten().collect();
            let all = 0..w.kernel[2];
            if w.kernel[2] > 16 {
                assert_eq!(used, all.filter(|&k| !w.outputs(2, k).is_empty()).collect::<Vec<_>>());
            } else {
                assert_eq!(used, all.collect::<Vec<_>>());
            }
        }
        // Millions of taps, of which the input lies under two.
        let used = window(2, 1, 1 << 24, 1, 1, 1 << 23).used_taps();
        assert_eq!((used.len(), used[0].clone()), (1, 1 << 23..(1 << 23) + 2));
    }
}
