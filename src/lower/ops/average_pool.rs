//! Means of 8-bit codes over dimensions.

use super::{Reading, Writing};
use crate::backend::{Device, ReduceOp, channels_last, elements, from_channels_last, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Node};
use crate::kernels::quantized;
use crate::ops::{Attributes, Dtypes, Info, Inputs, Op, Type, Value, axes_of, one, output, tensor_type};

/// The mean of codes over `axes`, or over all dimensions after the second. Input: uint8.
pub struct AveragePool {
    reading: Reading,
    writing: Writing,
    axes: Option<Vec<i64>>,
    /// Whether the dimensions stay, of size 1.
    keeps: bool,
}

impl AveragePool {
    /// None for other means.
    pub fn new(node: &Node, axes: Option<Vec<i64>>, reading: Reading, writing: Writing) -> Result<Option<Self>> {
        let keeps = match node.op_type.as_str() {
            "GlobalAveragePool" => true,
            "ReduceMean" if axes.as_ref().is_some_and(|axes| !axes.is_empty()) => {
                Attributes::new(node).flag("keepdims", true)?
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { reading, writing, axes, keeps }))
    }

    fn axes(&self, rank: usize) -> Result<Vec<usize>> {
        match &self.axes {
            Some(axes) => axes_of(axes, rank),
            None => Ok((2..rank).collect()),
        }
    }
}

impl Op for AveragePool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Uint8))?;
        Ok(vec![Type::Tensor(DataType::Uint8)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(self.axes.is_some() || x.len() >= 2, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        let axes = self.axes(x.len())?;
        let size = |(d, &size): (usize, &usize)| match (axes.contains(&d), self.keeps) {
            (false, _) => Some(size),
            (true, keeps) => keeps.then_some(1),
        };
        one(DataType::Uint8, x.iter().enumerate().filter_map(size).collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let x = inputs.cpu(0)?;
        let dims = x.layout().shape().to_vec();
        let axes = self.axes(dims.len())?;
        if dims.len() == 4 && axes == [2, 3] && !dims.contains(&0) {
            let mut y = vec![0u8; dims[0] * dims[1]];
            let x = channels_last::<u8>(&x);
            quantized::global_average(&x, dims[1], dims[2] * dims[3], self.reading, self.writing, &mut y);
            let y = from_channels_last(DataType::Uint8, &[dims[0], dims[1], 1, 1], y);
            return output(device.reshape(y.into(), shape)?);
        }
        let reals = elements::<u8>(&x).into_iter().map(|code| self.reading.real(code)).collect();
        let mean = device.reduce(ReduceOp::Mean, tensor_of(DataType::Float32, &dims, reals).into(), &axes)?;
        let codes = elements::<f32>(&mean.into_cpu()?).into_iter().map(|real| self.writing.code(real)).collect();
        output(tensor_of(DataType::Uint8, shape, codes))
    }
}
