//! Bernoulli: 1 with the probability that each element is, else 0.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::random::{Source, dtype};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// Bernoulli.
pub const OPERATOR: Operator =
    Operator { name: "Bernoulli", attributes: &["dtype", "seed"], build, ..Operator::DEFAULT };

struct Bernoulli {
    dtype: Option<DataType>,
    source: Source,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let dtype = dtype(attributes)?;
    if let Some(dtype) = dtype {
        ensure!(
            Dtypes::Any.contains(dtype),
            Unsupported,
            "attribute \"dtype\": expected a number or bool, got {dtype}"
        );
    }
    Ok(Box::new(Bernoulli { dtype, source: Source::read(attributes)? }))
}

impl Op for Bernoulli {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        Ok(vec![Type::Tensor(self.dtype.unwrap_or(dtype))])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(self.dtype.unwrap_or(inputs.dtype(0)?), inputs.shape(0)?)
    }

    fn is_pure(&self) -> bool {
        false
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let mut generator = self.source.generator();
        let mut drawn = Vec::with_capacity(x.len());
        for p in x.to_f64s()? {
            ensure!((0.0..=1.0).contains(&p), InvalidArgument, "{p} is no probability");
            let u = generator.uniform();
            // NumPy's binomial draws what is rarer.
            drawn.push(i64::from(if p <= 0.5 { u > 1.0 - p } else { u <= p }));
        }
        output(Tensor::from_i64s(self.dtype.unwrap_or(x.dtype()), x.shape(), drawn)?)
    }
}
