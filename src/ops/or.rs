//! Or: logical or.

use super::{Operator, binary};

/// Or.
pub const OPERATOR: Operator = binary::comparison("Or", |attributes| binary::logic(attributes, |a, b| a | b));
