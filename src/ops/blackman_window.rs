//! BlackmanWindow: `0.42 - 0.5 cos(2πi / N) + 0.08 cos(4πi / N)`.

use super::{Operator, window};

/// BlackmanWindow.
pub const OPERATOR: Operator =
    window::operator("BlackmanWindow", |attributes| window::build(attributes, [0.42, 0.5, 0.08]));
