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
    p: f64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(LpPool { window: WindowAttributes::read(attributes)?, p: exponent(attributes)? }))
}

/// `p`, which was a float before opset 2.
pub fn exponent(attributes: &Attributes<'_>) -> Result<f64> {
    if attributes.opset >= 2 {
        return Ok(attributes.count("p", 2)? as f64);
    }
    let p = f64::from(attributes.float("p")?.unwrap_or(2.0));
    ensure!(p > 0.0 && p.is_finite(), InvalidModel, "attribute \"p\": expected more than 0, got {p}");
    Ok(p)
}

/// `x ^ exponent`, of elements from 0 on.
fn power(device: &dyn Device, x: Array, exponent: f64) -> Result<Array> {
    let (dtype, shape) = (x.dtype(), x.shape().to_vec());
    let exponent = cast(&tensor_of(DataType::Float64, &[], vec![exponent]), dtype)?;
    device.binary(BinaryOp::Pow, x, device.to_device(exponent)?, &shape)
}

/// `(sum of |x|^p)^(1/p)`, with the sum given.
pub fn norm(device: &dyn Device, x: Array, p: f64, sum: &dyn Fn(Array) -> Result<Array>) -> Result<Array> {
    let dtype = x.dtype();
    if matches!(dtype, DataType::Float16 | DataType::BFloat16) {
        // Powers of half floats would leave their range.
        let wide = Array::Cpu(cast(&x.into_cpu()?, DataType::Float32)?);
        let wide = norm(device, wide, p, sum)?;
        return Ok(Array::Cpu(cast(&wide.into_cpu()?, dtype)?));
    }
    let x = device.unary(UnaryOp::Abs, x)?;
    if p == 1.0 {
        return sum(x);
    }
    if p == 2.0 {
        let shape = x.shape().to_vec();
        return device.unary(UnaryOp::Sqrt, sum(device.binary(BinaryOp::Mul, x.clone(), x, &shape)?)?);
    }
    power(device, sum(power(device, x, p)?)?, 1.0 / p)
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
        output(norm(device, x, self.p, &|x| {
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

#[cfg(test)]
mod tests {
    use crate::graph::{DataType, Tensor};
    use crate::support::{Random, Single, f32s, numbers};

    #[test]
    fn every_power_and_float_is_what_a_naive_loop_gives() {
        let values: Vec<f64> = Random::new(9).floats(2 * 7).into_iter().map(f64::from).collect();
        for dtype in [DataType::Float16, DataType::BFloat16, DataType::Float32, DataType::Float64] {
            let x = Tensor::from_f64s(dtype, &[1, 2, 7], values.clone()).expect("fits");
            let given = numbers(&x);
            for p in [1, 2, 3, 5] {
                let norm =
                    |values: &[f64]| values.iter().map(|v| v.abs().powi(p)).sum::<f64>().powf(1.0 / f64::from(p));
                let near = |got: &[f64], expected: &[f64]| {
                    let bits = if dtype.size() == 2 { 2e-2 } else { 1e-5 };
                    assert_eq!(got.len(), expected.len());
                    got.iter()
                        .zip(expected)
                        .for_each(|(g, e)| assert!((g - e).abs() <= bits * e, "{dtype} {p}: {g}, not {e}"));
                };
                let whole = Single::new("GlobalLpPool", 2).int("p", i64::from(p)).one(std::slice::from_ref(&x));
                assert_eq!((whole.dtype(), whole.shape()), (dtype, &[1, 2, 1][..]));
                near(&numbers(&whole), &[norm(&given[..7]), norm(&given[7..])]);
                let node = Single::new("LpPool", 18).int("p", i64::from(p)).ints("kernel_shape", &[2]);
                let got = node.ints("strides", &[2]).ints("dilations", &[2]).ints("pads", &[1, 0]).one(std::slice::from_ref(&x));
                let expected: Vec<f64> = given
                    .chunks(7)
                    .flat_map(|x| [vec![x[1]], vec![x[1], x[3]], vec![x[3], x[5]]])
                    .map(|taps| norm(&taps))
                    .collect();
                near(&numbers(&got), &expected);
            }
        }
    }

    #[test]
    fn edges() {
        let x = f32s(&[1, 1, 3], vec![f32::NAN, -0.0, f32::NEG_INFINITY]);
        for p in [1, 2, 3] {
            let got = numbers(&Single::new("LpPool", 18).int("p", p).ints("kernel_shape", &[1]).one(std::slice::from_ref(&x)));
            assert!(got[0].is_nan() && got[1..] == [0.0, f64::INFINITY], "{got:?}");
        }
        let got = Single::new("GlobalLpPool", 2).one(&[f32s(&[1, 2, 0], vec![])]);
        assert_eq!(numbers(&got), [0.0, 0.0]);
        let got = Single::new("GlobalLpPool", 1).float("p", 1.0).one(&[f32s(&[1, 1, 2], vec![3.0, -4.0])]);
        assert_eq!(numbers(&got), [7.0]);
        let huge = [1 << 24, 1 << 24];
        let node = Single::new("LpPool", 18).ints("kernel_shape", &huge).ints("pads", &[huge, huge].concat());
        node.error(&[f32s(&[1, 1, 1, 1], vec![1.0])]);
        Single::new("LpPool", 18).int("p", 0).ints("kernel_shape", &[1]).error(std::slice::from_ref(&x));
        Single::new("LpPool", 18).error(&[x]);
    }
}
