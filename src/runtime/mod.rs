//! Runs a graph: a [`Plan`](plan::Plan) once, a [`Session`] any number of times.

mod clock;
mod plan;
mod profile;
mod session;

pub use plan::{Fate, NodeFate};
pub(crate) use plan::{Plan, declared_type};
pub use profile::{NodeProfile, Profile};
pub use session::{Feed, RunOptions, Session, SessionInfo, SessionOptions};
