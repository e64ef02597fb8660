//! HardSwish: `x * max(0, min(1, x / 6 + 0.5))`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// HardSwish.
pub const OPERATOR: Operator = unary::operator("HardSwish", &[], |_| unary::op(UnaryOp::HardSwish, Dtypes::Float));
