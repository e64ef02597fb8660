//! Elu: `x` where it is not negative, else `alpha * (e ^ x - 1)`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Elu.
pub const OPERATOR: Operator = unary::operator("Elu", &["alpha"], |attributes| {
    unary::op(UnaryOp::Elu { alpha: attributes.float("alpha")?.unwrap_or(1.0) }, Dtypes::Float)
});
