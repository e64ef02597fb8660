//! Not: logical negation.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, elements, tensor_of};
use crate::error::Result;
use crate::graph::DataType;

/// Not.
pub const OPERATOR: Operator =
    Operator { name: "Not", domain: "", inputs: 1..=1, outputs: 1..=1, attributes: &[], parameters: &[], webgpu: false, build, ..Operator::DEFAULT };

struct Not;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Not))
}

impl Op for Not {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::Bool))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        let flipped = elements::<u8>(&inputs.cpu(0)?).into_iter().map(|v| 1 - v).collect();
        output(tensor_of(DataType::Bool, &shape, flipped))
    }
}
