//! GreaterOrEqual: whether `a >= b`.

use super::{Dtypes, Operator, binary};
use crate::backend::CompareOp;

/// GreaterOrEqual.
pub const OPERATOR: Operator = binary::comparison("GreaterOrEqual", |attributes| binary::compare_with(attributes, CompareOp::GreaterOrEqual, Dtypes::Number));
