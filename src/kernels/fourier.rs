//! Discrete Fourier transforms, in float64: by halves for powers of two, by a convolution of
//! those (Bluestein) for other lengths, and term by term for short ones.

use std::f64::consts::PI;

/// A complex number: real part, imaginary part.
pub type Complex = [f64; 2];

/// Up to this length the sum itself is as fast.
const SHORT: usize = 32;

fn times([a, b]: Complex, [c, d]: Complex) -> Complex {
    [a * c - b * d, a * d + b * c]
}

/// `exp(-2πi k / n)`.
fn root(k: usize, n: usize) -> Complex {
    let (sin, cos) = (-2.0 * PI * (k as f64 / n as f64)).sin_cos();
    [cos, sin]
}

/// A transform of one length, prepared: `X[k] = sum of x[j] exp(-2πi jk / n)`.
pub struct Transform {
    length: usize,
    /// `exp(-2πi k / n)` for every `k`; for half of them where the length is a power of two.
    roots: Vec<Complex>,
    convolution: Option<Box<Convolution>>,
}

/// The transform as a convolution: `jk = (j² + k² - (k - j)²) / 2`.
struct Convolution {
    inner: Transform,
    /// `exp(-πi j² / n)`.
    chirp: Vec<Complex>,
    /// The transform of the chirp's conjugate.
    kernel: Vec<Complex>,
}

impl Transform {
    /// Prepares transforms of `length`.
    pub fn new(length: usize) -> Self {
        if length.is_power_of_two() {
            return Self { length, roots: (0..length / 2).map(|k| root(k, length)).collect(), convolution: None };
        }
        if length <= SHORT {
            return Self { length, roots: (0..length).map(|k| root(k, length)).collect(), convolution: None };
        }
        let inner = Self::new((2 * length - 1).next_power_of_two());
        // The square is reduced first, so that its angle is exact.
        let square = |j: usize| ((j as u128 * j as u128) % (2 * length as u128)) as usize;
        let chirp: Vec<Complex> = (0..length).map(|j| root(square(j), 2 * length)).collect();
        let mut kernel = vec![[0.0; 2]; inner.length];
        for (j, &[re, im]) in chirp.iter().enumerate() {
            kernel[j] = [re, -im];
            if j > 0 {
                kernel[inner.length - j] = [re, -im];
            }
        }
        inner.halves(&mut kernel);
        Self { length, roots: Vec::new(), convolution: Some(Box::new(Convolution { inner, chirp, kernel })) }
    }

    /// Transforms in place; `inverse` turns the other way and divides by the length.
    pub fn run(&self, data: &mut [Complex], inverse: bool) {
        // The inverse is the transform of the conjugate, conjugated.
        if inverse {
            data.iter_mut().for_each(|v| v[1] = -v[1]);
        }
        match &self.convolution {
            Some(convolution) => convolution.run(data),
            None if self.length.is_power_of_two() => self.halves(data),
            None => self.sums(data),
        }
        if inverse {
            let by = 1.0 / self.length as f64;
            data.iter_mut().for_each(|v| *v = [v[0] * by, -v[1] * by]);
        }
    }

    fn sums(&self, data: &mut [Complex]) {
        let mut x = [[0.0; 2]; SHORT];
        x[..data.len()].copy_from_slice(data);
        for (k, out) in data.iter_mut().enumerate() {
            *out = [0.0; 2];
            for (j, &v) in x[..self.length].iter().enumerate() {
                let [re, im] = times(v, self.roots[j * k % self.length]);
                *out = [out[0] + re, out[1] + im];
            }
        }
    }

    fn halves(&self, data: &mut [Complex]) {
        let n = data.len();
        if n < 2 {
            return;
        }
        let shift = usize::BITS - n.trailing_zeros();
        for i in 0..n {
            let j = i.reverse_bits() >> shift;
            if i < j {
                data.swap(i, j);
            }
        }
        let mut half = 1;
        while half < n {
            let step = n / (2 * half);
            for block in data.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), &root) in low.iter_mut().zip(high).zip(self.roots.iter().step_by(step)) {
                    let [re, im] = times(*b, root);
                    *b = [a[0] - re, a[1] - im];
                    *a = [a[0] + re, a[1] + im];
                }
            }
            half *= 2;
        }
    }
}

impl Convolution {
    fn run(&self, data: &mut [Complex]) {
        let mut work = vec![[0.0; 2]; self.kernel.len()];
        for ((to, &v), &c) in work.iter_mut().zip(data.iter()).zip(&self.chirp) {
            *to = times(v, c);
        }
        self.inner.halves(&mut work);
        work.iter_mut().zip(&self.kernel).for_each(|(v, &k)| *v = times(*v, k));
        self.inner.run(&mut work, true);
        for ((to, &v), &c) in data.iter_mut().zip(&work).zip(&self.chirp) {
            *to = times(v, c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_gives_the_sum_and_turns_back() {
        for n in (1..=70).chain([97, 128, 243, 256, 500, 1009]) {
            let x: Vec<Complex> = (0..n)
                .map(|i| [((i * 37 + 11) % 101) as f64 / 50.0 - 1.0, ((i * 53) % 89) as f64 / 44.0 - 1.0])
                .collect();
            let transform = Transform::new(n);
            let mut y = x.clone();
            transform.run(&mut y, false);
            for (k, got) in y.iter().enumerate() {
                let expected = x.iter().enumerate().fold([0.0; 2], |sum, (j, &v)| {
                    let [re, im] = times(v, root(j * k % n, n));
                    [sum[0] + re, sum[1] + im]
                });
                assert!(
                    (0..2).all(|i| (got[i] - expected[i]).abs() < 1e-10 * n as f64),
                    "{n} at {k}: {got:?}, {expected:?}"
                );
            }
            transform.run(&mut y, true);
            assert!(x.iter().zip(&y).all(|(x, y)| (0..2).all(|i| (x[i] - y[i]).abs() < 1e-12 * n as f64)), "{n}");
        }
    }
}
