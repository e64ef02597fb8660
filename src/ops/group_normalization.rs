//! GroupNormalization: `(x - mean) / sqrt(variance + epsilon) * scale + bias` over groups of channels.

use super::{Operator, normalization};

/// GroupNormalization.
pub const OPERATOR: Operator = Operator {
    name: "GroupNormalization",
    inputs: 3..=3,
    attributes: &["epsilon", "num_groups", "stash_type"],
    webgpu: true,
    build: |attributes| normalization::groups(attributes, true),
    ..Operator::DEFAULT
};
