//! RandomUniformLike: uniformly distributed numbers of the shape of the input.

use super::{Operator, random};

/// RandomUniformLike.
pub const OPERATOR: Operator = random::uniform("RandomUniformLike", |attributes| random::uniform_op(attributes, true));
