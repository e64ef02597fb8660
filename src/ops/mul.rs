//! Mul: `a * b`; integers wrap.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Mul.
pub const OPERATOR: Operator = binary::arithmetic("Mul", |attributes| binary::fold(attributes, BinaryOp::Mul, Dtypes::Number));
