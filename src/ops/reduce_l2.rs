//! ReduceL2: the square root of the sum of squares over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceL2.
pub const OPERATOR: Operator = reduction::operator("ReduceL2", |attributes| reduction::op(attributes, ReduceOp::L2, 18));
