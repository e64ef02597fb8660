//! ReduceProd: the product over axes.

use super::{Operator, reduction};
use crate::backend::ReduceOp;

/// ReduceProd.
pub const OPERATOR: Operator = reduction::operator("ReduceProd", |attributes| reduction::op(attributes, ReduceOp::Prod, 18));
