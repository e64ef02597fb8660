//! Ceil: the smallest integer not below `x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Ceil.
pub const OPERATOR: Operator = unary::operator("Ceil", &[], |_| unary::op(UnaryOp::Ceil, Dtypes::Float));
