//! InstanceNormalization: `(x - mean) / sqrt(variance + epsilon) * scale + bias` over every channel on its own.

use super::{Operator, normalization};

/// InstanceNormalization.
pub const OPERATOR: Operator = Operator {
    name: "InstanceNormalization",
    inputs: 3..=3,
    attributes: &["epsilon"],
    webgpu: true,
    build: |attributes| normalization::groups(attributes, false),
    ..Operator::DEFAULT
};
