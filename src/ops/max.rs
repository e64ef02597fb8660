//! Max: the largest of all inputs, broadcast together; NaN wins.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Max.
pub const OPERATOR: Operator = binary::variadic("Max", |attributes| binary::fold(attributes, BinaryOp::Max, Dtypes::Number));
