//! HannWindow: `sin²(πi / N)`.

use super::{Operator, window};

/// HannWindow.
pub const OPERATOR: Operator = window::operator("HannWindow", |attributes| window::build(attributes, [0.5, 0.5, 0.0]));
