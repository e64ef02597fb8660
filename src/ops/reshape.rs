//! Reshape: the same elements in another shape; 0 keeps a dimension, −1 takes what is left.

use super::{Attributes, Inputs, Op, Operator, shaping};
use crate::error::{Result, bail, ensure};
use crate::graph::element_count;

/// Reshape.
pub const OPERATOR: Operator = shaping::operator("Reshape", &["allowzero", "consumed_inputs", "shape"], build);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.since(14, "allowzero")?;
    let allow_zero = attributes.flag("allowzero", false)?;
    let wanted = attributes.ints_until(5, "shape", 1)?;
    shaping::op(move |inputs| match wanted.get(inputs)? {
        Some(wanted) => shape(inputs, &wanted, allow_zero),
        None => bail!(InvalidModel, "no shape is given"),
    })
}

fn shape(inputs: &Inputs, wanted: &[i64], allow_zero: bool) -> Result<Vec<usize>> {
    let from = inputs.shape(0)?;
    let count: usize = from.iter().product();
    let mut shape = Vec::with_capacity(wanted.len());
    let mut free = None;
    for (d, &size) in wanted.iter().enumerate() {
        shape.push(match size {
            -1 => {
                ensure!(free.replace(d).is_none(), InvalidArgument, "the shape {wanted:?} has more than one −1");
                1
            }
            0 if !allow_zero => match from.get(d) {
                Some(&kept) => kept,
                None => bail!(ShapeMismatch, "the shape {wanted:?} keeps dimension {d}, the input {from:?} has none"),
            },
            0.. => usize::try_from(size).unwrap_or(usize::MAX),
            _ => bail!(InvalidArgument, "the shape {wanted:?} has a negative dimension"),
        });
    }
    let known = element_count(&shape)?;
    if let Some(d) = free {
        let divides = known > 0 && count.is_multiple_of(known);
        ensure!(divides, ShapeMismatch, "{from:?} ({count} elements) does not divide into {wanted:?}");
        shape[d] = count / known;
    } else {
        ensure!(known == count, ShapeMismatch, "{from:?} is {count} elements, {wanted:?} is {known}");
    }
    Ok(shape)
}
