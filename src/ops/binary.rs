//! What the operators on pairs of elements share: arithmetic, comparisons, logic, and the
//! operators that fold any number of inputs.

use burn_flex::FlexTensor;

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::{BinaryOp, CompareOp, Device, cast, compare, strided, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::elementwise::zip;
use crate::kernels::layout::{Strided, row_major};

/// Before opset 7 broadcasting was asked for by attributes that mean something else.
const SINCE: i64 = 7;

fn same_type(inputs: &[Option<Type>], dtypes: Dtypes) -> Result<DataType> {
    let first = tensor_type(inputs, 0, dtypes)?;
    for index in 1..inputs.len() {
        let other = tensor_type(inputs, index, dtypes)?;
        ensure!(other == first, DtypeMismatch, "input {index}: expected {first} as input 0, got {other}");
    }
    Ok(first)
}

fn broadcast_all(inputs: &Inputs) -> Result<Vec<usize>> {
    let mut shape = inputs.shape(0)?.to_vec();
    for index in 1..inputs.count() {
        shape = broadcast(&shape, inputs.shape(index)?)?;
    }
    Ok(shape)
}

const fn pair(name: &'static str, webgpu: bool, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 2..=2,
        outputs: 1..=1,
        attributes: &[],
        parameters: &[],
        webgpu,
        build,
        ..Operator::DEFAULT
    }
}

/// Two inputs of one dtype, broadcast together, one output of that dtype.
pub const fn arithmetic(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    pair(name, true, build)
}

/// Two inputs of one dtype, broadcast together, one bool output.
pub const fn comparison(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    pair(name, false, build)
}

/// One input or more of one dtype, broadcast together and folded.
pub const fn variadic(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 1..=4096,
        outputs: 1..=1,
        attributes: &[],
        parameters: &[],
        webgpu: true,
        build,
        ..Operator::DEFAULT
    }
}

fn check_opset(attributes: &Attributes<'_>) -> Result<()> {
    ensure!(attributes.opset >= SINCE, Unsupported, "opset {}; supported from opset {SINCE} on", attributes.opset);
    Ok(())
}

struct Fold {
    op: BinaryOp,
    mean: bool,
    dtypes: Dtypes,
}

/// Folds all inputs with `op`.
pub fn fold(attributes: &Attributes<'_>, op: BinaryOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    check_opset(attributes)?;
    Ok(Box::new(Fold { op, mean: false, dtypes }))
}

/// The mean of all inputs.
pub fn mean(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    check_opset(attributes)?;
    Ok(Box::new(Fold { op: BinaryOp::Add, mean: true, dtypes: Dtypes::Float }))
}

impl Op for Fold {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_type(inputs, self.dtypes)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = broadcast_all(inputs)?;
        let x = inputs.shape(0)?;
        ensure!(
            self.op != BinaryOp::PRelu || shape == x,
            ShapeMismatch,
            "the slope {:?} does not broadcast to the input {x:?}",
            inputs.shape(1)?
        );
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let count = inputs.count();
        let mut total = inputs.array(0)?;
        for index in 1..count {
            let next = inputs.array(index)?;
            let so_far = if index + 1 == count { shape.to_vec() } else { broadcast(total.shape(), next.shape())? };
            total = device.binary(self.op, total, next, &so_far)?;
        }
        if self.mean {
            let by = cast(&tensor_of(DataType::Float64, &[], vec![count as f64]), total.dtype())?;
            total = device.binary(BinaryOp::Div, total, device.to_device(by)?, shape)?;
        }
        output(total)
    }
}

struct Compare {
    op: CompareOp,
    dtypes: Dtypes,
}

/// Compares with `op`.
pub fn compare_with(attributes: &Attributes<'_>, op: CompareOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    check_opset(attributes)?;
    Ok(Box::new(Compare { op, dtypes }))
}

impl Op for Compare {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let strings = Some(Type::Tensor(DataType::String));
        if self.op != CompareOp::Equal || inputs != [strings.clone(), strings] {
            same_type(inputs, self.dtypes)?;
        }
        Ok(vec![Type::Tensor(DataType::Bool)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, broadcast_all(inputs)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        if let (Value::Host(a), Value::Host(b)) = (inputs.value(0)?, inputs.value(1)?) {
            return output(equal_strings(a, b, shape));
        }
        output(compare(self.op, inputs.cpu(0)?, inputs.cpu(1)?, shape)?)
    }
}

fn equal_strings(a: &Tensor, b: &Tensor, shape: &[usize]) -> FlexTensor {
    let (a_strides, b_strides) = (row_major(a.shape()), row_major(b.shape()));
    let (a_words, b_words) = (words(a), words(b));
    let a = Strided { data: &a_words, offset: 0, shape: a.shape(), strides: &a_strides };
    let b = Strided { data: &b_words, offset: 0, shape: b.shape(), strides: &b_strides };
    tensor_of(DataType::Bool, shape, zip(&a, &b, shape, |a, b| u8::from(a == b)))
}

fn words(tensor: &Tensor) -> Vec<&str> {
    tensor.strings().unwrap_or_default().iter().map(String::as_str).collect()
}

struct Logic(fn(u8, u8) -> u8);

/// `f` on bools, 0 or 1.
pub fn logic(attributes: &Attributes<'_>, f: fn(u8, u8) -> u8) -> Result<Box<dyn Op>> {
    check_opset(attributes)?;
    Ok(Box::new(Logic(f)))
}

impl Op for Logic {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_type(inputs, Dtypes::Only(DataType::Bool))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, broadcast_all(inputs)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (a, b) = (inputs.cpu(0)?, inputs.cpu(1)?);
        let out = zip(&strided::<u8>(&a), &strided::<u8>(&b), shape, self.0);
        output(tensor_of(DataType::Bool, shape, out))
    }
}
