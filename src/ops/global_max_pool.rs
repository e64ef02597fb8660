//! GlobalMaxPool: the maximum over all spatial dimensions, which become 1.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// GlobalMaxPool.
pub const OPERATOR: Operator = reduction::global("GlobalMaxPool", |_| reduction::spatial(ReduceOp::Max));
