//! Acos: the angle in `[0, π]` whose cosine is `x`; NaN outside of `[-1, 1]`.

use super::{Operator, unary};

/// Acos.
pub const OPERATOR: Operator = unary::on_cpu("Acos", |_| unary::pointwise(f64::acos));
