//! Celu: `max(0, x) + min(0, alpha * (e ^ (x / alpha) - 1))`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Celu.
pub const OPERATOR: Operator = unary::operator("Celu", &["alpha"], |attributes| {
    unary::op(UnaryOp::Celu { alpha: attributes.float("alpha")?.unwrap_or(1.0) }, Dtypes::Float)
});
