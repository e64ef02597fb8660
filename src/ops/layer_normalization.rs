//! LayerNormalization: `(x - mean) / sqrt(variance + epsilon) * scale + bias` over the dimensions from an axis on.

use super::{Operator, normalization};

/// LayerNormalization.
pub const OPERATOR: Operator = Operator {
    name: "LayerNormalization",
    inputs: 2..=3,
    outputs: 1..=3,
    attributes: &["axis", "epsilon", "stash_type"],
    webgpu: true,
    build: |attributes| normalization::rows(attributes, true),
    ..Operator::DEFAULT
};
