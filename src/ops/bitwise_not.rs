//! BitwiseNot: every bit of an integer turned over.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Dtypes, Op, Operator, tensor_type, unary};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::Tensor;

/// BitwiseNot.
pub const OPERATOR: Operator = unary::on_cpu("BitwiseNot", |_| Ok(Box::new(BitwiseNot)));

struct BitwiseNot;

impl Op for BitwiseNot {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Number)?;
        ensure!(dtype.is_int(), Unsupported, "input 0: expected an integer, got {dtype}");
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        output(Tensor::from_i64s(x.dtype(), x.shape(), x.to_i64s()?.into_iter().map(|v| !v).collect())?)
    }
}
