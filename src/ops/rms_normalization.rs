//! RMSNormalization: `x / sqrt(mean(x²) + epsilon) * scale` over the dimensions from an axis on.

use super::{Operator, normalization};

/// RMSNormalization.
pub const OPERATOR: Operator = Operator {
    name: "RMSNormalization",
    inputs: 2..=2,
    attributes: &["axis", "epsilon", "stash_type"],
    webgpu: true,
    build: |attributes| normalization::rows(attributes, false),
    ..Operator::DEFAULT
};
