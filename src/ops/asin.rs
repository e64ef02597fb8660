//! Asin: the angle in `[-π/2, π/2]` whose sine is `x`; NaN outside of `[-1, 1]`.

use super::{Operator, unary};

/// Asin.
pub const OPERATOR: Operator = unary::on_cpu("Asin", |_| unary::pointwise(f64::asin));
