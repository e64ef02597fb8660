//! Adagrad: `H' = H + G²`, `X' = X - R / (1 + T * decay_factor) * G / (sqrt(H') + epsilon)`, where
//! `G` is the gradient plus `norm_coefficient * X`.

use super::optimizer::{Element, op, operator};
use super::{Attributes, Op, Operator};
use crate::error::Result;

/// Adagrad.
pub const OPERATOR: Operator = operator("Adagrad", &["decay_factor", "epsilon", "norm_coefficient"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let number = |name, default: f32| Ok(f64::from(attributes.float(name)?.unwrap_or(default)));
    let (decay, epsilon, norm) =
        (number("decay_factor", 0.0)?, number("epsilon", 1e-6)?, number("norm_coefficient", 0.0)?);
    let step = move |rate: f64, time: f64, Element { x, g, states: [h, _] }: &mut Element| {
        let gradient = norm * *x + *g;
        *h += gradient * gradient;
        *x -= rate / (1.0 + time * decay) * gradient / (h.sqrt() + epsilon);
    };
    op(attributes, 1, Box::new(step))
}
