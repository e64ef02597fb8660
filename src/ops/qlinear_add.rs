//! QLinearAdd: the sum of quantised tensors, broadcast together, quantised anew.

use super::{Operator, qlinear};

/// QLinearAdd.
pub const OPERATOR: Operator = qlinear::pair_operator("QLinearAdd", |_| qlinear::pair(|a, b| a + b));
