//! Runs a graph: a [`Plan`](plan::Plan) once, a [`Session`] any number of times.

mod plan;
mod session;

pub use plan::{Fate, NodeFate};
pub(crate) use plan::{Plan, declared_type};
pub use session::{Feed, RunOptions, Session, SessionInfo, SessionOptions};
