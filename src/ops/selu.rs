//! Selu: `gamma * x` where it is not negative, else `gamma * alpha * (e ^ x - 1)`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Selu.
pub const OPERATOR: Operator = unary::operator("Selu", &["alpha", "gamma"], |attributes| {
    unary::op(UnaryOp::Selu { alpha: attributes.float("alpha")?.unwrap_or(1.673_263_2), gamma: attributes.float("gamma")?.unwrap_or(1.050_701) }, Dtypes::Float)
});
