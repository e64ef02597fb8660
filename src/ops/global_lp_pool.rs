//! GlobalLpPool: `(sum of |x|^p)^(1/p)` over all spatial dimensions, which become 1.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, lp_pool, tensor_type};
use crate::backend::{Device, ReduceOp};
use crate::error::{Result, ensure};

/// GlobalLpPool.
pub const OPERATOR: Operator =
    Operator { name: "GlobalLpPool", attributes: &["p"], webgpu: true, build, ..Operator::DEFAULT };

struct GlobalLpPool {
    p: f64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(GlobalLpPool { p: lp_pool::exponent(attributes)? }))
}

impl Op for GlobalLpPool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(x.len() >= 2, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        one(inputs.dtype(0)?, x.iter().enumerate().map(|(d, &size)| if d < 2 { size } else { 1 }).collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.array(0)?;
        let axes: Vec<usize> = (2..x.shape().len()).collect();
        output(lp_pool::norm(device, x, self.p, &|x| device.reduce(ReduceOp::Sum, x, &axes))?)
    }
}
