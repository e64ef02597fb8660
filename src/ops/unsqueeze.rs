//! Unsqueeze: adds dimensions of size 1.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axes_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, MAX_RANK};

/// Unsqueeze.
pub const OPERATOR: Operator = Operator {
    name: "Unsqueeze",
    domain: "",
    inputs: 1..=2,
    outputs: 1..=1,
    attributes: &["axes"],
    parameters: &[1],
    webgpu: true,
    build, moves: true, ..Operator::DEFAULT
};

struct Unsqueeze {
    axes: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Unsqueeze { axes: attributes.ints("axes")?.map(<[i64]>::to_vec) }))
}

impl Op for Unsqueeze {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        let Some(axes) = inputs.ints(1)?.or_else(|| self.axes.clone()) else { bail!(InvalidModel, "no axes are given") };
        let rank = shape.len() + axes.len();
        ensure!(rank <= MAX_RANK, LimitExceeded, "{rank} dimensions; at most {MAX_RANK} are possible");
        let axes = axes_of(&axes, rank)?;
        let mut kept = shape.iter();
        let shape = (0..rank).map(|d| if axes.contains(&d) { 1 } else { kept.next().copied().unwrap_or(1) });
        one(inputs.dtype(0)?, shape.collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}
