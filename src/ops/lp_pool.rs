//! LpPool: `(sum of |x|^p)^(1/p)` under a moving window.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Array, BinaryOp, Device, UnaryOp, cast, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// LpPool.
pub const OPERATOR: Operator = Operator {
    name: "LpPool",
    attributes: &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

/// The most elements under a window.
const MAX_TAPS: usize = 1 << 24;

struct LpPool {
    window: WindowAttributes,
    p: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(LpPool { window: WindowAttributes::read(attributes)?, p: attributes.count("p", 2)? }))
}

/// `x ^ exponent`, of elements from 0 on.
fn power(device: &dyn Device, x: Array, exponent: f64) -> Result<Array> {
    let (dtype, shape) = (x.dtype(), x.shape().to_vec());
    let exponent = cast(&tensor_of(DataType::Float64, &[], vec![exponent]), dtype)?;
    device.binary(BinaryOp::Pow, x, device.to_device(exponent)?, &shape)
}

/// `(sum of |x|^p)^(1/p)`, with the sum given.
pub fn norm(device: &dyn Device, x: Array, p: usize, sum: impl FnOnce(Array) -> Result<Array>) -> Result<Array> {
    let x = device.unary(UnaryOp::Abs, x)?;
    match p {
        1 => sum(x),
        2 => {
            let shape = x.shape().to_vec();
            device.unary(UnaryOp::Sqrt, sum(device.binary(BinaryOp::Mul, x.clone(), x, &shape)?)?)
        }
        p => power(device, sum(power(device, x, p as f64)?)?, 1.0 / p as f64),
    }
}

impl Op for LpPool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        let window = self.window.window(x, None)?;
        let taps = window.kernel.iter().try_fold(1usize, |all, &k| all.checked_mul(k));
        ensure!(
            taps.is_some_and(|taps| taps <= MAX_TAPS),
            LimitExceeded,
            "the kernel {:?} has more than {MAX_TAPS} elements",
            window.kernel
        );
        one(inputs.dtype(0)?, [&x[..2], &window.output].concat())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let x = inputs.array(0)?;
        let window = self.window.window(x.shape(), None)?;
        output(norm(device, x, self.p, |x| {
            // A sum under a window is a convolution of each plane by ones.
            let (dtype, spatial) = (x.dtype(), x.shape()[2..].to_vec());
            let planes = shape[0] * shape[1];
            let kernel = [&[1, 1], &window.kernel[..]].concat();
            let ones = vec![1f32; kernel.iter().product()];
            let ones = device.to_device(cast(&tensor_of(DataType::Float32, &kernel, ones), dtype)?)?;
            let x = device.reshape(x, &[&[planes, 1], &spatial[..]].concat())?;
            device.reshape(device.conv(x, ones, None, &window, 1)?, shape)
        })?)
    }
}
