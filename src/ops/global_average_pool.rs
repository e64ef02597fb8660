//! GlobalAveragePool: the mean over all spatial dimensions, which become 1.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// GlobalAveragePool.
pub const OPERATOR: Operator = reduction::global("GlobalAveragePool", |_| reduction::spatial(ReduceOp::Mean));
