//! Tanh: the hyperbolic tangent.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Tanh.
pub const OPERATOR: Operator = unary::operator("Tanh", &[], |_| unary::op(UnaryOp::Tanh, Dtypes::Float));
