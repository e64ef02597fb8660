//! RandomUniform: uniformly distributed numbers of a given shape.

use super::{Operator, random};

/// RandomUniform.
pub const OPERATOR: Operator = random::uniform("RandomUniform", |attributes| random::uniform_op(attributes, false));
