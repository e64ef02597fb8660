//! Sin: the sine of `x` radians.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Sin.
pub const OPERATOR: Operator = unary::operator("Sin", &[], |_| unary::op(UnaryOp::Sin, Dtypes::Float));
