//! Min: the smallest of all inputs, broadcast together; NaN wins.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Min.
pub const OPERATOR: Operator = binary::variadic("Min", |attributes| binary::fold(attributes, BinaryOp::Min, Dtypes::Number));
