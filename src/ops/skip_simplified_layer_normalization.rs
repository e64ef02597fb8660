//! SkipSimplifiedLayerNormalization: the RMSNormalization of a sum of two inputs and a bias.

use super::{Operator, normalization};

/// SkipSimplifiedLayerNormalization.
pub const OPERATOR: Operator = Operator {
    name: "SkipSimplifiedLayerNormalization",
    domain: "com.microsoft",
    inputs: 3..=4,
    outputs: 1..=4,
    attributes: &["epsilon"],
    build: |attributes| normalization::skip(attributes, false),
    ..Operator::DEFAULT
};
