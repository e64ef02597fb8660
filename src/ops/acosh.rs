//! Acosh: `ln(x + sqrt(x² - 1))`; NaN below 1.

use super::{Operator, unary};

/// Acosh.
pub const OPERATOR: Operator = unary::on_cpu("Acosh", |_| unary::pointwise(f64::acosh));
