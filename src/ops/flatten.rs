//! Flatten: a matrix, the dimensions before `axis` by those from it on.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};

/// Flatten.
pub const OPERATOR: Operator =
    Operator { name: "Flatten", domain: "", inputs: 1..=1, outputs: 1..=1, attributes: &["axis"], parameters: &[], webgpu: true, build, moves: true, ..Operator::DEFAULT };

struct Flatten {
    axis: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Flatten { axis: attributes.int("axis")?.unwrap_or(1) }))
}

impl Op for Flatten {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        let rank = shape.len() as i64;
        let axis = if self.axis < 0 { self.axis + rank } else { self.axis };
        ensure!((0..=rank).contains(&axis), ShapeMismatch, "axis {} is outside of {shape:?}", self.axis);
        let (before, after) = shape.split_at(axis as usize);
        one(inputs.dtype(0)?, [before.iter().product::<usize>(), after.iter().product()])
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}
