//! MatMul: matrix products as NumPy's `matmul`.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::{Array, Device};
use crate::error::{Result, ensure};

/// MatMul.
pub const OPERATOR: Operator = Operator {
    name: "MatMul",
    domain: "",
    inputs: 2..=2,
    outputs: 1..=1,
    attributes: &[],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct MatMul;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MatMul))
}

/// Vectors as matrices: a row on the left, a column on the right.
fn matrices(a: &[usize], b: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let left = if let [k] = a { vec![1, *k] } else { a.to_vec() };
    let right = if let [k] = b { vec![*k, 1] } else { b.to_vec() };
    (left, right)
}

/// The shape of `a` by `b`.
pub fn product_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    ensure!(!a.is_empty() && !b.is_empty(), ShapeMismatch, "expected matrices or vectors, got {a:?} and {b:?}");
    let (left, right) = matrices(a, b);
    let (l, r) = (left.len(), right.len());
    ensure!(left[l - 1] == right[r - 2], ShapeMismatch, "{a:?} by {b:?}: {} columns against {} rows", left[l - 1], right[r - 2]);
    let mut shape = broadcast(&left[..l - 2], &right[..r - 2])?;
    if a.len() > 1 {
        shape.push(left[l - 2]);
    }
    if b.len() > 1 {
        shape.push(right[r - 1]);
    }
    Ok(shape)
}

/// `a` by `b`.
pub fn product(device: &dyn Device, a: Array, b: Array) -> Result<Array> {
    let shape = product_shape(a.shape(), b.shape())?;
    let (left, right) = matrices(a.shape(), b.shape());
    device.reshape(device.matmul(device.reshape(a, &left)?, device.reshape(b, &right)?)?, &shape)
}

impl Op for MatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Number)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = product_shape(inputs.shape(0)?, inputs.shape(1)?)?;
        one(inputs.dtype(0)?, shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), inputs.shape(0)?.last().copied().unwrap_or(0)]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(product(device, inputs.array(0)?, inputs.array(1)?)?)
    }
}
