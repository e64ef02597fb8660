//! GatherElements: `y[i, j, …] = x[index[i, j, …], j, …]` for axis 0; negative indices count from the end.

use super::indexing::{check_element_indices, element_positions, integers, picked};
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// GatherElements.
pub const OPERATOR: Operator = Operator {
    name: "GatherElements",
    inputs: 2..=2,
    attributes: &["axis"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct GatherElements {
    axis: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(GatherElements { axis: attributes.int("axis")?.unwrap_or(0) }))
}

impl Op for GatherElements {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, indices) = (inputs.shape(0)?, inputs.shape(1)?);
        check_element_indices(x, indices, axis_of(self.axis, x.len())?)?;
        one(inputs.dtype(0)?, indices)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, shape) = (inputs.shape(0)?, inputs.shape(1)?.to_vec());
        let positions = element_positions(x, &shape, axis_of(self.axis, x.len())?, &integers(&inputs, 1)?)?;
        output(picked(device, inputs.array(0)?, 1, &positions, &shape)?)
    }
}
