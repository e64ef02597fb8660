//! LogSoftmax: the logarithm of Softmax, computed without overflow.

use super::{Operator, softmax};

/// LogSoftmax.
pub const OPERATOR: Operator = softmax::operator("LogSoftmax", |attributes| softmax::build(attributes, true));
