//! What all operators on single elements share.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::ops::Attributes;

struct Unary {
    op: UnaryOp,
    dtypes: Dtypes,
}

/// An operator with one input and one output of its dtype and shape.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 1..=1,
        outputs: 1..=1,
        attributes,
        parameters: &[],
        webgpu: true,
        build,
        ..Operator::DEFAULT
    }
}

/// `op` on every element of a tensor of `dtypes`.
pub fn op(op: UnaryOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    Ok(Box::new(Unary { op, dtypes }))
}

/// As [`operator`], on the CPU alone.
pub const fn on_cpu(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, build, ..Operator::DEFAULT }
}

struct Pointwise(fn(f64) -> f64);

/// `f` on every element of a tensor of floats, computed in float64 and rounded once.
pub fn pointwise(f: fn(f64) -> f64) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pointwise(f)))
}

impl Op for Pointwise {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let mut values = x.to_f64s()?;
        values.iter_mut().for_each(|v| *v = (self.0)(*v));
        output(Tensor::from_f64s(x.dtype(), x.shape(), values)?)
    }
}

struct Check(fn(f64) -> bool);

/// Whether `f` holds, of every element of a tensor of floats, float8 too.
pub fn check(f: fn(f64) -> bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Check(f)))
}

impl Op for Check {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        ensure!(dtype.is_float() || dtype.is_float8(), Unsupported, "input 0: expected a float, got {dtype}");
        Ok(vec![Type::Tensor(DataType::Bool)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let found = x.to_f64s()?.into_iter().map(|v| u8::from((self.0)(v))).collect();
        output(Tensor::from_bytes(DataType::Bool, x.shape().to_vec(), found)?)
    }
}

impl Op for Unary {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, self.dtypes)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.unary(self.op, inputs.array(0)?)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, f32s, numbers};

    fn tensor(dtype: DataType, values: &[f64]) -> Tensor {
        Tensor::from_f64s(dtype, &[values.len()], values.to_vec()).expect("one dimension")
    }

    fn f64s(op_type: &str, values: &[f64]) -> Vec<f64> {
        numbers(&Single::new(op_type, 22).one(&[tensor(DataType::Float64, values)]))
    }

    #[test]
    fn every_float_dtype_is_float64_rounded() {
        let ops = "Acos Acosh Asin Asinh Atan Atanh Celu Ceil Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish \
            LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan \
            Tanh ThresholdedRelu Abs";
        let x = [-2.5, -1.0, -0.5, 0.25, 0.5, 0.75, 1.5, 2.5];
        for op in ops.split_whitespace() {
            let expected = f64s(op, &x);
            for (dtype, relative) in [(DataType::Float32, 1e-6), (DataType::Float16, 1e-3), (DataType::BFloat16, 8e-3)]
            {
                let got = Single::new(op, 22).one(&[tensor(dtype, &x)]);
                assert_eq!(got.dtype(), dtype);
                for (g, e) in numbers(&got).into_iter().zip(&expected) {
                    assert!(
                        g == *e || (g - e).abs() <= relative * e.abs() || (g.is_nan() && e.is_nan()),
                        "{op} {dtype}: {g} {e}"
                    );
                }
            }
            assert_eq!(Single::new(op, 22).one(&[f32s(&[0, 2], vec![])]).shape(), [0, 2], "{op}");
            assert!(f64s(op, &[f64::NAN])[0].is_nan(), "{op}");
        }
    }

    #[test]
    fn edges_of_the_domains() {
        let (inf, half_pi) = (f64::INFINITY, std::f64::consts::FRAC_PI_2);
        for (op, x, expected) in [
            ("Acos", 1.0, 0.0),
            ("Acos", 1.1, f64::NAN),
            ("Asin", -1.1, f64::NAN),
            ("Acosh", 1.0, 0.0),
            ("Acosh", 0.9, f64::NAN),
            ("Atanh", 1.0, inf),
            ("Atanh", -1.1, f64::NAN),
            ("Atan", -inf, -half_pi),
            ("Asinh", 1e-300, 1e-300),
            ("Sinh", 1e-300, 1e-300),
            ("Cosh", -inf, inf),
            ("Tan", inf, f64::NAN),
            ("Mish", inf, inf),
            ("Mish", -1000.0, -0.0),
            ("Celu", -inf, -1.0),
            ("ThresholdedRelu", 1.0, 0.0),
            ("ThresholdedRelu", -inf, 0.0),
            ("Round", 2.5, 2.0),
            ("Round", -0.5, -0.0),
            ("Round", 3.5, 4.0),
            ("Sign", -inf, -1.0),
        ] {
            let got = f64s(op, &[x])[0];
            let signed = got.is_sign_negative() == expected.is_sign_negative();
            assert!(
                (got == expected && signed) || (got.is_nan() && expected.is_nan()),
                "{op}({x}): {got}, not {expected}"
            );
        }
    }

    #[test]
    fn integers_where_onnx_has_them() {
        let ints = |op, dtype, x: &[f64]| numbers(&Single::new(op, 22).one(&[tensor(dtype, x)]));
        assert_eq!(ints("Abs", DataType::Int8, &[-3.0, 3.0]), [3.0, 3.0]);
        assert_eq!(ints("Abs", DataType::Uint16, &[65535.0]), [65535.0]);
        assert_eq!(ints("Neg", DataType::Int16, &[-3.0, 3.0]), [3.0, -3.0]);
        assert_eq!(ints("Relu", DataType::Int32, &[-3.0, 3.0]), [0.0, 3.0]);
        assert_eq!(ints("Sign", DataType::Uint8, &[0.0, 200.0]), [0.0, 1.0]);
        assert_eq!(ints("Sign", DataType::Int64, &[-5.0]), [-1.0]);
        assert_eq!(ints("Erf", DataType::Int32, &[-9.0, -1.0, 0.0, 9.0]), [-1.0, 0.0, 0.0, 1.0]);
        assert_eq!(ints("BitwiseNot", DataType::Uint8, &[0.0, 5.0]), [255.0, 250.0]);
        assert_eq!(ints("BitwiseNot", DataType::Int8, &[0.0, 5.0]), [-1.0, -6.0]);
        for (op, dtype) in [("Neg", DataType::Uint8), ("Exp", DataType::Int32), ("BitwiseNot", DataType::Float32)] {
            assert_eq!(Single::new(op, 22).error(&[tensor(dtype, &[1.0])]).kind(), ErrorKind::Unsupported, "{op}");
        }
    }

    #[test]
    fn infinite_and_nan_of_every_float() {
        let inf = f64::INFINITY;
        let bits = |node: &Single<'_>, dtype| {
            let codes = node.one(&[Tensor::from_f64s(dtype, &[4], vec![inf, -inf, f64::NAN, 1.0]).expect("four")]);
            codes.bytes().expect("bools").to_vec()
        };
        for dtype in [DataType::Float16, DataType::BFloat16, DataType::Float32, DataType::Float64] {
            assert_eq!(bits(&Single::new("IsNaN", 20), dtype), [0, 0, 1, 0]);
            assert_eq!(bits(&Single::new("IsInf", 20), dtype), [1, 1, 0, 0]);
            assert_eq!(bits(&Single::new("IsInf", 20).int("detect_positive", 0), dtype), [0, 1, 0, 0]);
            assert_eq!(bits(&Single::new("IsInf", 20).int("detect_negative", 0), dtype), [1, 0, 0, 0]);
            let neither = Single::new("IsInf", 20).int("detect_negative", 0).int("detect_positive", 0);
            assert_eq!(bits(&neither, dtype), [0; 4]);
        }
        let codes = Tensor::from_bytes(DataType::Float8E5M2, vec![3], vec![0x7c, 0xfc, 0x7f]).expect("three");
        assert_eq!(Single::new("IsInf", 20).one(std::slice::from_ref(&codes)).bytes(), Some(&[1, 1, 0][..]));
        assert_eq!(Single::new("IsNaN", 20).one(&[codes]).bytes(), Some(&[0, 0, 1][..]));
    }
}
