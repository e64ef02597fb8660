//! RNN: `h = f(x Wᵀ + h Rᵀ + b)`, step by step.

use super::{Operator, recurrent};
use crate::kernels::recurrent::Cell;

/// RNN.
pub const OPERATOR: Operator = recurrent::operator(
    "RNN",
    5,
    2,
    &["activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout"],
    |attributes| recurrent::build(attributes, Cell::Rnn),
);
