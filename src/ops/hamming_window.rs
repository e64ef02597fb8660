//! HammingWindow: `25/46 - 21/46 cos(2πi / N)`.

use super::{Operator, window};

/// HammingWindow.
pub const OPERATOR: Operator =
    window::operator("HammingWindow", |attributes| window::build(attributes, [25.0 / 46.0, 21.0 / 46.0, 0.0]));
