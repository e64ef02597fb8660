//! LSTM: `c = f c + i g(…)`, `h = o h(c)` with input, output and forget gates, step by step.

use super::{Operator, recurrent};
use crate::kernels::recurrent::Cell;

/// LSTM.
pub const OPERATOR: Operator = recurrent::operator(
    "LSTM",
    7,
    3,
    &[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
    ],
    |attributes| {
        let input_forget = attributes.flag("input_forget", false)?;
        recurrent::build(attributes, Cell::Lstm { input_forget })
    },
);
