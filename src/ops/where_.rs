//! Where: from `X` where the condition holds, else from `Y`; all broadcast together.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::{Device, select};
use crate::error::Result;
use crate::graph::DataType;

/// Where.
pub const OPERATOR: Operator = Operator { name: "Where", inputs: 3..=3, moves: true, build, ..Operator::DEFAULT };

struct Where;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Where))
}

impl Op for Where {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Bool))?;
        let dtype = tensor_type(inputs, 1, Dtypes::All)?;
        tensor_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(1)?, broadcast(&broadcast(inputs.shape(0)?, inputs.shape(1)?)?, inputs.shape(2)?)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(select(inputs.cpu(0)?, inputs.cpu(1)?, inputs.cpu(2)?, shape_of(outputs, 0)?)?)
    }
}
