//! Sigmoid: `1 / (1 + e ^ -x)`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Sigmoid.
pub const OPERATOR: Operator = unary::operator("Sigmoid", &[], |_| unary::op(UnaryOp::Sigmoid, Dtypes::Float));
