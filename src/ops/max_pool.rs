//! MaxPool: the largest element under a moving window; NaN wins.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, PoolOp, max_pool};
use crate::error::Result;
use crate::graph::DataType;

/// MaxPool.
pub const OPERATOR: Operator = Operator {
    name: "MaxPool",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=2,
    attributes: &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct MaxPool {
    window: WindowAttributes,
    column_major: bool,
    indices: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MaxPool {
        window: WindowAttributes::read(attributes)?,
        column_major: attributes.flag("storage_order", false)?,
        indices: attributes.outputs() > 1,
    }))
}

impl Op for MaxPool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Number)?;
        Ok(vec![Type::Tensor(dtype), Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        let shape = [&x[..2.min(x.len())], &self.window.window(x, None)?.output].concat();
        let values = Info { dtype: inputs.dtype(0)?, shape: shape.clone() };
        Ok(vec![Some(values), Some(Info { dtype: DataType::Int64, shape })])
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let window = self.window.window(inputs.shape(0)?, None)?;
        if !self.indices {
            return output(device.pool(PoolOp::Max, inputs.array(0)?, &window)?);
        }
        let (values, indices) = max_pool(inputs.cpu(0)?, &window, self.column_major)?;
        Ok(vec![values.into(), indices.into()])
    }
}
