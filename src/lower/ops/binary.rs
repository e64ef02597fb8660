//! Sums and products of 8-bit codes.

use super::{Reading, Writing};
use crate::backend::{BinaryOp, Device, buffers, zip_bytes};
use crate::error::{Result, bail};
use crate::graph::DataType;
use crate::kernels::quantized::{self, BinaryCodes};
use crate::ops::{Dtypes, Info, Inputs, Op, Type, Value, broadcast, one, output, tensor_type};

/// Add, Sub or Mul of codes. Inputs: two tensors of uint8 that broadcast.
pub struct Binary {
    codes: BinaryCodes,
}

impl Binary {
    /// None where `op_type` is another operator.
    pub fn new(op_type: &str, [a, b]: [Reading; 2], writing: Writing) -> Option<Self> {
        let op = match op_type {
            "Add" => BinaryOp::Add,
            "Sub" => BinaryOp::Sub,
            "Mul" => BinaryOp::Mul,
            _ => return None,
        };
        Some(Self { codes: BinaryCodes { op, a, b, writing } })
    }
}

impl Op for Binary {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Uint8))?;
        tensor_type(inputs, 1, Dtypes::Only(DataType::Uint8))?;
        Ok(vec![Type::Tensor(DataType::Uint8)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Uint8, broadcast(inputs.shape(0)?, inputs.shape(1)?)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let (a, b) = (inputs.cpu(0)?, inputs.cpu(1)?);
        output(zip_bytes(a, b, shape, |a, b| {
            let mut y = buffers::bytes(a.len());
            quantized::binary(&self.codes, a, b, &mut y);
            y
        }))
    }
}
