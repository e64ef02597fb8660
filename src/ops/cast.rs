//! Cast: converts every element to another dtype.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, cast};
use crate::error::{Result, bail};
use crate::graph::DataType;

/// Cast.
pub const OPERATOR: Operator = Operator {
    name: "Cast",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["saturate", "to"],
    parameters: &[],
    webgpu: false,
    build,
};

struct Cast {
    to: DataType,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(to) = attributes.int("to")? else { bail!(InvalidModel, "attribute \"to\" is missing") };
    match i32::try_from(to).ok().and_then(DataType::from_onnx) {
        Some(DataType::String) => bail!(Unsupported, "a cast to string"),
        Some(to) => Ok(Box::new(Cast { to })),
        None => bail!(Unsupported, "a cast to element type {to}"),
    }
}

impl Op for Cast {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Any)?;
        Ok(vec![Type::Tensor(self.to)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(self.to, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(cast(&inputs.cpu(0)?, self.to)?)
    }
}
