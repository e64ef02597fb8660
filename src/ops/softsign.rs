//! Softsign: `x / (1 + |x|)`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// Softsign.
pub const OPERATOR: Operator = unary::operator("Softsign", &[], |_| unary::op(UnaryOp::Softsign, Dtypes::Float));
