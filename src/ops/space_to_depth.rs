//! SpaceToDepth: blocks of pixels of `[N, C, H, W]` stacked into channels, `[N, C·b², H / b, W / b]`.

use super::depth_to_space::block_size;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// SpaceToDepth.
pub const OPERATOR: Operator = Operator {
    name: "SpaceToDepth",
    attributes: &["blocksize"],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct SpaceToDepth {
    block: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SpaceToDepth { block: block_size(attributes)? }))
}

impl Op for SpaceToDepth {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, b) = (inputs.shape(0)?, self.block);
        let &[n, c, h, w] = x else { bail!(ShapeMismatch, "expected [N, C, H, W], got {x:?}") };
        let divides = h.is_multiple_of(b) && w.is_multiple_of(b);
        ensure!(divides, ShapeMismatch, "height and width of {x:?} do not divide by {b}");
        one(inputs.dtype(0)?, [n, c.saturating_mul(b * b), h / b, w / b])
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, b) = (inputs.array(0)?, self.block);
        let &[n, c, h, w] = x.shape() else { bail!(Internal, "the rank went unchecked") };
        let channels_last = x.is_channels_last();
        let x = device.reshape(x, &[n, c, h / b, b, w / b, b])?;
        if channels_last {
            let x = device.transpose(x, &[0, 2, 4, 3, 5, 1])?;
            let x = device.reshape(x, &[n, h / b, w / b, b * b * c])?;
            return output(device.transpose(x, &[0, 3, 1, 2])?);
        }
        let x = device.transpose(x, &[0, 3, 5, 1, 2, 4])?;
        output(device.reshape(x, shape_of(outputs, 0)?)?)
    }
}
