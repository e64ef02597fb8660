//! ConcatFromSequence: joins a sequence's tensors along an axis, or along a new one.

use super::concat::joined;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::sequence::{sequence_type, take_sequence};
use super::{Attributes, Op, Operator, axis_of};
use crate::backend::{Cpu, Device};
use crate::error::{Result, bail, ensure};

/// ConcatFromSequence.
pub const OPERATOR: Operator =
    Operator { name: "ConcatFromSequence", attributes: &["axis", "new_axis"], build, ..Operator::DEFAULT };

struct ConcatFromSequence {
    axis: i64,
    new_axis: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    match attributes.int("axis")? {
        Some(axis) => Ok(Box::new(ConcatFromSequence { axis, new_axis: attributes.flag("new_axis", false)? })),
        None => bail!(InvalidModel, "attribute \"axis\" is missing"),
    }
}

impl Op for ConcatFromSequence {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(sequence_type(inputs, 0)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Value::Sequence(dtype, values) = inputs.value(0)? else {
            bail!(InvalidModel, "input 0: expected a sequence, got {}", inputs.value(0)?.describe())
        };
        ensure!(!values.is_empty(), InvalidArgument, "the sequence is empty");
        let mut shapes: Vec<Vec<usize>> = values.iter().filter_map(|v| v.info()).map(|info| info.shape).collect();
        if self.new_axis {
            for shape in &mut shapes {
                shape.insert(axis_of(self.axis, shape.len() + 1)?, 1);
            }
        }
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        one(*dtype, joined(&shapes, self.axis)?.1)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (_, values) = take_sequence(&mut inputs, 0)?;
        let axis = axis_of(self.axis, shape_of(outputs, 0)?.len())?;
        let mut tensors = Inputs::new(values.into_iter().map(Some).collect(), inputs.context().clone());
        let elements = tensors.positions(&[])?;
        let count = tensors.count();
        let entry = |index: usize| {
            let array = tensors.array(index)?;
            if !self.new_axis {
                return Ok(array);
            }
            let shape = [&array.shape()[..axis], &[1], &array.shape()[axis..]].concat();
            Cpu.reshape(array, &shape)
        };
        let arrays = (0..count).map(entry).collect::<Result<Vec<_>>>()?;
        let joined = Value::from(Cpu.concat(arrays, axis)?);
        output(match elements {
            Some(elements) => joined.found_in(&elements, inputs.context())?,
            None => joined,
        })
    }
}
