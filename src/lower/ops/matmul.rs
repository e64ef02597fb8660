//! Matrix product of float32 by packed weights, of float32 or of 4 bits.

use crate::backend::{Array, Device, buffers, row_major_slice, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::{Activation, Blocks, Epilogue, GemmF32, GemmU4, Matrix};
use crate::ops::{Dtypes, Info, Inputs, MultiplyAdds, Op, Type, Value, broadcast, count_of, one, output, tensor_type};

/// `[…, K]` by `[K, N]`, what is added to the result, and the activation. Inputs: the left side, and the
/// residual where there is one.
pub struct MatMul {
    weight: Weight,
    depth: usize,
    columns: usize,
    bias: Option<Vec<f32>>,
    activation: Activation,
    /// Gemm: the left side has two dimensions.
    is_gemm: bool,
}

enum Weight {
    Floats(GemmF32),
    Nibbles(GemmU4),
}

impl MatMul {
    /// Packs `weight`, row-major `[depth, columns]`, or `[columns, depth]` where `transposed`.
    pub fn new(
        weight: &[f32],
        [depth, columns]: [usize; 2],
        transposed: bool,
        bias: Option<Vec<f32>>,
        activation: Activation,
        is_gemm: bool,
    ) -> Self {
        let (depth_stride, column_stride) = if transposed { (1, depth) } else { (columns, 1) };
        let weight = GemmF32::new(&Matrix { data: weight, depth_stride, column_stride }, depth, columns);
        Self { weight: Weight::Floats(weight), depth, columns, bias, activation, is_gemm }
    }

    /// Packs a weight of 4 bits, which stays so.
    pub fn of_nibbles(weight: &Blocks<'_>, bias: Option<Vec<f32>>, activation: Activation) -> Self {
        let (depth, columns) = (weight.depth, weight.columns);
        let weight = Weight::Nibbles(GemmU4::new(weight));
        Self { weight, depth, columns, bias, activation, is_gemm: false }
    }

    fn shape(&self, a: &[usize]) -> Result<Vec<usize>> {
        let (depth, columns) = (self.depth, self.columns);
        if self.is_gemm {
            ensure!(a.len() == 2, ShapeMismatch, "expected two matrices, got {a:?} and [{depth}, {columns}]");
        }
        super::product_shape(a, depth, columns)
    }
}

impl Op for MatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = self.shape(inputs.shape(0)?)?;
        let shape = if inputs.has(1) { broadcast(&shape, inputs.shape(1)?)? } else { shape };
        one(DataType::Float32, shape)
    }

    fn weight_bytes(&self) -> usize {
        let weight = match &self.weight {
            Weight::Floats(weight) => weight.byte_len(),
            Weight::Nibbles(weight) => weight.byte_len(),
        };
        weight + 4 * self.bias.as_ref().map_or(0, Vec::len)
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), self.depth]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape: total, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let a = inputs.cpu(0)?;
        let shape = self.shape(a.layout().shape())?;
        let residual = if inputs.has(1) { Some(inputs.cpu(1)?) } else { None };
        let fits = residual.as_ref().is_none_or(|r| r.layout().shape()[..] == shape[..]);
        let with = residual.as_ref().filter(|_| fits).map(row_major_slice::<f32>);
        let epilogue = Epilogue {
            bias: self.bias.as_deref(),
            residual: with.as_deref(),
            activation: if fits { self.activation } else { Activation::None },
        };
        let mut y = buffers::floats(shape.iter().product());
        let rows = y.len() / self.columns;
        let left = row_major_slice::<f32>(&a);
        match &self.weight {
            Weight::Floats(weight) => weight.run(&left, self.depth, rows, &epilogue, &mut y, self.columns),
            Weight::Nibbles(weight) => weight.run(&left, self.depth, rows, &epilogue, &mut y, self.columns),
        }
        drop((left, with));
        buffers::recycle(a);
        let y = tensor_of(DataType::Float32, &shape, y);
        match residual.filter(|_| !fits) {
            Some(residual) => {
                output(super::add_broadcast(Array::Cpu(y), Array::Cpu(residual), total, self.activation)?)
            }
            None => output(y),
        }
    }
}
