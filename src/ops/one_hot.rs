//! OneHot: the second of two values where the position along a new axis is the index, else the first.

use super::indexing::offsets;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::layout::row_major;

/// OneHot.
pub const OPERATOR: Operator =
    Operator { name: "OneHot", inputs: 3..=3, attributes: &["axis"], parameters: &[1], build, ..Operator::DEFAULT };

struct OneHot {
    axis: i64,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(OneHot { axis: attributes.int("axis")?.unwrap_or(-1) }))
}

impl Op for OneHot {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Number)?;
        tensor_type(inputs, 1, Dtypes::Number)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 2, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (indices, values) = (inputs.shape(0)?, inputs.shape(2)?);
        ensure!(values == [2], ShapeMismatch, "values: expected [2] (off, on), got {values:?}");
        let Some(depth) = inputs.number(1)? else { bail!(InvalidModel, "input 1 is missing") };
        ensure!(depth >= 0.0, InvalidArgument, "depth is {depth}, expected 0 or more");
        let mut shape = indices.to_vec();
        shape.insert(axis_of(self.axis, indices.len() + 1)?, depth as usize);
        one(inputs.dtype(2)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let indices = inputs.take_host(0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let (depth, mut strides) = (shape[axis] as i64, row_major(shape));
        let step = strides.remove(axis) as usize;
        // An unsigned index past int64 must not look like one from the end.
        let unsigned = indices.dtype() == DataType::Uint64;
        let mut at = vec![0usize; shape.iter().product()];
        for (index, offset) in indices.to_i64s()?.into_iter().zip(offsets(indices.shape(), &strides)) {
            let index = if index < 0 && !unsigned { index.saturating_add(depth) } else { index };
            if (0..depth).contains(&index) {
                at[offset + index as usize * step] = 1;
            }
        }
        output(inputs.take_host(2)?.take(shape, &at)?)
    }
}
