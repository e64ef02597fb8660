//! Binarizer: 1 where `x > threshold`, else 0.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator, ml};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::Tensor;

/// Binarizer.
pub const OPERATOR: Operator =
    Operator { name: "Binarizer", domain: ml::DOMAIN, attributes: &["threshold"], build, ..Operator::DEFAULT };

struct Binarizer(f32);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Binarizer(attributes.float("threshold")?.unwrap_or(0.0))))
}

impl Op for Binarizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(ml::number_type(inputs, 0)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let above: Vec<i64> = if x.dtype().is_float() {
            x.to_f64s()?.iter().map(|&v| i64::from(v > f64::from(self.0))).collect()
        } else {
            // Exact: an integer is above a number if it is above the integer below it.
            let threshold = self.0.floor() as i128;
            x.to_i64s()?.iter().map(|&v| i64::from(!self.0.is_nan() && i128::from(v) > threshold)).collect()
        };
        output(Tensor::from_i64s(x.dtype(), x.shape(), above)?)
    }
}
