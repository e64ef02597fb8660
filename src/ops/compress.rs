//! Compress: the entries of an axis (of all elements without one) where a condition holds.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// Compress.
pub const OPERATOR: Operator = Operator {
    name: "Compress",
    inputs: 2..=2,
    attributes: &["axis"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct Compress {
    axis: Option<i64>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Compress { axis: attributes.int("axis")? }))
}

impl Compress {
    /// The shape that is cut, the axis, and what of it is kept; a condition may be shorter than
    /// the axis, and what it has beyond does not count.
    fn kept(&self, inputs: &Inputs) -> Result<(Vec<usize>, usize, Vec<usize>)> {
        let x = inputs.shape(0)?;
        let (shape, axis) = match self.axis {
            Some(axis) => (x.to_vec(), axis_of(axis, x.len())?),
            None => (vec![x.iter().product()], 0),
        };
        let Some(condition) = inputs.host(1)? else { bail!(InvalidModel, "input 1 is missing") };
        ensure!(
            condition.shape().len() == 1,
            ShapeMismatch,
            "condition: expected one dimension, got {:?}",
            condition.shape()
        );
        let holds = condition.bytes().unwrap_or_default().iter().take(shape[axis]).enumerate();
        let kept = holds.filter(|(_, v)| **v != 0).map(|(i, _)| i).collect();
        Ok((shape, axis, kept))
    }
}

impl Op for Compress {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Bool))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (mut shape, axis, kept) = self.kept(inputs)?;
        shape[axis] = kept.len();
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (shape, axis, kept) = self.kept(&inputs)?;
        let x = device.reshape(inputs.array(0)?, &shape)?;
        output(device.gather(x, axis, &kept, &[kept.len()])?)
    }
}
