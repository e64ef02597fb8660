//! QLinearMul: the product of quantised tensors, broadcast together, quantised anew.

use super::{Operator, qlinear};

/// QLinearMul.
pub const OPERATOR: Operator = qlinear::pair_operator("QLinearMul", |_| qlinear::pair(|a, b| a * b));
