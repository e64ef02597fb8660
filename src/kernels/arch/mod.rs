//! Four float32 lanes, by what the machine has. Kernels are written once over [`F32x4`].

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use wasm32::Lanes;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod scalar;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub use scalar::Lanes;

/// Four float32 values that are computed with together.
pub trait F32x4: Copy {
    /// Four times `value`.
    fn splat(value: f32) -> Self;
    /// The values of `from`.
    fn load(from: &[f32; 4]) -> Self;
    /// The values as an array.
    fn store(self, to: &mut [f32; 4]);
    /// `self * by + plus`, rounded once or twice as the machine does it quickest.
    fn mul_add(self, by: Self, plus: Self) -> Self;
}
