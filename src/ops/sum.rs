//! Sum: the sum of all inputs, broadcast together.

use super::{Dtypes, Operator, binary};
use crate::backend::BinaryOp;

/// Sum.
pub const OPERATOR: Operator = binary::variadic("Sum", |attributes| binary::fold(attributes, BinaryOp::Add, Dtypes::Float));
