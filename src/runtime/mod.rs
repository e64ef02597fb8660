//! Runs a graph: a `Plan` once, a [`Session`] any number of times.

mod clock;
mod plan;
mod profile;
mod session;

pub use plan::{Fate, GraphOptimizationLevel, NodeFate};
pub(crate) use plan::{Plan, Step, declared_type, execute, fold};
pub use profile::{NodeProfile, Peak, Profile};
#[cfg(all(feature = "convert", not(feature = "webgpu")))]
pub(crate) use session::at_once;
pub use session::{Feed, RunOptions, Session, SessionInfo, SessionOptions};
