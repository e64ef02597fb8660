//! Div: `a / b`; integers are truncated, and refuse to be divided by 0.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Div.
pub const OPERATOR: Operator = binary::arithmetic("Div", |attributes| binary::fold(attributes, BinaryOp::Div, Dtypes::Number));
