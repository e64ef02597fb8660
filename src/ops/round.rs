//! Round: the nearest integer, halves to the even one.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Round.
pub const OPERATOR: Operator = unary::operator("Round", &[], |_| unary::op(UnaryOp::Round, Dtypes::Float));
