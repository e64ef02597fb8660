//! The loops that Burn does not have, or has with other results: written once over element
//! types, safe except where a block says why not.

mod arch;
pub mod attention;
pub mod conv;
pub mod elementwise;
pub mod fourier;
pub mod gemm;
pub mod layout;
pub mod normalize;
pub mod pool;
pub mod real;
pub mod recurrent;
pub mod reduce;
pub mod resample;
pub mod roi;
pub mod sample;
pub mod transposed;
mod window;
