//! Normalizer: each row divided by its largest element (MAX), the sum of magnitudes (L1) or the Euclidean norm (L2).
//!
//! A row whose divisor is 0 stays as it is.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator, ml};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// Normalizer.
pub const OPERATOR: Operator =
    Operator { name: "Normalizer", domain: ml::DOMAIN, attributes: &["norm"], build, ..Operator::DEFAULT };

struct Normalizer(&'static str);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Normalizer(attributes.choice("norm", &["MAX", "L1", "L2"])?)))
}

impl Op for Normalizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        ml::number_type(inputs, 0)?;
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        ml::rows_of(inputs.shape(0)?)?;
        one(DataType::Float32, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let [_, features] = ml::rows_of(x.shape())?;
        let mut values = x.to_f32s()?.into_owned();
        for row in values.chunks_exact_mut(features.max(1)) {
            let divisor = match self.0 {
                "MAX" => row.iter().fold(f32::MIN, |m, &v| if m < v { v } else { m }),
                "L1" => row.iter().map(|v| v.abs()).sum(),
                _ => row.iter().map(|v| v * v).sum::<f32>().sqrt(),
            };
            if divisor != 0.0 {
                row.iter_mut().for_each(|v| *v /= divisor);
            }
        }
        output(Tensor::from_vec(x.shape().to_vec(), values)?)
    }
}
