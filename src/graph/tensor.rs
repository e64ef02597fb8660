//! A tensor in host memory, as files and callers give it.

use std::fmt;
use std::sync::Arc;

use burn_flex::{FlexTensor, Layout};
use burn_std::{Bytes, Shape};

use super::DataType;
use crate::error::{Result, ensure};

/// The elements of a [`Tensor`], row-major.
#[derive(Clone)]
pub enum Data {
    /// Little-endian bytes, `size * product(shape)` of them; bool is one byte, 0 or 1.
    Bytes(Arc<Bytes>),
    /// Strings, `product(shape)` of them.
    Strings(Arc<Vec<String>>),
}

/// A tensor in host memory: dtype, shape, row-major data. Cheap to clone.
#[derive(Clone)]
pub struct Tensor {
    dtype: DataType,
    shape: Vec<usize>,
    data: Data,
}

/// The most dimensions that a tensor may have; more are hostile.
pub(crate) const MAX_RANK: usize = 64;

/// The number of elements of `shape`; an error when it overflows, or would without dimensions of
/// size 0, so that strides never overflow either.
pub(crate) fn element_count(shape: &[usize]) -> Result<usize> {
    ensure!(shape.len() <= MAX_RANK, LimitExceeded, "{} dimensions; at most {MAX_RANK} are possible", shape.len());
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    match count {
        Some(count) if count <= isize::MAX as usize / 8 => Ok(if shape.contains(&0) { 0 } else { count }),
        _ => crate::error::bail!(LimitExceeded, "a tensor of shape {shape:?} is larger than memory"),
    }
}

impl Tensor {
    /// A tensor of `dtype` (not `String`) over little-endian `bytes`.
    ///
    /// Errors: `DataLengthMismatch` when the bytes are not exactly those the shape asks for,
    /// `InvalidArgument` for strings or for a bool byte other than 0 and 1.
    pub fn from_bytes(dtype: DataType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        ensure!(dtype != DataType::String, InvalidArgument, "a string tensor has no bytes: use Tensor::from_strings");
        let count = element_count(&shape)?;
        let expected = count * dtype.size();
        ensure!(
            bytes.len() == expected,
            DataLengthMismatch,
            "{dtype} {shape:?} is {count} elements, {expected} bytes; got {} bytes",
            bytes.len()
        );
        let mut bytes = bytes;
        match dtype {
            DataType::Bool => {
                ensure!(bytes.iter().all(|&b| b < 2), InvalidArgument, "bool data holds bytes other than 0 and 1");
            }
            // What else the byte holds is of no meaning.
            DataType::Int4 => bytes.iter_mut().for_each(|b| *b = ((*b << 4) as i8 >> 4) as u8),
            DataType::Uint4 => bytes.iter_mut().for_each(|b| *b &= 15),
            _ => {}
        }
        Ok(Self { dtype, shape, data: Data::Bytes(Arc::new(Bytes::from_bytes_vec(bytes))) })
    }

    /// As [`from_bytes`](Self::from_bytes), but for 4-bit integers, of which `bytes` holds two in
    /// each, the first in the low bits, as ONNX stores them.
    ///
    /// Errors: as `from_bytes`.
    pub(crate) fn from_packed(dtype: DataType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        if !dtype.is_4_bit() {
            return Self::from_bytes(dtype, shape, bytes);
        }
        let count = element_count(&shape)?;
        ensure!(
            bytes.len() == count.div_ceil(2),
            DataLengthMismatch,
            "{dtype} {shape:?} is {count} elements, {} bytes; got {} bytes",
            count.div_ceil(2),
            bytes.len()
        );
        let nibbles = bytes.iter().flat_map(|b| [b & 15, b >> 4]).take(count);
        Self::from_bytes(dtype, shape, nibbles.collect())
    }

    /// A tensor over typed elements; the dtype is that of `T`.
    ///
    /// Errors: `DataLengthMismatch` when there are not exactly `product(shape)` elements.
    pub fn from_vec<T: Element>(shape: Vec<usize>, elements: Vec<T>) -> Result<Self> {
        let count = element_count(&shape)?;
        ensure!(
            elements.len() == count,
            DataLengthMismatch,
            "{} {shape:?} is {count} elements; got {}",
            T::DTYPE,
            elements.len()
        );
        Ok(Self { dtype: T::DTYPE, shape, data: Data::Bytes(Arc::new(Bytes::from_elems(elements))) })
    }

    /// A tensor of strings.
    ///
    /// Errors: `DataLengthMismatch` when there are not exactly `product(shape)` strings.
    pub fn from_strings(shape: Vec<usize>, strings: Vec<String>) -> Result<Self> {
        let count = element_count(&shape)?;
        ensure!(
            strings.len() == count,
            DataLengthMismatch,
            "string {shape:?} is {count} elements; got {}",
            strings.len()
        );
        Ok(Self { dtype: DataType::String, shape, data: Data::Strings(Arc::new(strings)) })
    }

    /// The same elements under a shape of as many.
    pub(super) fn with_shape(self, shape: Vec<usize>) -> Self {
        Self { shape, ..self }
    }

    /// The element type.
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// The dimensions, outermost first; `[]` is a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the data takes.
    pub fn byte_len(&self) -> usize {
        match &self.data {
            Data::Bytes(bytes) => bytes.len(),
            Data::Strings(strings) => strings.iter().map(|s| size_of::<String>() + s.len()).sum(),
        }
    }

    /// The little-endian bytes; none for strings.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Bytes(bytes) => Some(bytes),
            Data::Strings(_) => None,
        }
    }

    /// The strings; none for numbers.
    pub fn strings(&self) -> Option<&[String]> {
        match &self.data {
            Data::Bytes(_) => None,
            Data::Strings(strings) => Some(strings),
        }
    }

    /// The elements as `T`; none when the dtype is another.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        match &self.data {
            Data::Bytes(bytes) if self.dtype == T::DTYPE => bytemuck::try_cast_slice(bytes).ok(),
            _ => None,
        }
    }

    /// Burn's CPU tensor over the same bytes; none for strings.
    pub(crate) fn to_flex(&self) -> Option<FlexTensor> {
        match (&self.data, self.dtype.to_burn()) {
            (Data::Bytes(bytes), Some(dtype)) => {
                Some(FlexTensor::from_arc(bytes.clone(), Layout::contiguous(Shape::from(self.shape.clone())), dtype))
            }
            _ => None,
        }
    }

    /// The host tensor over a CPU tensor's bytes, copied only where it is a view.
    pub(crate) fn from_flex(tensor: FlexTensor) -> Self {
        let dtype = DataType::from_burn(tensor.dtype());
        let shape = tensor.layout().shape().to_vec();
        Self { dtype, shape, data: Data::Bytes(crate::backend::contiguous(tensor).data_arc()) }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

/// A Rust type that is a tensor's element.
pub trait Element: bytemuck::Pod + Send + Sync + burn_backend::Element {
    /// The element type it stands for.
    const DTYPE: DataType;
}

macro_rules! element {
    ($($ty:ty => $dtype:ident),+ $(,)?) => { $(impl Element for $ty { const DTYPE: DataType = DataType::$dtype; })+ };
}
element!(
    f32 => Float32, f64 => Float64, half::f16 => Float16, half::bf16 => BFloat16,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
);
