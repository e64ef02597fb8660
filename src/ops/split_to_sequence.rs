//! SplitToSequence: cuts a tensor along an axis into a sequence.

use super::inputs::{Info, Inputs, Type, Value};
use super::split::{parts, parts_of};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Array, Cpu, Device};
use crate::error::{Result, ensure};

/// SplitToSequence.
pub const OPERATOR: Operator = Operator {
    name: "SplitToSequence",
    inputs: 1..=2,
    attributes: &["axis", "keepdims"],
    parameters: &[1],
    moves: true,
    build,
    ..Operator::DEFAULT
};

/// The most tensors that one tensor may be cut into: each costs memory, empty ones too.
const MAX_PARTS: usize = 1 << 20;

struct SplitToSequence {
    axis: i64,
    keepdims: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SplitToSequence {
        axis: attributes.int("axis")?.unwrap_or(0),
        keepdims: attributes.flag("keepdims", true)?,
    }))
}

impl SplitToSequence {
    fn sizes(&self, inputs: &Inputs) -> Result<(usize, Vec<usize>)> {
        let shape = inputs.shape(0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let size = shape[axis];
        let split = inputs.ints(1)?;
        let part = match split {
            Some(split) if !inputs.shape(1)?.is_empty() => return Ok((axis, parts_of(shape, axis, &split)?)),
            Some(split) => split.first().copied().unwrap_or(0),
            None => 1,
        };
        ensure!(part > 0, InvalidArgument, "split is {part}, expected at least 1");
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        let count = size.div_ceil(part);
        ensure!(count <= MAX_PARTS, LimitExceeded, "{count} parts; at most {MAX_PARTS} are possible");
        Ok((axis, (0..count).map(|i| part.min(size - i * part)).collect()))
    }
}

impl Op for SplitToSequence {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Sequence(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        self.sizes(inputs)?;
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (axis, sizes) = self.sizes(&inputs)?;
        // Without `split` every part is one entry, and `keepdims` may drop its dimension.
        let drop_axis = !inputs.has(1) && !self.keepdims;
        let x = inputs.array(0)?;
        let dtype = x.dtype();
        let part = |part: Array| {
            let shape = [&part.shape()[..axis], &part.shape()[axis + 1..]].concat();
            if drop_axis { Cpu.reshape(part, &shape) } else { Ok(part) }
        };
        let parts = parts(&Cpu, x, axis, &sizes)?.into_iter().map(|p| part(p).map(Value::from));
        Ok(vec![Value::Sequence(dtype, parts.collect::<Result<_>>()?)])
    }
}
