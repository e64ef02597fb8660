//! Multinomial: classes drawn by the probabilities whose logarithms, up to a constant, are `[N, C]`.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::random::{Source, dtype};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// Multinomial.
pub const OPERATOR: Operator =
    Operator { name: "Multinomial", attributes: &["dtype", "sample_size", "seed"], build, ..Operator::DEFAULT };

struct Multinomial {
    dtype: DataType,
    samples: usize,
    source: Source,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let dtype = dtype(attributes)?.unwrap_or(DataType::Int32);
    ensure!(Dtypes::Index.contains(dtype), Unsupported, "attribute \"dtype\": expected int32 or int64, got {dtype}");
    let samples = attributes.int("sample_size")?.unwrap_or(1);
    let Ok(samples) = usize::try_from(samples) else { bail!(InvalidModel, "sample_size is {samples}") };
    Ok(Box::new(Multinomial { dtype, samples, source: Source::read(attributes)? }))
}

impl Op for Multinomial {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Float)?;
        Ok(vec![Type::Tensor(self.dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        match *inputs.shape(0)? {
            [rows, classes] if classes > 0 || rows == 0 => one(self.dtype, [rows, self.samples]),
            ref other => bail!(ShapeMismatch, "expected [N, C] with a class at least, got {other:?}"),
        }
    }

    fn is_pure(&self) -> bool {
        false
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let x = inputs.take_host(0)?;
        let classes = x.shape()[1].max(1);
        let mut generator = self.source.generator();
        let mut drawn = Vec::with_capacity(shape.iter().product());
        for row in x.to_f64s()?.chunks_exact(classes) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut total = 0.0;
            let sums: Vec<f64> = row
                .iter()
                .map(|v| {
                    total += (v - top).exp();
                    total
                })
                .collect();
            ensure!(total.is_finite(), InvalidArgument, "{row:?} are no logarithms of probabilities");
            for _ in 0..self.samples {
                let at = generator.uniform() * total;
                drawn.push(sums.partition_point(|&sum| sum <= at).min(classes - 1) as i64);
            }
        }
        output(Tensor::from_i64s(self.dtype, shape, drawn)?)
    }
}
