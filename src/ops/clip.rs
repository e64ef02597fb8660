//! Clip: limits every element to `[min, max]`; NaN stays NaN.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::Result;

/// Clip.
pub const OPERATOR: Operator = Operator {
    name: "Clip",
    domain: "",
    inputs: 1..=3,
    outputs: 1..=1,
    attributes: &["max", "min"],
    parameters: &[1, 2],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct Clip {
    min: f64,
    max: f64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let bound = |name| Ok(attributes.float(name)?.map(f64::from));
    Ok(Box::new(Clip { min: bound("min")?.unwrap_or(f64::NEG_INFINITY), max: bound("max")?.unwrap_or(f64::INFINITY) }))
}

impl Op for Clip {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Number)?;
        optional_type(inputs, 1, Dtypes::Only(dtype))?;
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let min = inputs.number(1)?.unwrap_or(self.min);
        let max = inputs.number(2)?.unwrap_or(self.max);
        output(device.unary(UnaryOp::Clip { min, max }, inputs.array(0)?)?)
    }
}
