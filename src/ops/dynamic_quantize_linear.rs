//! DynamicQuantizeLinear: to uint8, scale and zero point from the range of `x` widened to hold 0.

use super::inputs::{Info, Inputs, Type, Value};
use super::quantized::code;
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, in_memory, logical, quantize, row_major_slice, tensor_of};
use crate::error::Result;
use crate::graph::DataType;
use crate::kernels::quantized::range;

/// DynamicQuantizeLinear.
pub const OPERATOR: Operator = Operator { name: "DynamicQuantizeLinear", outputs: 1..=3, build, ..Operator::DEFAULT };

struct DynamicQuantizeLinear {
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(DynamicQuantizeLinear { outputs: attributes.outputs() }))
}

/// The scale and zero point that cover `x`. A range of 0 has scale 1, as in ONNX Runtime; NaN is
/// passed over.
pub fn range_of(x: &[f32]) -> (f32, i32) {
    let (low, high) = range(x);
    let scale = if low == high { 1.0 } else { (high - low) / 255.0 };
    (scale, code(-low / scale, 0, (0, 255)))
}

/// `x`, quantised and read back.
pub fn round_trip(x: &[f32]) -> impl Iterator<Item = f32> {
    let (scale, zero) = range_of(x);
    x.iter().map(move |v| (code(v / scale, zero, (0, 255)) - zero) as f32 * scale)
}

impl Op for DynamicQuantizeLinear {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?;
        let types = [DataType::Uint8, DataType::Float32, DataType::Uint8];
        Ok(types[..self.outputs].iter().map(|&dtype| Type::Tensor(dtype)).collect())
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let info = |dtype, shape: &[usize]| Some(Info { dtype, shape: shape.to_vec() });
        let infos = [info(DataType::Uint8, inputs.shape(0)?), info(DataType::Float32, &[]), info(DataType::Uint8, &[])];
        Ok(infos.into_iter().take(self.outputs).collect())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, order) = in_memory(inputs.cpu(0)?);
        let (scale, zero) = range_of(&row_major_slice(&x));
        let values = [
            Value::from(logical(quantize(x, scale, zero, DataType::Uint8), &order)),
            Value::from(tensor_of(DataType::Float32, &[], vec![scale])),
            Value::from(tensor_of(DataType::Uint8, &[], vec![zero as u8])),
        ];
        Ok(values.into_iter().take(self.outputs).collect())
    }
}
