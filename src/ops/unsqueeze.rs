//! Unsqueeze: adds dimensions of size 1.

use super::{Attributes, Op, Operator, axes_of, shaping};
use crate::error::{Result, bail, ensure};
use crate::graph::MAX_RANK;

/// Unsqueeze.
pub const OPERATOR: Operator = shaping::operator("Unsqueeze", &["axes"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let axes = attributes.ints_until(13, "axes", 1)?;
    shaping::op(move |inputs| {
        let shape = inputs.shape(0)?;
        let Some(axes) = axes.get(inputs)? else { bail!(InvalidModel, "no axes are given") };
        let rank = shape.len() + axes.len();
        ensure!(rank <= MAX_RANK, LimitExceeded, "{rank} dimensions; at most {MAX_RANK} are possible");
        let axes = axes_of(&axes, rank)?;
        let mut kept = shape.iter();
        Ok((0..rank).map(|d| if axes.contains(&d) { 1 } else { kept.next().copied().unwrap_or(1) }).collect())
    })
}
