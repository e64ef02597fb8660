//! Softplus: `ln(1 + e ^ x)`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Softplus.
pub const OPERATOR: Operator = unary::operator("Softplus", &[], |_| unary::op(UnaryOp::Softplus, Dtypes::Float));
