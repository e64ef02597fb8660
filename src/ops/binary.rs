//! What the operators on pairs of elements share: arithmetic, comparisons, logic, and the
//! operators that fold any number of inputs.

use burn_flex::FlexTensor;

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axis_of, broadcast, tensor_type};
use crate::backend::{BinaryOp, CompareOp, Cpu, Device, cast, compare, strided, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::elementwise::zip_plain;
use crate::kernels::layout::{Strided, row_major};

/// Attributes of all operators on pairs before opset 7.
pub const OLD_ATTRIBUTES: &[&str] = &["axis", "broadcast", "consumed_inputs"];

/// Where the dimensions of input 1 stand among those of input 0. Since opset 7 the last ones
/// meet; before, `broadcast = 1` lays them from dimension `axis` on.
#[derive(Debug, Clone, Copy)]
pub struct Alignment(Option<i64>);

impl Alignment {
    /// Reads it.
    pub fn read(attributes: &Attributes<'_>) -> Result<Self> {
        let axis = attributes.int("axis")?;
        if attributes.opset >= 7 {
            let old = axis.is_some() || attributes.int("broadcast")?.is_some();
            ensure!(!old, InvalidModel, "attributes \"axis\" and \"broadcast\" ended with opset 7");
        }
        Ok(Self(axis))
    }

    /// The shape of input `index`, such that the last dimensions meet.
    pub fn shape(self, inputs: &Inputs, index: usize) -> Result<Vec<usize>> {
        let mut shape = inputs.shape(index)?.to_vec();
        if let (1, Some(axis)) = (index, self.0) {
            let rank = inputs.shape(0)?.len();
            let end = axis_of(axis, rank)? + shape.len();
            ensure!(end <= rank, ShapeMismatch, "{shape:?} does not fit from axis {axis} on into {rank} dimensions");
            shape.resize(shape.len() + rank - end, 1);
        }
        Ok(shape)
    }
}

/// The one dtype of all inputs.
pub fn same_type(inputs: &[Option<Type>], dtypes: Dtypes) -> Result<DataType> {
    let first = tensor_type(inputs, 0, dtypes)?;
    for index in 1..inputs.len() {
        let other = tensor_type(inputs, index, dtypes)?;
        ensure!(other == first, DtypeMismatch, "input {index}: expected {first} as input 0, got {other}");
    }
    Ok(first)
}

/// The shape that all inputs broadcast to, since opset 7.
pub fn broadcast_to(inputs: &Inputs) -> Result<Vec<usize>> {
    broadcast_all(inputs, Alignment(None))
}

fn broadcast_all(inputs: &Inputs, alignment: Alignment) -> Result<Vec<usize>> {
    let mut shape = inputs.shape(0)?.to_vec();
    for index in 1..inputs.count() {
        shape = broadcast(&shape, &alignment.shape(inputs, index)?)?;
    }
    Ok(shape)
}

const fn pair(name: &'static str, webgpu: bool, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, inputs: 2..=2, attributes: OLD_ATTRIBUTES, webgpu, build, ..Operator::DEFAULT }
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
    Operator { name, inputs: 1..=4096, attributes: &["consumed_inputs"], webgpu: true, build, ..Operator::DEFAULT }
}

struct Fold {
    alignment: Alignment,
    op: BinaryOp,
    mean: bool,
    dtypes: Dtypes,
}

/// Folds all inputs with `op`.
pub fn fold(attributes: &Attributes<'_>, op: BinaryOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    let alignment = Alignment::read(attributes)?;
    Ok(Box::new(Fold { alignment, op, mean: false, dtypes }))
}

/// `x` where it is not negative, else `slope * x`.
pub fn prelu(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    // Before opset 7 a slope of one dimension is one of each channel.
    let alignment = Alignment((attributes.opset < 7).then_some(1));
    Ok(Box::new(Fold { alignment, op: BinaryOp::PRelu, mean: false, dtypes: Dtypes::Number }))
}

/// The mean of all inputs.
pub fn mean(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let alignment = Alignment::read(attributes)?;
    Ok(Box::new(Fold { alignment, op: BinaryOp::Add, mean: true, dtypes: Dtypes::Float }))
}

impl Op for Fold {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_type(inputs, self.dtypes)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = broadcast_all(inputs, self.alignment)?;
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
        let aligned: Vec<Vec<usize>> =
            (0..count).map(|index| self.alignment.shape(&inputs, index)).collect::<Result<_>>()?;
        let mut total = inputs.array(0)?;
        for (index, aligned) in aligned.iter().enumerate().skip(1) {
            let next = device.reshape(inputs.array(index)?, aligned)?;
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
    alignment: Alignment,
    op: CompareOp,
    dtypes: Dtypes,
}

/// Compares with `op`.
pub fn compare_with(attributes: &Attributes<'_>, op: CompareOp, dtypes: Dtypes) -> Result<Box<dyn Op>> {
    let alignment = Alignment::read(attributes)?;
    Ok(Box::new(Compare { alignment, op, dtypes }))
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
        one(DataType::Bool, broadcast_all(inputs, self.alignment)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let aligned = self.alignment.shape(&inputs, 1)?;
        if let (Value::Host(a), Value::Host(b)) = (inputs.value(0)?, inputs.value(1)?) {
            return output(equal_strings(a, b, shape));
        }
        let b = Cpu.reshape(inputs.array(1)?, &aligned)?.into_cpu()?;
        output(compare(self.op, inputs.cpu(0)?, b, shape)?)
    }
}

/// `f` of every pair of integers, widened to int64 (uint64 as the same bits), broadcast to `shape`
/// and wrapped to the dtype of `a`.
pub fn zip_integers(a: &Tensor, b: &Tensor, shape: &[usize], f: &dyn Fn(i64, i64) -> i64) -> Result<Tensor> {
    let (x, y) = (a.to_i64s()?, b.to_i64s()?);
    Tensor::from_i64s(
        a.dtype(),
        shape,
        zip_plain(&whole(&x, a, &row_major(a.shape())), &whole(&y, b, &row_major(b.shape())), shape, f),
    )
}

/// `f` of every pair of floats, widened to float64, broadcast to `shape` and rounded to the dtype of `a`.
pub fn zip_floats(a: &Tensor, b: &Tensor, shape: &[usize], f: &dyn Fn(f64, f64) -> f64) -> Result<Tensor> {
    let (x, y) = (a.to_f64s()?, b.to_f64s()?);
    Tensor::from_f64s(
        a.dtype(),
        shape,
        zip_plain(&whole(&x, a, &row_major(a.shape())), &whole(&y, b, &row_major(b.shape())), shape, f),
    )
}

fn whole<'a, T>(data: &'a [T], of: &'a Tensor, strides: &'a [isize]) -> Strided<'a, T> {
    Strided { data, offset: 0, shape: of.shape(), strides }
}

