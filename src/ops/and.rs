//! And: logical and.

use super::{Operator, binary};

/// And.
pub const OPERATOR: Operator = binary::comparison("And", |attributes| binary::logic(attributes, |a, b| a & b));
