//! ArrayFeatureExtractor: the elements along the last axis that the indices name.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, ml, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// ArrayFeatureExtractor.
pub const OPERATOR: Operator =
    Operator { name: "ArrayFeatureExtractor", domain: ml::DOMAIN, inputs: 2..=2, build, ..Operator::DEFAULT };

struct ArrayFeatureExtractor;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ArrayFeatureExtractor))
}

impl Op for ArrayFeatureExtractor {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        if dtype != DataType::String {
            ml::number_type(inputs, 0)?;
        }
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let count: usize = inputs.shape(1)?.iter().product();
        ensure!(count > 0, ShapeMismatch, "expected at least one index");
        let shape = match inputs.shape(0)? {
            [] => bail!(ShapeMismatch, "expected at least one dimension"),
            // As ONNX Runtime has it.
            [_] => vec![1, count],
            [outer @ .., _] => outer.iter().copied().chain([count]).collect(),
        };
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, indices) = (inputs.take_host(0)?, inputs.take_host(1)?.to_i64s()?);
        let size = x.shape().last().copied().unwrap_or(0);
        let outside = |i: &&i64| usize::try_from(**i).map_or(true, |i| i >= size);
        if let Some(index) = indices.iter().find(outside) {
            bail!(InvalidArgument, "index {index} is outside of an axis of {size}");
        }
        let rows = x.shape()[..x.shape().len().saturating_sub(1)].iter().product::<usize>();
        let positions: Vec<usize> =
            (0..rows).flat_map(|row| indices.iter().map(move |&i| row * size + i as usize)).collect();
        output(x.take(shape_of(outputs, 0)?, &positions)?)
    }
}
