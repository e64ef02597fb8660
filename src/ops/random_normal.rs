//! RandomNormal: normally distributed numbers of a given shape.

use super::{Operator, random};

/// RandomNormal.
pub const OPERATOR: Operator = random::normal("RandomNormal", |attributes| random::normal_op(attributes, false));
