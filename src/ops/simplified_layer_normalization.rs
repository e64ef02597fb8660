//! SimplifiedLayerNormalization: RMSNormalization, as ONNX Runtime names it in ONNX's domain.

use super::{Operator, normalization};

/// SimplifiedLayerNormalization.
pub const OPERATOR: Operator = Operator {
    name: "SimplifiedLayerNormalization",
    inputs: 2..=2,
    outputs: 1..=2,
    attributes: &["axis", "epsilon", "stash_type"],
    webgpu: true,
    build: |attributes| normalization::rows(attributes, false),
    ..Operator::DEFAULT
};
