//! Reading an image between its elements.

use num_traits::Float;

/// How elements are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Nearest,
    Linear,
    Cubic,
}

/// What lies outside of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    Zeros,
    /// The element at the border.
    Border,
    /// The image again, mirrored.
    Reflection,
}

/// How a grid from -1 to 1 is laid over an image, and read.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub reading: Reading,
    pub padding: Padding,
    /// Whether -1 and 1 are the centres of the outermost elements, not their outer edges.
    pub align_corners: bool,
}

/// The elements that a place on one axis is a sum of; none is an element outside that counts 0.
type Terms<T> = ([(Option<usize>, T); 4], usize);

fn number<T: Float>(value: f64) -> T {
    T::from(value).expect("a number is a float")
}

/// Two neighbours of a place on an axis of `size` elements, each 0 outside.
pub fn linear<T: Float>(place: T, size: usize) -> [(Option<usize>, T); 2] {
    let low = place.floor();
    let inside = |at: T| at.to_usize().filter(|&i| i < size && at >= T::zero());
    [(inside(low), low + T::one() - place), (inside(low + T::one()), place - low)]
}

impl Grid {
    fn ends<T: Float>(&self, size: usize) -> (T, T) {
        let size = size as f64;
        if self.align_corners { (T::zero(), number(size - 1.0)) } else { (number(-0.5), number(size - 0.5)) }
    }

    fn reflected<T: Float>(place: T, (low, high): (T, T)) -> T {
        let range = high - low;
        if range <= T::zero() {
            return low;
        }
        let from = |distance: T, near: T, far: T, sign: T| {
            let turns = (distance / range).trunc();
            let rest = distance - turns * range;
            if turns % number(2.0) == T::zero() { near + sign * rest } else { far - sign * rest }
        };
        if place < low {
            from(low - place, low, high, T::one())
        } else if place > high {
            from(place - high, high, low, -T::one())
        } else {
            place
        }
    }

    /// Where `at`, from -1 to 1, lies on an axis of `size` elements, before padding.
    fn laid<T: Float>(&self, at: T, size: usize) -> T {
        let (one, half, length) = (T::one(), number::<T>(0.5), number::<T>(size as f64));
        let place =
            if self.align_corners { (at + one) * half * (length - one) } else { ((at + one) * length - one) * half };
        if self.reading == Reading::Nearest { nearest_even(place) } else { place }
    }

    /// Where `at` lies on an axis of `size` elements. Of cubic reading the border repeats the
    /// elements around a place, not the place, as PyTorch and ONNX Runtime have it.
    fn place<T: Float>(&self, at: T, size: usize) -> T {
        let (mut place, ends) = (self.laid(at, size), self.ends(size));
        if place < ends.0 || place > ends.1 {
            place = match self.padding {
                Padding::Border if self.reading != Reading::Cubic => {
                    place.max(T::zero()).min(number(size as f64 - 1.0))
                }
                Padding::Reflection => Self::reflected(place, ends),
                _ => place,
            };
        }
        // Far outside, one place is as good as another; not a number is none.
        let far = number::<T>((1u64 << 40) as f64);
        if place.is_nan() { -far } else { place.max(-far).min(far) }
    }

    /// The element at a whole place; none where that is 0.
    fn element<T: Float>(&self, at: T, size: usize) -> Option<usize> {
        let last = size - 1;
        let at = match self.padding {
            Padding::Zeros => at,
            Padding::Border => at.max(T::zero()),
            Padding::Reflection => Self::reflected(at, self.ends(size)).trunc().max(T::zero()),
        };
        if at < T::zero() {
            return None;
        }
        let at = at.to_usize().unwrap_or(usize::MAX);
        if self.padding == Padding::Zeros && at > last { None } else { Some(at.min(last)) }
    }