/// Two inputs of integers of one dtype, broadcast together, one output of that dtype.
pub const fn on_bits(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, inputs: 2..=2, build, ..Operator::DEFAULT }
}

struct Bits {
    f: fn(i64, i64) -> i64,
    unsigned: bool,
}

/// `f` on the bits of two integers of one dtype, broadcast together; of unsigned ones alone, where
/// that is asked for.
pub fn bits(f: fn(i64, i64) -> i64, unsigned: bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Bits { f, unsigned }))
}

impl Op for Bits {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = same_type(inputs, Dtypes::Number)?;
        let allowed = dtype.is_int() && !(self.unsigned && Dtypes::Signed.contains(dtype));
        let expected = if self.unsigned { "an unsigned integer" } else { "an integer" };
        ensure!(allowed, Unsupported, "input 0: expected {expected}, got {dtype}");
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, broadcast_to(inputs)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (a, b) = (inputs.take_host(0)?, inputs.take_host(1)?);
        output(zip_integers(&a, &b, shape_of(outputs, 0)?, &self.f)?)
    }
}

fn equal_strings(a: &Tensor, b: &Tensor, shape: &[usize]) -> FlexTensor {
    let (x, y) = (words(a), words(b));
    let (x_strides, y_strides) = (row_major(a.shape()), row_major(b.shape()));
    let equal = zip_plain(&whole(&x, a, &x_strides), &whole(&y, b, &y_strides), shape, |a, b| u8::from(a == b));
    tensor_of(DataType::Bool, shape, equal)
}

fn words(tensor: &Tensor) -> Vec<&str> {
    tensor.strings().unwrap_or_default().iter().map(String::as_str).collect()
}

struct Logic(Alignment, fn(u8, u8) -> u8);

/// `f` on bools, 0 or 1.
pub fn logic(attributes: &Attributes<'_>, f: fn(u8, u8) -> u8) -> Result<Box<dyn Op>> {
    let alignment = Alignment::read(attributes)?;
    Ok(Box::new(Logic(alignment, f)))
}

impl Op for Logic {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_type(inputs, Dtypes::Only(DataType::Bool))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, broadcast_all(inputs, self.0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let aligned = self.0.shape(&inputs, 1)?;
        let (a, b) = (inputs.cpu(0)?, Cpu.reshape(inputs.array(1)?, &aligned)?.into_cpu()?);
        let out = zip_plain(&strided::<u8>(&a), &strided::<u8>(&b), shape, self.1);
        output(tensor_of(DataType::Bool, shape, out))
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, numbers};

    fn tensor(dtype: DataType, values: &[f64]) -> Tensor {
        Tensor::from_f64s(dtype, &[values.len()], values.to_vec()).expect("one dimension")
    }

