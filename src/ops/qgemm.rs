//! QGemm: `alpha * (A * B + C)` of quantised matrices, summed in int32; quantised anew where the
//! result has a scale, else as numbers.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::qlinear::{DOMAIN, inferred, transposed};
use super::quantized::{
    Product, byte_type, check_single, code, codes, limits, per_tensor, scales, tensor_from_codes, zeros,
};
use super::{Attributes, Dtypes, Op, Operator, broadcast, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::elementwise::zip_plain;
use crate::kernels::layout::{Strided, row_major};

/// QGemm.
pub const OPERATOR: Operator = Operator {
    name: "QGemm",
    domain: DOMAIN,
    inputs: 6..=9,
    attributes: &["alpha", "transA", "transB"],
    build,
    ..Operator::DEFAULT
};

struct QGemm {
    alpha: f32,
    transposed: [bool; 2],
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QGemm {
        alpha: attributes.float("alpha")?.unwrap_or(1.0),
        transposed: [attributes.flag("transA", false)?, attributes.flag("transB", false)?],
    }))
}

impl QGemm {
    fn product(&self, inputs: &Inputs) -> Result<Product> {
        let matrix = |index: usize, transposed: bool| match inputs.shape(index)? {
            &[rows, columns] if transposed => Ok([columns, rows]),
            &[rows, columns] => Ok([rows, columns]),
            other => bail!(ShapeMismatch, "input {index}: expected a matrix, got {other:?}"),
        };
        Product::new(&matrix(0, self.transposed[0])?, &matrix(3, self.transposed[1])?)
    }
}

impl Op for QGemm {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for at in [0, 3] {
            let dtype = byte_type(inputs, at)?;
            tensor_type(inputs, at + 1, Dtypes::Only(DataType::Float32))?;
            tensor_type(inputs, at + 2, Dtypes::Only(dtype))?;
        }
        optional_type(inputs, 6, Dtypes::Only(DataType::Int32))?;
        optional_type(inputs, 7, Dtypes::Only(DataType::Float32))?;
        let there = |index: usize| matches!(inputs.get(index), Some(Some(_)));
        ensure!(there(7) == there(8), InvalidModel, "the result has a scale and a zero point, or neither");
        Ok(vec![Type::Tensor(if there(8) { byte_type(inputs, 8)? } else { DataType::Float32 })])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 7, 8])?;
        let shape = self.product(inputs)?.shape;
        if inputs.has(6) {
            let c = inputs.shape(6)?;
            ensure!(broadcast(c, &shape)? == shape, ShapeMismatch, "C {c:?} does not broadcast to {shape:?}");
        }
        one(if inputs.has(8) { inputs.dtype(8)? } else { DataType::Float32 }, shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        let a = inputs.shape(0)?;
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), a[usize::from(!self.transposed[0])]]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let product = self.product(&inputs)?;
        if product.count() == 0 {
            return output(Tensor::from_bytes(dtype, shape.to_vec(), Vec::new())?);
        }
        let ((a_scale, a_zero), of_right) = (per_tensor(&inputs, 1)?, "the scale or zero point of B");
        let b_scales = product.columns(&scales(&inputs, 4)?, inputs.shape(4)?, of_right)?;
        let b_zeros = product.columns(&zeros(&inputs, 5)?.unwrap_or_default(), inputs.shape(5)?, of_right)?;
        let [m, k, n] = product.sizes;
        let mut a = codes(&inputs.take_host(0)?)?;
        let mut b = codes(&inputs.take_host(3)?)?;
        if self.transposed[0] {
            a = transposed(&a, k, m);
        }
        if self.transposed[1] {
            b = transposed(&b, n, k);
        }
        let mut sums = product.run(&a, &vec![a_zero; m], &b, &b_zeros);
        if let Some(c) = inputs.host(6)? {
            let (values, own, whole) = (codes(&c)?, row_major(c.shape()), row_major(shape));
            let c = Strided { data: &values, offset: 0, shape: c.shape(), strides: &own };
            let left = Strided { data: &sums, offset: 0, shape, strides: &whole };
            sums = zip_plain(&left, &c, shape, |sum: i32, c: i32| sum.wrapping_add(c));
        }
        let factor = |i: usize| self.alpha * a_scale * b_scales[i % n];
        if !inputs.has(8) {
            let reals = sums.iter().enumerate().map(|(i, &sum)| sum as f32 * factor(i)).collect();
            return output(Tensor::from_vec(shape.to_vec(), reals)?);
        }
        let ((y_scale, y_zero), range) = (per_tensor(&inputs, 7)?, limits(dtype));
        let out = sums.iter().enumerate().map(|(i, &sum)| code(sum as f32 * (factor(i) / y_scale), y_zero, range));
        output(tensor_from_codes(dtype, shape, out)?)
    }
}
