//! Atan: the angle in `(-π/2, π/2)` whose tangent is `x`.

use super::{Operator, unary};

/// Atan.
pub const OPERATOR: Operator = unary::on_cpu("Atan", |_| unary::pointwise(f64::atan));
