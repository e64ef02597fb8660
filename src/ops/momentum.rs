//! Momentum: `V' = alpha * V + beta * G` with `beta` = 1 at `T = 0`; `X' = X - R * V'`, or with
//! Nesterov's momentum `X - R * (G + alpha * V')`. `G` is the gradient plus `norm_coefficient * X`.

use super::optimizer::{Element, op, operator};
use super::{Attributes, Op, Operator};
use crate::error::{Result, bail};

/// Momentum.
pub const OPERATOR: Operator = operator("Momentum", &["alpha", "beta", "mode", "norm_coefficient"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let number = |name| match attributes.float(name)? {
        Some(value) => Ok(f64::from(value)),
        None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
    };
    let (alpha, beta, norm) = (number("alpha")?, number("beta")?, number("norm_coefficient")?);
    let nesterov = attributes.choice("mode", &["standard", "nesterov"])? == "nesterov";
    let step = move |rate: f64, time: f64, Element { x, g, states: [v, _] }: &mut Element| {
        let gradient = norm * *x + *g;
        *v = alpha * *v + if time > 0.0 { beta } else { 1.0 } * gradient;
        *x -= rate * if nesterov { gradient + alpha * *v } else { *v };
    };
    op(attributes, 1, Box::new(step))
}
