//! Constant: a tensor that the node carries.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::Tensor;

/// Constant.
pub const OPERATOR: Operator = Operator {
    name: "Constant",
    domain: "",
    inputs: 0..=0,
    outputs: 1..=1,
    attributes: &["value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"],
    parameters: &[],
    webgpu: false,
    build, ..Operator::DEFAULT
};

struct Constant(Tensor);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let value = if let Some(tensor) = attributes.tensor("value")? {
        tensor.clone()
    } else if let Some(v) = attributes.float("value_float")? {
        Tensor::from_vec(vec![], vec![v])?
    } else if let Some(v) = attributes.floats("value_floats")? {
        Tensor::from_vec(vec![v.len()], v.to_vec())?
    } else if let Some(v) = attributes.int("value_int")? {
        Tensor::from_vec(vec![], vec![v])?
    } else if let Some(v) = attributes.ints("value_ints")? {
        Tensor::from_vec(vec![v.len()], v.to_vec())?
    } else if let Some(v) = attributes.string("value_string")? {
        Tensor::from_strings(vec![], vec![v.to_string()])?
    } else if let Some(v) = attributes.strings("value_strings")? {
        Tensor::from_strings(vec![v.len()], v)?
    } else {
        bail!(InvalidModel, "no value is given")
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
