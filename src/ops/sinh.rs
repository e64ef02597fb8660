//! Sinh: `(e ^ x - e ^ -x) / 2`.

use super::{Operator, unary};

/// Sinh.
pub const OPERATOR: Operator = unary::on_cpu("Sinh", |_| unary::pointwise(f64::sinh));
