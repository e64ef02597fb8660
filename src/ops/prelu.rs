//! PRelu: `x` where it is not negative, else `slope * x`; `slope` is broadcast to `x`.

use super::{Operator, binary};

/// PRelu.
pub const OPERATOR: Operator = binary::arithmetic("PRelu", binary::prelu);
