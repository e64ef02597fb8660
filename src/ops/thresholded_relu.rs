//! ThresholdedRelu: `x` where it is over `alpha`, else 0; NaN stays NaN.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// ThresholdedRelu.
pub const OPERATOR: Operator = unary::operator("ThresholdedRelu", &["alpha"], |attributes| {
    unary::op(UnaryOp::ThresholdedRelu { alpha: attributes.float("alpha")?.unwrap_or(1.0) }, Dtypes::Float)
});
