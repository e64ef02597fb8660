//! SequenceInsert: a sequence with a tensor put at a position, by default the end.

use super::inputs::{Info, Inputs, Type, Value};
use super::sequence::{position, sequence_type, take_sequence};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// SequenceInsert.
pub const OPERATOR: Operator =
    Operator { name: "SequenceInsert", inputs: 2..=3, parameters: &[2], build, ..Operator::DEFAULT };

struct SequenceInsert;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SequenceInsert))
}

impl Op for SequenceInsert {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = sequence_type(inputs, 0)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        optional_type(inputs, 2, Dtypes::Index)?;
        Ok(vec![Type::Sequence(dtype)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let at = inputs.int(2)?;
        let (dtype, mut values) = take_sequence(&mut inputs, 0)?;
        let at = position(at.unwrap_or(values.len() as i64), values.len(), values.len() + 1)?;
        values.insert(at, inputs.take(1)?);
        Ok(vec![Value::Sequence(dtype, values)])
    }
}
