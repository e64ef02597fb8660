//! What a device must add to Burn: the tensor operations that operators are made of.
//!
//! Operators ([`crate::ops`]) check shapes and dtypes and then call a [`Device`]; a device may
//! rely on that. The CPU has every dtype; WebGPU has float32 and refuses the rest by name, so
//! the plan ([`crate::runtime`]) never sends it anything else.

pub(crate) mod buffers;
mod cpu;
#[cfg(feature = "webgpu")]
mod wgpu;

use burn_flex::FlexTensor;

pub use cpu::Cpu;
pub(crate) use cpu::{
    cast, channels_last, compare, contiguous, dequantize, elements, from_channels_last, in_memory, logical, map_bytes,
    max_pool, place, quantize, row_major_slice, select, strided, tensor_of, zip_bytes,
};
#[cfg(feature = "webgpu")]
pub use wgpu::{Gpu, GpuTensor};

use crate::error::Result;
#[cfg(feature = "webgpu")]
use crate::error::bail;
use crate::graph::DataType;
pub use crate::kernels::Window;
pub use crate::kernels::elementwise::{BinaryOp, CompareOp, UnaryOp};
use crate::kernels::layout::memory_order;
pub use crate::kernels::reduce::{Lrn, ReduceOp};

/// Where a value lives and a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "cli", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum DeviceKind {
    /// The processor, through burn-flex and our kernels.
    Cpu,
    /// The graphics processor, through burn-wgpu and our WGSL.
    WebGpu,
}

impl DeviceKind {
    /// The name that callers use: `"cpu"` or `"webgpu"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
        }
    }
}

/// A numeric tensor on some device. Cheap to clone: the elements are shared.
#[derive(Debug, Clone)]
pub enum Array {
    Cpu(FlexTensor),
    #[cfg(feature = "webgpu")]
    Gpu(GpuTensor),
}

impl From<FlexTensor> for Array {
    fn from(tensor: FlexTensor) -> Self {
        Self::Cpu(tensor)
    }
}

impl Array {
    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Cpu(tensor) => tensor.layout().shape(),
            #[cfg(feature = "webgpu")]
            Self::Gpu(tensor) => tensor.shape(),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DataType {
        match self {
            Self::Cpu(tensor) => DataType::from_burn(tensor.dtype()),
            #[cfg(feature = "webgpu")]
            Self::Gpu(_) => DataType::Float32,
        }
    }

    /// Where the elements are.
    pub fn device(&self) -> DeviceKind {
        match self {
            Self::Cpu(_) => DeviceKind::Cpu,
            #[cfg(feature = "webgpu")]
            Self::Gpu(_) => DeviceKind::WebGpu,
        }
    }

    /// Whether the channels of `[N, C, spatial…]` lie together in memory, as convolutions leave them.
    pub fn is_channels_last(&self) -> bool {
        match self {
            Self::Cpu(tensor) => {
                let layout = tensor.layout();
                layout.num_dims() > 2 && memory_order(layout.shape(), layout.strides()).last() == Some(&1)
            }
            #[cfg(feature = "webgpu")]
            Self::Gpu(_) => false,
        }
    }

    /// The CPU tensor; an error when the elements are elsewhere.
    pub fn into_cpu(self) -> Result<FlexTensor> {
        match self {
            Self::Cpu(tensor) => Ok(tensor),
            #[cfg(feature = "webgpu")]
            Self::Gpu(_) => bail!(Internal, "a value on webgpu reached the CPU without being read back"),
        }
    }
}

/// What a pooling window computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolOp {
    Max,
    /// The mean; padding counts as zeros where `count_include_pad`.
    Average {
        count_include_pad: bool,
    },
}

/// How padding is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    Constant(f64),
    Edge,
    Reflect,
    Wrap,
}

/// The tensor operations that operators are made of. Callers have checked shapes and dtypes;
/// every array given is on this device.
pub trait Device {
    /// Which device this is.
    fn kind(&self) -> DeviceKind;

    /// Brings a tensor from the CPU to this device.
    fn to_device(&self, x: FlexTensor) -> Result<Array>;

    /// `op` on every element.
    fn unary(&self, op: UnaryOp, x: Array) -> Result<Array>;

    /// `op` on every pair, both broadcast to `shape` as NumPy does; equal dtypes.
    fn binary(&self, op: BinaryOp, a: Array, b: Array, shape: &[usize]) -> Result<Array>;

    /// Convolution of `x` `[N, C, spatial…]` by `weight` `[M, C / group, kernel…]`, plus `bias`
    /// `[M]`; gives `[N, M, window.output…]`. One, two or three spatial dimensions.
    fn conv(&self, x: Array, weight: Array, bias: Option<Array>, window: &Window, group: usize) -> Result<Array>;

    /// Matrix product of `a` `[batch…, M, K]` and `b` `[batch…, K, N]`, batches broadcast.
    fn matmul(&self, a: Array, b: Array) -> Result<Array>;

    /// Pooling over `[N, C, spatial…]`.
    fn pool(&self, op: PoolOp, x: Array, window: &Window) -> Result<Array>;

    /// Reduction over `axes` (sorted, distinct), which stay as dimensions of size 1.
    fn reduce(&self, op: ReduceOp, x: Array, axes: &[usize]) -> Result<Array>;

    /// `exp(x) / sum(exp(x))` along `axis`, or its logarithm.
    fn softmax(&self, x: Array, axis: usize, log: bool) -> Result<Array>;

    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias` with one of each per channel of
    /// `[N, C, …]`.
    fn batch_norm(
        &self,
        x: Array,
        scale: Array,
        bias: Array,
        mean: Array,
        variance: Array,
        epsilon: f32,
    ) -> Result<Array>;

    /// `x / (bias + alpha / size * sum of squares over `size` channels) ^ beta`.
    fn lrn(&self, x: Array, lrn: &Lrn) -> Result<Array>;

    /// The same elements in another shape.
    fn reshape(&self, x: Array, shape: &[usize]) -> Result<Array>;

    /// Output dimension `i` is input dimension `perm[i]`.
    fn transpose(&self, x: Array, perm: &[usize]) -> Result<Array>;

    /// From `starts[i]`, `shape[i]` elements, `steps[i]` apart, in every dimension.
    fn slice(&self, x: Array, starts: &[usize], steps: &[isize], shape: &[usize]) -> Result<Array>;

    /// Repeats dimensions of size 1, and adds leading ones, to reach `shape`.
    fn expand(&self, x: Array, shape: &[usize]) -> Result<Array>;

    /// Joins along `axis`.
    fn concat(&self, xs: Vec<Array>, axis: usize) -> Result<Array>;

    /// Adds `pads[i].0` elements before and `pads[i].1` after dimension `i`.
    fn pad(&self, x: Array, pads: &[(usize, usize)], mode: PadMode) -> Result<Array>;

    /// Takes the entries `indices` (each within the dimension) along `axis`, which becomes
    /// `indices_shape`.
    fn gather(&self, x: Array, axis: usize, indices: &[usize], indices_shape: &[usize]) -> Result<Array>;
}
