//! LeakyRelu: `x` where it is not negative, else `alpha * x`.

use super::{Dtypes, Operator, unary};
use crate::backend::UnaryOp;

/// LeakyRelu.
pub const OPERATOR: Operator = unary::operator("LeakyRelu", &["alpha"], |attributes| {
    unary::op(UnaryOp::LeakyRelu { alpha: attributes.float("alpha")?.unwrap_or(0.01) }, Dtypes::Float)
});
