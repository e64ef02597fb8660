//! RandomNormalLike: normally distributed numbers of the shape of the input.

use super::{Operator, random};

/// RandomNormalLike.
pub const OPERATOR: Operator = random::normal("RandomNormalLike", |attributes| random::normal_op(attributes, true));
