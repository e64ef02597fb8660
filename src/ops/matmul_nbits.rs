//! MatMulNBits: `A` by the transpose of a matrix `[N, K]` quantised in blocks along `K`, plus a bias.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::matmul_integer_to_float::bias;
use super::qlinear::{DOMAIN, inferred};
use super::quantized::{codes, scales};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};
use crate::kernels::gemm::{Epilogue, GemmF32, Matrix};

/// MatMulNBits.
pub const OPERATOR: Operator = Operator {
    name: "MatMulNBits",
    domain: DOMAIN,
    inputs: 3..=6,
    // How the weight is held is an implementation's own; how exact sums are, a wish.
    attributes: &["K", "N", "accuracy_level", "bits", "block_size", "weight_prepacked"],
    build,
    ..Operator::DEFAULT
};

struct MatMulNBits {
    depth: usize,
    columns: usize,
    bits: usize,
    block: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let size = |name: &str, default: Option<i64>| match attributes.int(name)?.or(default) {
        Some(value) if (1..=1 << 30).contains(&value) => Ok(value as usize),
        Some(value) => bail!(InvalidModel, "attribute \"{name}\": expected 1 to 2^30, got {value}"),
        None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
    };
    let (bits, block) = (size("bits", Some(4))?, size("block_size", None)?);
    ensure!(matches!(bits, 2 | 4 | 8), Unsupported, "weights of {bits} bits; supported are 2, 4 and 8");
    ensure!(
        block.is_power_of_two() && block >= 16,
        InvalidModel,
        "attribute \"block_size\": expected a power of two from 16 on, got {block}"
    );
    ensure!(attributes.int("weight_prepacked")?.unwrap_or(0) == 0, Unsupported, "a weight packed for one processor");
    Ok(Box::new(MatMulNBits { depth: size("K", None)?, columns: size("N", None)?, bits, block }))
}

impl MatMulNBits {
    fn blocks(&self) -> usize {
        self.depth.div_ceil(self.block)
    }

    /// The weight as numbers, `[N, K]`; `infer` checked the sizes.
    fn weight(&self, inputs: &Inputs) -> Result<Vec<f32>> {
        let (blocks, bits) = (self.blocks(), self.bits);
        let packed = inputs.host(1)?;
        let packed = packed.as_ref().and_then(Tensor::bytes).unwrap_or_default();
        let scales = scales(inputs, 2)?;
        let per_byte = 8 / bits;
        let field =
            |bytes: &[u8], i: usize| (bytes[i / per_byte] >> (i % per_byte * bits)) & (((1u16 << bits) - 1) as u8);
        let zeros: Vec<f32> = match inputs.host(3)? {
            None => vec![f32::from(1u8 << (bits - 1)); scales.len()],
            Some(zeros) if zeros.dtype() == DataType::Uint8 => {
                let rows = zeros.bytes().unwrap_or_default().chunks_exact((blocks * bits).div_ceil(8));
                rows.flat_map(|row| (0..blocks).map(move |i| f32::from(field(row, i)))).collect()
            }
            Some(zeros) => zeros.to_f32s()?.into_owned(),
        };
        let groups: Vec<usize> = match inputs.host(4)? {
            None => (0..self.depth).map(|k| k / self.block).collect(),
            Some(groups) => {
                let groups = codes(&groups)?;
                let outside = groups.iter().find(|&&g| g < 0 || g as usize >= blocks);
                ensure!(outside.is_none(), InvalidArgument, "g_idx holds {outside:?}; there are {blocks} blocks");
                groups.into_iter().take(self.depth).map(|g| g as usize).collect()
            }
        };
        let mut weight = Vec::with_capacity(self.columns * self.depth);
        let row_bytes = blocks * (self.block / per_byte);
        for ((row, scales), zeros) in
            packed.chunks_exact(row_bytes).zip(scales.chunks_exact(blocks)).zip(zeros.chunks_exact(blocks))
        {
            weight.extend(groups.iter().enumerate().map(|(k, &g)| (f32::from(field(row, k)) - zeros[g]) * scales[g]));
        }
        Ok(weight)
    }
}

impl Op for MatMulNBits {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(DataType::Uint8))?;
        tensor_type(inputs, 2, Dtypes::Only(dtype))?;
        if let Some(Some(zeros)) = inputs.get(3)
            && *zeros != Type::Tensor(DataType::Uint8)
        {
            tensor_type(inputs, 3, Dtypes::Float)?;
        }
        optional_type(inputs, 4, Dtypes::Only(DataType::Int32))?;
        optional_type(inputs, 5, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (a, blocks) = (inputs.shape(0)?, self.blocks());
        ensure!(a.last() == Some(&self.depth), ShapeMismatch, "A is {a:?}, expected [.., {}]", self.depth);
        let bytes = self.block / (8 / self.bits);
        element_count(&[self.columns, self.depth])?;
        let b = inputs.shape(1)?;
        ensure!(
            b == [self.columns, blocks, bytes] || b == [self.columns, blocks * bytes],
            ShapeMismatch,
            "B is {b:?}, expected {:?}",
            [self.columns, blocks, bytes]
        );
        let count = |index: usize, expected: usize, what: &str| {
            if !inputs.has(index) {
                return Ok(());
            }
            let shape = inputs.shape(index)?;
            ensure!(
                element_count(shape)? == expected,
                ShapeMismatch,
                "{what} is {shape:?}, expected {expected} elements"
            );
            Ok(())
        };
        count(2, self.columns.saturating_mul(blocks), "the scale")?;
        let packed = inputs.has(3) && inputs.dtype(3)? == DataType::Uint8;
        let zeros = if packed { (blocks * self.bits).div_ceil(8) } else { blocks };
        count(3, self.columns.saturating_mul(zeros), "the zero point")?;
        if inputs.has(4) {
            let shape = inputs.shape(4)?;
            ensure!(
                shape == [self.depth] || shape == [blocks * self.block],
                ShapeMismatch,
                "g_idx is {shape:?}, expected [{}]",
                self.depth
            );
        }
        count(5, self.columns, "the bias")?;
        one(inputs.dtype(0)?, [&a[..a.len() - 1], &[self.columns]].concat())
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), self.depth]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let count = element_count(shape)?;
        let mut out = vec![0f32; count];
        if count > 0 {
            let weight = self.weight(&inputs)?;
            let bias = bias(&inputs, 5, self.columns)?;
            let a = inputs.take_host(0)?;
            let rows = count / self.columns;
            let right = Matrix { data: &weight, depth_stride: 1, column_stride: self.depth };
            let epilogue = Epilogue { bias: bias.as_deref(), ..Epilogue::NONE };
            let packed = GemmF32::new(&right, self.depth, self.columns);
            packed.run(&a.to_f32s()?, self.depth, rows, &epilogue, &mut out, self.columns);
        }
        output(Tensor::from_f32s(dtype, shape, out)?)
    }
}
