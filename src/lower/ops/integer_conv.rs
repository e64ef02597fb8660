//! Convolution of 8-bit codes, whose zero point and scale are inputs, by packed 8-bit weights.

use super::conv::ConvShape;
use super::{Codes, Scales};
use crate::backend::{Device, buffers, channels_last, from_channels_last, row_major_slice};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::{ConvI8, IntOutput};
use crate::ops::{Attributes, Info, Inputs, MultiplyAdds, Op, Type, Value, count_of, one, output};

/// Conv of int8 or uint8 codes `[N, C, spatial…]` of one or two spatial dimensions, to int32 sums, or to
/// float32. Inputs: codes, zero point (0 where it is left out), and the scale where the result is float32.
pub struct IntegerConv {
    shape: ConvShape,
    weight: ConvI8,
    scales: Option<Scales>,
}

impl IntegerConv {
    /// Packs `weight`, row-major of `shape`. None where the weight does
    /// not fit the attributes.
    pub fn new(
        attributes: &Attributes<'_>,
        weight: &Codes<'_>,
        shape: &[usize],
        scales: Option<Scales>,
    ) -> Result<Option<Self>> {
        let Some(shape) = ConvShape::new(attributes, shape)? else { return Ok(None) };
        let weight = weight.filters(&shape);
        Ok(Some(Self { shape, weight, scales }))
    }

    fn dtype(&self) -> DataType {
        if self.scales.is_some() { DataType::Float32 } else { DataType::Int32 }
    }
}

impl Op for IntegerConv {
    fn types(&self, _: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(self.dtype())])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        if inputs.has(1) {
            let zero = inputs.shape(1)?;
            ensure!(matches!(zero, [] | [1]), ShapeMismatch, "expected one zero point, got {zero:?}");
        }
        one(self.dtype(), self.shape.output(x, &self.shape.window(x)?))
    }

    fn weight_bytes(&self) -> usize {
        self.weight.byte_len() + self.scales.as_ref().map_or(0, Scales::byte_len)
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::int8(&[count_of(outputs, 0), self.shape.depth()]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let signed = inputs.dtype(0)? == DataType::Int8;
        let x = inputs.cpu(0)?;
        let zero = if inputs.has(1) { row_major_slice::<u8>(&inputs.cpu(1)?).first().copied() } else { None };
        let mut zero = zero.unwrap_or(0);
        let dims = x.layout().shape().to_vec();
        let geometry = self.shape.geometry(&dims, &self.shape.window(&dims)?);
        let mut codes = channels_last::<u8>(&x);
        if signed {
            // As uint8, with their zero point.
            codes.to_mut().iter_mut().for_each(|code| *code ^= 0x80);
            zero ^= 0x80;
        }
        let count = shape.iter().product();
        let y = match &self.scales {
            Some(scales) => {
                let scale = inputs.cpu(2)?;
                let mut y = buffers::floats(count);
                self.weight.run(&geometry, &codes, zero, scales.output(&row_major_slice::<f32>(&scale), &mut y));
                from_channels_last(DataType::Float32, shape, y)
            }
            None => {
                let mut y = vec![0i32; count];
                self.weight.run(&geometry, &codes, zero, IntOutput::Sums(&mut y));
                from_channels_last(DataType::Int32, shape, y)
            }
        };
        drop(codes);
        buffers::recycle(x);
        output(y)
    }
}
