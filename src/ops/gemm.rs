//! Gemm: `alpha * A' * B' + beta * C`, where `'` transposes if asked.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, optional_type, tensor_type};
use crate::backend::{Array, BinaryOp, Device, cast, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Gemm.
pub const OPERATOR: Operator = Operator {
    name: "Gemm",
    domain: "",
    inputs: 2..=3,
    outputs: 1..=1,
    attributes: &["alpha", "beta", "broadcast", "transA", "transB"],
    parameters: &[],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct Gemm {
    alpha: f32,
    beta: f32,
    trans_a: bool,
    trans_b: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Gemm {
        alpha: attributes.float("alpha")?.unwrap_or(1.0),
        beta: attributes.float("beta")?.unwrap_or(1.0),
        trans_a: attributes.flag("transA", false)?,
        trans_b: attributes.flag("transB", false)?,
    }))
}

fn scale(device: &dyn Device, x: Array, by: f32) -> Result<Array> {
    if by == 1.0 {
        return Ok(x);
    }
    let shape = x.shape().to_vec();
    let factor = cast(&tensor_of(DataType::Float32, &[], vec![by]), x.dtype())?;
    device.binary(BinaryOp::Mul, x, device.to_device(factor)?, &shape)
}

impl Op for Gemm {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Number)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        let whole = dtype.is_float() || (self.alpha.fract() == 0.0 && self.beta.fract() == 0.0);
        ensure!(whole, Unsupported, "alpha {} and beta {} of {dtype}; expected whole numbers", self.alpha, self.beta);
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (a, b) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(a.len() == 2 && b.len() == 2, ShapeMismatch, "expected two matrices, got {a:?} and {b:?}");
        let (m, k) = if self.trans_a { (a[1], a[0]) } else { (a[0], a[1]) };
        let (kb, n) = if self.trans_b { (b[1], b[0]) } else { (b[0], b[1]) };
        ensure!(
            k == kb,
            ShapeMismatch,
            "A {a:?} (transA = {}) has {k} columns, B {b:?} (transB = {}) has {kb} rows",
            self.trans_a as u8,
            self.trans_b as u8
        );
        if inputs.has(2) {
            let c = inputs.shape(2)?;
            ensure!(broadcast(c, &[m, n])? == [m, n], ShapeMismatch, "C {c:?} does not broadcast to [{m}, {n}]");
        }
        one(inputs.dtype(0)?, [m, n])
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        let a = inputs.shape(0)?;
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), a[usize::from(!self.trans_a)]]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let transposed = |x: Array, yes: bool| if yes { device.transpose(x, &[1, 0]) } else { Ok(x) };
        let a = transposed(inputs.array(0)?, self.trans_a)?;
        let b = transposed(inputs.array(1)?, self.trans_b)?;
        let product = scale(device, device.matmul(a, b)?, self.alpha)?;
        match inputs.optional_array(2)? {
            Some(c) if self.beta != 0.0 => {
                output(device.binary(BinaryOp::Add, product, scale(device, c, self.beta)?, shape_of(outputs, 0)?)?)
            }
            _ => output(product),
        }
    }
}
