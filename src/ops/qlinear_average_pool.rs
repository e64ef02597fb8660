//! QLinearAveragePool: the mean under a moving window over a quantised tensor, quantised anew.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::qlinear::{
    Reader, Writer, channels_back, channels_first, codes_of, inferred, transposed, unary_operator, unary_types,
};
use super::quantized::{check_single, tensor_from_codes};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::Result;
use crate::kernels::pool;

/// QLinearAveragePool.
pub const OPERATOR: Operator = unary_operator(
    "QLinearAveragePool",
    &["auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape", "pads", "strides"],
    build,
);

struct QLinearAveragePool {
    window: WindowAttributes,
    count_include_pad: bool,
    channels_last: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QLinearAveragePool {
        window: WindowAttributes::read(attributes)?,
        count_include_pad: attributes.flag("count_include_pad", false)?,
        channels_last: attributes.flag("channels_last", false)?,
    }))
}

impl Op for QLinearAveragePool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        unary_types(inputs)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 3, 4])?;
        let x = channels_first(inputs.shape(0)?, self.channels_last)?;
        let shape = [&x[..2], &self.window.window(&x, None)?.output].concat();
        one(inputs.dtype(0)?, channels_back(&shape, self.channels_last))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        if shape.contains(&0) {
            return output(tensor_from_codes(dtype, shape, std::iter::empty())?);
        }
        let (from, to) = (Reader::new(&inputs, 1)?, Writer::new(&inputs, 3, dtype)?);
        let x = channels_first(inputs.shape(0)?, self.channels_last)?;
        let window = self.window.window(&x, None)?;
        let mut values: Vec<f64> = codes_of(&mut inputs, 0)?.into_iter().map(|code| from.real(code)).collect();
        if self.channels_last {
            values = transposed(&values, x[2..].iter().product(), x[1]);
        }
        let means = pool::average(&values, pool::Channels::First { planes: x[0] * x[1] }, &x[2..], &window, self.count_include_pad);
        let mut out: Vec<i32> = means.into_iter().map(|mean| to.code(mean)).collect();
        if self.channels_last {
            out = transposed(&out, x[1], window.output.iter().product());
        }
        output(tensor_from_codes(dtype, shape, out.into_iter())?)
    }
}
