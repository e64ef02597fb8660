//! Clip: limits every element to `[min, max]`, by default the dtype's finite numbers; NaN stays NaN.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{BinaryOp, Device, UnaryOp};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Clip.
pub const OPERATOR: Operator = Operator {
    name: "Clip",
    domain: "",
    inputs: 1..=3,
    outputs: 1..=1,
    attributes: &["max", "min"],
    parameters: &[1, 2],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct Clip {
    min: Option<f32>,
    max: Option<f32>,
    dtypes: Dtypes,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    // Before opset 11 the bounds were attributes, whose defaults are float32's.
    let bound = |name, default: f32| match attributes.float(name)? {
        None if attributes.opset < 11 => Ok(Some(default)),
        given => Ok(given),
    };
    let dtypes = if attributes.opset < 12 { Dtypes::Float } else { Dtypes::Number };
    Ok(Box::new(Clip { min: bound("min", f32::MIN)?, max: bound("max", f32::MAX)?, dtypes }))
}

impl Op for Clip {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, self.dtypes)?;
        optional_type(inputs, 1, Dtypes::Only(dtype))?;
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        for index in [1, 2].into_iter().filter(|&index| inputs.has(index)) {
            let shape = inputs.shape(index)?;
            let count: usize = shape.iter().product();
            ensure!(count == 1, ShapeMismatch, "input {index}: expected one element, got {shape:?}");
        }
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let mut x = inputs.array(0)?;
        if x.dtype().is_int() {
            // As pairs: 64-bit bounds stay exact.
            let shape = x.shape().to_vec();
            for (index, op) in [(1, BinaryOp::Max), (2, BinaryOp::Min)] {
                if let Some(bound) = inputs.optional_array(index)? {
                    x = device.binary(op, x, device.reshape(bound, &[])?, &shape)?;
                }
            }
            return output(x);
        }
        let bound = |index, attribute: Option<f32>, default| {
            Ok(inputs.number(index)?.or(attribute.map(f64::from)).unwrap_or(default))
        };
        let largest = match x.dtype() {
            DataType::Float16 => half::f16::MAX.to_f64(),
            DataType::BFloat16 => half::bf16::MAX.to_f64(),
            DataType::Float64 => f64::MAX,
            _ => f64::from(f32::MAX),
        };
        let (min, max) = (bound(1, self.min, -largest)?, bound(2, self.max, largest)?);
        output(device.unary(UnaryOp::Clip { min, max }, x)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, f32s, i64s, numbers};

    #[test]
    fn what_is_left_out_is_the_largest_finite_number() {
        let infinite = |dtype| Tensor::from_f64s(dtype, &[2], vec![f64::NEG_INFINITY, f64::INFINITY]).expect("two");
        let clip = |opset, dtype| numbers(&Single::new("Clip", opset).one(&[infinite(dtype)]));
        assert_eq!(clip(13, DataType::Float32), [f64::from(f32::MIN), f64::from(f32::MAX)]);
        assert_eq!(clip(6, DataType::Float32), [f64::from(f32::MIN), f64::from(f32::MAX)]);
        assert_eq!(clip(13, DataType::Float16), [-65504.0, 65504.0]);
        assert_eq!(clip(13, DataType::Float64), [f64::MIN, f64::MAX]);
        let x = Single::new("Clip", 6).float("min", -1.0).one(&[f32s(&[2], vec![-2.0, f32::NAN])]);
        assert!(numbers(&x)[0] == -1.0 && numbers(&x)[1].is_nan());
    }

    #[test]
    fn integers_are_exact_and_the_largest_bound_wins() {
        let clip = |x: &[i64], min, max| {
            Single::new("Clip", 13).one(&[i64s(&[x.len()], x), i64s(&[], &[min]), i64s(&[1], &[max])])
        };
        let got = clip(&[i64::MIN, 0, i64::MAX], -(1 << 60) - 1, i64::MAX - 1);
        assert_eq!(got.as_slice::<i64>(), Some(&[-(1 << 60) - 1, 0, i64::MAX - 1][..]));
        assert_eq!(clip(&[0, 10], 5, 3).as_slice::<i64>(), Some(&[3, 3][..]));
        let error = Single::new("Clip", 13).error(&[i64s(&[1], &[0]), i64s(&[2], &[0, 1])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    }
}
