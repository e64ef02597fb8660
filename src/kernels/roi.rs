//! Pooling over regions of an image.

use num_traits::Float;

/// What RoiAlign does with every region.
#[derive(Debug, Clone, Copy)]
pub struct Align {
    /// Rows and columns of bins.
    pub bins: [usize; 2],
    /// Samples along each side of a bin; 0 for as many as the bin has elements.
    pub samples: usize,
    pub spatial_scale: f32,
    /// Whether the centres of elements lie between the whole numbers.
    pub half_pixel: bool,
    pub max: bool,
}

/// The region along one axis: where it starts, the size of its bins, samples in each.
pub struct Side<T> {
    start: T,
    bin: T,
    pub samples: usize,
}

impl Align {
    /// The part from `from` to `to` of axis `d`.
    pub fn side<T: Float>(&self, d: usize, from: T, to: T) -> Side<T> {
        let number = |value: f64| T::from(value).expect("a number is a float");
        let scale = number(f64::from(self.spatial_scale));
        let shift = if self.half_pixel { number(0.5) } else { T::zero() };
        let (start, end) = (from * scale - shift, to * scale - shift);
        let size = if self.half_pixel { end - start } else { (end - start).max(T::one()) };
        let bin = size / number(self.bins[d] as f64);
        let samples = match self.samples {
            0 if bin > T::zero() => bin.ceil().to_usize().unwrap_or(usize::MAX),
            given => given,
        };
        Side { start, bin, samples }
    }

    /// One region's bins of `channels` planes of `size`, rows first.
    pub fn region<T: Float>(&self, planes: &[T], size: [usize; 2], sides: &[Side<T>; 2], out: &mut [T]) {
        let (count, bins) = (size[0] * size[1], self.bins[0] * self.bins[1]);
        let mut terms = Vec::new();
        let all = (sides[0].samples * sides[1].samples).max(1);
        let all = T::from(all).expect("a count is a float");
        let nothing = sides.iter().any(|side| side.samples == 0);
        out.fill(if self.max && !nothing { T::neg_infinity() } else { T::zero() });
        for bin in 0..bins {
            for y in 0..sides[0].samples {
                let y = sides[0].terms(bin / self.bins[1], y, size[0]);
                terms.clear();
                for x in 0..sides[1].samples {
                    let x = sides[1].terms(bin % self.bins[1], x, size[1]);
                    terms.push(match (y, x) {
                        (Some(y), Some(x)) => [(0, 0), (0, 1), (1, 0), (1, 1)]
                            .map(|(i, j): (usize, usize)| (y[i].0 * size[1] + x[j].0, y[i].1 * x[j].1)),
                        _ => [(0, T::zero()); 4],
                    });
                }
                for (plane, out) in planes.chunks_exact(count).zip(out.chunks_exact_mut(bins)) {
                    let parts = terms.iter().map(|terms| terms.map(|(at, weight)| weight * plane[at]));
                    out[bin] = if self.max {
                        parts.flatten().fold(out[bin], T::max)
                    } else {
                        parts.fold(out[bin], |sum, [a, b, c, d]| sum + (a + b + c + d))
                    };
                }
            }
        }
        if !self.max {
            out.iter_mut().for_each(|sum| *sum = *sum / all);
        }
    }
}

impl<T: Float> Side<T> {
    /// The two elements around a sample and their weights; none where it is outside.
    fn terms(&self, bin: usize, sample: usize, size: usize) -> Option<[(usize, T); 2]> {
        let number = |value: usize| T::from(value).expect("a number is a float");
        let half = T::one() / (T::one() + T::one());
        let within = (number(sample) + half) * self.bin / number(self.samples);
        let at = self.start + number(bin) * self.bin + within;
        if at < -T::one() || at > number(size) {
            return None;
        }
        let at = at.max(T::zero());
        let low = at.to_usize().unwrap_or(0);
        if low + 1 >= size {
            return Some([(size - 1, T::one()), (size - 1, T::zero())]);
        }
        let ratio = at - number(low);
        Some([(low, T::one() - ratio), (low + 1, ratio)])
    }
}
