//! Size: the number of elements, as int64.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, tensor_of};
use crate::error::Result;
use crate::graph::DataType;

/// Size.
pub const OPERATOR: Operator = Operator { name: "Size", build, ..Operator::DEFAULT };

struct Size;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Size))
}

impl Op for Size {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::All)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Int64, [])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let count: usize = inputs.shape(0)?.iter().product();
        output(tensor_of(DataType::Int64, &[], vec![count as i64]))
    }
}
