//! A tensor's elements as one of the wide types, and back: for operators that are not worth a
//! loop of their own for every dtype.

use std::borrow::Cow;

use super::tensor::{Data, element_count};
use super::{DataType, Tensor, float8};
use crate::backend::{cast, tensor_of};
use crate::error::{Result, bail, ensure};

impl Tensor {
    /// Row-major elements as float64, which holds every dtype's exactly but 64-bit integers'
    /// beyond 2^53, which are rounded.
    ///
    /// Errors: `InvalidArgument` for strings.
    pub fn to_f64s(&self) -> Result<Vec<f64>> {
        match self.dtype() {
            DataType::String => bail!(InvalidArgument, "expected numbers, got strings"),
            dtype if dtype.is_float8() => Ok(self
                .bytes()
                .unwrap_or_default()
                .iter()
                .map(|&bits| f64::from(float8::decode(dtype, bits)))
                .collect()),
            DataType::Uint4 => Ok(self.bytes().unwrap_or_default().iter().map(|&v| f64::from(v)).collect()),
            DataType::Int4 => Ok(self.bytes().unwrap_or_default().iter().map(|&v| f64::from(v as i8)).collect()),
            _ => Ok(self.converted(DataType::Float64)?.as_slice().unwrap_or_default().to_vec()),
        }
    }

