//! ReverseSequence: for every entry of the batch axis, its first `length` entries of the time axis in reverse.

use super::indexing::{integers, picked};
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// ReverseSequence.
pub const OPERATOR: Operator = Operator {
    name: "ReverseSequence",
    inputs: 2..=2,
    attributes: &["batch_axis", "time_axis"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct ReverseSequence {
    batch_axis: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let axes = (attributes.int("batch_axis")?.unwrap_or(1), attributes.int("time_axis")?.unwrap_or(0));
    ensure!(matches!(axes, (0, 1) | (1, 0)), InvalidModel, "batch_axis and time_axis are {axes:?}, expected 0 and 1");
    Ok(Box::new(ReverseSequence { batch_axis: axes.0 as usize }))
}

impl Op for ReverseSequence {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, lengths) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() >= 2, ShapeMismatch, "expected two dimensions or more, got {x:?}");
        let (batch, time) = (x[self.batch_axis], x[1 - self.batch_axis]);
        ensure!(lengths == [batch], ShapeMismatch, "sequence_lens: expected [{batch}], got {lengths:?}");
        let values = integers(inputs, 1)?;
        ensure!(
            values.iter().all(|&l| (0..=time as i64).contains(&l)),
            InvalidArgument,
            "sequence_lens {values:?}: expected 0 to {time}"
        );
        one(inputs.dtype(0)?, x)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        if shape.contains(&0) {
            return Ok(vec![inputs.take(0)?]);
        }
        let lengths = integers(&inputs, 1)?;
        let mut positions = Vec::with_capacity(shape[0] * shape[1]);
        for i in 0..shape[0] {
            for j in 0..shape[1] {
                let (batch, time) = if self.batch_axis == 0 { (i, j) } else { (j, i) };
                let length = lengths[batch] as usize;
                let from = if time < length { length - 1 - time } else { time };
                positions.push(if self.batch_axis == 0 { i * shape[1] + from } else { from * shape[1] + j });
            }
        }
        let run = shape[2..].iter().product();
        output(picked(device, inputs.array(0)?, run, &positions, &shape)?)
    }
}
