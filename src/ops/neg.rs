//! Neg: `-x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Neg.
pub const OPERATOR: Operator = unary::operator("Neg", &[], |_| unary::op(UnaryOp::Neg, Dtypes::Signed));
