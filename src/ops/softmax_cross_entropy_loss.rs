//! SoftmaxCrossEntropyLoss: `-ln(softmax(scores))[n, label[n]] * weight[label[n]]`, reduced, and
//! the logarithms.

use super::{Operator, losses};

/// SoftmaxCrossEntropyLoss.
pub const OPERATOR: Operator =
    losses::operator("SoftmaxCrossEntropyLoss", 1..=2, |attributes| losses::op(attributes, true));
