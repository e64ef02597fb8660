//! WebGPU through burn-wgpu: its runtime keeps the device's memory and reads it back; the
//! kernels are our own WGSL, so that none of burn-cubecl's need be in the binary.

mod compiler;
mod device;
mod operations;

pub use device::{Gpu, GpuTensor};

use burn_flex::{FlexTensor, Layout};
use burn_std::{Bytes, DType, Shape};

use super::cpu::elements;
use super::{Array, BinaryOp, Device, DeviceKind, Lrn, PadMode, PoolOp, ReduceOp, UnaryOp, Window};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::layout::row_major;

fn gpu(array: Array) -> Result<GpuTensor> {
    match array {
        Array::Gpu(tensor) => Ok(tensor),
        Array::Cpu(_) => bail!(Internal, "a value on the CPU reached webgpu without being uploaded"),
    }
}

impl Gpu {
    /// Brings tensors to the CPU, all at once.
    ///
    /// Errors: those of [`Gpu::download`].
    pub async fn read(&self, tensors: Vec<GpuTensor>) -> Result<Vec<FlexTensor>> {
        let read = self.download(&tensors).await?;
        let tensor = |(tensor, bytes): (&GpuTensor, Vec<u8>)| {
            FlexTensor::new(
                Bytes::from_bytes_vec(bytes),
                Layout::contiguous(Shape::from(tensor.shape().to_vec())),
                DType::F32,
            )
        };
        Ok(tensors.iter().zip(read).map(tensor).collect())
    }
}

impl Device for Gpu {
    fn kind(&self) -> DeviceKind {
        DeviceKind::WebGpu
    }

    fn to_device(&self, x: FlexTensor) -> Result<Array> {
        let dtype = DataType::from_burn(x.dtype());
        ensure!(dtype == DataType::Float32, Unsupported, "webgpu has float32 tensors; got {dtype}");
        let layout = x.layout();
        let tensor = match layout.contiguous_offsets() {
            Some((start, end)) => self.upload(&x.bytes()[start * 4..end * 4], layout.shape())?,
            None => self.upload_f32(&elements(&x), layout.shape())?,
        };
        Ok(Array::Gpu(tensor))
    }

    fn unary(&self, op: UnaryOp, x: Array) -> Result<Array> {
        Gpu::unary(self, op, &gpu(x)?).map(Array::Gpu)
    }

    fn binary(&self, op: BinaryOp, a: Array, b: Array, shape: &[usize]) -> Result<Array> {
        Gpu::binary(self, op, &gpu(a)?, &gpu(b)?, shape).map(Array::Gpu)
    }

    fn conv(&self, x: Array, weight: Array, bias: Option<Array>, window: &Window, group: usize) -> Result<Array> {
        let bias = bias.map(gpu).transpose()?;
        Gpu::conv(self, &gpu(x)?, &gpu(weight)?, bias.as_ref(), window, group).map(Array::Gpu)
    }

    fn matmul(&self, a: Array, b: Array) -> Result<Array> {
        Gpu::matmul(self, &gpu(a)?, &gpu(b)?).map(Array::Gpu)
    }

    fn pool(&self, op: PoolOp, x: Array, window: &Window) -> Result<Array> {
        Gpu::pool(self, op, &gpu(x)?, window).map(Array::Gpu)
    }

    fn reduce(&self, op: ReduceOp, x: Array, axes: &[usize]) -> Result<Array> {
        Gpu::reduce(self, op, &gpu(x)?, axes).map(Array::Gpu)
    }

    fn softmax(&self, x: Array, axis: usize, log: bool) -> Result<Array> {
        Gpu::softmax(self, &gpu(x)?, axis, log).map(Array::Gpu)
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
        let (scale, bias, mean, variance) = (gpu(scale)?, gpu(bias)?, gpu(mean)?, gpu(variance)?);
        Gpu::batch_norm(self, &gpu(x)?, [&scale, &bias, &mean, &variance], epsilon).map(Array::Gpu)
    }

    fn lrn(&self, x: Array, lrn: &Lrn) -> Result<Array> {
        Gpu::lrn(self, &gpu(x)?, lrn).map(Array::Gpu)
    }

    fn reshape(&self, x: Array, shape: &[usize]) -> Result<Array> {
        let x = gpu(x)?;
        ensure!(x.len() == shape.iter().product::<usize>(), Internal, "a reshape of {:?} to {shape:?}", x.shape());
        Ok(Array::Gpu(x.with_shape(shape)))
    }

    fn transpose(&self, x: Array, perm: &[usize]) -> Result<Array> {
        let x = gpu(x)?;
        let strides = row_major(x.shape());
        let shape: Vec<usize> = perm.iter().map(|&d| x.shape()[d]).collect();
        let strides: Vec<isize> = perm.iter().map(|&d| strides[d]).collect();
        self.view(&x, 0, &strides, &shape).map(Array::Gpu)
    }

    fn slice(&self, x: Array, starts: &[usize], steps: &[isize], shape: &[usize]) -> Result<Array> {
        let x = gpu(x)?;
        let strides = row_major(x.shape());
        let start = starts.iter().zip(&strides).map(|(&start, &stride)| start * stride as usize).sum();
        let strides: Vec<isize> = strides.iter().zip(steps).map(|(stride, step)| stride * step).collect();
        self.view(&x, start, &strides, shape).map(Array::Gpu)
    }

    fn expand(&self, x: Array, shape: &[usize]) -> Result<Array> {
        Gpu::expand(self, &gpu(x)?, shape).map(Array::Gpu)
    }

    fn concat(&self, xs: Vec<Array>, axis: usize) -> Result<Array> {
        let xs = xs.into_iter().map(gpu).collect::<Result<Vec<_>>>()?;
        Gpu::concat(self, &xs, axis).map(Array::Gpu)
    }

    fn pad(&self, x: Array, pads: &[(usize, usize)], mode: PadMode) -> Result<Array> {
        Gpu::pad(self, &gpu(x)?, pads, mode).map(Array::Gpu)
    }

    fn gather(&self, x: Array, axis: usize, indices: &[usize], indices_shape: &[usize]) -> Result<Array> {
        Gpu::gather(self, &gpu(x)?, axis, indices, indices_shape).map(Array::Gpu)
    }
}
