//! Gather: the entries of an axis at given indices; negative ones count from the end.

use super::indexing::{integers, resolve};
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// Gather.
pub const OPERATOR: Operator = Operator {
    name: "Gather",
    inputs: 2..=2,
    attributes: &["axis"],
    parameters: &[1],
    webgpu: true,
    build,
    moves: true,
    ..Operator::DEFAULT
};

struct Gather {
    axis: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Gather { axis: attributes.int("axis")?.unwrap_or(0) }))
}

impl Op for Gather {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, indices) = (inputs.shape(0)?, inputs.shape(1)?);
        let axis = axis_of(self.axis, x.len())?;
        one(inputs.dtype(0)?, [&x[..axis], indices, &x[axis + 1..]].concat())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, shape) = (inputs.shape(0)?, inputs.shape(1)?.to_vec());
        let axis = axis_of(self.axis, x.len())?;
        let indices =
            integers(&inputs, 1)?.into_iter().map(|index| resolve(index, x[axis])).collect::<Result<Vec<_>>>()?;
        output(device.gather(inputs.array(0)?, axis, &indices, &shape)?)
    }
}
