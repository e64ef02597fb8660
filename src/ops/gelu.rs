//! Gelu: `x * Φ(x)`, exact or by tanh.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Gelu.
pub const OPERATOR: Operator = unary::operator("Gelu", &["approximate"], |attributes| {
    unary::op(if attributes.choice("approximate", &["none", "tanh"])? == "tanh" { UnaryOp::GeluTanh } else { UnaryOp::Gelu }, Dtypes::Float)
});
