//! OptionalHasElement: whether a value is there.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator};
use crate::backend::{Device, tensor_of};
use crate::error::Result;
use crate::graph::DataType;

/// OptionalHasElement.
pub const OPERATOR: Operator = Operator { name: "OptionalHasElement", inputs: 0..=1, build, ..Operator::DEFAULT };

struct OptionalHasElement;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(OptionalHasElement))
}

impl Op for OptionalHasElement {
    fn types(&self, _: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(DataType::Bool)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, [])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let there = inputs.has(0) && !matches!(inputs.value(0)?, Value::Absent(_));
        output(tensor_of(DataType::Bool, &[], vec![u8::from(there)]))
    }
}
