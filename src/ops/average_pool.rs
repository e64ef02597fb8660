//! AveragePool: the mean under a moving window.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, PoolOp};
use crate::error::Result;

/// AveragePool.
pub const OPERATOR: Operator = Operator {
    name: "AveragePool",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct AveragePool {
    window: WindowAttributes,
    count_include_pad: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(AveragePool {
        window: WindowAttributes::read(attributes)?,
        count_include_pad: attributes.flag("count_include_pad", false)?,
    }))
}

impl Op for AveragePool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        one(inputs.dtype(0)?, [&x[..2.min(x.len())], &self.window.window(x, None)?.output].concat())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let window = self.window.window(inputs.shape(0)?, None)?;
        output(device.pool(PoolOp::Average { count_include_pad: self.count_include_pad }, inputs.array(0)?, &window)?)
    }
}
