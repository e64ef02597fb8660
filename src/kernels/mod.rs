//! The loops that Burn does not have, or has with other results: written once over element
//! types, safe except where a block says why not.

mod arch;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod layout;
pub mod pool;
pub mod reduce;
mod window;
