//! QuantizeLinear: `saturate(round(x / scale) + zero point)`, ties to even; for float8 no zero point.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::quantized::{
    Granularity, code, code_of, codes, is_single, limits, per_tensor, scales, tensor_from_codes,
};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, quantize};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, float8};

/// QuantizeLinear.
pub const OPERATOR: Operator = Operator {
    name: "QuantizeLinear",
    inputs: 2..=3,
    attributes: &["axis", "block_size", "output_dtype", "saturate"],
    build,
    ..Operator::DEFAULT
};

struct QuantizeLinear {
    axis: i64,
    block: usize,
    output: Option<DataType>,
    saturate: bool,
}

/// The attributes `axis` and `block_size`.
pub fn grouping(attributes: &Attributes<'_>) -> Result<(i64, usize)> {
    let block = attributes.int("block_size")?.unwrap_or(0);
    ensure!((0..=1 << 30).contains(&block), InvalidModel, "attribute \"block_size\": expected 0 to 2^30, got {block}");
    Ok((attributes.int("axis")?.unwrap_or(1), block as usize))
}

/// Reads the attributes of ONNX's operator and of Microsoft's.
pub fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let (axis, block) = grouping(attributes)?;
    let output = match attributes.int("output_dtype")?.unwrap_or(0) {
        0 => None,
        number => match i32::try_from(number).ok().and_then(DataType::from_onnx) {
            Some(dtype) => Some(dtype),
            None => bail!(InvalidModel, "attribute \"output_dtype\": there is no element type {number}"),
        },
    };
    Ok(Box::new(QuantizeLinear { axis, block, output, saturate: attributes.flag("saturate", true)? }))
}

/// Whether `dtype` is one that tensors are quantised to.
pub fn is_code(dtype: DataType) -> bool {
    use DataType::{Int8, Int16, Uint8, Uint16};
    dtype.is_storage() || matches!(dtype, Int8 | Int16 | Uint8 | Uint16)
}

/// Checks that zero points, at input 2, are as many as scales.
pub fn check_zeros(inputs: &Inputs) -> Result<()> {
    if !inputs.has(2) {
        return Ok(());
    }
    let (scale, zero) = (inputs.shape(1)?, inputs.shape(2)?);
    let single = |s: &[usize]| matches!(s, [] | [1]);
    ensure!(
        scale == zero || single(scale) && single(zero),
        ShapeMismatch,
        "the scale is {scale:?}, the zero point {zero:?}; expected equal shapes"
    );
    Ok(())
}

/// float8 is quantised by its scale alone.
pub fn check_float8(zeros: &Tensor) -> Result<()> {
    if !zeros.dtype().is_float8() {
        return Ok(());
    }
    ensure!(zeros.to_f64s()?.iter().all(|&v| v == 0.0), InvalidArgument, "the zero point of float8 must be 0");
    Ok(())
}

impl Op for QuantizeLinear {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let x = tensor_type(inputs, 0, Dtypes::Number)?;
        let scale = tensor_type(inputs, 1, Dtypes::Number)?;
        ensure!(
            (x.is_float() || x == DataType::Int32) && x != DataType::Float64,
            Unsupported,
            "input 0: expected float32, float16, bfloat16 or int32, got {x}"
        );
        ensure!(
            scale == x || x == DataType::Int32 && scale == DataType::Float32,
            DtypeMismatch,
            "input 1: expected {x} as input 0, got {scale}"
        );
        let zero = match inputs.get(2) {
            Some(Some(_)) => Some(tensor_type(inputs, 2, Dtypes::All)?),
            _ => None,
        };
        if let (Some(zero), Some(output)) = (zero, self.output) {
            ensure!(zero == output, DtypeMismatch, "the zero point is {zero}, output_dtype {output}");
        }
        let output = zero.or(self.output).unwrap_or(DataType::Uint8);
        ensure!(
            is_code(output),
            Unsupported,
            "a tensor is not quantised to {output}; expected 4-, 8- or 16-bit integers or float8"
        );
        Ok(vec![Type::Tensor(output)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        Granularity::new(x, inputs.shape(1)?, self.axis, self.block)?;
        check_zeros(inputs)?;
        let dtype = if inputs.has(2) { inputs.dtype(2)? } else { self.output.unwrap_or(DataType::Uint8) };
        one(dtype, x)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { dtype, shape })] = outputs else { bail!(Internal, "the output was not inferred") };
        let grouping = Granularity::new(shape, inputs.shape(1)?, self.axis, self.block)?;
        let bytes = matches!(dtype, DataType::Int8 | DataType::Uint8) && inputs.dtype(0)? == DataType::Float32;
        if bytes && self.block == 0 && is_single(&inputs, 1)? && is_single(&inputs, 2)? {
            let (scale, zero) = per_tensor(&inputs, 1)?;
            return output(quantize(inputs.cpu(0)?, scale, zero, *dtype));
        }
        let (x, scale) = (inputs.take_host(0)?, scales(&inputs, 1)?);
        let zeros = match inputs.host(2)? {
            Some(zeros) => {
                check_float8(&zeros)?;
                if dtype.is_float8() { vec![0; scale.len()] } else { codes(&zeros)? }
            }
            None => vec![0; scale.len()],
        };
        if x.dtype() == DataType::Int32 {
            // float32 does not hold every int32.
            let (values, mut out, mut at) = (x.to_f64s()?, Vec::with_capacity(x.len()), 0);
            let range = limits(*dtype);
            grouping.for_each(|s| {
                let units = values[at] / f64::from(scale[s]);
                at += 1;
                out.push(if dtype.is_float8() {
                    i32::from(float8::encode(*dtype, units, self.saturate))
                } else {
                    code_of(units, zeros[s], range)
                });
            });
            return output(tensor_from_codes(*dtype, shape, out.into_iter())?);
        }
        let values = x.to_f32s()?;
        let (mut out, mut at, range) = (Vec::with_capacity(values.len()), 0, limits(*dtype));
        if dtype.is_float8() {
            grouping.for_each(|s| {
                out.push(i32::from(float8::encode(*dtype, f64::from(values[at] / scale[s]), self.saturate)));
                at += 1;
            });
        } else {
            grouping.for_each(|s| {
                out.push(code(values[at] / scale[s], zeros[s], range));
                at += 1;
            });
        }
        output(tensor_from_codes(*dtype, shape, out.into_iter())?)
    }
}
