//! Abs: `|x|`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Abs.
pub const OPERATOR: Operator = unary::operator("Abs", &[], |_| unary::op(UnaryOp::Abs, Dtypes::Number));
