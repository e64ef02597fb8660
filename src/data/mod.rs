//! Values that models are given: NumPy's files, photos, seeded samples.

pub mod npy;
pub mod picture;
pub mod sample;
