//! MatMulInteger: `(A - a's zero points) * (B - b's zero points)` in int32, which wraps.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::quantized::{Product, byte_type, codes, zeros};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// MatMulInteger.
pub const OPERATOR: Operator = Operator { name: "MatMulInteger", inputs: 2..=4, build, ..Operator::DEFAULT };

struct MatMulInteger;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MatMulInteger))
}

/// The integer product of inputs `a` and `b`, and its shapes; the zero points' inputs, where they
/// are there, hold one element, one for each row (column), or one for each row of each matrix.
pub fn product(inputs: &Inputs, [a, a_zero, b, b_zero]: [usize; 4]) -> Result<(Product, Vec<i32>)> {
    let product = Product::new(inputs.shape(a)?, inputs.shape(b)?)?;
    if product.count() == 0 {
        return Ok((product, Vec::new()));
    }
    let of = |index: usize| -> Result<(Vec<i32>, Vec<usize>)> {
        Ok(match zeros(inputs, index)? {
            Some(values) => (values, inputs.shape(index)?.to_vec()),
            None => (vec![0], Vec::new()),
        })
    };
    let (a_zeros, a_shape) = of(a_zero)?;
    let (b_zeros, b_shape) = of(b_zero)?;
    let a_zeros = product.rows(&a_zeros, &a_shape, "the zero point of the left matrix")?;
    let b_zeros = product.columns(&b_zeros, &b_shape, "the zero point of the right matrix")?;
    let values = |index: usize| inputs.value(index)?.clone().into_host().and_then(|tensor| codes(&tensor));
    let sums = product.run(&values(a)?, &a_zeros, &values(b)?, &b_zeros);
    Ok((product, sums))
}

impl Op for MatMulInteger {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let (a, b) = (byte_type(inputs, 0)?, byte_type(inputs, 1)?);
        optional_type(inputs, 2, Dtypes::Only(a))?;
        optional_type(inputs, 3, Dtypes::Only(b))?;
        Ok(vec![Type::Tensor(DataType::Int32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Int32, Product::new(inputs.shape(0)?, inputs.shape(1)?)?.shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), inputs.shape(0)?.last().copied().unwrap_or(0)]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (product, sums) = product(&inputs, [0, 2, 1, 3])?;
        output(Tensor::from_vec(product.shape, sums)?)
    }
}
