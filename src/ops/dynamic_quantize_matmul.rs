//! DynamicQuantizeMatMul: `A`, quantised as DynamicQuantizeLinear does, by a quantised matrix, as
//! numbers, plus a bias.

use super::dynamic_quantize_linear::range_of;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::matmul_integer_to_float::bias;
use super::qlinear::{DOMAIN, inferred};
use super::quantized::{Product, byte_type, code, codes, scaled, scales, zeros};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// DynamicQuantizeMatMul.
pub const OPERATOR: Operator =
    Operator { name: "DynamicQuantizeMatMul", domain: DOMAIN, inputs: 3..=5, build, ..Operator::DEFAULT };

struct DynamicQuantizeMatMul;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(DynamicQuantizeMatMul))
}

impl Op for DynamicQuantizeMatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let b = byte_type(inputs, 1)?;
        tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?;
        tensor_type(inputs, 2, Dtypes::Only(DataType::Float32))?;
        optional_type(inputs, 3, Dtypes::Only(b))?;
        optional_type(inputs, 4, Dtypes::Only(DataType::Float32))?;
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Float32, Product::new(inputs.shape(0)?, inputs.shape(1)?)?.shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), inputs.shape(0)?.last().copied().unwrap_or(0)]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let product = Product::new(inputs.shape(0)?, inputs.shape(1)?)?;
        let bias = bias(&inputs, 4, product.sizes[2])?;
        if product.count() == 0 {
            return output(Tensor::from_f32s(dtype, shape, Vec::new())?);
        }
        let of_right = "the scale or zero point of the right matrix";
        let b_scales = product.columns(&scales(&inputs, 2)?, inputs.shape(2)?, of_right)?;
        let b_zeros = match zeros(&inputs, 3)? {
            Some(values) => product.columns(&values, inputs.shape(3)?, of_right)?,
            None => vec![0; b_scales.len()],
        };
        let (a, b) = (inputs.take_host(0)?, codes(&inputs.take_host(1)?)?);
        let a = a.to_f32s()?;
        let (scale, zero) = range_of(&a);
        let quantised: Vec<i32> = a.iter().map(|v| code(v / scale, zero, (0, 255))).collect();
        let a_zeros = product.rows(&[zero], &[], "")?;
        let a_scales = product.rows(&[scale], &[], "")?;
        let sums = product.run(&quantised, &a_zeros, &b, &b_zeros);
        output(Tensor::from_f32s(dtype, shape, scaled(&product, &sums, &a_scales, &b_scales, bias.as_deref()))?)
    }
}
