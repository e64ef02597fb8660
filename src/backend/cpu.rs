//! The CPU device: tensors and views are burn-flex's, the arithmetic is [`crate::kernels`]'s.

use std::borrow::Cow;
use std::sync::Arc;

use burn_flex::{FlexTensor, Layout};
use burn_std::{Bytes, Shape, bf16, f16};

use super::buffers;
use super::{Array, BinaryOp, CompareOp, Device, DeviceKind, Lrn, PadMode, PoolOp, ReduceOp, UnaryOp, Window};
use crate::error::{Result, bail};
use crate::graph::{DataType, Element};
use crate::kernels::conv::{self, ConvF32, Geometry};
use crate::kernels::gemm::{self, Epilogue, GemmF32, Matrix};
use crate::kernels::layout::{self, Strided};
use crate::kernels::quantized::{Reading, Writing};
use crate::kernels::{elementwise, pool, quantized, reduce, threads};

/// The CPU. Every dtype but strings; float16 and bfloat16 are computed in float32.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

/// Runs the body with `$T` as the unsigned integer of `$dtype`'s size: for what only moves
/// elements. One copy of a loop for each size, not for each dtype, halves the binary.
macro_rules! for_bits {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}

/// Runs `$float` with a float type or `$int` with an integer type; narrower types are widened
/// before and narrowed after by the caller (see [`widen`]).
macro_rules! float_or_int {
    ($dtype:expr, $T:ident => $float:expr, $I:ident => $int:expr) => {
        match $dtype {
            DataType::Float32 => {
                type $T = f32;
                $float
            }
            DataType::Float64 => {
                type $T = f64;
                $float
            }
            DataType::Int64 => {
                type $I = i64;
                $int
            }
            DataType::Uint64 => {
                type $I = u64;
                $int
            }
            other => bail!(Internal, "{other} reached arithmetic"),
        }
    };
}

/// The elements of `tensor` as they lie in memory.
pub(crate) fn strided<T: Element>(tensor: &FlexTensor) -> Strided<'_, T> {
    let layout = tensor.layout();
    Strided {
        data: bytemuck::cast_slice(tensor.bytes()),
        offset: layout.start_offset(),
        shape: layout.shape(),
        strides: layout.strides(),
    }
}

/// A tensor over row-major elements; `dtype` may be `Bool` for `u8`.
pub(crate) fn tensor_of<T: Element>(dtype: DataType, shape: &[usize], elements: Vec<T>) -> FlexTensor {
    let burn = dtype.to_burn().expect("strings are no Burn tensors");
    FlexTensor::new(Bytes::from_elems(elements), Layout::contiguous(Shape::from(shape.to_vec())), burn)
}

/// The row-major elements of `tensor`.
pub(crate) fn elements<T: Element>(tensor: &FlexTensor) -> Vec<T> {
    let view = strided::<T>(tensor);
    let mut out = vec![<T as bytemuck::Zeroable>::zeroed(); view.shape.iter().product()];
    let strides = layout::row_major(view.shape);
    layout::copy(&view, &mut out, 0, &strides);
    out
}

/// The row-major elements of `tensor`, borrowed where they lie so already.
pub(crate) fn row_major_slice<T: Element>(tensor: &FlexTensor) -> Cow<'_, [T]> {
    match tensor.layout().contiguous_offsets() {
        Some((start, end)) => Cow::Borrowed(&bytemuck::cast_slice(tensor.bytes())[start..end]),
        None => Cow::Owned(elements(tensor)),
    }
}

/// The elements of `[N, C, spatial…]`, one or two spatial dimensions, with the channels innermost;
/// borrowed where they lie so already.
pub(crate) fn channels_last<T: Element>(tensor: &FlexTensor) -> std::borrow::Cow<'_, [T]> {
    let view = strided::<T>(tensor);
    let order = |of: &[isize]| -> Vec<isize> { of[..1].iter().chain(&of[2..]).chain(&of[1..2]).copied().collect() };
    let shape: Vec<usize> = view.shape[..1].iter().chain(&view.shape[2..]).chain(&view.shape[1..2]).copied().collect();
    let (strides, wanted) = (order(view.strides), layout::row_major(&shape));
    if shape.iter().zip(strides.iter().zip(&wanted)).all(|(&size, (a, b))| size == 1 || a == b) {
        return std::borrow::Cow::Borrowed(&view.data[view.offset..][..shape.iter().product()]);
    }
    let mut out = vec![<T as bytemuck::Zeroable>::zeroed(); shape.iter().product()];
    layout::copy(
        &Strided { data: view.data, offset: view.offset, shape: &shape, strides: &strides },
        &mut out,
        0,
        &wanted,
    );
    std::borrow::Cow::Owned(out)
}

/// A tensor `[N, C, spatial…]` of this shape over elements with the channels innermost.
pub(crate) fn from_channels_last<T: Element>(dtype: DataType, shape: &[usize], elements: Vec<T>) -> FlexTensor {
    let rank = shape.len();
    let stored: Vec<usize> = shape[..1].iter().chain(&shape[2..]).chain(&shape[1..2]).copied().collect();
    let axes: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    tensor_of(dtype, &stored, elements).permute(&axes)
}

/// The numbers that the codes of an int8 or uint8 tensor stand for, by one scale and zero point; they lie
/// as the codes do.
pub(crate) fn dequantize(x: FlexTensor, scale: f32, zero: i32) -> FlexTensor {
    let signed = dtype_of(&x) == DataType::Int8;
    let (x, order) = in_memory(x);
    let mut codes = row_major_slice::<u8>(&x);
    if signed {
        codes.to_mut().iter_mut().for_each(|code| *code ^= 0x80);
    }
    let reading = Reading { scale, zero: (zero + if signed { 128 } else { 0 }) as u8 };
    let mut reals = buffers::floats(codes.len());
    quantized::dequantize(reading, &codes, &mut reals);
    logical(tensor_of(DataType::Float32, x.layout().shape(), reals), &order)
}

/// The int8 or uint8 codes of float32, by one scale and zero point; they lie as the numbers do.
pub(crate) fn quantize(x: FlexTensor, scale: f32, zero: i32, dtype: DataType) -> FlexTensor {
    let signed = dtype == DataType::Int8;
    let (x, order) = in_memory(x);
    let reals = row_major_slice::<f32>(&x);
    let zero = (zero + if signed { 128 } else { 0 }) as u8;
    let mut codes = buffers::bytes(reals.len());
    quantized::quantize(Writing { scale, zero, min: 0, max: 255 }, &reals, &mut codes);
    if signed {
        codes.iter_mut().for_each(|code| *code ^= 0x80);
    }
    logical(tensor_of(dtype, x.layout().shape(), codes), &order)
}

/// Puts `f` of the bytes in their place, in the order of the memory, which stays.
pub(crate) fn map_bytes(x: FlexTensor, dtype: DataType, f: impl FnOnce(&mut [u8])) -> FlexTensor {
    let (x, order) = in_memory(x);
    let shape = x.layout().shape().to_vec();
    let mut bytes = into_elements::<u8>(x);
    f(&mut bytes);
    logical(tensor_of(dtype, &shape, bytes), &order)
}

