//! Upsample: the Resize of opsets 7 to 9, `out = floor(in * scale)`, read at `x / scale`.

use super::resize::{Resize, mode};
use super::{Attributes, Op, Operator};
use crate::error::{Result, bail, ensure};

/// Upsample.
pub const OPERATOR: Operator = Operator {
    name: "Upsample",
    inputs: 1..=2,
    attributes: &["mode", "scales"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    ensure!(attributes.opset < 10, Unsupported, "ONNX removed it in opset 10; use Resize");
    let scales = attributes.floats("scales")?.map(<[f32]>::to_vec);
    if scales.is_none() && attributes.inputs() < 2 {
        bail!(InvalidModel, "neither attribute nor input \"scales\" is given");
    }
    Ok(Box::new(Resize { scales, least_scale: 1.0, ..Resize::old(mode(attributes)?) }))
}
