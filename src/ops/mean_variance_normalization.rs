//! MeanVarianceNormalization: `(x - mean) / (standard deviation + 1e-9)` over given axes.

use super::{Operator, normalization};

/// MeanVarianceNormalization.
pub const OPERATOR: Operator = Operator {
    name: "MeanVarianceNormalization",
    attributes: &["axes"],
    webgpu: true,
    build: normalization::mean_variance,
    ..Operator::DEFAULT
};
