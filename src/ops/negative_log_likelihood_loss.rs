//! NegativeLogLikelihoodLoss: `-input[n, target[n]] * weight[target[n]]`, reduced.

use super::{Operator, losses};

/// NegativeLogLikelihoodLoss.
pub const OPERATOR: Operator =
    losses::operator("NegativeLogLikelihoodLoss", 1..=1, |attributes| losses::op(attributes, false));
