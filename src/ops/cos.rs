//! Cos: the cosine of `x` radians.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Cos.
pub const OPERATOR: Operator = unary::operator("Cos", &[], |_| unary::op(UnaryOp::Cos, Dtypes::Float));
