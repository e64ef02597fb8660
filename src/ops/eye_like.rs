//! EyeLike: a matrix with ones where `column = row + k`, zeros elsewhere.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// EyeLike.
pub const OPERATOR: Operator = Operator { name: "EyeLike", attributes: &["dtype", "k"], build, ..Operator::DEFAULT };

struct EyeLike {
    dtype: Option<DataType>,
    k: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let dtype = match attributes.int("dtype")? {
        None => None,
        Some(number) => match i32::try_from(number).ok().and_then(DataType::from_onnx) {
            Some(dtype) if dtype.to_burn().is_some() => Some(dtype),
            _ => bail!(Unsupported, "attribute \"dtype\": expected a number or bool, got element type {number}"),
        },
    };
    Ok(Box::new(EyeLike { dtype, k: attributes.int("k")?.unwrap_or(0) }))
}

impl Op for EyeLike {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let own = tensor_type(inputs, 0, Dtypes::Any)?;
        Ok(vec![Type::Tensor(self.dtype.unwrap_or(own))])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        ensure!(shape.len() == 2, ShapeMismatch, "expected a matrix, got {shape:?}");
        one(self.dtype.unwrap_or(inputs.dtype(0)?), shape)
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (rows, columns) = (shape[0], shape[1]);
        let mut ones = vec![0i64; rows * columns];
        for row in 0..if ones.is_empty() { 0 } else { rows } {
            let column = (row as i64).saturating_add(self.k);
            if (0..columns as i64).contains(&column) {
                ones[row * columns + column as usize] = 1;
            }
        }
        output(Tensor::from_i64s(self.dtype.unwrap_or(inputs.dtype(0)?), shape, ones)?)
    }
}
