//! GRU: `h = (1 - z) g(…) + z h` with an update gate `z` and a reset gate, step by step.

use super::{Operator, recurrent};
use crate::kernels::recurrent::Cell;

/// GRU.
pub const OPERATOR: Operator = recurrent::operator(
    "GRU",
    5,
    2,
    &[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
        "linear_before_reset",
    ],
    |attributes| {
        let linear_before_reset = attributes.flag("linear_before_reset", false)?;
        recurrent::build(attributes, Cell::Gru { linear_before_reset })
    },
);
