//! CenterCropPad: the middle of the input where the wanted size is smaller, zeros around it where it is larger.

use super::indexing::zero;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::pad::padded;
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::{Device, PadMode};
use crate::error::{Result, ensure};

/// CenterCropPad.
pub const OPERATOR: Operator = Operator {
    name: "CenterCropPad",
    inputs: 2..=2,
    attributes: &["axes"],
    parameters: &[1],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct CenterCropPad {
    axes: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(CenterCropPad { axes: attributes.ints("axes")?.map(<[i64]>::to_vec) }))
}

impl Op for CenterCropPad {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut shape = inputs.shape(0)?.to_vec();
        let rank = shape.len();
        let wanted = inputs.ints(1)?.unwrap_or_default();
        let axes = match &self.axes {
            Some(axes) => axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        ensure!(wanted.len() == axes.len(), ShapeMismatch, "shape {wanted:?} for the axes {axes:?}");
        ensure!(wanted.iter().all(|&d| d >= 0), InvalidArgument, "shape {wanted:?} has a negative dimension");
        for (i, (&axis, &size)) in axes.iter().zip(&wanted).enumerate() {
            ensure!(!axes[..i].contains(&axis), InvalidArgument, "axes {axes:?} name a dimension twice");
            shape[axis] = usize::try_from(size).unwrap_or(usize::MAX);
        }
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let wanted = outputs.iter().flatten().flat_map(|info| &info.shape);
        let amount = |(&size, &wanted): (&usize, &usize)| {
            let before = if size > wanted { -((size - wanted) as i64 / 2) } else { (wanted - size) as i64 / 2 };
            (before, wanted as i64 - size as i64 - before)
        };
        let amounts: Vec<(i64, i64)> = inputs.shape(0)?.iter().zip(wanted).map(amount).collect();
        let zero = zero(inputs.dtype(0)?)?;
        let x = inputs.take(0)?;
        output(padded(device, x, &amounts, PadMode::Constant(0.0), zero, inputs.context())?)
    }
}
