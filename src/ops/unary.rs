//! What all operators on single elements share.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
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

/// As [`operator`], on the CPU alone.
pub const fn on_cpu(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, build, ..Operator::DEFAULT }
}

struct Pointwise(fn(f64) -> f64);

/// `f` on every element of a tensor of floats, computed in float64 and rounded once.
pub fn pointwise(f: fn(f64) -> f64) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pointwise(f)))
}

impl Op for Pointwise {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let mut values = x.to_f64s()?;
        values.iter_mut().for_each(|v| *v = (self.0)(*v));
        output(Tensor::from_f64s(x.dtype(), x.shape(), values)?)
    }
}

struct Check(fn(f64) -> bool);

/// Whether `f` holds, of every element of a tensor of floats, float8 too.
pub fn check(f: fn(f64) -> bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Check(f)))
}

impl Op for Check {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        ensure!(dtype.is_float() || dtype.is_float8(), Unsupported, "input 0: expected a float, got {dtype}");
        Ok(vec![Type::Tensor(DataType::Bool)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let found = x.to_f64s()?.into_iter().map(|v| u8::from((self.0)(v))).collect();
        output(Tensor::from_bytes(DataType::Bool, x.shape().to_vec(), found)?)
    }
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
