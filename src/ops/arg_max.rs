//! ArgMax: the position of the largest element along an axis; NaN counts as largest, as in NumPy.

use super::{Operator, arg};

/// ArgMax.
pub const OPERATOR: Operator = arg::operator("ArgMax", |attributes| arg::op(attributes, false));
