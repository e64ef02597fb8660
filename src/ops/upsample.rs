//! Upsample: the Resize before opset 10, `out = floor(in * scale)`, read at `x / scale`.

use super::resize::{Resize, mode};
use super::{Attributes, Op, Operator};
use crate::error::{Result, bail, ensure};

/// Upsample.
pub const OPERATOR: Operator = Operator {
    name: "Upsample",
    inputs: 1..=2,
    attributes: &["height_scale", "mode", "scales", "width_scale"],
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    ensure!(attributes.opset < 10, Unsupported, "ONNX removed it in opset 10; use Resize");
    let scales = match (attributes.float("height_scale")?, attributes.float("width_scale")?) {
        (Some(height), Some(width)) if attributes.opset < 7 => Some(vec![1.0, 1.0, height, width]),
        _ => attributes.floats("scales")?.map(<[f32]>::to_vec),
    };
    if scales.is_none() && attributes.inputs() < 2 {
        bail!(InvalidModel, "neither attribute nor input \"scales\" is given");
    }
    Ok(Box::new(Resize { scales, least_scale: 1.0, ..Resize::old(mode(attributes)?) }))
}
