//! Imputer: replaces the elements that equal one value (NaN equals NaN) by another, or by their feature's.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator, ml};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::Tensor;

/// Imputer.
pub const OPERATOR: Operator = Operator {
    name: "Imputer",
    domain: ml::DOMAIN,
    attributes: &["imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"],
    build,
    ..Operator::DEFAULT
};

struct Imputer {
    floats: Vec<f64>,
    ints: Vec<i64>,
    replaced_float: f64,
    replaced_int: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let op = Imputer {
        floats: attributes.floats("imputed_value_floats")?.unwrap_or_default().iter().map(|&v| v.into()).collect(),
        ints: attributes.ints("imputed_value_int64s")?.unwrap_or_default().to_vec(),
        replaced_float: attributes.float("replaced_value_float")?.unwrap_or(0.0).into(),
        replaced_int: attributes.int("replaced_value_int64")?.unwrap_or(0),
    };
    ensure!(
        op.floats.is_empty() != op.ints.is_empty(),
        InvalidModel,
        "expected either \"imputed_value_floats\" or \"imputed_value_int64s\""
    );
    Ok(Box::new(op))
}

impl Op for Imputer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = ml::number_type(inputs, 0)?;
        ensure!(
            dtype.is_float() != self.floats.is_empty(),
            Unsupported,
            "input 0: {dtype}, but the imputed values are {}",
            if self.floats.is_empty() { "integers" } else { "floats" }
        );
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        let count = self.floats.len().max(self.ints.len());
        if count > 1 {
            let [_, features] = ml::rows_of(shape)?;
            ensure!(count == features, ShapeMismatch, "{count} imputed values for {features} features");
        }
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        if x.dtype().is_float() {
            let replaced = self.replaced_float;
            let mut values = x.to_f64s()?;
            for (v, new) in values.iter_mut().zip(self.floats.iter().cycle()) {
                if *v == replaced || (v.is_nan() && replaced.is_nan()) {
                    *v = *new;
                }
            }
            output(Tensor::from_f64s(x.dtype(), x.shape(), values)?)
        } else {
            let mut values = x.to_i64s()?;
            for (v, new) in values.iter_mut().zip(self.ints.iter().cycle()) {
                if *v == self.replaced_int {
                    *v = *new;
                }
            }
            output(Tensor::from_i64s(x.dtype(), x.shape(), values)?)
        }
    }
}
