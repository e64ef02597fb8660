//! QLinearGlobalAveragePool: the mean of each channel of a quantised tensor, quantised anew.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::qlinear::{
    Reader, Writer, channels_back, channels_first, codes_of, inferred, transposed, unary_operator, unary_types,
};
use super::quantized::{check_single, tensor_from_codes};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, ensure};

/// QLinearGlobalAveragePool.
pub const OPERATOR: Operator =
    Operator { inputs: 5..=5, ..unary_operator("QLinearGlobalAveragePool", &["channels_last"], build) };

struct QLinearGlobalAveragePool {
    channels_last: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QLinearGlobalAveragePool { channels_last: attributes.flag("channels_last", false)? }))
}

impl Op for QLinearGlobalAveragePool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        unary_types(inputs)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 3, 4])?;
        let mut shape = channels_first(inputs.shape(0)?, self.channels_last)?;
        ensure!(!shape[2..].contains(&0), ShapeMismatch, "{:?} has no elements to average", inputs.shape(0)?);
        shape[2..].fill(1);
        one(inputs.dtype(0)?, channels_back(&shape, self.channels_last))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        if shape.contains(&0) {
            return output(tensor_from_codes(dtype, shape, std::iter::empty())?);
        }
        let (from, to) = (Reader::new(&inputs, 1)?, Writer::new(&inputs, 3, dtype)?);
        let x = channels_first(inputs.shape(0)?, self.channels_last)?;
        let plane: usize = x[2..].iter().product();
        let mut values = codes_of(&mut inputs, 0)?;
        if self.channels_last {
            values = transposed(&values, plane, x[1]);
        }
        let mean = |plane: &[i32]| plane.iter().map(|&code| from.real(code)).sum::<f64>() / plane.len() as f64;
        output(tensor_from_codes(dtype, shape, values.chunks_exact(plane).map(|plane| to.code(mean(plane))))?)
    }
}
