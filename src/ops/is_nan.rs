//! IsNaN: whether each element is NaN.

use super::{Operator, unary};

/// IsNaN.
pub const OPERATOR: Operator = unary::on_cpu("IsNaN", |_| unary::check(f64::is_nan));
