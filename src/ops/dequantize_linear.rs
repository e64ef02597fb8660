//! DequantizeLinear: `(x - zero point) * scale`, in the scale's dtype, computed in float32.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::quantize_linear::{check_float8, check_zeros, grouping, is_code};
use super::quantized::{Granularity, codes, is_single, per_tensor, scales};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Device, dequantize};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// DequantizeLinear.
pub const OPERATOR: Operator = Operator {
    name: "DequantizeLinear",
    inputs: 2..=3,
    attributes: &["axis", "block_size"],
    build,
    ..Operator::DEFAULT
};

struct DequantizeLinear {
    axis: i64,
    block: usize,
}

/// Reads the attributes of ONNX's operator and of Microsoft's.
pub fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let (axis, block) = grouping(attributes)?;
    Ok(Box::new(DequantizeLinear { axis, block }))
}

impl Op for DequantizeLinear {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let x = tensor_type(inputs, 0, Dtypes::All)?;
        ensure!(
            is_code(x) || x == DataType::Int32,
            Unsupported,
            "input 0: expected 4-, 8-, 16- or 32-bit integers or float8, got {x}"
        );
        optional_type(inputs, 2, Dtypes::Only(x))?;
        let scale = tensor_type(inputs, 1, Dtypes::Float)?;
        ensure!(scale != DataType::Float64, Unsupported, "input 1: expected float32, float16 or bfloat16, got {scale}");
        Ok(vec![Type::Tensor(scale)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        Granularity::new(x, inputs.shape(1)?, self.axis, self.block)?;
        check_zeros(inputs)?;
        one(inputs.dtype(1)?, x)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { dtype, shape })] = outputs else { bail!(Internal, "the output was not inferred") };
        let grouping = Granularity::new(shape, inputs.shape(1)?, self.axis, self.block)?;
        let bytes = matches!(inputs.dtype(0)?, DataType::Int8 | DataType::Uint8);
        if bytes && *dtype == DataType::Float32 && self.block == 0 && is_single(&inputs, 1)? && is_single(&inputs, 2)? {
            let (scale, zero) = per_tensor(&inputs, 1)?;
            return output(dequantize(inputs.cpu(0)?, scale, zero));
        }
        let (x, scale, zeros) = (inputs.take_host(0)?, scales(&inputs, 1)?, inputs.host(2)?);
        let (mut out, mut at) = (Vec::with_capacity(x.len()), 0);
        if x.dtype().is_float8() {
            zeros.as_ref().map(check_float8).transpose()?;
            let values = x.to_f32s()?;
            grouping.for_each(|s| {
                out.push(values[at] * scale[s]);
                at += 1;
            });
        } else {
            let values = codes(&x)?;
            let zeros = zeros.map_or_else(|| Ok(vec![0; scale.len()]), |z| codes(&z))?;
            grouping.for_each(|s| {
                out.push((i64::from(values[at]) - i64::from(zeros[s])) as f32 * scale[s]);
                at += 1;
            });
        }
        output(Tensor::from_f32s(*dtype, shape, out)?)
    }
}
