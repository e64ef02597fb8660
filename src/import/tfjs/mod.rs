//! TensorFlow.js' files: `model.json` and the shards of weights beside it.

pub(super) mod graph;
pub(super) mod layers;
mod operators;
mod shards;
