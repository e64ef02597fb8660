//! BiasGelu: Gelu of `x + bias`.

use super::{Operator, activating};
use crate::backend::UnaryOp;

/// BiasGelu.
pub const OPERATOR: Operator =
    activating::operator("BiasGelu", 2..=2, &[], |_| activating::biased(UnaryOp::Gelu, true));
