//! Add: `a + b`; integers wrap.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Add.
pub const OPERATOR: Operator = binary::arithmetic("Add", |attributes| binary::fold(attributes, BinaryOp::Add, Dtypes::Number));
