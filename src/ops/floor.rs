//! Floor: the largest integer not above `x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Floor.
pub const OPERATOR: Operator = unary::operator("Floor", &[], |_| unary::op(UnaryOp::Floor, Dtypes::Float));
