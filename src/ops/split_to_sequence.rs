//! SplitToSequence: cuts a tensor along an axis into a sequence.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Cpu, Device};
use crate::error::{Result, ensure};

/// SplitToSequence.
pub const OPERATOR: Operator = Operator {
    name: "SplitToSequence",
    domain: "",
    inputs: 1..=2,
    outputs: 1..=1,
    attributes: &["axis", "keepdims"],
    parameters: &[1],
    webgpu: false,
    build, ..Operator::DEFAULT
};

struct SplitToSequence {
    axis: i64,
    keepdims: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(SplitToSequence { axis: attributes.int("axis")?.unwrap_or(0), keepdims: attributes.flag("keepdims", true)? }))
}

impl SplitToSequence {
    fn sizes(&self, inputs: &Inputs) -> Result<(usize, Vec<usize>)> {
        let shape = inputs.shape(0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let size = shape[axis];
        let Some(split) = inputs.ints(1)? else { return Ok((axis, vec![1; size])) };
        if inputs.shape(1)?.is_empty() {
            let part = split[0];
            ensure!(part > 0, InvalidArgument, "split is {part}, expected at least 1");
            let part = part as usize;
            return Ok((axis, (0..size.div_ceil(part)).map(|i| part.min(size - i * part)).collect()));
        }
        let fits = split.iter().all(|&s| s >= 0) && split.iter().map(|&s| s as u128).sum::<u128>() == size as u128;
        ensure!(fits, ShapeMismatch, "split {split:?} does not add up to dimension {axis} of {shape:?}");
        Ok((axis, split.iter().map(|&s| s as usize).collect()))
    }
}

impl Op for SplitToSequence {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Sequence(tensor_type(inputs, 0, Dtypes::Any)?)])
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
        let mut shape = x.shape().to_vec();
        let mut starts = vec![0; shape.len()];
        let steps = vec![1; shape.len()];
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            shape[axis] = size;
            let mut part = Cpu.slice(x.clone(), &starts, &steps, &shape)?;
            if drop_axis {
                let dropped = [&shape[..axis], &shape[axis + 1..]].concat();
                part = Cpu.reshape(part, &dropped)?;
            }
            parts.push(Value::Tensor(part));
            starts[axis] += size;
        }
        Ok(vec![Value::Sequence(dtype, parts)])
    }
}
