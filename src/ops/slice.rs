//! Slice: every `step`-th element from `start` to before `end`, along given axes.

use super::attributes::IntsParameter;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// Slice.
pub const OPERATOR: Operator = Operator {
    name: "Slice",
    inputs: 1..=5,
    attributes: &["axes", "ends", "starts"],
    parameters: &[1, 2, 3, 4],
    webgpu: true,
    build,
    moves: true,
    ..Operator::DEFAULT
};

struct Slice {
    starts: IntsParameter,
    ends: IntsParameter,
    axes: IntsParameter,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let read = |name, input| attributes.ints_until(10, name, input);
    Ok(Box::new(Slice { starts: read("starts", 1)?, ends: read("ends", 2)?, axes: read("axes", 3)? }))
}

struct Range {
    starts: Vec<usize>,
    steps: Vec<isize>,
    shape: Vec<usize>,
}

impl Slice {
    fn range(&self, inputs: &Inputs) -> Result<Range> {
        let from = inputs.shape(0)?;
        let (Some(starts), Some(ends)) = (self.starts.get(inputs)?, self.ends.get(inputs)?) else {
            bail!(InvalidModel, "starts and ends must be given")
        };
        let axes = self.axes.get(inputs)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
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
                // As ONNX has it, and unlike NumPy: a start before the first element is the first.
                (from_end(starts[i]).min(size - 1).max(0), from_end(ends[i]).clamp(-1, size))
            };
            let span = if step > 0 { end - start } else { start - end };
            let length = if span <= 0 || size == 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) };
            range.shape[axis] = length as usize;
            range.starts[axis] = start as usize;
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

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use crate::ErrorKind;
    use crate::graph::Attribute;
    use crate::support::{Random, Single, f32s, i64s, numbers};

    /// Positions that a slice of a dimension of `size` takes, as ONNX's text says it.
    fn positions(size: i64, start: i64, end: i64, step: i64) -> Vec<f64> {
        let wide = |v: i64| if v < 0 { i128::from(v) + i128::from(size) } else { i128::from(v) };
        let (low, high) = if step > 0 { (0, size) } else { (0, (size - 1).max(0)) };
        let mut at = wide(start).clamp(low.into(), high.into());
        let end = if step > 0 { wide(end).clamp(0, size.into()) } else { wide(end).clamp(-1, size.into()) };
        let mut out = Vec::new();
        while size > 0 && if step > 0 { at < end } else { at > end } {
            out.push(at as f64);
            at += i128::from(step);
        }
        out
    }

    #[test]
    fn starts_ends_and_steps_of_any_size() {
        let random = &mut Random::new(1);
        let extremes = [i64::MIN, i64::MIN + 1, i64::MAX, -1, 0, 1];
        let mut pick = |wide: usize| match random.within(0, 3) {
            0 => extremes[random.within(0, 5)],
            _ => random.within(0, 2 * wide) as i64 - wide as i64,
        };
        for _ in 0..400 {
            let size = pick(6).rem_euclid(7);
            let (start, end, step) = (pick(9), pick(9), pick(3));
            let x = f32s(&[size as usize], (0..size).map(|v| v as f32).collect());
            let operator = Single::new("Slice", 13);
            let inputs = [x, i64s(&[1], &[start]), i64s(&[1], &[end]), i64s(&[1], &[-1]), i64s(&[1], &[step])];
            if step == 0 {
                assert_eq!(operator.error(&inputs).kind(), ErrorKind::InvalidArgument);
            } else {
                let expected = positions(size, start, end, step);
                assert_eq!(numbers(&operator.one(&inputs)), expected, "{size} [{start}:{end}:{step}]");
            }
        }
    }

    #[test]
    fn attributes_before_opset_10_and_inputs_after() {
        let x = f32s(&[3], vec![1.0, 2.0, 3.0]);
        let old = |opset| {
            let slice = Single::new("Slice", opset).with("starts", Attribute::Ints(vec![-2]));
            slice.with("ends", Attribute::Ints(vec![i64::MAX]))
        };
        assert_eq!(numbers(&old(9).one(from_ref(&x))), [2.0, 3.0]);
        assert_eq!(old(10).error(from_ref(&x)).kind(), ErrorKind::InvalidModel);
        let inputs = [x, i64s(&[1], &[0]), i64s(&[1], &[1])];
        assert_eq!(Single::new("Slice", 9).error(&inputs).kind(), ErrorKind::InvalidModel);
    }
}
