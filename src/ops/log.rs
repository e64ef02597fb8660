//! Log: the natural logarithm.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Log.
pub const OPERATOR: Operator = unary::operator("Log", &[], |_| unary::op(UnaryOp::Log, Dtypes::Float));