    /// Row-major elements as float32: borrowed where they are, widened where they are float16,
    /// bfloat16 or narrower, rounded where they are wider.
    ///
    /// Errors: `InvalidArgument` for strings.
    pub(crate) fn to_f32s(&self) -> Result<Cow<'_, [f32]>> {
        match self.as_slice::<f32>() {
            Some(elements) => Ok(Cow::Borrowed(elements)),
            None => Ok(Cow::Owned(self.to_f64s()?.into_iter().map(|v| v as f32).collect())),
        }
    }

    /// Row-major elements as int64: integers and bools as they are (uint64 as the same bits),
    /// floats truncated.
    ///
    /// Errors: `InvalidArgument` for strings.
    pub(crate) fn to_i64s(&self) -> Result<Vec<i64>> {
        match self.dtype() {
            dtype if dtype == DataType::String || dtype.is_storage() => {
                Ok(self.to_f64s()?.into_iter().map(|v| v as i64).collect())
            }
            _ => Ok(self.converted(DataType::Int64)?.as_slice().unwrap_or_default().to_vec()),
        }
    }

    /// A tensor of `dtype` from float64: rounded to nearest even for floats (float8 saturates),
    /// truncated and saturated for integers.
    ///
    /// Errors: `DataLengthMismatch`; `InvalidArgument` for strings.
    pub fn from_f64s(dtype: DataType, shape: &[usize], elements: Vec<f64>) -> Result<Self> {
        check_count(dtype, shape, elements.len())?;
        let bytes: Vec<u8> = match dtype {
            DataType::String => bail!(InvalidArgument, "numbers are no strings"),
            _ if dtype.is_float8() => elements.iter().map(|&v| float8::encode(dtype, v, true)).collect(),
            DataType::Int4 => elements.iter().map(|&v| v.clamp(-8.0, 7.0) as i8 as u8).collect(),
            DataType::Uint4 => elements.iter().map(|&v| v.clamp(0.0, 15.0) as u8).collect(),
            _ => return Ok(Self::from_flex(cast(&tensor_of(DataType::Float64, shape, elements), dtype)?)),
        };
        Self::from_bytes(dtype, shape.to_vec(), bytes)
    }

    /// As [`from_f64s`](Self::from_f64s), from float32.
    pub(crate) fn from_f32s(dtype: DataType, shape: &[usize], elements: Vec<f32>) -> Result<Self> {
        match dtype {
            DataType::Float32 => Self::from_vec(shape.to_vec(), elements),
            _ => Self::from_f64s(dtype, shape, elements.into_iter().map(f64::from).collect()),
        }
    }

    /// A tensor of `dtype` from int64: integers wrap, what is not 0 is true, floats are rounded.
    ///
    /// Errors: `DataLengthMismatch`; `InvalidArgument` for strings.
    pub(crate) fn from_i64s(dtype: DataType, shape: &[usize], elements: Vec<i64>) -> Result<Self> {
        check_count(dtype, shape, elements.len())?;
        match dtype {
            _ if dtype.is_4_bit() => {
                Self::from_bytes(dtype, shape.to_vec(), elements.into_iter().map(|v| v as u8).collect())
            }
            _ if dtype.to_burn().is_none() => {
                Self::from_f64s(dtype, shape, elements.into_iter().map(|v| v as f64).collect())
            }
            _ => Ok(Self::from_flex(cast(&tensor_of(DataType::Int64, shape, elements), dtype)?)),
        }
    }

    /// The elements at row-major `positions`, in another shape; any dtype, strings too.
    ///
    /// Errors: `DataLengthMismatch` when there are not as many positions as `shape` asks for,
    /// `Internal` when one is outside.
    pub(crate) fn take(&self, shape: &[usize], positions: &[usize]) -> Result<Self> {
        check_count(self.dtype(), shape, positions.len())?;
        let count = self.len();
        if let Some(outside) = positions.iter().find(|&&p| p >= count) {
            bail!(Internal, "position {outside} is outside of {count} elements");
        }
        fn pick<T: Copy + bytemuck::Pod>(bytes: &[u8], positions: &[usize]) -> Vec<u8> {
            let size = size_of::<T>();
            let mut out = Vec::with_capacity(positions.len() * size);
            positions.iter().for_each(|&p| out.extend_from_slice(&bytes[p * size..(p + 1) * size]));
            out
        }
        match self.data() {
            Data::Strings(strings) => {
                Self::from_strings(shape.to_vec(), positions.iter().map(|&p| strings[p].clone()).collect())
            }
            Data::Bytes(bytes) => {
                let picked = match self.dtype().size() {
                    1 => pick::<u8>(bytes, positions),
                    2 => pick::<u16>(bytes, positions),
                    4 => pick::<u32>(bytes, positions),
                    _ => pick::<u64>(bytes, positions),
                };
                Self::from_bytes(self.dtype(), shape.to_vec(), picked)
            }
        }
    }

    /// The elements, runs of `run` of them at row-major `positions` (counted in runs) taken from
    /// `updates`, one after another; of two at one place the later stays. Any dtype, strings too.
    ///
    /// Errors: `Internal` when dtypes differ or a position is outside.
    pub(crate) fn with_runs(&self, run: usize, positions: &[usize], updates: &Self) -> Result<Self> {
        ensure!(
            updates.dtype() == self.dtype()
                && updates.len() == positions.len() * run
                && positions.iter().all(|&p| p < self.len().checked_div(run).unwrap_or(0)),
            Internal,
            "updates {updates:?} do not fit into {self:?}"
        );
        fn put<T: Clone>(own: &[T], run: usize, positions: &[usize], updates: &[T]) -> Vec<T> {
            let mut out = own.to_vec();
            for (&p, update) in positions.iter().zip(updates.chunks_exact(run)) {
                out[p * run..(p + 1) * run].clone_from_slice(update);
            }
            out
        }
        match (self.data(), updates.data()) {
            (Data::Bytes(own), Data::Bytes(updates)) => {
                let bytes = put(own, run * self.dtype().size(), positions, updates);
                Self::from_bytes(self.dtype(), self.shape().to_vec(), bytes)
            }
            (Data::Strings(own), Data::Strings(updates)) => {
                Self::from_strings(self.shape().to_vec(), put(own, run, positions, updates))
            }
            _ => bail!(Internal, "strings and numbers mixed"),
        }
    }

    /// The same elements in another shape of as many.
    ///
    /// Errors: `DataLengthMismatch`.
    pub(crate) fn reshaped(self, shape: &[usize]) -> Result<Self> {
        check_count(self.dtype(), shape, self.len())?;
        Ok(self.with_shape(shape.to_vec()))
    }

    /// The elements converted as Cast does; not from or to strings and storage types.
    fn converted(&self, to: DataType) -> Result<Self> {
        match self.to_flex() {
            Some(flex) => Ok(Self::from_flex(cast(&flex, to)?)),
            None => bail!(Internal, "{} reached arithmetic", self.dtype()),
        }
    }

    /// All tensors' elements one after another, in one dimension; equal dtypes.
    ///
    /// Errors: `Internal` when there are none or dtypes differ.
    pub(crate) fn joined(tensors: &[Self]) -> Result<Self> {
        let Some(first) = tensors.first() else { bail!(Internal, "nothing to join") };
        ensure!(tensors.iter().all(|t| t.dtype() == first.dtype()), Internal, "dtypes differ");
        let count = tensors.iter().map(Self::len).sum();
        if first.dtype() == DataType::String {
            let strings = tensors.iter().flat_map(|t| t.strings().unwrap_or_default()).cloned();
            return Self::from_strings(vec![count], strings.collect());
        }
        let mut bytes = Vec::with_capacity(count * first.dtype().size());
        tensors.iter().for_each(|t| bytes.extend_from_slice(t.bytes().unwrap_or_default()));
        Self::from_bytes(first.dtype(), vec![count], bytes)
    }
}

fn check_count(dtype: DataType, shape: &[usize], got: usize) -> Result<()> {
    let count = element_count(shape)?;
    ensure!(count == got, DataLengthMismatch, "{dtype} {shape:?} is {count} elements; got {got}");
    Ok(())
}
