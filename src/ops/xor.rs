//! Xor: logical exclusive or.

use super::{Operator, binary};

/// Xor.
pub const OPERATOR: Operator = binary::comparison("Xor", |attributes| binary::logic(attributes, |a, b| a ^ b));
