//! Adam: `V' = alpha * V + (1 - alpha) * G`, `H' = beta * H + (1 - beta) * G²`,
//! `X' = (1 - norm_coefficient_post) * (X - r * V' / (sqrt(H') + epsilon))`, where `G` is the
//! gradient plus `norm_coefficient * X`, and `r` is `R * sqrt(1 - beta ^ T) / (1 - alpha ^ T)`, or
//! `R` at `T = 0`.

use super::optimizer::{Element, op, operator};
use super::{Attributes, Op, Operator};
use crate::error::Result;

/// Adam.
pub const OPERATOR: Operator =
    operator("Adam", &["alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let number = |name, default: f32| Ok(f64::from(attributes.float(name)?.unwrap_or(default)));
    let (alpha, beta, epsilon) = (number("alpha", 0.9)?, number("beta", 0.999)?, number("epsilon", 1e-6)?);
    let (norm, post) = (number("norm_coefficient", 0.0)?, number("norm_coefficient_post", 0.0)?);
    let step = move |rate: f64, time: f64, Element { x, g, states: [v, h] }: &mut Element| {
        let gradient = norm * *x + *g;
        *v = alpha * *v + (1.0 - alpha) * gradient;
        *h = beta * *h + (1.0 - beta) * gradient * gradient;
        let correction = (1.0 - beta.powf(time)).sqrt() / (1.0 - alpha.powf(time));
        let rate = if time > 0.0 { rate * correction } else { rate };
        *x = (1.0 - post) * (*x - rate * *v / (h.sqrt() + epsilon));
    };
    op(attributes, 2, Box::new(step))
}
