//! GatherND: the slices of `x` that index tuples, the last dimension of `indices`, point to.

use super::indexing::{depth, integers, picked, run_positions};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, MAX_RANK};

/// GatherND.
pub const OPERATOR: Operator = Operator {
    name: "GatherND",
    inputs: 2..=2,
    attributes: &["batch_dims"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct GatherNd {
    batch: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.since(12, "batch_dims")?;
    let batch = attributes.int("batch_dims")?.unwrap_or(0);
    ensure!((0..=MAX_RANK as i64).contains(&batch), InvalidModel, "batch_dims is {batch}, expected 0 or more");
    Ok(Box::new(GatherNd { batch: batch as usize }))
}

impl Op for GatherNd {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, indices) = (inputs.shape(0)?, inputs.shape(1)?);
        let inner = &x[self.batch + depth(x, indices, self.batch)?..];
        one(inputs.dtype(0)?, [&indices[..indices.len() - 1], inner].concat())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.shape(0)?;
        let depth = depth(x, inputs.shape(1)?, self.batch)?;
        let positions = run_positions(x, depth, self.batch, &integers(&inputs, 1)?)?;
        let run = x[self.batch + depth..].iter().product();
        output(picked(device, inputs.array(0)?, run, &positions, shape_of(outputs, 0)?)?)
    }
}
