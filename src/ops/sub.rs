//! Sub: `a - b`; integers wrap.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Sub.
pub const OPERATOR: Operator = binary::arithmetic("Sub", |attributes| binary::fold(attributes, BinaryOp::Sub, Dtypes::Number));
