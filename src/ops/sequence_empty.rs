//! SequenceEmpty: a sequence of nothing.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::DataType;

/// SequenceEmpty.
pub const OPERATOR: Operator =
    Operator { name: "SequenceEmpty", inputs: 0..=0, attributes: &["dtype"], build, ..Operator::DEFAULT };

struct SequenceEmpty(DataType);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let number = attributes.int("dtype")?.unwrap_or(1);
    match i32::try_from(number).ok().and_then(DataType::from_onnx) {
        Some(dtype) => Ok(Box::new(SequenceEmpty(dtype))),
        None => bail!(Unsupported, "sequences of element type {number}"),
    }
}

impl Op for SequenceEmpty {
    fn types(&self, _: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Sequence(self.0)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, _: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        Ok(vec![Value::Sequence(self.0, Vec::new())])
    }
}
