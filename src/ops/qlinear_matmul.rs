//! QLinearMatMul: the product of quantised matrices, summed exactly, quantised anew.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::matmul_integer::product;
use super::quantized::{Product, byte_type, code, limits, scales, tensor_from_codes, zeros};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// QLinearMatMul.
pub const OPERATOR: Operator = Operator { name: "QLinearMatMul", inputs: 8..=8, build, ..Operator::DEFAULT };

struct QLinearMatMul;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QLinearMatMul))
}

impl Op for QLinearMatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for at in [0, 3] {
            let dtype = byte_type(inputs, at)?;
            tensor_type(inputs, at + 2, Dtypes::Only(dtype))?;
        }
        let scale = tensor_type(inputs, 1, Dtypes::Float)?;
        ensure!(scale != DataType::Float64, Unsupported, "input 1: expected float32, float16 or bfloat16, got {scale}");
        tensor_type(inputs, 4, Dtypes::Only(scale))?;
        tensor_type(inputs, 6, Dtypes::Only(scale))?;
        Ok(vec![Type::Tensor(byte_type(inputs, 7)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(7)?, Product::new(inputs.shape(0)?, inputs.shape(3)?)?.shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), inputs.shape(0)?.last().copied().unwrap_or(0)]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { dtype, shape })] = outputs else { bail!(Internal, "the output was not inferred") };
        let (product, sums) = product(&inputs, [0, 2, 3, 5])?;
        if sums.is_empty() {
            return output(tensor_from_codes(*dtype, shape, std::iter::empty())?);
        }
        let [m, _, n] = product.sizes;
        let a_scales = product.rows(&scales(&inputs, 1)?, inputs.shape(1)?, "the scale of the left matrix")?;
        let b_scales = product.columns(&scales(&inputs, 4)?, inputs.shape(4)?, "the scale of the right matrix")?;
        // The result's are for each row of the left matrix, or for the whole.
        let y_scales = product.rows(&scales(&inputs, 6)?, inputs.shape(6)?, "the scale of the result")?;
        let y_zeros = zeros(&inputs, 7)?.unwrap_or_default();
        let y_zeros = product.rows(&y_zeros, inputs.shape(7)?, "the zero point of the result")?;
        let (pairs, range) = (product.pairs(), limits(*dtype));
        let requantised = sums.iter().enumerate().map(|(i, &sum)| {
            let ((left, right), row, column) = (pairs[i / (m * n)], i / n % m, i % n);
            let row = left * m + row;
            code(sum as f32 * (a_scales[row] * b_scales[right * n + column] / y_scales[row]), y_zeros[row], range)
        });
        output(tensor_from_codes(*dtype, shape, requantised)?)
    }
}
