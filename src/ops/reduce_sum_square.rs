//! ReduceSumSquare: the sum of squares over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceSumSquare.
pub const OPERATOR: Operator = reduction::operator("ReduceSumSquare", |attributes| reduction::op(attributes, ReduceOp::SumSquare, 18));
