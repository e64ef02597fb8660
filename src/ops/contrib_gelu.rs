//! Gelu of Microsoft's domain: `x * Φ(x)`.

use super::{Operator, activating};
use crate::backend::UnaryOp;

/// Gelu.
pub const OPERATOR: Operator = activating::operator("Gelu", 1..=1, &[], |_| activating::biased(UnaryOp::Gelu, false));
