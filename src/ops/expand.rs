//! Expand: broadcasts the input to a shape.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Expand.
pub const OPERATOR: Operator =
    Operator { name: "Expand", inputs: 2..=2, parameters: &[1], webgpu: true, build, moves: true, ..Operator::DEFAULT };

struct Expand;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Expand))
}

impl Op for Expand {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let wanted = inputs.ints(1)?.unwrap_or_default();
        ensure!(wanted.iter().all(|&d| d >= 0), InvalidArgument, "the shape {wanted:?} has a negative dimension");
        let wanted: Vec<usize> = wanted.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
        one(inputs.dtype(0)?, broadcast(inputs.shape(0)?, &wanted)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.expand(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}
