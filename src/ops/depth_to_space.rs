//! DepthToSpace: channels `[N, C, H, W]` spread over blocks of pixels, `[N, C / b², H·b, W·b]`.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// DepthToSpace.
pub const OPERATOR: Operator = Operator {
    name: "DepthToSpace",
    attributes: &["blocksize", "mode"],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct DepthToSpace {
    block: usize,
    /// Whether the channels vary slowest, then the block's rows and columns.
    channels_first: bool,
}

/// The attribute `blocksize`.
pub fn block_size(attributes: &Attributes<'_>) -> Result<usize> {
    match attributes.int("blocksize")? {
        Some(size @ 1..=65_536) => Ok(size as usize),
        Some(size) => bail!(InvalidModel, "blocksize is {size}, expected 1 to 65536"),
        None => bail!(InvalidModel, "attribute \"blocksize\" is missing"),
    }
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.since(11, "mode")?;
    let channels_first = attributes.choice("mode", &["DCR", "CRD"])? == "CRD";
    Ok(Box::new(DepthToSpace { block: block_size(attributes)?, channels_first }))
}

impl Op for DepthToSpace {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, b) = (inputs.shape(0)?, self.block);
        let &[n, c, h, w] = x else { bail!(ShapeMismatch, "expected [N, C, H, W], got {x:?}") };
        ensure!(c.is_multiple_of(b * b), ShapeMismatch, "the {c} channels of {x:?} do not divide by {b}²");
        one(inputs.dtype(0)?, [n, c / (b * b), h.saturating_mul(b), w.saturating_mul(b)])
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, b) = (inputs.array(0)?, self.block);
        let &[n, c, h, w] = x.shape() else { bail!(Internal, "the rank went unchecked") };
        let depth = c / (b * b);
        let (apart, perm) = if self.channels_first {
            ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
        };
        let channels_last = x.is_channels_last();
        let x = device.transpose(device.reshape(x, &apart)?, &perm)?;
        if channels_last {
            let x = device.transpose(x, &[0, 2, 3, 4, 5, 1])?;
            let x = device.reshape(x, &[n, h * b, w * b, depth])?;
            return output(device.transpose(x, &[0, 3, 1, 2])?);
        }
        output(device.reshape(x, shape_of(outputs, 0)?)?)
    }
}
