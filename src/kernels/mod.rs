//! The loops that Burn does not have, or has with other results: written once over element
//! types, safe except where a block says why not.
//!
//! A crate of its own so that it is compiled for speed and the rest of a WebAssembly for size. Of
//! Firebrand's own use: nothing here is checked that a caller can check once for all.

#![allow(clippy::missing_safety_doc, reason = "`Simd` says once what all its methods ask for")]

pub mod arch;
pub mod attention;
pub mod conv;
mod depthwise;
pub mod elementwise;
pub mod fourier;
pub mod gemm;
mod groups;
pub mod integer;
pub mod layout;
mod nibbles;
pub mod normalize;
#[cfg(any(test, feature = "oracle"))]
pub mod oracle;
pub mod peak;
pub mod pool;
mod product;
pub mod quantized;
pub mod real;
pub mod recurrent;
pub mod reduce;
pub mod resample;
pub mod roi;
pub mod sample;
pub mod threads;
pub mod transposed;
pub mod vector;
mod window;
mod winograd;

#[cfg(any(test, feature = "oracle"))]
#[path = "../../tests/support/random.rs"]
mod random;

pub use conv::{ConvF32, ConvI8, Geometry};
pub use gemm::{Activation, Epilogue, GemmF32, Matrix};
pub use integer::{GemmI8, IntOutput, Requantize, ZeroPoints};
pub use nibbles::{Blocks, GemmU4};
pub use window::Window;
