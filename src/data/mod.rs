//! Values that models are given: NumPy's files, photos, samples of a data set, seeded ones.

pub mod dataset;
pub mod npy;
pub mod picture;
pub mod sample;
pub mod supply;
