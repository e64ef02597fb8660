//! Flatten: a matrix, the dimensions before `axis` by those from it on.

use super::{Attributes, Op, Operator, axis_of, shaping};
use crate::error::Result;

/// Flatten.
pub const OPERATOR: Operator = Operator { inputs: 1..=1, ..shaping::operator("Flatten", &["axis"], build) };

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let axis = attributes.int("axis")?.unwrap_or(1);
    shaping::op(move |inputs| {
        let shape = inputs.shape(0)?;
        let rank = shape.len();
        let (before, after) = shape.split_at(if axis == rank as i64 { rank } else { axis_of(axis, rank)? });
        Ok(vec![before.iter().product(), after.iter().product()])
    })
}
