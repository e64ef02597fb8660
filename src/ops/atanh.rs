//! Atanh: `ln((1 + x) / (1 - x)) / 2`; NaN outside of `[-1, 1]`.

use super::{Operator, unary};

/// Atanh.
pub const OPERATOR: Operator = unary::on_cpu("Atanh", |_| unary::pointwise(f64::atanh));
