//! Pow: `x ^ y`, in the dtype of `x`.

use super::binary::{Alignment, OLD_ATTRIBUTES};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::{Array, BinaryOp, Cpu, Device, cast};
use crate::error::Result;
use crate::graph::DataType;

/// Pow.
pub const OPERATOR: Operator = Operator {
    name: "Pow",
    inputs: 2..=2,
    attributes: OLD_ATTRIBUTES,
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct Pow(Alignment);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pow(Alignment::read(attributes)?)))
}

impl Op for Pow {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Number)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Number)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, broadcast(inputs.shape(0)?, &self.0.shape(inputs, 1)?)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let aligned = self.0.shape(&inputs, 1)?;
        let (x, y) = (inputs.array(0)?, device.reshape(inputs.array(1)?, &aligned)?);
        let dtype = x.dtype();
        if dtype == y.dtype() {
            return output(device.binary(BinaryOp::Pow, x, y, shape)?);
        }
        // Two dtypes meet in the wider one: a fractional power of an integer must not be truncated first.
        let wide = if dtype.is_int() && y.dtype().is_int() { DataType::Int64 } else { DataType::Float64 };
        let widen = |a: Array| -> Result<Array> { Ok(Array::Cpu(cast(&a.into_cpu()?, wide)?)) };
        let power = Cpu.binary(BinaryOp::Pow, widen(x)?, widen(y)?, shape)?;
        output(cast(&power.into_cpu()?, dtype)?)
    }
}
