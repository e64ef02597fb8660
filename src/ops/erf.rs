//! Erf: the error function.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Erf.
pub const OPERATOR: Operator = unary::operator("Erf", &[], |_| unary::op(UnaryOp::Erf, Dtypes::Number));
