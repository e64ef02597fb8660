//! FastGelu: Gelu of `x + bias` by tanh.

use super::{Operator, activating};
use crate::backend::UnaryOp;

/// FastGelu.
pub const OPERATOR: Operator =
    activating::operator("FastGelu", 1..=2, &[], |_| activating::biased(UnaryOp::GeluTanh, false));
