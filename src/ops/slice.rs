//! Slice: every `step`-th element from `start` to before `end`, along given axes.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// Slice.
pub const OPERATOR: Operator = Operator {
    name: "Slice",
    domain: "",
    inputs: 1..=5,
    outputs: 1..=1,
    attributes: &["axes", "ends", "starts"],
    parameters: &[1, 2, 3, 4],
    webgpu: true,
    build, moves: true, ..Operator::DEFAULT
};

#[derive(Default)]
struct Slice {
    starts: Option<Vec<i64>>,
    ends: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    // Attributes became inputs with opset 10.
    let read = |name| if attributes.opset < 10 { attributes.ints(name) } else { Ok(None) };
    let owned = |name| Ok(read(name)?.map(<[i64]>::to_vec));
    Ok(Box::new(Slice { starts: owned("starts")?, ends: owned("ends")?, axes: owned("axes")? }))
}

struct Range {
    starts: Vec<usize>,
    steps: Vec<isize>,
    shape: Vec<usize>,
}

impl Slice {
    fn range(&self, inputs: &Inputs) -> Result<Range> {
        let from = inputs.shape(0)?;
        let given = |own: &Option<Vec<i64>>, index| Ok(if own.is_some() { own.clone() } else { inputs.ints(index)? });
        let (Some(starts), Some(ends)) = (given(&self.starts, 1)?, given(&self.ends, 2)?) else {
            bail!(InvalidModel, "starts and ends must be given")
        };
        let axes = given(&self.axes, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = inputs.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
        ensure!(
            ends.len() == starts.len() && axes.len() == starts.len() && steps.len() == starts.len(),
            ShapeMismatch,
            "starts {starts:?}, ends {ends:?}, axes {axes:?} and steps {steps:?} differ in length"
        );
        let mut range = Range { starts: vec![0; from.len()], steps: vec![1; from.len()], shape: from.to_vec() };
        let mut seen = vec![false; from.len()];
        for i in 0..starts.len() {
            let axis = axis_of(axes[i], from.len())?;
            ensure!(!std::mem::replace(&mut seen[axis], true), InvalidArgument, "axes {axes:?} name a dimension twice");
            let (size, step) = (from[axis] as i64, steps[i]);
            ensure!(step != 0, InvalidArgument, "a step is 0");
            let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
            let (start, end) = if step > 0 {
                (from_end(starts[i]).clamp(0, size), from_end(ends[i]).clamp(0, size))
            } else {
                (from_end(starts[i]).clamp(-1, size - 1), from_end(ends[i]).clamp(-1, size - 1))
            };
            let span = if step > 0 { end - start } else { start - end };
            let length = if span <= 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) };
            range.shape[axis] = length as usize;
            range.starts[axis] = start.max(0) as usize;
            // A step beyond the dimension is never taken.
            range.steps[axis] = step.clamp(-size.max(1), size.max(1)) as isize;
        }
        Ok(range)
    }
}

impl Op for Slice {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for index in 1..5 {
            optional_type(inputs, index, Dtypes::Index)?;
        }
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, self.range(inputs)?.shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let range = self.range(&inputs)?;
        output(device.slice(inputs.array(0)?, &range.starts, &range.steps, &range.shape)?)
    }
}
