//! Shrink: moves towards 0 by `bias`; 0 where `|x| <= lambd`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Shrink.
pub const OPERATOR: Operator = unary::operator("Shrink", &["bias", "lambd"], |attributes| {
    unary::op(UnaryOp::Shrink { bias: attributes.float("bias")?.unwrap_or(0.0), lambd: attributes.float("lambd")?.unwrap_or(0.5) }, Dtypes::Number)
});
