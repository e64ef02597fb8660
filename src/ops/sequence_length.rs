//! SequenceLength: the number of tensors in a sequence, as int64.

use super::inputs::{Info, Inputs, Type, Value, output};
use super::sequence::{sequence_type, take_sequence};
use super::{Attributes, Op, Operator};
use crate::backend::{Device, tensor_of};
use crate::error::Result;
use crate::graph::DataType;

/// SequenceLength.
pub const OPERATOR: Operator = Operator { name: "SequenceLength", build, ..Operator::DEFAULT };

struct SequenceLength;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SequenceLength))
}

impl Op for SequenceLength {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        sequence_type(inputs, 0)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (_, values) = take_sequence(&mut inputs, 0)?;
        output(tensor_of(DataType::Int64, &[], vec![values.len() as i64]))
    }
}
