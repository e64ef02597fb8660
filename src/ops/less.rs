//! Less: whether `a < b`.

use super::{Dtypes, Operator, binary};
use crate::backend::CompareOp;

/// Less.
pub const OPERATOR: Operator = binary::comparison("Less", |attributes| binary::compare_with(attributes, CompareOp::Less, Dtypes::Number));
