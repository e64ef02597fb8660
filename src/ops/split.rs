//! Split: cuts a tensor along an axis, into given sizes or equal parts.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Split.
pub const OPERATOR: Operator = Operator {
    name: "Split",
    domain: "",
    inputs: 1..=2,
    outputs: 1..=4096,
    attributes: &["axis", "num_outputs", "split"],
    parameters: &[1],
    webgpu: true,
    build, moves: true, ..Operator::DEFAULT
};

struct Split {
    axis: i64,
    sizes: Option<Vec<i64>>,
    parts: usize,
    /// From opset 18 on the last part may be smaller.
    uneven: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let parts = attributes.outputs();
    if let Some(declared) = attributes.int("num_outputs")? {
        ensure!(declared == parts as i64, InvalidModel, "num_outputs is {declared}, the node has {parts} outputs");
    }
    let uneven = attributes.opset >= 18;
    Ok(Box::new(Split { axis: attributes.int("axis")?.unwrap_or(0), sizes: attributes.ints("split")?.map(<[i64]>::to_vec), parts, uneven }))
}

impl Split {
    fn sizes(&self, inputs: &Inputs) -> Result<(usize, Vec<usize>)> {
        let shape = inputs.shape(0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let size = shape[axis];
        let sizes: Vec<usize> = match if self.sizes.is_some() { self.sizes.clone() } else { inputs.ints(1)? } {
            Some(sizes) => {
                let fits = sizes.len() == self.parts && sizes.iter().all(|&s| s >= 0) && sizes.iter().map(|&s| s as u128).sum::<u128>() == size as u128;
                ensure!(fits, ShapeMismatch, "split {sizes:?} does not cut dimension {axis} of {shape:?} into {} parts", self.parts);
                sizes.iter().map(|&s| s as usize).collect()
            }
            None => {
                ensure!(self.uneven || size.is_multiple_of(self.parts), ShapeMismatch, "dimension {axis} of {shape:?} does not divide into {} equal parts", self.parts);
                let part = size.div_ceil(self.parts);
                (0..self.parts).map(|i| part.min(size.saturating_sub(i * part))).collect()
            }
        };
        Ok((axis, sizes))
    }
}

impl Op for Split {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?); self.parts])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (axis, sizes) = self.sizes(inputs)?;
        let shape = inputs.shape(0)?;
        let dtype = inputs.dtype(0)?;
        Ok(sizes.into_iter().map(|size| Some(Info { dtype, shape: [&shape[..axis], &[size], &shape[axis + 1..]].concat() })).collect())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (axis, _) = self.sizes(&inputs)?;
        let x = inputs.array(0)?;
        let mut starts = vec![0; x.shape().len()];
        let steps = vec![1; starts.len()];
        let mut parts = Vec::with_capacity(outputs.len());
        for info in outputs.iter().flatten() {
            parts.push(device.slice(x.clone(), &starts, &steps, &info.shape)?.into());
            starts[axis] += info.shape[axis];
        }
        Ok(parts)
    }
}
