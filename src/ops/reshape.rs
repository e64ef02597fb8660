//! Reshape: the same elements in another shape; 0 keeps a dimension, −1 takes what is left.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// Reshape.
pub const OPERATOR: Operator = Operator {
    name: "Reshape",
    domain: "",
    inputs: 1..=2,
    outputs: 1..=1,
    attributes: &["allowzero", "shape"],
    parameters: &[1],
    webgpu: true,
    build, moves: true, ..Operator::DEFAULT
};

struct Reshape {
    allow_zero: bool,
    shape: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Reshape { allow_zero: attributes.flag("allowzero", false)?, shape: attributes.ints("shape")?.map(<[i64]>::to_vec) }))
}

impl Op for Reshape {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let from = inputs.shape(0)?;
        let Some(wanted) = inputs.ints(1)?.or_else(|| self.shape.clone()) else { bail!(InvalidModel, "no shape is given") };
        let count: usize = from.iter().product();
        let mut shape = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (d, &size) in wanted.iter().enumerate() {
            shape.push(match size {
                -1 => {
                    ensure!(free.replace(d).is_none(), InvalidArgument, "the shape {wanted:?} has more than one −1");
                    1
                }
                0 if !self.allow_zero => match from.get(d) {
                    Some(&kept) => kept,
                    None => bail!(ShapeMismatch, "the shape {wanted:?} keeps dimension {d}, the input {from:?} has none"),
                },
                0.. => usize::try_from(size).unwrap_or(usize::MAX),
                _ => bail!(InvalidArgument, "the shape {wanted:?} has a negative dimension"),
            });
        }
        let known = crate::graph::element_count(&shape)?;
        if let Some(d) = free {
            ensure!(known > 0 && count.is_multiple_of(known), ShapeMismatch, "{from:?} ({count} elements) does not divide into {wanted:?}");
            shape[d] = count / known;
        } else {
            ensure!(known == count, ShapeMismatch, "{from:?} is {count} elements, {wanted:?} is {known}");
        }
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}
