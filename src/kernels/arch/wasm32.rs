//! WebAssembly: simd128, and relaxed-simd's fused multiply-add where the build has it.

use core::arch::wasm32::{f32x4_splat, v128, v128_load, v128_store};

use super::F32x4;

/// Four floats in a `v128`.
#[derive(Clone, Copy)]
pub struct Lanes(v128);

impl F32x4 for Lanes {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    fn load(from: &[f32; 4]) -> Self {
        // SAFETY: the reference is to 16 readable bytes, and v128_load asks for no alignment.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 4]) {
        // SAFETY: the reference is to 16 writable bytes, and v128_store asks for no alignment.
        unsafe { v128_store(to.as_mut_ptr().cast(), self.0) }
    }

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        Self(core::arch::wasm32::f32x4_relaxed_madd(self.0, by.0, plus.0))
    }

    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        use core::arch::wasm32::{f32x4_add, f32x4_mul};
        Self(f32x4_add(f32x4_mul(self.0, by.0), plus.0))
    }
}
