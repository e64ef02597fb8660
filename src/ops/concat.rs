//! Concat: joins tensors along an axis.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// Concat.
pub const OPERATOR: Operator = Operator {
    name: "Concat",
    inputs: 1..=4096,
    attributes: &["axis"],
    webgpu: true,
    build,
    moves: true,
    ..Operator::DEFAULT
};

struct Concat {
    axis: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    match attributes.int("axis")?.or((attributes.opset < 4).then_some(1)) {
        Some(axis) => Ok(Box::new(Concat { axis })),
        None => bail!(InvalidModel, "attribute \"axis\" is missing"),
    }
}

/// The shape of `shapes` joined along `axis`.
pub fn joined(shapes: &[&[usize]], axis: i64) -> Result<(usize, Vec<usize>)> {
    let first = shapes[0];
    let axis = axis_of(axis, first.len())?;
    let mut shape = first.to_vec();
    for other in &shapes[1..] {
        let fits = other.len() == first.len() && (0..first.len()).all(|d| d == axis || other[d] == first[d]);
        ensure!(fits, ShapeMismatch, "{first:?} and {other:?} cannot be joined along axis {axis}");
        shape[axis] = shape[axis].saturating_add(other[axis]);
    }
    Ok((axis, shape))
}

impl Op for Concat {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        for index in 1..inputs.len() {
            tensor_type(inputs, index, Dtypes::Only(dtype))?;
        }
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shapes = (0..inputs.count()).map(|i| inputs.shape(i)).collect::<Result<Vec<_>>>()?;
        one(inputs.dtype(0)?, joined(&shapes, self.axis)?.1)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let axis = axis_of(self.axis, inputs.shape(0)?.len())?;
        let arrays = (0..inputs.count()).map(|i| inputs.array(i)).collect::<Result<Vec<_>>>()?;
        output(device.concat(arrays, axis)?)
    }
}