    #[test]
    fn bits_of_every_integer() {
        let run =
            |op, dtype, a: &[f64], b: &[f64]| numbers(&Single::new(op, 18).one(&[tensor(dtype, a), tensor(dtype, b)]));
        assert_eq!(run("BitwiseAnd", DataType::Int8, &[-1.0, 12.0], &[10.0]), [10.0, 8.0]);
        assert_eq!(run("BitwiseOr", DataType::Uint16, &[65280.0], &[255.0]), [65535.0]);
        assert_eq!(run("BitwiseXor", DataType::Int32, &[-1.0], &[-1.0, 0.0]), [0.0, -1.0]);
        let all = Tensor::from_vec(vec![1], vec![u64::MAX]).expect("one");
        let one = Tensor::from_vec(vec![1], vec![1u64]).expect("one");
        let xor = Single::new("BitwiseXor", 18).one(&[all.clone(), one.clone()]);
        assert_eq!(xor.as_slice::<u64>(), Some(&[u64::MAX - 1][..]));
        let right = Single::new("BitShift", 11).string("direction", "RIGHT");
        assert_eq!(right.one(&[all, one]).as_slice::<u64>(), Some(&[u64::MAX >> 1][..]));
        let left = Single::new("BitShift", 11).string("direction", "LEFT");
        let shift = |node: &Single<'_>, by| {
            numbers(&node.one(&[tensor(DataType::Uint8, &[129.0]), tensor(DataType::Uint8, &[by])]))
        };
        assert_eq!((shift(&left, 1.0), shift(&left, 8.0), shift(&left, 200.0)), (vec![2.0], vec![0.0], vec![0.0]));
        assert_eq!((shift(&right, 7.0), shift(&right, 8.0), shift(&right, 64.0)), (vec![1.0], vec![0.0], vec![0.0]));
        let signed = [tensor(DataType::Int8, &[1.0]), tensor(DataType::Int8, &[1.0])];
        assert_eq!(left.error(&signed).kind(), ErrorKind::Unsupported);
        assert_eq!(Single::new("BitShift", 11).error(&signed).kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn dtypes_of_pairs() {
        use DataType::{BFloat16, Float16, Float32, Float64, Int8, Int32, Int64, Uint8, Uint32, Uint64};
        let run = |op, a: Tensor, b: Tensor| Single::new(op, 18).one(&[a, b]);
        for dtype in [Float16, BFloat16, Float32, Float64, Int8, Int32, Int64, Uint8, Uint32, Uint64] {
            let (a, b) = (|| tensor(dtype, &[6.0, 2.0]), || tensor(dtype, &[4.0, 4.0]));
            for (op, expected) in [
                ("Add", [10.0, 6.0]),
                ("Mul", [24.0, 8.0]),
                ("Max", [6.0, 4.0]),
                ("Min", [4.0, 2.0]),
                ("Pow", [1296.0, 16.0]),
            ] {
                if op == "Pow" && (dtype.size() == 1 || dtype == BFloat16) {
                    continue;
                }
                let got = run(op, a(), b());
                assert!(got.dtype() == dtype && numbers(&got) == expected, "{op} {dtype}: {:?}", numbers(&got));
            }
            for (op, expected) in [("Equal", [0.0, 0.0]), ("Less", [0.0, 1.0]), ("GreaterOrEqual", [1.0, 0.0])] {
                assert_eq!(numbers(&run(op, a(), b())), expected, "{op} {dtype}");
            }
        }
        // A power keeps the dtype of its base, and is truncated only then.
        let power = |x: Tensor, y: Tensor| {
            let got = run("Pow", x, y);
            (got.dtype(), numbers(&got))
        };
        assert_eq!(power(tensor(Int32, &[9.0, 2.0]), tensor(Float32, &[0.5, -1.0])), (Int32, vec![3.0, 0.0]));
        assert_eq!(power(tensor(Float16, &[2.0]), tensor(Int64, &[-2.0])), (Float16, vec![0.25]));
        assert_eq!(power(tensor(Int64, &[3.0]), tensor(Uint8, &[30.0])), (Int64, vec![205_891_132_094_649.0]));
    }

    #[test]
    fn strings_and_bools_are_compared_and_chosen() {
        let words = |w: &[&str]| {
            Tensor::from_strings(vec![w.len()], w.iter().map(ToString::to_string).collect()).expect("words")
        };
        let bools = |b: &[u8]| Tensor::from_bytes(DataType::Bool, vec![b.len()], b.to_vec()).expect("bools");
        let equal = Single::new("Equal", 19);
        assert_eq!(equal.one(&[words(&["a", "b"]), words(&["b"])]).bytes(), Some(&[0, 1][..]));
        assert_eq!(equal.one(&[bools(&[0, 1]), bools(&[1, 1])]).bytes(), Some(&[0, 1][..]));
        let chosen = Single::new("Where", 16).one(&[bools(&[1, 0]), words(&["x"]), words(&["y", "z"])]);
        assert_eq!(chosen.strings(), Some(&["x".to_string(), "z".to_string()][..]));
    }

    #[test]
    fn any_number_of_inputs() {
        let inputs = |count: usize| (0..count).map(|i| tensor(DataType::Float16, &[i as f64, 1.0])).collect::<Vec<_>>();
        for (op, expected) in [("Sum", [6.0, 4.0]), ("Mean", [1.5, 1.0]), ("Max", [3.0, 1.0]), ("Min", [0.0, 1.0])] {
            assert_eq!(numbers(&Single::new(op, 13).one(&inputs(4))), expected, "{op}");
            assert_eq!(numbers(&Single::new(op, 13).one(&inputs(1))), [0.0, 1.0], "{op}");
        }
    }
}
