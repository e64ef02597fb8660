//! Squeeze: removes dimensions of size 1.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axes_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Squeeze.
pub const OPERATOR: Operator = Operator {
    name: "Squeeze",
    domain: "",
    inputs: 1..=2,
    outputs: 1..=1,
    attributes: &["axes"],
    parameters: &[1],
    webgpu: true,
    build, moves: true, ..Operator::DEFAULT
};

struct Squeeze {
    axes: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Squeeze { axes: attributes.ints("axes")?.map(<[i64]>::to_vec) }))
}

impl Op for Squeeze {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        let axes = match inputs.ints(1)?.or_else(|| self.axes.clone()) {
            Some(axes) => axes_of(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&d| shape[d] == 1).collect(),
        };
        for &axis in &axes {
            ensure!(shape[axis] == 1, ShapeMismatch, "dimension {axis} of {shape:?} is not 1");
        }
        let kept = shape.iter().enumerate().filter(|(d, _)| !axes.contains(d)).map(|(_, &size)| size);
        one(inputs.dtype(0)?, kept.collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}
