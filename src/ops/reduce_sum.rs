//! ReduceSum: the sum over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceSum.
pub const OPERATOR: Operator = reduction::operator("ReduceSum", |attributes| reduction::op(attributes, ReduceOp::Sum, 13));
