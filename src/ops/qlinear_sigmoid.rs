//! QLinearSigmoid: `1 / (1 + exp(-x))` of a quantised tensor, quantised anew.

use super::{Operator, qlinear};

/// QLinearSigmoid.
pub const OPERATOR: Operator =
    qlinear::unary_operator("QLinearSigmoid", &[], |_| qlinear::each(|x| 1.0 / (1.0 + (-x).exp())));
