//! Tan: `sin(x) / cos(x)`, of radians.

use super::{Operator, unary};

/// Tan.
pub const OPERATOR: Operator = unary::on_cpu("Tan", |_| unary::pointwise(f64::tan));
