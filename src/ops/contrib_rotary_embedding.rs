//! RotaryEmbedding of Microsoft's domain: as ONNX's, with the positions before the caches.

use super::{Operator, rotary_embedding};

/// RotaryEmbedding.
pub const OPERATOR: Operator = Operator {
    name: "RotaryEmbedding",
    domain: "com.microsoft",
    inputs: 4..=4,
    attributes: &["interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim", "scale"],
    parameters: &[1],
    build: |attributes| rotary_embedding::build(attributes, true),
    ..Operator::DEFAULT
};
