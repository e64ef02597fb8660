//! ReduceL1: the sum of absolute values over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceL1.
pub const OPERATOR: Operator = reduction::operator("ReduceL1", |attributes| reduction::op(attributes, ReduceOp::L1, 18));
