//! SequenceConstruct: a sequence of the given tensors.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// SequenceConstruct.
pub const OPERATOR: Operator = Operator { name: "SequenceConstruct", inputs: 1..=4096, build, ..Operator::DEFAULT };

struct SequenceConstruct;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SequenceConstruct))
}

impl Op for SequenceConstruct {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        for index in 1..inputs.len() {
            tensor_type(inputs, index, Dtypes::Only(dtype))?;
        }
        Ok(vec![Type::Sequence(dtype)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let dtype = inputs.dtype(0)?;
        let values = (0..inputs.count()).map(|index| inputs.take(index)).collect::<Result<Vec<_>>>()?;
        Ok(vec![Value::Sequence(dtype, values)])
    }
}
