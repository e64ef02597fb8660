//! Exp: `e ^ x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Exp.
pub const OPERATOR: Operator = unary::operator("Exp", &[], |_| unary::op(UnaryOp::Exp, Dtypes::Float));
