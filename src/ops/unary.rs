//! What all operators on single elements share.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::Result;
use crate::ops::Attributes;

struct Unary {
    op: UnaryOp,
    dtypes: Dtypes,
}

/// An operator with one input and one output of its dtype and shape.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 1..=1,
        outputs: 1..=1,
        attributes,
        parameters: &[],
        webgpu: true,
        build,
        ..Operator::DEFAULT
    }
}

/// `op` on every element of a tensor of `dtypes`.
pub fn op(op: UnaryOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    Ok(Box::new(Unary { op, dtypes }))
}

impl Op for Unary {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, self.dtypes)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.unary(self.op, inputs.array(0)?)?)
    }
}
