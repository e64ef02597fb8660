//! Relu: `max(x, 0)`; NaN stays NaN.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Relu.
pub const OPERATOR: Operator = unary::operator("Relu", &[], |_| unary::op(UnaryOp::Relu, Dtypes::Signed));