/// `f` of the bytes of two tensors, both broadcast to `shape`; the result lies as one of them does.
pub(crate) fn zip_bytes(
    a: FlexTensor,
    b: FlexTensor,
    shape: &[usize],
    f: impl FnOnce(&[u8], &[u8]) -> Vec<u8>,
) -> FlexTensor {
    let dtype = dtype_of(&a);
    let ([a, b], order) = aligned([a, b], shape);
    let bytes = f(&row_major_slice::<u8>(&a), &row_major_slice::<u8>(&b));
    logical(tensor_of(dtype, a.layout().shape(), bytes), &order)
}

fn dtype_of(tensor: &FlexTensor) -> DataType {
    DataType::from_burn(tensor.dtype())
}

/// A half-precision tensor as float32, one of narrow integers as int64, and the dtype to narrow
/// the result to.
fn widen(tensor: FlexTensor) -> Result<(FlexTensor, Option<DataType>)> {
    let dtype = dtype_of(&tensor);
    let wide = match dtype {
        DataType::Float32 | DataType::Float64 | DataType::Int64 | DataType::Uint64 => return Ok((tensor, None)),
        DataType::Float16 | DataType::BFloat16 => DataType::Float32,
        _ => DataType::Int64,
    };
    Ok((cast(&tensor, wide)?, Some(dtype)))
}

/// Back to the dtype that was widened; integers wrap.
fn narrow(tensor: FlexTensor, to: Option<DataType>) -> Result<Array> {
    Ok(Array::Cpu(match to {
        Some(dtype) => cast(&tensor, dtype)?,
        None => tensor,
    }))
}

/// As [`narrow`], but integers saturate: for results that may be a bound of the wide type.
fn narrow_saturating(tensor: FlexTensor, to: Option<DataType>) -> Result<Array> {
    let (low, high) = match to {
        Some(DataType::Int8) => (i64::from(i8::MIN), i64::from(i8::MAX)),
        Some(DataType::Int16) => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Some(DataType::Int32) => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some(DataType::Uint8) => (0, i64::from(u8::MAX)),
        Some(DataType::Uint16) => (0, i64::from(u16::MAX)),
        Some(DataType::Uint32) => (0, i64::from(u32::MAX)),
        _ => return narrow(tensor, to),
    };
    let (tensor, order) = in_memory(tensor);
    let shape = tensor.layout().shape().to_vec();
    let mut elements = into_elements::<i64>(tensor);
    elements.iter_mut().for_each(|v| *v = (*v).clamp(low, high));
    narrow(logical(tensor_of(DataType::Int64, &shape, elements), &order), to)
}

/// The same elements in memory of their own, row-major, where they are a view of more or in
/// another order.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    let dtype = dtype_of(&tensor);
    let shape = tensor.layout().shape().to_vec();
    let whole = tensor.is_contiguous()
        && tensor.layout().start_offset() == 0
        && tensor.bytes().len() == shape.iter().product::<usize>() * dtype.size();
    if whole { tensor } else { for_bits!(dtype, T => tensor_of(dtype, &shape, elements::<T>(&tensor))) }
}

/// The float32 that narrows to float16 and bfloat16 as `value` itself would: inexact ones have the
/// last bit set, which keeps them off the middle between two narrow numbers.
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    let back = f64::from(near);
    if back == value || value.is_nan() || near.is_infinite() || near.to_bits() & 1 == 1 {
        return near;
    }
    let bits = near.to_bits();
    f32::from_bits(if back.abs() > value.abs() { bits - 1 } else { bits + 1 })
}

/// As [`to_odd`], of an integer given as its sign and magnitude.
fn int_to_odd(negative: bool, magnitude: u64) -> f32 {
    let wide = if magnitude >> 53 == 0 {
        magnitude as f64
    } else {
        (magnitude >> 11 | u64::from(magnitude & 0x7ff != 0)) as f64 * 2048.0
    };
    to_odd(if negative { -wide } else { wide })
}

