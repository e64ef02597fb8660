//! ReduceLogSumExp: the logarithm of the sum of exponentials over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceLogSumExp.
pub const OPERATOR: Operator = reduction::operator("ReduceLogSumExp", |attributes| reduction::op(attributes, ReduceOp::LogSumExp, 18));
