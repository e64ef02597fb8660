//! Identity: the input, unchanged.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail};

/// Identity.
pub const OPERATOR: Operator = Operator { name: "Identity", webgpu: true, build, ..Operator::DEFAULT };

struct Identity;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Identity))
}

impl Op for Identity {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match inputs {
            [Some(ty)] => Ok(vec![ty.clone()]),
            _ => bail!(InvalidModel, "input 0 is missing"),
        }
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        Ok(vec![inputs.take(0)?])
    }
}
