//! Any machine: the compiler finds the vector instructions that the target always has.

use super::F32x4;

/// Four floats in an array.
#[derive(Clone, Copy)]
pub struct Lanes([f32; 4]);

impl F32x4 for Lanes {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    fn load(from: &[f32; 4]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 4]) {
        *to = self.0;
    }

    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * by.0[i] + plus.0[i]))
    }
}
