//! Mean: the mean of all inputs, broadcast together.

use super::{Operator, binary};

/// Mean.
pub const OPERATOR: Operator = binary::variadic("Mean", binary::mean);
