//! What Microsoft's operators on int8 and uint8 share: read the codes as numbers, compute, and
//! quantise again, by one scale and zero point for each tensor. Computed in float64, so that what
//! is rounded is the exact result.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::quantized::{byte_type, check_single, code_of, codes, limits, per_tensor, tensor_from_codes};
use super::{Attributes, Dtypes, Op, Operator, broadcast, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::elementwise::zip_plain;
use crate::kernels::layout::{Strided, row_major};

/// The domain of all of them.
pub const DOMAIN: &str = "com.microsoft";

/// Checks the tensor, scale and zero point (which may be left out) at input `at`; gives the
/// codes' dtype.
pub fn triple_type(inputs: &[Option<Type>], at: usize) -> Result<DataType> {
    let dtype = byte_type(inputs, at)?;
    scale_type(inputs, at + 1, dtype)?;
    Ok(dtype)
}

/// Checks the scale at input `at` and the zero point after it.
pub fn scale_type(inputs: &[Option<Type>], at: usize, dtype: DataType) -> Result<()> {
    tensor_type(inputs, at, Dtypes::Only(DataType::Float32))?;
    optional_type(inputs, at + 1, Dtypes::Only(dtype))
}

/// Reads codes as numbers.
#[derive(Clone, Copy)]
pub struct Reader {
    scale: f64,
    zero: i32,
}

impl Reader {
    /// By the scale at input `at` and the zero point after it.
    pub fn new(inputs: &Inputs, at: usize) -> Result<Self> {
        let (scale, zero) = per_tensor(inputs, at)?;
        Ok(Self { scale: f64::from(scale), zero })
    }

    /// The number that `code` stands for; exact.
    pub fn real(&self, code: i32) -> f64 {
        f64::from(code - self.zero) * self.scale
    }
}

/// Writes numbers as codes.
#[derive(Clone, Copy)]
pub struct Writer {
    scale: f64,
    zero: i32,
    range: (i32, i32),
}

impl Writer {
    /// By the scale at input `at` and the zero point after it.
    pub fn new(inputs: &Inputs, at: usize, dtype: DataType) -> Result<Self> {
        let (scale, zero) = per_tensor(inputs, at)?;
        Ok(Self { scale: f64::from(scale), zero, range: limits(dtype) })
    }

    /// The code of `real`.
    pub fn code(&self, real: f64) -> i32 {
        code_of(real / self.scale, self.zero, self.range)
    }
}

/// The codes of tensor `index`.
pub fn codes_of(inputs: &mut Inputs, index: usize) -> Result<Vec<i32>> {
    codes(&inputs.take_host(index)?)
}

/// The one output's dtype and shape, as inferred.
pub fn inferred(outputs: &[Option<Info>]) -> Result<(DataType, &[usize])> {
    match outputs {
        [Some(info)] => Ok((info.dtype, &info.shape)),
        _ => bail!(Internal, "the output was not inferred"),
    }
}

/// An operator from one tensor to one of its dtype: its inputs are the tensor, its scale and zero
/// point, and the output's.
pub const fn unary_operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator { name, domain: DOMAIN, inputs: 4..=5, attributes, build, ..Operator::DEFAULT }
}

/// The types of such an operator.
pub fn unary_types(inputs: &[Option<Type>]) -> Result<Vec<Type>> {
    let dtype = triple_type(inputs, 0)?;
    scale_type(inputs, 3, dtype)?;
    Ok(vec![Type::Tensor(dtype)])
}

struct Each(Box<dyn Fn(f64) -> f64 + Send + Sync>);

/// `f` of each element.
pub fn each(f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Result<Box<dyn Op>> {
    Ok(Box::new(Each(Box::new(f))))
}

impl Op for Each {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        unary_types(inputs)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 3, 4])?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let (from, to) = (Reader::new(&inputs, 1)?, Writer::new(&inputs, 3, dtype)?);
        let (low, high) = limits(dtype);
        let table: Vec<i32> = (low..=high).map(|code| to.code((self.0)(from.real(code)))).collect();
        let x = codes_of(&mut inputs, 0)?;
        output(tensor_from_codes(dtype, shape, x.into_iter().map(|code| table[(code - low) as usize]))?)
    }
}

/// An operator on pairs: two tensors, each with scale and zero point, and the output's.
pub const fn pair_operator(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, domain: DOMAIN, inputs: 7..=8, build, ..Operator::DEFAULT }
}

struct Pair(fn(f64, f64) -> f64);

/// `f` of each pair, both broadcast together.
pub fn pair(f: fn(f64, f64) -> f64) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pair(f)))
}

impl Op for Pair {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = triple_type(inputs, 0)?;
        tensor_type(inputs, 3, Dtypes::Only(dtype))?;
        scale_type(inputs, 4, dtype)?;
        scale_type(inputs, 6, dtype)?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 4, 5, 6, 7])?;
        one(inputs.dtype(0)?, broadcast(inputs.shape(0)?, inputs.shape(3)?)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let (left, right) = (Reader::new(&inputs, 1)?, Reader::new(&inputs, 4)?);
        let to = Writer::new(&inputs, 6, dtype)?;
        let (a_shape, b_shape) = (inputs.shape(0)?.to_vec(), inputs.shape(3)?.to_vec());
        if shape.contains(&0) {
            return output(tensor_from_codes(dtype, shape, std::iter::empty())?);
        }
        let (a, b) = (codes_of(&mut inputs, 0)?, codes_of(&mut inputs, 3)?);
        let (a_strides, b_strides) = (row_major(&a_shape), row_major(&b_shape));
        let a = Strided { data: &a, offset: 0, shape: &a_shape, strides: &a_strides };
        let b = Strided { data: &b, offset: 0, shape: &b_shape, strides: &b_strides };
        let out = zip_plain(&a, &b, shape, |a, b| to.code((self.0)(left.real(a), right.real(b))));
        output(tensor_from_codes(dtype, shape, out.into_iter())?)
    }
}

/// `[outer, rows, columns]` as `[outer, columns, rows]`.
pub fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    for matrix in values.chunks_exact((rows * columns).max(1)) {
        for column in 0..columns {
            out.extend(matrix.iter().skip(column).step_by(columns));
        }
    }
    out
}

/// The shape `[N, C, spatial…]` of a tensor whose channels may come last.
pub fn channels_first(shape: &[usize], last: bool) -> Result<Vec<usize>> {
    ensure!(shape.len() >= 3, ShapeMismatch, "expected three dimensions or more, got {shape:?}");
    if !last {
        return Ok(shape.to_vec());
    }
    let end = shape.len() - 1;
    Ok([&[shape[0], shape[end]], &shape[1..end]].concat())
}

/// The inverse of [`channels_first`].
pub fn channels_back(shape: &[usize], last: bool) -> Vec<usize> {
    if last { [&shape[..1], &shape[2..], &shape[1..2]].concat() } else { shape.to_vec() }
}
