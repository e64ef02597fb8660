//! Sign: −1, 0 or 1; NaN stays NaN.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Sign.
pub const OPERATOR: Operator = unary::operator("Sign", &[], |_| unary::op(UnaryOp::Sign, Dtypes::Number));
