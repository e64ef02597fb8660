//! What the window functions share: `a0 - a1 cos(2πi / N) + a2 cos(4πi / N)`.

use std::f64::consts::PI;

use super::fourier::scalar;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// A window function.
pub const fn operator(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, attributes: &["output_datatype", "periodic"], parameters: &[0], build, ..Operator::DEFAULT }
}

/// The dtype of attribute `output_datatype`: a number's.
pub fn output_datatype(attributes: &Attributes<'_>) -> Result<DataType> {
    let code = attributes.int("output_datatype")?.unwrap_or(1);
    match i32::try_from(code).ok().and_then(DataType::from_onnx) {
        Some(dtype) if dtype.is_float() || dtype.is_int() => Ok(dtype),
        _ => bail!(InvalidModel, "output_datatype {code} is no number's"),
    }
}

struct Window {
    dtype: DataType,
    periodic: bool,
    terms: [f64; 3],
}

/// The window of `terms`.
pub fn build(attributes: &Attributes<'_>, terms: [f64; 3]) -> Result<Box<dyn Op>> {
    Ok(Box::new(Window { dtype: output_datatype(attributes)?, periodic: attributes.flag("periodic", true)?, terms }))
}

impl Op for Window {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Index)?;
        Ok(vec![Type::Tensor(self.dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let size = scalar(inputs, 0)?.unwrap_or(0);
        ensure!(size >= 0, InvalidArgument, "a window of {size} elements");
        one(self.dtype, [usize::try_from(size).unwrap_or(usize::MAX)])
    }

    fn run(&self, _: &dyn Device, _: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let size = shape[0];
        let period = size as f64 - if self.periodic { 0.0 } else { 1.0 };
        let [a0, a1, a2] = self.terms;
        let at = |i: usize| {
            let angle = 2.0 * PI * i as f64 / period;
            a0 - a1 * angle.cos() + a2 * (2.0 * angle).cos()
        };
        output(Tensor::from_f64s(self.dtype, shape, (0..size).map(at).collect())?)
    }
}
