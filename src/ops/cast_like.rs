//! CastLike: converts every element to the dtype of the second input, as Cast does.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Dtypes, Op, Operator, cast, tensor_type};
use crate::backend::Device;
use crate::error::Result;

/// CastLike.
pub const OPERATOR: Operator = Operator {
    name: "CastLike",
    inputs: 2..=2,
    attributes: &["saturate"],
    build: |attributes| Ok(Box::new(CastLike { saturate: attributes.flag("saturate", true)? })),
    ..Operator::DEFAULT
};

struct CastLike {
    saturate: bool,
}

impl Op for CastLike {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::All)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 1, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(1)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let to = inputs.dtype(1)?;
        output(cast::cast_value(inputs.take(0)?, to, self.saturate)?)
    }
}
