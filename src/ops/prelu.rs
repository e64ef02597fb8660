//! PRelu: `x` where it is not negative, else `slope * x`; `slope` is broadcast to `x`.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// PRelu.
pub const OPERATOR: Operator = binary::arithmetic("PRelu", |attributes| binary::fold(attributes, BinaryOp::PRelu, Dtypes::Number));
