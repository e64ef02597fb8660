//! The loops that Burn does not have, or has with other results: written once over element
//! types, safe except where a block says why not.

pub mod elementwise;
pub mod layout;
pub mod pool;
pub mod reduce;
