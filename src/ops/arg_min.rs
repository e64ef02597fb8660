//! ArgMin: the position of the smallest element along an axis; NaN counts as smallest, as in NumPy.

use super::{Operator, arg};

/// ArgMin.
pub const OPERATOR: Operator = arg::operator("ArgMin", |attributes| arg::op(attributes, true));
