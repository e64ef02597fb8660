//! rten with its own JavaScript surface, as its npm package has it.
pub use rten::*;
