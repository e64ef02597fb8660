//! Reciprocal: `1 / x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Reciprocal.
pub const OPERATOR: Operator = unary::operator("Reciprocal", &[], |_| unary::op(UnaryOp::Reciprocal, Dtypes::Float));
