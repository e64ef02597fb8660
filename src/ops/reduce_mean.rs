//! ReduceMean: the mean over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceMean.
pub const OPERATOR: Operator = reduction::operator("ReduceMean", |attributes| reduction::op(attributes, ReduceOp::Mean, 18));
