//! Matrix products of 8-bit codes by packed 8-bit weights.

use super::quantized_conv::{Scaling, Wrap};
use super::{Codes, Reading, Result8, Scales, product_shape};
use crate::backend::{Device, buffers, row_major_slice, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::{GemmI8, IntOutput, ZeroPoints};
use crate::ops::{Dtypes, Info, Inputs, MultiplyAdds, Op, Type, Value, count_of, one, output, tensor_type};

/// `[…, K]` codes by `[K, N]`.
pub struct QuantizedMatMul {
    weight: GemmI8,
    depth: usize,
    columns: usize,
    zero: u8,
    scaling: Scaling,
    is_gemm: bool,
}

struct RowMajor<'a>(&'a [usize]);

impl Wrap<burn_flex::FlexTensor> for RowMajor<'_> {
    fn floats(self, y: Vec<f32>) -> burn_flex::FlexTensor {
        tensor_of(DataType::Float32, self.0, y)
    }

    fn codes(self, y: Vec<u8>) -> burn_flex::FlexTensor {
        tensor_of(DataType::Uint8, self.0, y)
    }
}

impl QuantizedMatMul {
    /// Packs `weight`, row-major of `shape`: `[K, N]`, or `[N, K]` where
    /// `transposed`.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        weight: &Codes<'_>,
        shape: &[usize],
        transposed: bool,
        scales: Vec<f32>,
        bias: Vec<f32>,
        reading: Reading,
        result: Result8,
        is_gemm: bool,
    ) -> Self {
        let (depth, columns) = if transposed { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
        let weight = weight.matrix([depth, columns], transposed);
        let scaling = Scaling::new(reading, scales, bias, result);
        Self { weight, depth, columns, zero: reading.zero, scaling, is_gemm }
    }
}

impl Op for QuantizedMatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Uint8))?;
        Ok(vec![Type::Tensor(self.scaling.dtype())])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let a = inputs.shape(0)?;
        ensure!(!self.is_gemm || a.len() == 2, ShapeMismatch, "expected two matrices, got {a:?}");
        one(self.scaling.dtype(), product_shape(a, self.depth, self.columns)?)
    }

    fn weight_bytes(&self) -> usize {
        self.weight.byte_len() + self.scaling.byte_len()
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), self.depth]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let a = inputs.cpu(0)?;
        let count: usize = shape.iter().product();
        let rows = count / self.columns;
        let kernel = |out: IntOutput<'_>| {
            let zero = ZeroPoints::One(self.zero);
            self.weight.run(&row_major_slice::<u8>(&a), self.depth, rows, zero, out, self.columns);
        };
        let y = self.scaling.run(count, kernel, RowMajor(shape));
        buffers::recycle(a);
        output(y)
    }
}

/// `[…, K]` codes, whose scale and zero point are inputs, by `[K, N]`; gives float32. Inputs: codes,
/// scale, zero point (0 where it is left out).
pub struct DynamicMatMul {
    weight: GemmI8,
    depth: usize,
    columns: usize,
    scales: Scales,
}

impl DynamicMatMul {
    /// Packs `weight`, row-major.
    pub fn new(weight: &Codes<'_>, [depth, columns]: [usize; 2], scales: Scales) -> Self {
        let weight = weight.matrix([depth, columns], false);
        Self { weight, depth, columns, scales }
    }
}

impl Op for DynamicMatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Uint8))?;
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Float32, product_shape(inputs.shape(0)?, self.depth, self.columns)?)
    }

    fn weight_bytes(&self) -> usize {
        self.weight.byte_len() + self.scales.byte_len()
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), self.depth]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let (a, scale) = (inputs.cpu(0)?, inputs.cpu(1)?);
        let zero = if inputs.has(2) { row_major_slice::<u8>(&inputs.cpu(2)?).first().copied() } else { None };
        let count: usize = shape.iter().product();
        let mut y = buffers::floats(count);
        let row_scales = row_major_slice::<f32>(&scale);
        let out = self.scales.output(&row_scales, &mut y);
        let zero = ZeroPoints::One(zero.unwrap_or(0));
        self.weight.run(&row_major_slice::<u8>(&a), self.depth, count / self.columns, zero, out, self.columns);
        buffers::recycle(a);
        output(tensor_of(DataType::Float32, shape, y))
    }
}
