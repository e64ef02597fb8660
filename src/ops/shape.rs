//! Shape: the dimensions of the input, or a part of them, as int64.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, tensor_of};
use crate::error::Result;
use crate::graph::DataType;

/// Shape.
pub const OPERATOR: Operator = Operator { name: "Shape", attributes: &["end", "start"], build, ..Operator::DEFAULT };

struct Shape {
    start: i64,
    end: Option<i64>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.since(15, "start")?;
    attributes.since(15, "end")?;
    Ok(Box::new(Shape { start: attributes.int("start")?.unwrap_or(0), end: attributes.int("end")? }))
}

impl Shape {
    fn dims(&self, inputs: &Inputs) -> Result<Vec<i64>> {
        let shape = inputs.shape(0)?;
        let rank = shape.len() as i64;
        let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
        let (start, end) = (clamp(self.start), clamp(self.end.unwrap_or(rank)));
        Ok(shape[start.min(end)..end].iter().map(|&d| d as i64).collect())
    }
}

impl Op for Shape {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::All)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Int64, [self.dims(inputs)?.len()])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let dims = self.dims(&inputs)?;
        output(tensor_of(DataType::Int64, &[dims.len()], dims))
    }
}
