//! Optional: a value as one that may be absent, or, without a value, an absent one.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::runtime::declared_type;

/// Optional.
pub const OPERATOR: Operator =
    Operator { name: "Optional", inputs: 0..=1, attributes: &["type"], build, ..Operator::DEFAULT };

struct Optional {
    declared: Option<Type>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let declared = attributes.value_type("type")?.map(|ty| declared_type("type", ty)).transpose()?;
    Ok(Box::new(Optional { declared }))
}

impl Op for Optional {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match (inputs.first(), &self.declared) {
            (Some(Some(optional @ Type::Optional(_))), _) => Ok(vec![optional.clone()]),
            (Some(Some(ty)), _) | (_, Some(ty)) => Ok(vec![Type::Optional(Box::new(ty.clone()))]),
            _ => bail!(InvalidModel, "neither an input nor attribute \"type\" is given"),
        }
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        match (inputs.has(0), &self.declared) {
            (true, _) => Ok(vec![inputs.take(0)?]),
            (false, Some(ty)) => Ok(vec![Value::Absent(ty.clone())]),
            (false, None) => bail!(Internal, "an optional of unknown type"),
        }
    }
}
