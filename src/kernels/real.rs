//! The two element types that float arithmetic runs in, and matrix products of either.

use num_traits::Float;

use super::elementwise::Erf;
use super::gemm::{FEW_ROWS, GemmF32, Matrix, products, row_times_matrix};

/// float32, or float64.
pub trait Real: Float + Erf + Send + Sync + 'static {
    /// The nearest to `v`.
    fn of(v: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
    /// The values, where they are float32.
    fn f32s(values: &[Self]) -> Option<&[f32]>;
    /// The values to write, where they are float32.
    fn f32s_mut(values: &mut [Self]) -> Option<&mut [f32]>;
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn f32s(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
    fn f32s_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
    fn wide(self) -> f64 {
        self
    }
    fn f32s(_: &[Self]) -> Option<&[f32]> {
        None
    }
    fn f32s_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

/// `c[m, n] += a[m, k] · b[k, n]`, all row-major; `b` is `[n, k]` where it is `turned`.
pub fn add_product<T: Real>(a: &[T], b: &[T], [m, k, n]: [usize; 3], turned: bool, c: &mut [T]) {
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    if let (Some(a), Some(b)) = (T::f32s(a), T::f32s(b))
        && let Some(c) = T::f32s_mut(c)
    {
        let (depth_stride, column_stride) = if turned { (1, k) } else { (n, 1) };
        let b = Matrix { data: b, depth_stride, column_stride };
        if m < FEW_ROWS {
            a.chunks_exact(k).zip(c.chunks_exact_mut(n)).for_each(|(a, c)| row_times_matrix(a, &b, c));
        } else {
            GemmF32::new(&b, k, n).add_to(a, k, m, c, n);
        }
        return;
    }
    if turned {
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            for (b, c) in b.chunks_exact(k).zip(c) {
                *c = a.iter().zip(b).fold(*c, |sum, (&a, &b)| sum + a * b);
            }
        }
    } else {
        products(a, b, [m, k, n], c, |sum, a, b| sum + a * b);
    }
}

/// A matrix `[n, k]` that is multiplied again and again.
pub struct Weights<'a, T> {
    data: &'a [T],
    sizes: [usize; 2],
    packed: Option<GemmF32>,
}

impl<'a, T: Real> Weights<'a, T> {
    /// Prepares `data` for products with matrices of `m` rows.
    pub fn new(data: &'a [T], [n, k]: [usize; 2], m: usize) -> Self {
        // Its product with few rows is bound by reading it, packed or not.
        let packed = if m < FEW_ROWS {
            None
        } else {
            T::f32s(data).map(|data| GemmF32::new(&Matrix { data, depth_stride: 1, column_stride: k }, k, n))
        };
        Self { data, sizes: [n, k], packed }
    }

    /// `c[m, n] += a[m, k] · weightsᵀ`.
    pub fn add_product(&self, a: &[T], m: usize, c: &mut [T]) {
        let [n, k] = self.sizes;
        if let (Some(packed), Some(a)) = (&self.packed, T::f32s(a))
            && let Some(c) = T::f32s_mut(c)
        {
            packed.add_to(a, k, m, c, n);
            return;
        }
        add_product(a, self.data, [m, k, n], true, c);
    }
}
