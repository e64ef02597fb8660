//! Softmax: `e ^ x / sum(e ^ x)` along an axis.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// Softmax.
pub const OPERATOR: Operator = operator("Softmax", |attributes| build(attributes, false));

/// An operator that normalises along an axis.
pub const fn operator(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, domain: "", inputs: 1..=1, outputs: 1..=1, attributes: &["axis"], parameters: &[], webgpu: true, build, ..Operator::DEFAULT }
}

struct Softmax {
    axis: i64,
    /// Before opset 13 everything from the axis on was one row.
    flattens: bool,
    log: bool,
}

/// Softmax, or its logarithm.
pub fn build(attributes: &Attributes<'_>, log: bool) -> Result<Box<dyn Op>> {
    let flattens = attributes.opset < 13;
    Ok(Box::new(Softmax { axis: attributes.int("axis")?.unwrap_or(if flattens { 1 } else { -1 }), flattens, log }))
}

impl Op for Softmax {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        axis_of(self.axis, shape.len())?;
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        let x = inputs.array(0)?;
        if !self.flattens {
            return output(device.softmax(x, axis, self.log)?);
        }
        let rows = [shape[..axis].iter().product(), shape[axis..].iter().product()];
        let y = device.softmax(device.reshape(x, &rows)?, 1, self.log)?;
        output(device.reshape(y, &shape)?)
    }
}
