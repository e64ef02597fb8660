//! Scaler: `(x − offset) · scale`, as float32; one offset and scale, or one for each feature.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator, ml};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// Scaler.
pub const OPERATOR: Operator =
    Operator { name: "Scaler", domain: ml::DOMAIN, attributes: &["offset", "scale"], build, ..Operator::DEFAULT };

struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let list = |name: &str| -> Result<Vec<f32>> { Ok(attributes.floats(name)?.unwrap_or_default().to_vec()) };
    let (mut offset, mut scale) = (list("offset")?, list("scale")?);
    if offset.is_empty() {
        offset = vec![0.0; scale.len().max(1)];
    }
    if scale.is_empty() {
        scale = vec![1.0; offset.len()];
    }
    ensure!(offset.len() == scale.len(), InvalidModel, "{} offsets for {} scales", offset.len(), scale.len());
    Ok(Box::new(Scaler { offset, scale }))
}

impl Op for Scaler {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        ml::number_type(inputs, 0)?;
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        if self.scale.len() > 1 {
            let [_, features] = ml::rows_of(shape)?;
            ensure!(self.scale.len() == features, ShapeMismatch, "{} scales for {features} features", self.scale.len());
        }
        one(DataType::Float32, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let parameters = self.offset.iter().zip(&self.scale).cycle();
        let values: Vec<f32> = if x.dtype() == DataType::Float64 {
            let each = x.to_f64s()?.into_iter().zip(parameters);
            each.map(|(v, (&o, &s))| ((v - f64::from(o)) * f64::from(s)) as f32).collect()
        } else {
            x.to_f32s()?.iter().zip(parameters).map(|(v, (o, s))| (v - o) * s).collect()
        };
        output(Tensor::from_vec(x.shape().to_vec(), values)?)
    }
}