    fn terms<T: Float>(&self, at: T, size: usize) -> Terms<T> {
        let place = self.place(at, size);
        let mut terms = [(None, T::zero()); 4];
        let low = place.floor();
        let ratio = place - low;
        let one = T::one();
        let count = match self.reading {
            Reading::Nearest => {
                terms[0] = (self.element(place, size), one);
                1
            }
            Reading::Linear => {
                terms[0] = (self.element(low, size), one - ratio);
                terms[1] = (self.element(low + one, size), ratio);
                2
            }
            Reading::Cubic => {
                let weights = cubic(ratio);
                for (i, (term, weight)) in terms.iter_mut().zip(weights).enumerate() {
                    *term = (self.element(low + number(i as f64 - 1.0), size), weight);
                }
                4
            }
        };
        (terms, count)
    }

    /// For every output the position of its element in the whole of the input, or the position
    /// after the last.
    pub fn positions(&self, images: usize, channels: usize, spatial: &[usize], grid: &[f32]) -> Vec<usize> {
        let (rank, plane) = (spatial.len(), spatial.iter().product::<usize>());
        let end = images * channels * plane;
        let points = grid.len() / rank / images.max(1);
        let mut out = Vec::with_capacity(images * channels * points);
        for n in 0..images {
            let places: Vec<Option<usize>> = grid[n * points * rank..][..points * rank]
                .chunks_exact(rank)
                .map(|at| {
                    let mut axes = spatial.iter().zip(at.iter().rev());
                    axes.try_fold(0, |sum, (&size, &at)| Some(sum * size + self.terms(at, size).0[0].0?))
                })
                .collect();
            for c in 0..channels {
                let base = (n * channels + c) * plane;
                out.extend(places.iter().map(|place| place.map_or(end, |at| base + at)));
            }
        }
        out
    }
}

/// To the nearest whole number, from the middle to the even one.
fn nearest_even<T: Float>(v: T) -> T {
    let down = v.floor();
    let rest = v - down;
    let half = number(0.5);
    let odd = down % number(2.0) != T::zero();
    if rest > half || rest == half && odd { down + T::one() } else { down }
}

/// The weights of the four elements around a place `ratio` behind the second, with a = -0.75.
fn cubic<T: Float>(ratio: T) -> [T; 4] {
    let (a, one) = (number::<T>(-0.75), T::one());
    let k = number::<T>;
    let near = |d: T| ((a + k(2.0)) * d - (a + k(3.0))) * d * d + one;
    let far = |d: T| ((a * d - k(5.0) * a) * d + k(8.0) * a) * d - k(4.0) * a;
    [far(ratio + one), near(ratio), near(one - ratio), far(k(2.0) - ratio)]
}

/// `x` `[images, channels, spatial…]` read at `grid` `[images, points…, rank]`, whose last
/// dimension counts the axes from the last; gives `[images, channels, points…]`.
pub fn samples<T: Float>(
    grid: &Grid,
    images: usize,
    channels: usize,
    spatial: &[usize],
    x: &[T],
    places: &[T],
) -> Vec<T> {
    let (rank, plane) = (spatial.len(), spatial.iter().product::<usize>());
    let points = places.len() / rank / images.max(1);
    let mut y = vec![T::zero(); images * channels * points];
    let (mut terms, mut before) = (Vec::<(usize, T)>::new(), Vec::new());
    for n in 0..images {
        for p in 0..points {
            let at = &places[(n * points + p) * rank..][..rank];
            terms.clear();
            terms.push((0, T::one()));
            for (&size, &at) in spatial.iter().zip(at.iter().rev()) {
                let (axis, count) = grid.terms(at, size);
                std::mem::swap(&mut terms, &mut before);
                terms.clear();
                for &(base, product) in &before {
                    let inside = axis[..count].iter().filter_map(|&(i, weight)| Some((i?, weight)));
                    terms.extend(inside.map(|(i, weight)| (base * size + i, product * weight)));
                }
            }
            for c in 0..channels {
                let image = &x[(n * channels + c) * plane..][..plane];
                y[(n * channels + c) * points + p] =
                    terms.iter().fold(T::zero(), |sum, &(i, weight)| sum + weight * image[i]);
            }
        }
    }
    y
}
