//! ConvInteger: Conv of `x - zero point` and `w - zero points` in int32, which wraps.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of, depth_of};
use super::quantized::{Convolution, byte_type, check_single, per_channel, zeros};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// ConvInteger.
pub const OPERATOR: Operator = Operator {
    name: "ConvInteger",
    inputs: 2..=4,
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    build,
    ..Operator::DEFAULT
};

struct ConvInteger(Convolution);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ConvInteger(Convolution::read(attributes)?)))
}

impl Op for ConvInteger {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let (x, w) = (byte_type(inputs, 0)?, byte_type(inputs, 1)?);
        optional_type(inputs, 2, Dtypes::Only(x))?;
        optional_type(inputs, 3, Dtypes::Only(w))?;
        Ok(vec![Type::Tensor(DataType::Int32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[2])?;
        one(DataType::Int32, self.0.infer(inputs.shape(0)?, inputs.shape(1)?)?)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), depth_of(inputs.shape(1)?)]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, w) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let x_zero = zeros(&inputs, 2)?.map_or(0, |z| z[0]);
        let w_zeros = match zeros(&inputs, 3)? {
            Some(values) => per_channel(&values, inputs.shape(3)?, w.shape()[0], "the zero point of the weight")?,
            None => vec![0; w.shape()[0]],
        };
        let sums = self.0.run(&x, x_zero, &w, &w_zeros)?;
        output(Tensor::from_vec(super::inputs::shape_of(outputs, 0)?.to_vec(), sums)?)
    }
}
