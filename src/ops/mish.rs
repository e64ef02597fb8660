//! Mish: `x * tanh(ln(1 + e ^ x))`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Mish.
pub const OPERATOR: Operator = unary::operator("Mish", &[], |_| unary::op(UnaryOp::Mish, Dtypes::Float));
