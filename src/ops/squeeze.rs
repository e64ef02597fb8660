//! Squeeze: removes dimensions of size 1.

use super::{Attributes, Op, Operator, axes_of, shaping};
use crate::error::{Result, ensure};

/// Squeeze.
pub const OPERATOR: Operator = shaping::operator("Squeeze", &["axes"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let axes = attributes.ints_until(13, "axes", 1)?;
    shaping::op(move |inputs| {
        let shape = inputs.shape(0)?;
        let axes = match axes.get(inputs)? {
            Some(axes) => axes_of(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&d| shape[d] == 1).collect(),
        };
        for &axis in &axes {
            ensure!(shape[axis] == 1, ShapeMismatch, "dimension {axis} of {shape:?} is not 1");
        }
        Ok((0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect())
    })
}
