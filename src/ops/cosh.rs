//! Cosh: `(e ^ x + e ^ -x) / 2`.

use super::{Operator, unary};

/// Cosh.
pub const OPERATOR: Operator = unary::on_cpu("Cosh", |_| unary::pointwise(f64::cosh));
