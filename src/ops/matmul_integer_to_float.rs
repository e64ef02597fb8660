//! MatMulIntegerToFloat: the product of quantised matrices, as numbers, plus a bias.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::matmul_integer::product;
use super::qlinear::{DOMAIN, inferred};
use super::quantized::{Product, byte_type, scaled, scales};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::Tensor;

/// MatMulIntegerToFloat.
pub const OPERATOR: Operator =
    Operator { name: "MatMulIntegerToFloat", domain: DOMAIN, inputs: 4..=7, build, ..Operator::DEFAULT };

struct MatMulIntegerToFloat;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MatMulIntegerToFloat))
}

/// Checks the bias at input `index`, where it is there, and gives it.
pub fn bias(inputs: &Inputs, index: usize, columns: usize) -> Result<Option<Vec<f32>>> {
    if !inputs.has(index) {
        return Ok(None);
    }
    let shape = inputs.shape(index)?;
    ensure!(shape == [columns], ShapeMismatch, "the bias is {shape:?}, expected [{columns}]");
    scales(inputs, index).map(Some)
}

impl Op for MatMulIntegerToFloat {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let (a, b) = (byte_type(inputs, 0)?, byte_type(inputs, 1)?);
        let dtype = tensor_type(inputs, 2, Dtypes::Float)?;
        tensor_type(inputs, 3, Dtypes::Only(dtype))?;
        optional_type(inputs, 4, Dtypes::Only(a))?;
        optional_type(inputs, 5, Dtypes::Only(b))?;
        optional_type(inputs, 6, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(2)?, Product::new(inputs.shape(0)?, inputs.shape(1)?)?.shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), inputs.shape(0)?.last().copied().unwrap_or(0)]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let (product, sums) = product(&inputs, [0, 4, 1, 5])?;
        let bias = bias(&inputs, 6, product.sizes[2])?;
        if sums.is_empty() {
            return output(Tensor::from_f32s(dtype, shape, Vec::new())?);
        }
        let a = product.rows(&scales(&inputs, 2)?, inputs.shape(2)?, "the scale of the left matrix")?;
        let b = product.columns(&scales(&inputs, 3)?, inputs.shape(3)?, "the scale of the right matrix")?;
        output(Tensor::from_f32s(dtype, shape, scaled(&product, &sums, &a, &b, bias.as_deref()))?)
    }
}
