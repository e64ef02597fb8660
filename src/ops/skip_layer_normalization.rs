//! SkipLayerNormalization: the LayerNormalization of a sum of two inputs and a bias.

use super::{Operator, normalization};

/// SkipLayerNormalization.
pub const OPERATOR: Operator = Operator {
    name: "SkipLayerNormalization",
    domain: "com.microsoft",
    inputs: 3..=5,
    outputs: 1..=4,
    attributes: &["epsilon"],
    build: |attributes| normalization::skip(attributes, true),
    ..Operator::DEFAULT
};
