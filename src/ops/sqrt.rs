//! Sqrt: the square root; NaN below 0.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Sqrt.
pub const OPERATOR: Operator = unary::operator("Sqrt", &[], |_| unary::op(UnaryOp::Sqrt, Dtypes::Float));
