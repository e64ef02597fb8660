//! Greater: whether `a > b`.

use super::{Dtypes, Operator, binary};
use crate::backend::CompareOp;

/// Greater.
pub const OPERATOR: Operator = binary::comparison("Greater", |attributes| binary::compare_with(attributes, CompareOp::Greater, Dtypes::Number));
