//! Transpose: permutes the dimensions; reverses them by default.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};

/// Transpose.
pub const OPERATOR: Operator =
    Operator { name: "Transpose", attributes: &["perm"], webgpu: true, build, moves: true, ..Operator::DEFAULT };

struct Transpose {
    perm: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Transpose { perm: attributes.ints("perm")?.map(<[i64]>::to_vec) }))
}

impl Transpose {
    fn perm(&self, rank: usize) -> Result<Vec<usize>> {
        let Some(perm) = &self.perm else { return Ok((0..rank).rev().collect()) };
        let out = perm.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>>>()?;
        let mut sorted = out.clone();
        sorted.sort_unstable();
        ensure!(
            sorted.iter().copied().eq(0..rank),
            ShapeMismatch,
            "perm {perm:?} is no permutation of {rank} dimensions"
        );
        Ok(out)
    }
}

impl Op for Transpose {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        one(inputs.dtype(0)?, self.perm(shape.len())?.into_iter().map(|d| shape[d]).collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let perm = self.perm(inputs.shape(0)?.len())?;
        output(device.transpose(inputs.array(0)?, &perm)?)
    }
}
