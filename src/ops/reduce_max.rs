//! ReduceMax: the largest element; NaN wins over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceMax.
pub const OPERATOR: Operator = reduction::operator("ReduceMax", |attributes| reduction::op(attributes, ReduceOp::Max, 18));
