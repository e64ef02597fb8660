//! ConstantOfShape: a tensor of a given shape, every element the same.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor, element_count};

/// ConstantOfShape.
pub const OPERATOR: Operator =
    Operator { name: "ConstantOfShape", attributes: &["value"], parameters: &[0], build, ..Operator::DEFAULT };

struct ConstantOfShape(Tensor);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let value = match attributes.tensor("value")? {
        Some(value) => value.clone(),
        None => Tensor::from_vec(vec![1], vec![0f32])?,
    };
    ensure!(
        value.len() == 1 && value.bytes().is_some(),
        InvalidModel,
        "attribute \"value\": expected one number, got {value:?}"
    );
    Ok(Box::new(ConstantOfShape(value)))
}

impl Op for ConstantOfShape {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(self.0.dtype())])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.ints(0)?.unwrap_or_default();
        ensure!(
            shape.iter().all(|&d| d >= 0),
            InvalidArgument,
            "the shape asked for, {shape:?}, has a negative dimension"
        );
        // On 32 bits a size may be past what an address holds: it stays too large, and is told as that.
        one(self.0.dtype(), shape.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect::<Vec<_>>())
    }

    fn run(&self, _: &dyn Device, _: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let elements = self.0.bytes().unwrap_or_default().repeat(element_count(shape)?);
        output(Tensor::from_bytes(self.0.dtype(), shape.to_vec(), elements)?)
    }
}
