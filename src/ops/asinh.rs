//! Asinh: `ln(x + sqrt(x² + 1))`.

use super::{Operator, unary};

/// Asinh.
pub const OPERATOR: Operator = unary::on_cpu("Asinh", |_| unary::pointwise(f64::asinh));
