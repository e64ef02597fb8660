//! LessOrEqual: whether `a <= b`.

use super::{Dtypes, Operator, binary};
use crate::backend::CompareOp;

/// LessOrEqual.
pub const OPERATOR: Operator = binary::comparison("LessOrEqual", |attributes| binary::compare_with(attributes, CompareOp::LessOrEqual, Dtypes::Number));
