//! HardSigmoid: `max(0, min(1, alpha * x + beta))`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// HardSigmoid.
pub const OPERATOR: Operator = unary::operator("HardSigmoid", &["alpha", "beta"], |attributes| {
    unary::op(UnaryOp::HardSigmoid { alpha: attributes.float("alpha")?.unwrap_or(0.2), beta: attributes.float("beta")?.unwrap_or(0.5) }, Dtypes::Float)
});
