//! ReduceMin: the smallest element; NaN wins over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceMin.
pub const OPERATOR: Operator = reduction::operator("ReduceMin", |attributes| reduction::op(attributes, ReduceOp::Min, 18));
