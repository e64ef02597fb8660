//! FeatureVectorizer: inputs `[N, …]` side by side, as float32 `[N, total]`; each is cut or filled with 0 to its size.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Op, Operator, ml};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// FeatureVectorizer.
pub const OPERATOR: Operator = Operator {
    name: "FeatureVectorizer",
    domain: ml::DOMAIN,
    inputs: 1..=4096,
    attributes: &["inputdimensions"],
    build,
    ..Operator::DEFAULT
};

struct FeatureVectorizer(Option<Vec<usize>>);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let sizes = attributes.sizes("inputdimensions", 0)?;
    if let Some(sizes) = &sizes {
        ensure!(
            sizes.len() == attributes.inputs(),
            InvalidModel,
            "{} \"inputdimensions\" for {} inputs",
            sizes.len(),
            attributes.inputs()
        );
    }
    Ok(Box::new(FeatureVectorizer(sizes)))
}

/// Rows and elements of each.
fn rows_of(shape: &[usize]) -> Result<[usize; 2]> {
    match shape {
        [] => bail!(ShapeMismatch, "expected [N, C] or [C], got a scalar"),
        [size] => Ok([1, *size]),
        [rows, rest @ ..] => Ok([*rows, rest.iter().product()]),
    }
}

impl FeatureVectorizer {
    fn size(&self, index: usize, own: usize) -> usize {
        self.0.as_ref().and_then(|sizes| sizes.get(index).copied()).unwrap_or(own)
    }
}

impl Op for FeatureVectorizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for index in 0..inputs.len() {
            ml::number_type(inputs, index)?;
        }
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let [rows, _] = rows_of(inputs.shape(0)?)?;
        let mut total = 0usize;
        for index in 0..inputs.count() {
            let [own, size] = rows_of(inputs.shape(index)?)?;
            ensure!(own == rows, ShapeMismatch, "input {index}: expected {rows} rows, got {own}");
            total = total.saturating_add(self.size(index, size));
        }
        one(DataType::Float32, [rows, total])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let total = shape.last().copied().unwrap_or(0);
        let mut out = vec![0f32; shape.iter().product()];
        let mut offset = 0;
        for index in 0..inputs.count() {
            let x = inputs.take_host(index)?;
            let [_, own] = rows_of(x.shape())?;
            let (x, size) = (x.to_f32s()?, self.size(index, own));
            let kept = own.min(size);
            if kept > 0 {
                for (from, to) in x.chunks_exact(own).zip(out.chunks_exact_mut(total)) {
                    to[offset..offset + kept].copy_from_slice(&from[..kept]);
                }
            }
            offset += size;
        }
        output(Tensor::from_vec(shape.to_vec(), out)?)
    }
}
