//! ReduceLogSum: the logarithm of the sum over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceLogSum.
pub const OPERATOR: Operator = reduction::operator("ReduceLogSum", |attributes| reduction::op(attributes, ReduceOp::LogSum, 18));
