//! QLinearConv: Conv of quantised tensors, summed in int32, quantised anew.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of, depth_of};
use super::quantized::{
    Convolution, byte_type, check_single, code, codes, limits, per_channel, per_tensor, scales, tensor_from_codes,
    zeros,
};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// QLinearConv.
pub const OPERATOR: Operator = Operator {
    name: "QLinearConv",
    inputs: 8..=9,
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    build,
    ..Operator::DEFAULT
};

struct QLinearConv(Convolution);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QLinearConv(Convolution::read(attributes)?)))
}

impl Op for QLinearConv {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for at in [0, 3] {
            let dtype = byte_type(inputs, at)?;
            tensor_type(inputs, at + 2, Dtypes::Only(dtype))?;
        }
        for scale in [1, 4, 6] {
            tensor_type(inputs, scale, Dtypes::Only(DataType::Float32))?;
        }
        optional_type(inputs, 8, Dtypes::Only(DataType::Int32))?;
        Ok(vec![Type::Tensor(byte_type(inputs, 7)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 6, 7])?;
        let outputs = inputs.shape(3)?.first().copied();
        let shape = self.0.infer(inputs.shape(0)?, inputs.shape(3)?)?;
        if inputs.has(8) {
            let bias = inputs.shape(8)?;
            ensure!(
                Some(bias) == outputs.as_slice().get(..1),
                ShapeMismatch,
                "the bias is {bias:?}, expected one of each output channel"
            );
        }
        one(inputs.dtype(7)?, shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), depth_of(inputs.shape(3)?)]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { dtype, shape })] = outputs else { bail!(Internal, "the output was not inferred") };
        let (x, w) = (inputs.take_host(0)?, inputs.take_host(3)?);
        let channels = w.shape()[0];
        let ((x_scale, x_zero), (y_scale, y_zero)) = (per_tensor(&inputs, 1)?, per_tensor(&inputs, 6)?);
        let w_scales = per_channel(&scales(&inputs, 4)?, inputs.shape(4)?, channels, "the scale of the weight")?;
        let w_zeros = zeros(&inputs, 5)?.unwrap_or_default();
        let w_zeros = per_channel(&w_zeros, inputs.shape(5)?, channels, "the zero point of the weight")?;
        let bias = match inputs.host(8)? {
            Some(bias) => codes(&bias)?,
            None => vec![0; channels],
        };
        let sums = self.0.run(&x, x_zero, &w, &w_zeros)?;
        let factors: Vec<f32> = w_scales.iter().map(|w| x_scale * w / y_scale).collect();
        let (plane, range) = (shape[2..].iter().product::<usize>().max(1), limits(*dtype));
        let requantised = sums.iter().enumerate().map(|(i, sum)| {
            let channel = i / plane % channels;
            code(sum.wrapping_add(bias[channel]) as f32 * factors[channel], y_zero, range)
        });
        output(tensor_from_codes(*dtype, shape, requantised)?)
    }
}
