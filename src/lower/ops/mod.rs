//! What lowering makes steps of: operators with their constants packed inside, on the CPU alone.

mod attention;
mod average_pool;
mod binary;
mod conv;
mod integer_conv;
mod matmul;
mod quantized_conv;
mod quantized_matmul;
mod rotary;
mod table;

pub use attention::Attention;
pub use average_pool::AveragePool;
pub use binary::Binary;
pub use conv::Conv;
pub use integer_conv::IntegerConv;
pub use matmul::MatMul;
pub use quantized_conv::QuantizedConv;
pub use quantized_matmul::{DynamicMatMul, QuantizedMatMul};
pub use rotary::Rotary;
pub use table::Table;

pub use crate::kernels::quantized::{Reading, Writing};

use std::borrow::Cow;

use crate::backend::{Array, BinaryOp, Cpu, Device, tensor_of};
use crate::error::{Result, bail};
use crate::graph::{DataType, Tensor};
use crate::kernels::{Activation, ConvI8, GemmI8, IntOutput, Matrix};
use crate::ops::Value;

/// What becomes of the sums of a quantised product.
#[derive(Debug, Clone, Copy)]
pub enum Result8 {
    /// Codes of another scale.
    Codes(Writing),
    /// Real numbers.
    Float(Activation),
}

/// Codes of weights less their zero points: bytes where all of them fit, else words.
pub enum Codes<'a> {
    Bytes(Cow<'a, [i8]>),
    Words(Vec<i16>),
}

impl<'a> Codes<'a> {
    /// The int8 or uint8 codes of `tensor` less their zero points: one, or one for each output, of which each has
    /// `inner` codes in a row before the next has its own.
    pub fn less(tensor: &'a Tensor, zeros: &[i32], inner: usize) -> Option<Self> {
        let bytes = tensor.bytes()?;
        let signed = match tensor.dtype() {
            DataType::Int8 => true,
            DataType::Uint8 => false,
            _ => return None,
        };
        if signed && zeros.iter().all(|&zero| zero == 0) {
            return Some(Self::Bytes(bytemuck::cast_slice(bytes).into()));
        }
        let codes = || {
            let runs = bytes.chunks(inner.max(1)).zip(zeros.iter().cycle());
            runs.flat_map(|(run, &zero)| {
                run.iter().map(move |&byte| {
                    let code = if signed { i16::from(byte as i8) } else { i16::from(byte) };
                    code - zero as i16
                })
            })
        };
        Some(match codes().all(|code| i8::try_from(code).is_ok()) {
            true => Self::Bytes(codes().map(|code| code as i8).collect()),
            false => Self::Words(codes().collect()),
        })
    }

    /// Packs a matrix, row-major `[depth, columns]`, or `[columns, depth]` where `transposed`.
    fn matrix(&self, [depth, columns]: [usize; 2], transposed: bool) -> GemmI8 {
        let (depth_stride, column_stride) = if transposed { (1, depth) } else { (columns, 1) };
        match self {
            Self::Bytes(data) => GemmI8::new(&Matrix { data, depth_stride, column_stride }, depth, columns),
            Self::Words(data) => GemmI8::from_words(&Matrix { data, depth_stride, column_stride }, depth, columns),
        }
    }

    /// Packs the filters of a convolution, row-major of its weight's shape.
    fn filters(&self, shape: &conv::ConvShape) -> ConvI8 {
        let (outputs, channels, kernel, group) = (shape.weight[0], shape.weight[1], shape.kernel(), shape.group());
        match self {
            Self::Bytes(codes) => ConvI8::new(codes, outputs, channels, kernel, group),
            Self::Words(codes) => ConvI8::from_words(codes, outputs, channels, kernel, group),
        }
    }
}

/// What makes float32 of sums beside the rows' scale, which is an input.
pub struct Scales {
    /// One, or one per column.
    pub columns: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub activation: Activation,
}

impl Scales {
    fn output<'a>(&'a self, row_scales: &'a [f32], y: &'a mut [f32]) -> IntOutput<'a> {
        let (bias, activation) = (self.bias.as_deref(), self.activation);
        IntOutput::Dequantize { row_scales, column_scales: &self.columns, bias, activation, y }
    }

    fn byte_len(&self) -> usize {
        4 * (self.columns.len() + self.bias.as_ref().map_or(0, Vec::len))
    }
}

/// The shape of `a` by a matrix `[depth, columns]`.
fn product_shape(a: &[usize], depth: usize, columns: usize) -> Result<Vec<usize>> {
    match a.split_last() {
        Some((last, rest)) if *last == depth => Ok([rest, &[columns]].concat()),
        _ => bail!(ShapeMismatch, "{a:?} by [{depth}, {columns}]: the left side needs {depth} columns"),
    }
}

/// Adds a residual that broadcasts, which no kernel does, and applies the activation.
fn add_broadcast(y: Array, residual: Array, shape: &[usize], activation: Activation) -> Result<Value> {
    let sum = Cpu.binary(BinaryOp::Add, y, residual, shape)?.into_cpu()?;
    let mut values = crate::backend::elements::<f32>(&sum);
    match activation {
        Activation::None => {}
        Activation::Clamp { min, max } => {
            values.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = v.max(min).min(max));
        }
        Activation::Map(map) => map(&mut values),
    }
    Ok(Value::from(tensor_of(DataType::Float32, shape, values)))
}
