//! SequenceErase: a sequence without the tensor at a position, by default the last.

use super::inputs::{Info, Inputs, Type, Value};
use super::sequence::{position, sequence_type, take_sequence};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::Result;

/// SequenceErase.
pub const OPERATOR: Operator =
    Operator { name: "SequenceErase", inputs: 1..=2, parameters: &[1], build, ..Operator::DEFAULT };

struct SequenceErase;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SequenceErase))
}

impl Op for SequenceErase {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Sequence(sequence_type(inputs, 0)?)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let at = inputs.int(1)?.unwrap_or(-1);
        let (dtype, mut values) = take_sequence(&mut inputs, 0)?;
        let at = position(at, values.len(), values.len())?;
        values.remove(at);
        Ok(vec![Value::Sequence(dtype, values)])
    }
}
