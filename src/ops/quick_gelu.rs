//! QuickGelu: `x * sigmoid(alpha x)`.

use super::{Operator, activating};

/// QuickGelu.
pub const OPERATOR: Operator = activating::operator("QuickGelu", 1..=1, &["alpha"], |attributes| {
    activating::gated(attributes.float("alpha")?.unwrap_or(1.702))
});
