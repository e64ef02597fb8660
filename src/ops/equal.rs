//! Equal: whether `a == b`; NaN equals nothing.

use super::{Dtypes, Operator, binary};
use crate::backend::CompareOp;

/// Equal.
pub const OPERATOR: Operator = binary::comparison("Equal", |attributes| binary::compare_with(attributes, CompareOp::Equal, Dtypes::Any));
