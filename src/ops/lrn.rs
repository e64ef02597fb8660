//! LRN: local response normalisation over channels.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, Lrn};
use crate::error::{Result, bail, ensure};

/// LRN.
pub const OPERATOR: Operator = Operator {
    name: "LRN",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["alpha", "beta", "bias", "size"],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(size) = attributes.int("size")? else { bail!(InvalidModel, "attribute \"size\" is missing") };
    ensure!((1..=1 << 24).contains(&size), InvalidModel, "attribute \"size\": expected at least 1, got {size}");
    Ok(Box::new(Lrn {
        size: size as usize,
        alpha: attributes.float("alpha")?.unwrap_or(1e-4),
        beta: attributes.float("beta")?.unwrap_or(0.75),
        bias: attributes.float("bias")?.unwrap_or(1.0),
    }))
}

impl Op for Lrn {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(x.len() >= 2, ShapeMismatch, "expected [N, C, …], got {x:?}");
        one(inputs.dtype(0)?, x)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.lrn(inputs.array(0)?, self)?)
    }
}