/// Converts every element: floats to integers are truncated and saturate, integers wrap, and
/// what is not 0 is true.
pub(crate) fn cast(tensor: &FlexTensor, to: DataType) -> Result<FlexTensor> {
    let from = dtype_of(tensor);
    if from == to {
        return Ok(tensor.clone());
    }
    let (tensor, order) = in_memory(tensor.clone());
    let shape = tensor.layout().shape().to_vec();
    // Every type widens exactly to one of three, and each narrows to every type.
    macro_rules! narrow_all {
        ($wide:expr, $W:ty, $odd:expr) => {{
            let wide: Vec<$W> = $wide;
            let odd = |v: &$W| -> f32 { $odd(*v) };
            macro_rules! to {
                ($T:ty) => {
                    tensor_of::<$T>(to, &shape, wide.iter().map(|&v| v as $T).collect())
                };
            }
            match to {
                DataType::Float32 => to!(f32),
                DataType::Float64 => to!(f64),
                DataType::Float16 => tensor_of(to, &shape, wide.iter().map(|v| f16::from_f32(odd(v))).collect()),
                DataType::BFloat16 => tensor_of(to, &shape, wide.iter().map(|v| bf16::from_f32(odd(v))).collect()),
                DataType::Int8 => to!(i8),
                DataType::Int16 => to!(i16),
                DataType::Int32 => to!(i32),
                DataType::Int64 => to!(i64),
                DataType::Uint8 => to!(u8),
                DataType::Uint16 => to!(u16),
                DataType::Uint32 => to!(u32),
                DataType::Uint64 => to!(u64),
                DataType::Bool => tensor_of::<u8>(to, &shape, wide.iter().map(|&v| (v != 0 as $W) as u8).collect()),
                _ => bail!(Internal, "a cast to {to} reached arithmetic"),
            }
        }};
    }
    macro_rules! wide {
        ($T:ty => $W:ty, $f:expr) => {
            row_major_slice::<$T>(&tensor).iter().map($f).collect::<Vec<$W>>()
        };
    }
    let out = match from {
        DataType::Float32 => narrow_all!(wide!(f32 => f64, |&v| f64::from(v)), f64, to_odd),
        DataType::Float64 => narrow_all!(wide!(f64 => f64, |&v| v), f64, to_odd),
        DataType::Float16 => narrow_all!(wide!(f16 => f64, |&v| v.to_f64()), f64, to_odd),
        DataType::BFloat16 => narrow_all!(wide!(bf16 => f64, |&v| v.to_f64()), f64, to_odd),
        DataType::Uint64 => narrow_all!(wide!(u64 => u64, |&v| v), u64, |v| int_to_odd(false, v)),
        DataType::Int8 => {
            narrow_all!(wide!(i8 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        DataType::Int16 => {
            narrow_all!(wide!(i16 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        DataType::Int32 => {
            narrow_all!(wide!(i32 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        DataType::Int64 => narrow_all!(wide!(i64 => i64, |&v| v), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs())),
        DataType::Uint8 | DataType::Bool => {
            narrow_all!(wide!(u8 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        DataType::Uint16 => {
            narrow_all!(wide!(u16 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        DataType::Uint32 => {
            narrow_all!(wide!(u32 => i64, |&v| i64::from(v)), i64, |v: i64| int_to_odd(v < 0, v.unsigned_abs()))
        }
        _ => bail!(Internal, "a cast from {from} reached arithmetic"),
    };
    Ok(logical(out, &order))
}

/// `tensor` with its dimensions in the order in which they lie in memory, from the outermost, and that order:
/// without holes it is row-major then. [`logical`] is the way back.
pub(crate) fn in_memory(tensor: FlexTensor) -> (FlexTensor, Vec<usize>) {
    let order = layout::memory_order(tensor.layout().shape(), tensor.layout().strides());
    (permuted(tensor, &order), order)
}

/// The tensor of which dimension `d` is dimension `order[d]` of `tensor`; a view.
fn permuted(tensor: FlexTensor, order: &[usize]) -> FlexTensor {
    if order.is_sorted() { tensor } else { tensor.permute(order) }
}

/// Undoes [`permuted`].
pub(crate) fn logical(tensor: FlexTensor, order: &[usize]) -> FlexTensor {
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, &d)| back[d] = at);
    permuted(tensor, &back)
}

/// Where dimension `d` is in `order`.
pub(crate) fn place(order: &[usize], d: usize) -> usize {
    order.iter().position(|&o| o == d).unwrap_or(d)
}

/// `tensors` broadcast to `shape`, with the dimensions of all in one order, that of the memory of one of them,
/// and that order. An order that is not row-major comes from a convolution, and the next one wants it.
fn aligned<const N: usize>(tensors: [FlexTensor; N], shape: &[usize]) -> ([FlexTensor; N], Vec<usize>) {
    let mut order: Vec<usize> = (0..shape.len()).collect();
    for tensor in &tensors {
        let layout = tensor.layout();
        if layout.shape()[..] == *shape && order.is_sorted() {
            order = layout::memory_order(shape, layout.strides());
        }
    }
    (tensors.map(|tensor| permuted(expand(tensor, shape), &order)), order)
}

/// Compares every pair, both broadcast to `shape`; gives bools.
pub(crate) fn compare(op: CompareOp, a: FlexTensor, b: FlexTensor, shape: &[usize]) -> Result<FlexTensor> {
    let ((a, _), (b, _)) = (widen(a)?, widen(b)?);
    let ([a, b], order) = aligned([a, b], shape);
    let shape = a.layout().shape();
    macro_rules! compared {
        ($T:ty) => {{
            let (a, b) = (strided::<$T>(&a), strided::<$T>(&b));
            match op {
                CompareOp::Equal => elementwise::zip_plain(&a, &b, shape, |a, b| (a == b) as u8),
                CompareOp::Greater => elementwise::zip_plain(&a, &b, shape, |a, b| (a > b) as u8),
                CompareOp::GreaterOrEqual => elementwise::zip_plain(&a, &b, shape, |a, b| (a >= b) as u8),
                CompareOp::Less => elementwise::zip_plain(&a, &b, shape, |a, b| (a < b) as u8),
                CompareOp::LessOrEqual => elementwise::zip_plain(&a, &b, shape, |a, b| (a <= b) as u8),
            }
        }};
    }
    let out = float_or_int!(dtype_of(&a), T => compared!(T), I => compared!(I));
    Ok(logical(tensor_of(DataType::Bool, shape, out), &order))
}

/// Takes from `a` where `condition` holds, else from `b`; all broadcast to `shape`.
pub(crate) fn select(condition: FlexTensor, a: FlexTensor, b: FlexTensor, shape: &[usize]) -> Result<FlexTensor> {
    let dtype = dtype_of(&a);
    let ([a, b, condition], order) = aligned([a, b, condition], shape);
    let shape = a.layout().shape().to_vec();
    Ok(for_bits!(dtype, T => {
        let mut out = into_elements::<T>(a);
        elementwise::replace(&mut out, &strided(&condition), &strided(&b), &shape);
        logical(tensor_of(dtype, &shape, out), &order)
    }))
}

/// The float32 products of two batches of matrices, both broadcast to `batch`.
fn matmul(a: &FlexTensor, b: &FlexTensor, batch: &[usize]) -> Vec<f32> {
    let (a_data, b_data) = (row_major_slice::<f32>(a), strided::<f32>(b));
    let (sa, sb) = (a.layout().shape(), b_data.shape);
    let (ra, rb) = (sa.len(), sb.len());
    let (m, k, n) = (sa[ra - 2], sa[ra - 1], sb[rb - 1]);
    let batches = |shape: &[usize], strides: &[isize]| {
        let (lead, inner) = (&shape[..shape.len() - 2], &strides[..shape.len() - 2]);
        Strided::<u8> { data: &[], offset: 0, shape: lead, strides: inner }.strides_for(batch)
    };
    let (ba, bb) = (batches(sa, &layout::row_major(sa)), batches(sb, b_data.strides));
    let count = batch.iter().product::<usize>();
    let mut out = vec![0f32; count * m * n];
    // A row of one element per batch makes every batch a row of its own.
    let walk = [batch, &[1]].concat();
    let strides = |s: Vec<isize>| [s, vec![0]].concat();
    let mut offsets = Vec::with_capacity(count);
    layout::for_each_row(&walk, &[&strides(ba), &strides(bb)], |at| {
        offsets.push([at[0] as usize, (b_data.offset as isize + at[1]) as usize]);
    });
    let batches = |first: usize, out: &mut [f32]| {
        let mut packed: Option<(usize, GemmF32)> = None;
        for (&[a, b], c) in offsets[first..].iter().zip(out.chunks_exact_mut((m * n).max(1))) {
            let a = &a_data[a..][..m * k];
            let matrix = Matrix {
                data: &b_data.data[b..],
                depth_stride: b_data.strides[rb - 2] as usize,
                column_stride: b_data.strides[rb - 1] as usize,
            };
            if m < gemm::FEW_ROWS || n == 1 {
                a.chunks_exact(k).zip(c.chunks_exact_mut(n)).for_each(|(a, c)| gemm::row_times_matrix(a, &matrix, c));
                continue;
            }
            if packed.as_ref().is_none_or(|(at, _)| *at != b) {
                packed = Some((b, GemmF32::new(&matrix, k, n)));
            }
            if let Some((_, b)) = &packed {
                b.run(a, k, m, &Epilogue::NONE, c, n);
            }
        }
    };
    // One product may be shared by threads itself.
    let grains = if count == 1 { 1 } else { count * m * n * k / gemm::GRAIN };
    threads::each_slice(&mut out, (m * n).max(1), grains, |from, out| batches(from / (m * n).max(1), out));
    out
}

fn expand(x: FlexTensor, shape: &[usize]) -> FlexTensor {
    if x.layout().shape()[..] == *shape {
        return x;
    }
    let strides = strided_any(&x).strides_for(shape);
    let offset = x.layout().start_offset();
    x.with_layout(Layout::new(Shape::from(shape.to_vec()), strides, offset))
}

/// The layout alone, whatever the element type.
fn strided_any(x: &FlexTensor) -> Strided<'_, u8> {
    Strided { data: &[], offset: x.layout().start_offset(), shape: x.layout().shape(), strides: x.layout().strides() }
}

/// Moves the elements out for changes in place, copied only when shared or a view.
fn into_elements<T: Element>(tensor: FlexTensor) -> Vec<T> {
    let count = tensor.layout().num_elements();
    let whole = tensor.is_contiguous() && tensor.layout().start_offset() == 0 && tensor.is_unique();
    if whole {
        let bytes = tensor.data_arc();
        drop(tensor);
        let mut elements = match Arc::try_unwrap(bytes).map(|bytes| bytes.try_into_vec::<T>()) {
            Ok(Ok(elements)) => elements,
            Ok(Err(bytes)) => bytemuck::cast_slice(&bytes).to_vec(),
            Err(shared) => bytemuck::cast_slice(&shared).to_vec(),
        };
        elements.truncate(count);
        elements
    } else {
        elements(&tensor)
    }
}

impl Device for Cpu {
    fn kind(&self) -> DeviceKind {
        DeviceKind::Cpu
    }

    fn to_device(&self, x: FlexTensor) -> Result<Array> {
        Ok(Array::Cpu(x))
    }

    fn unary(&self, op: UnaryOp, x: Array) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (x, order) = in_memory(x);
        let dtype = dtype_of(&x);
        let shape = x.layout().shape().to_vec();
        let out = float_or_int!(dtype, T => {
            let mut data = into_elements::<T>(x);
            elementwise::unary(op, &mut data);
            tensor_of(dtype, &shape, data)
        }, I => {
            let mut data = into_elements::<I>(x);
            if !elementwise::int_unary(op, &mut data) {
                bail!(Unsupported, "{op:?} takes floats, got {}", to.unwrap_or(dtype));
            }
            tensor_of(dtype, &shape, data)
        });
        let out = logical(out, &order);
        if matches!(op, UnaryOp::Shrink { .. }) { narrow_saturating(out, to) } else { narrow(out, to) }
    }

    fn binary(&self, op: BinaryOp, a: Array, b: Array, shape: &[usize]) -> Result<Array> {
        let (mut a, to) = widen(a.into_cpu()?)?;
        let (mut b, _) = widen(b.into_cpu()?)?;
        let dtype = dtype_of(&a);
        // What is computed in place is the first of each pair.
        let whole = |x: &FlexTensor| x.layout().shape()[..] == *shape && x.is_unique();
        if matches!(op, BinaryOp::Add | BinaryOp::Mul) && !whole(&a) && whole(&b) {
            std::mem::swap(&mut a, &mut b);
        }
        let ([a, b], order) = aligned([a, b], shape);
        let shape = a.layout().shape().to_vec();
        let out = float_or_int!(dtype, T => {
            let in_place = a.is_contiguous() && a.is_unique();
            let (mut out, first) = if in_place {
                (into_elements::<T>(a), None)
            } else {
                (vec![0 as T; shape.iter().product()], Some(a))
            };
            elementwise::float_binary(op, &mut out, first.as_ref().map(strided).as_ref(), &strided(&b), &shape);
            tensor_of(dtype, &shape, out)
        }, I => {
            match elementwise::int_binary(op, &strided::<I>(&a), &strided::<I>(&b), &shape) {
                Some(out) => tensor_of(dtype, &shape, out),
                None => bail!(InvalidArgument, "an integer is divided by zero"),
            }
        });
        narrow(logical(out, &order), to)
    }

    fn conv(&self, x: Array, weight: Array, bias: Option<Array>, window: &Window, group: usize) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (weight, _) = widen(weight.into_cpu()?)?;
        let bias = match bias {
            Some(bias) => Some(widen(bias.into_cpu()?)?.0),
            None => None,
        };
        let dtype = dtype_of(&x);
        let (xs, outputs) = (x.layout().shape().to_vec(), weight.layout().shape()[0]);
        let spatial = &xs[2..];
        let out_shape = [&[xs[0], outputs], &window.output[..]].concat();
        if dtype == DataType::Float32 && spatial.len() < 3 && !xs.contains(&0) && outputs > 0 {
            let geometry = Geometry::new(&xs, outputs, group, window);
            let filters = ConvF32::new(&row_major_slice(&weight), outputs, xs[1] / group, geometry.kernel, group);
            let bias = bias.as_ref().map(row_major_slice::<f32>);
            let mut y = vec![0f32; out_shape.iter().product()];
            let epilogue = Epilogue { bias: bias.as_deref(), ..Epilogue::NONE };
            filters.run(&geometry, &channels_last(&x), &epilogue, &mut y);
            return narrow(from_channels_last(dtype, &out_shape, y), to);
        }
        let y = float_or_int!(dtype, T => {
            let bias = bias.as_ref().map(row_major_slice::<T>);
            let (x, weight) = (row_major_slice::<T>(&x), row_major_slice::<T>(&weight));
            let y = conv::direct(xs[0], xs[1], group, spatial, window, &x, &weight, bias.as_deref(), outputs);
            tensor_of(dtype, &out_shape, y)
        }, I => {
            let _: Option<I> = None;
            bail!(Unsupported, "a convolution of {dtype} elements")
        });
        narrow(y, to)
    }

    fn matmul(&self, a: Array, b: Array) -> Result<Array> {
        let (a, to) = widen(a.into_cpu()?)?;
        let (b, _) = widen(b.into_cpu()?)?;
        let dtype = dtype_of(&a);
        let (sa, sb) = (a.layout().shape().to_vec(), b.layout().shape().to_vec());
        let batch = crate::ops::broadcast(&sa[..sa.len() - 2], &sb[..sb.len() - 2])?;
        let (m, k, n) = (sa[sa.len() - 2], sa[sa.len() - 1], sb[sb.len() - 1]);
        let out_shape = [&batch[..], &[m, n]].concat();
        let empty = out_shape.contains(&0) || k == 0;
        if dtype == DataType::Float32 && !empty {
            return narrow(tensor_of(dtype, &out_shape, matmul(&a, &b, &batch)), to);
        }
        let (a, b) = (expand(a, &[&batch[..], &[m, k]].concat()), expand(b, &[&batch[..], &[k, n]].concat()));
        let count = out_shape.iter().product();
        let product = float_or_int!(dtype, T => {
            let mut out = vec![0 as T; count];
            if !empty {
                gemm::products(&row_major_slice(&a), &row_major_slice(&b), [m, k, n], &mut out, |c, a: T, b| c + a * b);
            }
            tensor_of(dtype, &out_shape, out)
        }, I => {
            let mut out = vec![0 as I; count];
            if !empty {
                let term = |c: I, a: I, b: I| c.wrapping_add(a.wrapping_mul(b));
                gemm::products(&row_major_slice(&a), &row_major_slice(&b), [m, k, n], &mut out, term);
            }
            tensor_of(dtype, &out_shape, out)
        });
        narrow(product, to)
    }

    fn pool(&self, op: PoolOp, x: Array, window: &Window) -> Result<Array> {
        let x = x.into_cpu()?;
        // Bytes are what quantised networks pool.
        let direct = op == PoolOp::Max && matches!(dtype_of(&x), DataType::Int8 | DataType::Uint8);
        let (x, to) = if direct { (x, None) } else { widen(x)? };
        let dtype = dtype_of(&x);
        let Planes { x, of, shape, order, out_shape } = planes(x, window);
        let spatial = &shape[2..];
        macro_rules! largest {
            ($max:ident, $T:ty, $lowest:expr) => {
                tensor_of(dtype, &out_shape, pool::$max(&row_major_slice::<$T>(&x), of, spatial, window, $lowest))
            };
        }
        let out = match (op, dtype) {
            (PoolOp::Max, DataType::Float32) => largest!(max_f32, f32, f32::NEG_INFINITY),
            (PoolOp::Max, DataType::Int8) => largest!(max_i8, i8, i8::MIN),
            (PoolOp::Max, DataType::Uint8) => largest!(max_u8, u8, u8::MIN),
            (PoolOp::Max, _) => {
                float_or_int!(dtype, T => largest!(max, T, T::NEG_INFINITY), I => largest!(max, I, I::MIN))
            }
            (PoolOp::Average { count_include_pad }, DataType::Float32) => {
                let x = row_major_slice::<f32>(&x);
                tensor_of(dtype, &out_shape, pool::average_f32(&x, of, spatial, window, count_include_pad))
            }
            (PoolOp::Average { count_include_pad }, _) => float_or_int!(dtype, T => {
                let out = pool::average(&row_major_slice::<T>(&x), of, spatial, window, count_include_pad);
                tensor_of(dtype, &out_shape, out)
            }, I => {
                let _: Option<I> = None;
                bail!(Unsupported, "the average of {dtype} elements")
            }),
        };
        narrow_saturating(logical(out, &order), to)
    }

    fn reduce(&self, op: ReduceOp, x: Array, axes: &[usize]) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (x, order) = in_memory(x);
        let axes: Vec<usize> = axes.iter().map(|&d| place(&order, d)).collect();
        let dtype = dtype_of(&x);
        let shape = x.layout().shape().to_vec();
        let out_shape: Vec<usize> =
            shape.iter().enumerate().map(|(d, &s)| if axes.contains(&d) { 1 } else { s }).collect();
        let out = float_or_int!(dtype, T => {
            tensor_of(dtype, &out_shape, reduce::float(op, &row_major_slice::<T>(&x), &shape, &axes))
        }, I => {
            tensor_of(dtype, &out_shape, reduce::int(op, &row_major_slice::<I>(&x), &shape, &axes))
        });
        let bounded = matches!(op, ReduceOp::Max | ReduceOp::Min);
        let out = logical(out, &order);
        if bounded { narrow_saturating(out, to) } else { narrow(out, to) }
    }

    fn softmax(&self, x: Array, axis: usize, log: bool) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (x, order) = in_memory(x);
        let dtype = dtype_of(&x);
        let shape = x.layout().shape().to_vec();
        let out = float_or_int!(dtype, T => {
            let mut data = into_elements::<T>(x);
            reduce::softmax(&mut data, &shape, place(&order, axis), log);
            tensor_of(dtype, &shape, data)
        }, I => {
            let _: Option<I> = None;
            bail!(Unsupported, "softmax of {dtype} elements")
        });
        narrow(logical(out, &order), to)
    }

    fn batch_norm(
        &self,
        x: Array,
        scale: Array,
        bias: Array,
        mean: Array,
        variance: Array,
        epsilon: f32,
    ) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (x, order) = in_memory(x);
        let (shape, dtype) = (x.layout().shape().to_vec(), dtype_of(&x));
        let f64s = |a: Array| -> Result<Vec<f64>> { Ok(elements(&cast(&a.into_cpu()?, DataType::Float64)?)) };
        let (scale, bias, mean, variance) = (f64s(scale)?, f64s(bias)?, f64s(mean)?, f64s(variance)?);
        let factor = std::iter::zip(&scale, variance).map(|(s, v)| s / (v + f64::from(epsilon)).sqrt());
        let factor: Vec<f64> = factor.collect();
        let shift = std::iter::zip(bias, std::iter::zip(mean, &factor)).map(|(b, (m, f))| b - m * f);
        let out = float_or_int!(dtype, T => {
            let (factor, shift): (Vec<T>, Vec<T>) = std::iter::zip(&factor, shift).map(|(&f, s)| (f as T, s as T)).unzip();
            let inner = shape[place(&order, 1) + 1..].iter().product();
            let mut data = into_elements::<T>(x);
            reduce::scale_channels(&mut data, inner, &factor, &shift);
            tensor_of(dtype, &shape, data)
        }, I => {
            let _: Option<I> = None;
            bail!(Unsupported, "the normalization of {dtype} elements")
        });
        narrow(logical(out, &order), to)
    }

    fn lrn(&self, x: Array, lrn: &Lrn) -> Result<Array> {
        let (x, to) = widen(x.into_cpu()?)?;
        let (x, order) = in_memory(x);
        let (shape, dtype) = (x.layout().shape().to_vec(), dtype_of(&x));
        let out = float_or_int!(dtype, T => {
            let axis = place(&order, 1);
            let mut data = into_elements::<T>(x);
            reduce::lrn(&mut data, shape[axis], shape[axis + 1..].iter().product(), lrn);
            tensor_of(dtype, &shape, data)
        }, I => {
            let _: Option<I> = None;
            bail!(Unsupported, "LRN of {dtype} elements")
        });
        narrow(logical(out, &order), to)
    }

    fn reshape(&self, x: Array, shape: &[usize]) -> Result<Array> {
        let x = x.into_cpu()?;
        let view =
            if x.is_contiguous() { None } else { layout::reshaped(x.layout().shape(), x.layout().strides(), shape) };
        let (x, strides) = match view {
            Some(strides) => (x, strides),
            None => (if x.is_contiguous() { x } else { contiguous(x) }, layout::row_major(shape)),
        };
        let offset = x.layout().start_offset();
        Ok(Array::Cpu(x.with_layout(Layout::new(Shape::from(shape.to_vec()), strides, offset))))
    }

    fn transpose(&self, x: Array, perm: &[usize]) -> Result<Array> {
        Ok(Array::Cpu(x.into_cpu()?.permute(perm)))
    }

    fn slice(&self, x: Array, starts: &[usize], steps: &[isize], shape: &[usize]) -> Result<Array> {
        let x = x.into_cpu()?;
        if shape.contains(&0) {
            return Ok(Array::Cpu(FlexTensor::zeros(Shape::from(shape.to_vec()), x.dtype())));
        }
        let own = x.layout().strides();
        let offset =
            starts.iter().zip(own).fold(x.layout().start_offset() as isize, |o, (&start, &s)| o + start as isize * s);
        let strides = own.iter().zip(steps).map(|(&s, &step)| s * step).collect();
        // Burn expects views that walk backwards to be copied.
        let backwards = steps.iter().any(|&s| s < 0);
        let view = x.with_layout(Layout::new(Shape::from(shape.to_vec()), strides, offset as usize));
        let dtype = dtype_of(&view);
        Ok(Array::Cpu(if backwards {
            for_bits!(dtype, T => tensor_of(dtype, shape, elements::<T>(&view)))
        } else {
            view
        }))
    }

    fn expand(&self, x: Array, shape: &[usize]) -> Result<Array> {
        Ok(Array::Cpu(expand(x.into_cpu()?, shape)))
    }

    fn concat(&self, xs: Vec<Array>, axis: usize) -> Result<Array> {
        let xs = xs.into_iter().map(Array::into_cpu).collect::<Result<Vec<_>>>()?;
        let dtype = dtype_of(&xs[0]);
        let Some(largest) = xs.iter().max_by_key(|x| x.layout().num_elements()) else {
            bail!(Internal, "nothing to join")
        };
        let order = layout::memory_order(largest.layout().shape(), largest.layout().strides());
        let xs: Vec<FlexTensor> = xs.into_iter().map(|x| permuted(x, &order)).collect();
        let axis = place(&order, axis);
        let mut shape = xs[0].layout().shape().to_vec();
        shape[axis] = xs.iter().map(|x| x.layout().shape()[axis]).sum();
        Ok(Array::Cpu(for_bits!(dtype, T => {
            let mut out = vec![<T as bytemuck::Zeroable>::zeroed(); shape.iter().product()];
            let strides = layout::row_major(&shape);
            let mut at = 0;
            for x in &xs {
                layout::copy(&strided::<T>(x), &mut out, at * strides[axis] as usize, &strides);
                at += x.layout().shape()[axis];
            }
            logical(tensor_of(dtype, &shape, out), &order)
        })))
    }

    fn pad(&self, x: Array, pads: &[(usize, usize)], mode: PadMode) -> Result<Array> {
        let (x, order) = in_memory(x.into_cpu()?);
        let pads: Vec<(usize, usize)> = order.iter().map(|&d| pads[d]).collect();
        let dtype = dtype_of(&x);
        let from = x.layout().shape().to_vec();
        let shape: Vec<usize> = from.iter().zip(&pads).map(|(&s, &(b, e))| s + b + e).collect();
        Ok(Array::Cpu(for_bits!(dtype, T => {
            let strides = layout::row_major(&shape);
            let start: usize = pads.iter().zip(&strides).map(|(&(b, _), &s)| b * s as usize).sum();
            let fill = match mode {
                PadMode::Constant(value) => elements::<T>(&cast(&tensor_of(DataType::Float64, &[], vec![value]), dtype)?)[0],
                _ => <T as bytemuck::Zeroable>::zeroed(),
            };
            let mut out = vec![fill; shape.iter().product()];
            layout::copy(&strided::<T>(&x), &mut out, start, &strides);
            if !matches!(mode, PadMode::Constant(_)) {
                pad_from_inside(&mut out, &shape, &from, &pads, mode);
            }
            logical(tensor_of(dtype, &shape, out), &order)
        })))
    }

    fn gather(&self, x: Array, axis: usize, indices: &[usize], indices_shape: &[usize]) -> Result<Array> {
        let x = x.into_cpu()?;
        // The order of dimensions is kept where there are as many.
        let (x, order) = if indices_shape.len() == 1 {
            in_memory(x)
        } else {
            let rank = x.layout().num_dims() + indices_shape.len();
            (x, (1..rank).map(|d| d - 1).collect())
        };
        let axis = place(&order, axis);
        let dtype = dtype_of(&x);
        let from = x.layout().shape().to_vec();
        let shape = [&from[..axis], indices_shape, &from[axis + 1..]].concat();
        let inner: usize = from[axis + 1..].iter().product();
        Ok(Array::Cpu(for_bits!(dtype, T => {
            let data = row_major_slice::<T>(&x);
            let mut out: Vec<T> = Vec::with_capacity(shape.iter().product());
            if inner * from[axis] > 0 {
                for block in data.chunks_exact(from[axis] * inner) {
                    for &i in indices {
                        out.extend_from_slice(&block[i * inner..(i + 1) * inner]);
                    }
                }
            }
            logical(tensor_of(dtype, &shape, out), &order)
        })))
    }
}

/// A tensor to pool, as its memory has it.
struct Planes {
    x: FlexTensor,
    of: pool::Channels,
    /// The logical shape.
    shape: Vec<usize>,
    order: Vec<usize>,
    /// The shape of what comes out, in the order of memory.
    out_shape: Vec<usize>,
}

/// Channels-last where the memory of `x` is, else row-major.
fn planes(x: FlexTensor, window: &Window) -> Planes {
    let shape = x.layout().shape().to_vec();
    let (images, channels) = (shape[0], shape[1]);
    let mut order = layout::memory_order(&shape, x.layout().strides());
    let last = order[1..].last() == Some(&1) && order[..order.len() - 1].is_sorted();
    if !last {
        order.sort_unstable();
    }
    let of = if last && order.len() > 2 {
        pool::Channels::Last { images, channels }
    } else {
        pool::Channels::First { planes: images * channels }
    };
    let out_shape = [&shape[..2], &window.output].concat();
    let out_shape = order.iter().map(|&d| out_shape[d]).collect();
    Planes { x: permuted(x, &order), of, shape, order, out_shape }
}

/// Fills the border of `data` from the elements inside, dimension by dimension.
fn pad_from_inside<T: Copy>(data: &mut [T], shape: &[usize], inside: &[usize], pads: &[(usize, usize)], mode: PadMode) {
    if data.is_empty() {
        return;
    }
    let strides = layout::row_major(shape);
    for d in 0..shape.len() {
        let (begin, size) = (pads[d].0, inside[d] as isize);
        let sources: Vec<usize> = (0..shape[d])
            .map(|i| {
                let at = i as isize - begin as isize;
                let at = match mode {
                    PadMode::Edge => at.clamp(0, size - 1),
                    PadMode::Wrap => at.rem_euclid(size),
                    PadMode::Reflect if size == 1 => 0,
                    PadMode::Reflect => {
                        let turn = at.rem_euclid(2 * (size - 1));
                        turn.min(2 * (size - 1) - turn)
                    }
                    PadMode::Constant(_) => unreachable!("constant padding is filled beforehand"),
                };
                at as usize + begin
            })
            .collect();
        let step = strides[d] as usize;
        for block in data.chunks_exact_mut(step * shape[d]) {
            for (i, &source) in sources.iter().enumerate() {
                if source != i {
                    block.copy_within(source * step..(source + 1) * step, i * step);
                }
            }
        }
    }
}

/// Max pooling with the position of each maximum in the whole tensor, as ONNX numbers them.
pub(crate) fn max_pool(x: FlexTensor, window: &Window, column_major: bool) -> Result<(FlexTensor, FlexTensor)> {
    let (x, to) = widen(x)?;
    let dtype = dtype_of(&x);
    let shape = x.layout().shape().to_vec();
    let out_shape = [&shape[..2], &window.output].concat();
    let (planes, spatial) = (shape[0] * shape[1], &shape[2..]);
    macro_rules! pooled {
        ($T:ty, $lowest:expr) => {{
            let x = row_major_slice::<$T>(&x);
            let (values, positions) = pool::max_with_positions(&x, planes, spatial, window, $lowest, column_major);
            (tensor_of(dtype, &out_shape, values), positions)
        }};
    }
    let (values, positions) = float_or_int!(dtype, T => pooled!(T, T::NEG_INFINITY), I => pooled!(I, I::MIN));
    Ok((narrow_saturating(values, to)?.into_cpu()?, tensor_of(DataType::Int64, &out_shape, positions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;
    use crate::support::{Random, compare as close};

    /// The same elements with dimension `order[d]` at place `d` in memory, perhaps with holes between them.
    fn laid_out(tensor: &FlexTensor, order: &[usize], holes: bool) -> FlexTensor {
        let mut moved = contiguous(permuted(tensor.clone(), order));
        if holes {
            let shape = moved.layout().shape().to_vec();
            let pads: Vec<(usize, usize)> = shape.iter().map(|_| (1, 2)).collect();
            let padded = Cpu.pad(Array::Cpu(moved), &pads, PadMode::Constant(1.0)).expect("it pads");
            let all = vec![1; shape.len()];
            moved =
                Cpu.slice(padded, &all, &vec![1; shape.len()], &shape).and_then(Array::into_cpu).expect("it slices");
        }
        logical(moved, order)
    }

    fn channels_last(tensor: &FlexTensor) -> FlexTensor {
        let mut order: Vec<usize> = (0..tensor.layout().num_dims()).collect();
        order[1..].rotate_left(1);
        laid_out(tensor, &order, false)
    }

    fn is_channels_last(tensor: &FlexTensor) -> bool {
        let rank = tensor.layout().num_dims();
        let layout = tensor.layout();
        let order = layout::memory_order(layout.shape(), layout.strides());
        order[rank - 1] == 1 && order[..rank - 1].is_sorted() && permuted(tensor.clone(), &order).is_contiguous()
    }

    fn shuffled(random: &mut Random, rank: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rank).collect();
        (1..rank).for_each(|d| order.swap(d, random.within(0, d)));
        order
    }

    fn window(random: &mut Random, spatial: &[usize]) -> Window {
        let mut of = |low, high| spatial.iter().map(|_| random.within(low, high)).collect::<Vec<_>>();
        let (kernel, strides, dilations) = (of(1, 3), of(1, 2), of(1, 2));
        let (pads_begin, pads_end) = (of(0, 1), of(0, 1));
        let reach = |d: usize| (kernel[d] - 1) * dilations[d] + 1;
        let pads_end: Vec<usize> =
            (0..spatial.len()).map(|d| pads_end[d] + reach(d).saturating_sub(spatial[d] + pads_begin[d])).collect();
        let output = (0..spatial.len())
            .map(|d| (spatial[d] + pads_begin[d] + pads_end[d] - reach(d)) / strides[d] + 1)
            .collect();
        Window { kernel, strides, dilations, pads_begin, pads_end, output }
    }

    type Of<'a> = (&'a str, Box<dyn Fn(FlexTensor, FlexTensor) -> Result<Array> + 'a>);

    #[test]
    fn every_layout_gives_the_same_results() {
        let mut random = Random::new(11);
        for round in 0..200 {
            let rank = random.within(2, 5);
            let shape: Vec<usize> = (0..rank).map(|_| random.within(1, 5)).collect();
            let other: Vec<usize> = shape.iter().map(|&s| if random.within(0, 2) == 0 { 1 } else { s }).collect();
            let other = other[random.within(0, rank - 1)..].to_vec();
            let dtype = [
                DataType::Float32,
                DataType::Float32,
                DataType::Float64,
                DataType::Float16,
                DataType::Uint8,
                DataType::Int64,
            ][random.within(0, 5)];
            let float = dtype.is_float();
            let numbers = |random: &mut Random, shape: &[usize]| {
                let values = (0..shape.iter().product()).map(|_| f64::from(random.float() * 9.0).abs().trunc() + 1.0);
                cast(&tensor_of(DataType::Float64, shape, values.collect()), dtype).expect("numbers")
            };
            let (x, y) = (numbers(&mut random, &shape), numbers(&mut random, &other));
            let (axis, turn) = (random.within(0, rank - 1), shuffled(&mut random, rank));
            let axes: Vec<usize> = (0..rank).filter(|_| random.within(0, 1) == 1).collect();
            let pads: Vec<(usize, usize)> = shape.iter().map(|_| (random.within(0, 2), random.within(0, 2))).collect();
            let indices: Vec<usize> = (0..random.within(1, 4)).map(|_| random.within(0, shape[axis] - 1)).collect();
            let window = (rank > 2).then(|| window(&mut random, &shape[2..]));
            let channel = |seed: u64| {
                let values = Random::new(seed).floats(shape[1]).into_iter().map(|v| f64::from(v.abs()) + 0.5).collect();
                Array::Cpu(cast(&tensor_of(DataType::Float64, &[shape[1]], values), dtype).expect("numbers"))
            };
            let whole = |x: FlexTensor| Cpu.expand(Array::Cpu(x), &shape).and_then(Array::into_cpu);
            let mut operations: Vec<Of<'_>> = vec![
                ("relu", Box::new(|x, _| Cpu.unary(UnaryOp::Relu, Array::Cpu(x)))),
                ("transpose", Box::new(|x, _| Cpu.transpose(Array::Cpu(x), &turn))),
                ("cast", Box::new(|x, _| Ok(Array::Cpu(cast(&x, DataType::Int32)?)))),
                ("concat", Box::new(|x, y| Cpu.concat(vec![Array::Cpu(x), Array::Cpu(whole(y)?)], axis))),
                ("concat others", Box::new(|x, y| Cpu.concat(vec![Array::Cpu(whole(y)?), Array::Cpu(x)], axis))),
                ("gather", Box::new(|x, _| Cpu.gather(Array::Cpu(x), axis, &indices, &[indices.len()]))),
                ("gather two", Box::new(|x, _| Cpu.gather(Array::Cpu(x), axis, &indices, &[1, indices.len()]))),
                ("flatten", Box::new(|x, _| Cpu.reshape(Array::Cpu(x), &[shape.iter().product()]))),
                (
                    "rows",
                    Box::new(|x, _| {
                        let rows = [shape[..axis].iter().product(), 1, shape[axis..].iter().product(), 1];
                        Cpu.reshape(Array::Cpu(x), &rows)
                    }),
                ),
                (
                    "select",
                    Box::new(|x, y| {
                        let condition = compare(CompareOp::Less, x.clone(), y.clone(), &shape)?;
                        Ok(Array::Cpu(select(condition, x, y, &shape)?))
                    }),
                ),
                (
                    "select others",
                    Box::new(|x, y| {
                        let condition = compare(CompareOp::GreaterOrEqual, y.clone(), x.clone(), &shape)?;
                        Ok(Array::Cpu(select(condition, y, x, &shape)?))
                    }),
                ),
            ];
            for op in [PadMode::Constant(3.0), PadMode::Edge, PadMode::Reflect, PadMode::Wrap] {
                let pads = &pads;
                operations.push(("pad", Box::new(move |x, _| Cpu.pad(Array::Cpu(x), pads, op))));
            }
            for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max, BinaryOp::Pow] {
                let shape = &shape;
                operations.push(("pairs", Box::new(move |x, y| Cpu.binary(op, Array::Cpu(x), Array::Cpu(y), shape))));
                operations
                    .push(("turned pairs", Box::new(move |x, y| Cpu.binary(op, Array::Cpu(y), Array::Cpu(x), shape))));
            }
            for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min, ReduceOp::Prod, ReduceOp::L2] {
                let axes = &axes;
                operations.push(("reduce", Box::new(move |x, _| Cpu.reduce(op, Array::Cpu(x), axes))));
            }
            if let Some(window) = &window {
                operations.push(("max pool", Box::new(|x, _| Cpu.pool(PoolOp::Max, Array::Cpu(x), window))));
            }
            if float {
                let lrn = Lrn { size: 3, alpha: 0.5, beta: if round % 2 == 0 { 0.75 } else { 0.6 }, bias: 1.0 };
                operations.push(("softmax", Box::new(|x, _| Cpu.softmax(Array::Cpu(x), axis, false))));
                operations.push(("log softmax", Box::new(|x, _| Cpu.softmax(Array::Cpu(x), axis, true))));
                operations.push(("lrn", Box::new(move |x, _| Cpu.lrn(Array::Cpu(x), &lrn))));
                operations.push((
                    "batch norm",
                    Box::new(|x, _| {
                        Cpu.batch_norm(Array::Cpu(x), channel(1), channel(2), channel(3), channel(4), 1e-3)
                    }),
                ));
                if let Some(window) = &window {
                    for count_include_pad in [false, true] {
                        let op = PoolOp::Average { count_include_pad };
                        operations.push(("average pool", Box::new(move |x, _| Cpu.pool(op, Array::Cpu(x), window))));
                    }
                }
            }
            for (name, run) in operations {
                let run = |x, y| run(x, y).and_then(Array::into_cpu).map(Tensor::from_flex).expect(name);
                // A clone keeps what is computed in place from being so.
                let expected = run(x.clone(), y.clone());
                for holes in [false, true] {
                    let order = shuffled(&mut random, rank);
                    let other_order = shuffled(&mut random, other.len());
                    let (a, b) = (laid_out(&x, &order, holes), laid_out(&y, &other_order, holes));
                    let got = run(a, b);
                    assert_eq!(got.shape(), expected.shape(), "{name}");
                    let tolerance = if dtype == DataType::Float16 { 1e-3 } else { 1e-6 };
                    close(&got, &expected, tolerance, tolerance)
                        .unwrap_or_else(|e| panic!("{name} of {dtype} {shape:?} and {other:?} in {order:?}: {e}"));
                    let got = run(channels_last(&x), y.clone());
                    close(&got, &expected, tolerance, tolerance).unwrap_or_else(|e| panic!("{name}: {e}"));
                }
            }
        }
    }

    #[test]
    fn what_is_channels_last_stays_so() {
        let mut random = Random::new(5);
        let x = || channels_last(&Tensor::to_flex(&Random::new(4).tensor(&[2, 3, 4, 5])).expect("numbers"));
        let tensor = |random: &mut Random, shape: &[usize]| random.tensor(shape).to_flex().expect("numbers");
        let row_major = tensor(&mut random, &[2, 3, 4, 5]);
        let (channel, image) = (tensor(&mut random, &[3, 1, 1]), tensor(&mut random, &[2, 3, 1, 1]));
        let pair = |op, a, b| Cpu.binary(op, Array::Cpu(a), Array::Cpu(b), &[2, 3, 4, 5]);
        let window = window(&mut random, &[4, 5]);
        let ones = || Array::Cpu(tensor_of(DataType::Float32, &[3], vec![1f32; 3]));
        let bytes = Cpu.pool(PoolOp::Max, Array::Cpu(cast(&x(), DataType::Uint8).expect("bytes")), &window);
        let outputs = [
            Cpu.unary(UnaryOp::Relu, Array::Cpu(x())),
            pair(BinaryOp::Add, x(), x()),
            pair(BinaryOp::Add, row_major.clone(), x()),
            pair(BinaryOp::Div, x(), row_major.clone()),
            pair(BinaryOp::PRelu, x(), channel.clone()),
            pair(BinaryOp::Sub, channel.clone(), x()),
            pair(BinaryOp::Mul, image, x()),
            pair(BinaryOp::Max, tensor(&mut random, &[]), x()),
            Cpu.pool(PoolOp::Max, Array::Cpu(x()), &window),
            Cpu.pool(PoolOp::Average { count_include_pad: false }, Array::Cpu(x()), &window),
            bytes,
            Cpu.concat(vec![Array::Cpu(x()), Array::Cpu(x())], 1),
            Cpu.concat(vec![Array::Cpu(x()), Array::Cpu(x())], 2),
            Cpu.pad(Array::Cpu(x()), &[(0, 0), (0, 1), (1, 1), (2, 0)], PadMode::Constant(0.0)),
            Cpu.gather(Array::Cpu(x()), 3, &[0, 0, 1, 1], &[4]),
            Cpu.softmax(Array::Cpu(x()), 1, false),
            Cpu.batch_norm(Array::Cpu(x()), ones(), ones(), ones(), ones(), 1e-5),
            Cpu.lrn(Array::Cpu(x()), &Lrn { size: 3, alpha: 1.0, beta: 0.75, bias: 1.0 }),
            select(
                compare(CompareOp::Less, x(), channel.clone(), &[2, 3, 4, 5]).expect("bools"),
                channel,
                x(),
                &[2, 3, 4, 5],
            )
            .map(Array::Cpu),
        ];
        for (i, output) in outputs.into_iter().enumerate() {
            let output = output.and_then(Array::into_cpu).expect("it runs");
            assert!(is_channels_last(&output), "{i}: {:?} {:?}", output.layout().shape(), output.layout().strides());
        }
        let turned = Cpu.transpose(Array::Cpu(x()), &[0, 2, 3, 1]).expect("a view").into_cpu().expect("on the CPU");
        assert!(turned.is_contiguous());
        let flat = Cpu.reshape(Array::Cpu(turned.clone()), &[2, 60]).expect("a view").into_cpu().expect("on the CPU");
        assert_eq!(flat.bytes().as_ptr(), turned.bytes().as_ptr());
    }

    #[test]
    fn work_is_done_in_place() {
        let x = channels_last(&Random::new(4).tensor(&[2, 3, 4, 5]).to_flex().expect("numbers"));
        let place = x.bytes().as_ptr();
        let x = Cpu.unary(UnaryOp::Relu, Array::Cpu(x)).expect("it runs");
        let other = Array::Cpu(Random::new(3).tensor(&[3, 1, 1]).to_flex().expect("numbers"));
        let x = Cpu.binary(BinaryOp::Add, other, x, &[2, 3, 4, 5]).expect("it runs");
        let ones = || Array::Cpu(tensor_of(DataType::Float32, &[3], vec![1f32; 3]));
        let x = Cpu.batch_norm(x, ones(), ones(), ones(), ones(), 1e-5).expect("it runs");
        assert_eq!(x.into_cpu().expect("on the CPU").bytes().as_ptr(), place);
    }
}
