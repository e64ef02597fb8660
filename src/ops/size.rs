//! Size: the number of elements, as int64.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator};
use crate::backend::{Device, tensor_of};
use crate::error::{Result, bail};
use crate::graph::DataType;

/// Size.
pub const OPERATOR: Operator =
    Operator { name: "Size", domain: "", inputs: 1..=1, outputs: 1..=1, attributes: &[], parameters: &[], webgpu: false, build, ..Operator::DEFAULT };

struct Size;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Size))
}

impl Op for Size {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match inputs {
            [Some(Type::Tensor(_))] => Ok(vec![Type::Tensor(DataType::Int64)]),
            _ => bail!(InvalidModel, "input 0: expected a tensor"),
        }
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Int64, [])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let count: usize = inputs.shape(0)?.iter().product();
        output(tensor_of(DataType::Int64, &[], vec![count as i64]))
    }
}
