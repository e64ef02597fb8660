//! OptionalGetElement: the value of an optional, which must be there.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// OptionalGetElement.
pub const OPERATOR: Operator = Operator { name: "OptionalGetElement", build, ..Operator::DEFAULT };

struct OptionalGetElement;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(OptionalGetElement))
}

impl Op for OptionalGetElement {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match inputs.first() {
            Some(Some(Type::Optional(inner))) => Ok(vec![(**inner).clone()]),
            Some(Some(ty)) => Ok(vec![ty.clone()]),
            _ => bail!(InvalidModel, "input 0 is missing"),
        }
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let absent = matches!(inputs.value(0)?, Value::Absent(_));
        ensure!(!absent, InvalidArgument, "the optional is absent; ask OptionalHasElement first");
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        Ok(vec![inputs.take(0)?])
    }
}
