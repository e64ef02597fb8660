//! Convolution of 8-bit codes by packed 8-bit weights.

use super::conv::ConvShape;
use super::{Codes, Reading, Result8};
use crate::backend::{Device, buffers, channels_last, from_channels_last};
use crate::error::{Result, bail};
use crate::graph::DataType;
use crate::kernels::{ConvI8, IntOutput, Requantize};
use crate::ops::{Attributes, Dtypes, Info, Inputs, MultiplyAdds, Op, Type, Value, count_of, one, output, tensor_type};

/// Conv of uint8 codes, summed in int32. Input: `x` `[N, C, spatial…]` of one or two spatial dimensions.
pub struct QuantizedConv {
    shape: ConvShape,
    weight: ConvI8,
    zero: u8,
    scaling: Scaling,
}

/// What becomes of the sums.
pub enum Scaling {
    /// `real = sum * column_scales + bias`
    Float { row_scale: f32, column_scales: Vec<f32>, bias: Vec<f32>, activation: crate::kernels::Activation },
    /// `code = (sum + bias) * multipliers + zero`
    Codes { bias: Vec<i32>, multipliers: Vec<f32>, writing: super::Writing },
}

impl Scaling {
    /// From the scales of what is read and of the weights, a float32 bias, and what is wanted.
    pub fn new(reading: Reading, scales: Vec<f32>, bias: Vec<f32>, result: Result8) -> Self {
        match result {
            Result8::Float(activation) => {
                Self::Float { row_scale: reading.scale, column_scales: scales, bias, activation }
            }
            Result8::Codes(writing) => {
                let unit = |c: usize| f64::from(reading.scale) * f64::from(scales[c]);
                // Saturating: a bias beyond int32 saturates the code too.
                let bias = bias.iter().enumerate().map(|(c, &b)| (f64::from(b) / unit(c)).round_ties_even() as i32);
                let bias = bias.collect();
                let multipliers = (0..scales.len()).map(|c| (unit(c) / f64::from(writing.scale)) as f32).collect();
                Self::Codes { bias, multipliers, writing }
            }
        }
    }

    pub fn dtype(&self) -> DataType {
        match self {
            Self::Float { .. } => DataType::Float32,
            Self::Codes { .. } => DataType::Uint8,
        }
    }

    pub fn byte_len(&self) -> usize {
        match self {
            Self::Float { column_scales, bias, .. } => 4 * (column_scales.len() + bias.len()),
            Self::Codes { bias, multipliers, .. } => 4 * (bias.len() + multipliers.len()),
        }
    }

    /// Runs `kernel` into a new tensor of `count` elements, which `wrap` shapes.
    pub fn run<T>(&self, count: usize, kernel: impl FnOnce(IntOutput<'_>), wrap: impl Wrap<T>) -> T {
        match self {
            Self::Float { row_scale, column_scales, bias, activation } => {
                let mut y = buffers::floats(count);
                kernel(IntOutput::Dequantize {
                    row_scales: &[*row_scale],
                    column_scales,
                    bias: Some(bias),
                    activation: *activation,
                    y: &mut y,
                });
                wrap.floats(y)
            }
            Self::Codes { bias, multipliers, writing } => {
                let mut y = buffers::bytes(count);
                let (zero_point, min, max) = (writing.zero, writing.min, writing.max);
                let requantize = Requantize { bias: Some(bias), multipliers, zero_point, min, max };
                kernel(IntOutput::Requantize(requantize, &mut y));
                wrap.codes(y)
            }
        }
    }
}

/// Makes a tensor of a kernel's result.
pub trait Wrap<T> {
    fn floats(self, y: Vec<f32>) -> T;
    fn codes(self, y: Vec<u8>) -> T;
}

struct ChannelsLast<'a>(&'a [usize]);

impl Wrap<burn_flex::FlexTensor> for ChannelsLast<'_> {
    fn floats(self, y: Vec<f32>) -> burn_flex::FlexTensor {
        from_channels_last(DataType::Float32, self.0, y)
    }

    fn codes(self, y: Vec<u8>) -> burn_flex::FlexTensor {
        from_channels_last(DataType::Uint8, self.0, y)
    }
}

impl QuantizedConv {
    /// Packs `weight`, row-major of `shape`. None where the weight does
    /// not fit the attributes.
    pub fn new(
        attributes: &Attributes<'_>,
        weight: &Codes<'_>,
        shape: &[usize],
        scales: Vec<f32>,
        bias: Vec<f32>,
        reading: Reading,
        result: Result8,
    ) -> Result<Option<Self>> {
        let Some(shape) = ConvShape::new(attributes, shape)? else { return Ok(None) };
        let weight = weight.filters(&shape);
        Ok(Some(Self { shape, weight, zero: reading.zero, scaling: Scaling::new(reading, scales, bias, result) }))
    }
}

impl Op for QuantizedConv {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Uint8))?;
        Ok(vec![Type::Tensor(self.scaling.dtype())])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        one(self.scaling.dtype(), self.shape.output(x, &self.shape.window(x)?))
    }

    fn weight_bytes(&self) -> usize {
        self.weight.byte_len() + self.scaling.byte_len()
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), self.shape.depth()]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let x = inputs.cpu(0)?;
        let dims = x.layout().shape().to_vec();
        let geometry = self.shape.geometry(&dims, &self.shape.window(&dims)?);
        let count = shape.iter().product();
        let kernel = |out: IntOutput<'_>| self.weight.run(&geometry, &channels_last::<u8>(&x), self.zero, out);
        let y = self.scaling.run(count, kernel, ChannelsLast(shape));
        buffers::recycle(x);
        output(y)
    }
}
