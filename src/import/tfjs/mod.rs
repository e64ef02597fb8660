//! TensorFlow.js' files: `model.json` and the shards of weights beside it.

pub(super) mod graph;
mod operators;
mod weights;
