//! Constant: a tensor that the node carries.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::Tensor;

const ATTRIBUTES: &[&str] = &[
    "value",
    "sparse_value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
    "value_string",
    "value_strings",
];

/// Constant.
pub const OPERATOR: Operator =
    Operator { name: "Constant", inputs: 0..=0, attributes: ATTRIBUTES, build, ..Operator::DEFAULT };

struct Constant(Tensor);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let given = ATTRIBUTES.iter().filter(|name| attributes.has(name)).count();
    ensure!(given == 1, InvalidModel, "{given} values are given, expected one of {}", ATTRIBUTES.join(", "));
    attributes.since(11, "sparse_value")?;
    for name in &ATTRIBUTES[2..] {
        attributes.since(12, name)?;
    }
    // Sparse values were made dense when the file was read.
    for name in &ATTRIBUTES[..2] {
        if let Some(tensor) = attributes.tensor(name)? {
            return Ok(Box::new(Constant(tensor.clone())));
        }
    }
    let value = if let Some(v) = attributes.float("value_float")? {
        Tensor::from_vec(vec![], vec![v])?
    } else if let Some(v) = attributes.floats("value_floats")? {
        Tensor::from_vec(vec![v.len()], v.to_vec())?
    } else if let Some(v) = attributes.int("value_int")? {
        Tensor::from_vec(vec![], vec![v])?
    } else if let Some(v) = attributes.ints("value_ints")? {
        Tensor::from_vec(vec![v.len()], v.to_vec())?
    } else if let Some(v) = attributes.string("value_string")? {
        Tensor::from_strings(vec![], vec![v.to_string()])?
    } else {
        let v = attributes.strings("value_strings")?.unwrap_or_default();
        Tensor::from_strings(vec![v.len()], v)?
    };
    Ok(Box::new(Constant(value)))
}

impl Op for Constant {
    fn types(&self, _: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(self.0.dtype())])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![Some(Info { dtype: self.0.dtype(), shape: self.0.shape().to_vec() })])
    }

    fn run(&self, _: &dyn Device, _: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        Ok(vec![Value::from_tensor(&self.0)])
    }
}
