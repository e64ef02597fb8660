//! QLinearLeakyRelu: LeakyRelu of a quantised tensor, quantised anew.

use super::{Operator, qlinear};

/// QLinearLeakyRelu.
pub const OPERATOR: Operator = qlinear::unary_operator("QLinearLeakyRelu", &["alpha"], |attributes| {
    let alpha = f64::from(attributes.float("alpha")?.unwrap_or(0.01));
    qlinear::each(move |x| if x >= 0.0 { x } else { alpha * x })
});
