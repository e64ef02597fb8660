//! Split: cuts a tensor along an axis, into given sizes or equal parts.

use super::attributes::IntsParameter;
use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Array, Device};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Split.
pub const OPERATOR: Operator = Operator {
    name: "Split",
    inputs: 1..=2,
    outputs: 1..=4096,
    attributes: &["axis", "num_outputs", "split"],
    parameters: &[1],
    webgpu: true,
    build,
    moves: true,
    ..Operator::DEFAULT
};

struct Split {
    axis: i64,
    sizes: IntsParameter,
    parts: usize,
    /// Whether the last part may be smaller.
    uneven: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.since(18, "num_outputs")?;
    let parts = attributes.outputs();
    let declared = attributes.int("num_outputs")?;
    if let Some(declared) = declared {
        ensure!(declared == parts as i64, InvalidModel, "num_outputs is {declared}, the node has {parts} outputs");
        ensure!(!attributes.has_input(1), InvalidModel, "split and num_outputs are both given, expected one of them");
    }
    let neither = attributes.opset >= 18 && declared.is_none() && !attributes.has_input(1);
    ensure!(!neither, InvalidModel, "split and num_outputs are both missing, expected one of them");
    let sizes = attributes.ints_until(13, "split", 1)?;
    Ok(Box::new(Split { axis: attributes.int("axis")?.unwrap_or(0), sizes, parts, uneven: declared.is_some() }))
}

impl Split {
    fn sizes(&self, inputs: &Inputs) -> Result<(usize, Vec<usize>)> {
        let (shape, parts) = (inputs.shape(0)?, self.parts);
        let axis = axis_of(self.axis, shape.len())?;
        let size = shape[axis];
        if let Some(sizes) = self.sizes.get(inputs)? {
            ensure!(sizes.len() == parts, ShapeMismatch, "split {sizes:?} for {parts} outputs");
            return Ok((axis, parts_of(shape, axis, &sizes)?));
        }
        let part = size.div_ceil(parts);
        let fits = if self.uneven { part * (parts - 1) <= size } else { part * parts == size };
        ensure!(fits, ShapeMismatch, "dimension {axis} of {shape:?} does not divide into {parts} parts");
        Ok((axis, (0..parts).map(|i| part.min(size - i * part)).collect()))
    }
}

/// Checks that parts of `sizes` make up dimension `axis` of `shape`.
pub fn parts_of(shape: &[usize], axis: usize, sizes: &[i64]) -> Result<Vec<usize>> {
    let total = sizes.iter().map(|&s| u64::try_from(s).map(u128::from)).sum::<Result<u128, _>>();
    ensure!(
        total.is_ok_and(|total| total == shape[axis] as u128),
        ShapeMismatch,
        "split {sizes:?} does not add up to dimension {axis} of {shape:?}"
    );
    Ok(sizes.iter().map(|&s| s as usize).collect())
}

/// `x` in parts of `sizes` along `axis`.
pub fn parts(device: &dyn Device, x: Array, axis: usize, sizes: &[usize]) -> Result<Vec<Array>> {
    let mut shape = x.shape().to_vec();
    let mut starts = vec![0; shape.len()];
    let steps = vec![1; shape.len()];
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        shape[axis] = size;
        parts.push(device.slice(x.clone(), &starts, &steps, &shape)?);
        starts[axis] += size;
    }
    Ok(parts)
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
        Ok(sizes
            .into_iter()
            .map(|size| Some(Info { dtype, shape: [&shape[..axis], &[size], &shape[axis + 1..]].concat() }))
            .collect())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (axis, sizes) = self.sizes(&inputs)?;
        Ok(parts(device, inputs.array(0)?, axis, &sizes)?.into_iter().map(Value::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use crate::graph::Attribute;
    use crate::support::{Single, f32s, i64s};
    use crate::{ErrorKind, Result, Tensor};

    fn run(operator: Single<'_>, parts: usize, inputs: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        let values = |t: &Tensor| t.as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default();
        Ok(operator.outputs(parts).run(inputs)?.iter().map(values).collect())
    }

    #[test]
    fn parts_are_given_or_equal_or_the_last_smaller() {
        let x = f32s(&[1, 5], vec![1.0, 2.0, 3.0, 4.0, 5.0]);
        let split = |opset| Single::new("Split", opset).int("axis", -1);
        let cut = vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0]];
        let old = split(11).with("split", Attribute::Ints(vec![2, 2, 1]));
        assert_eq!(run(old, 3, from_ref(&x)).expect("it fits"), cut);
        assert_eq!(run(split(13), 3, &[x.clone(), i64s(&[3], &[2, 2, 1])]).expect("it fits"), cut);
        assert_eq!(run(split(18).int("num_outputs", 3), 3, from_ref(&x)).expect("it fits"), cut);
        let none = run(split(13), 3, &[x.clone(), i64s(&[3], &[0, 5, 0])]).expect("it fits");
        assert_eq!(none, [vec![], vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![]]);
        let refused =
            |operator, parts, inputs: &[Tensor]| run(operator, parts, inputs).expect_err("it does not fit").kind();
        assert_eq!(refused(split(13), 2, from_ref(&x)), ErrorKind::ShapeMismatch);
        // The last part would be negative.
        assert_eq!(refused(split(18).int("num_outputs", 4), 4, from_ref(&x)), ErrorKind::ShapeMismatch);
        for sizes in [[5, 1], [6, -1], [i64::MAX, i64::MAX]] {
            assert_eq!(refused(split(13), 2, &[x.clone(), i64s(&[2], &sizes)]), ErrorKind::ShapeMismatch);
        }
        let both = split(18).int("num_outputs", 2);
        assert_eq!(refused(both, 2, &[x.clone(), i64s(&[2], &[2, 3])]), ErrorKind::InvalidModel);
        assert_eq!(refused(split(18), 5, from_ref(&x)), ErrorKind::InvalidModel);
        assert_eq!(refused(split(13).int("num_outputs", 5), 5, &[x]), ErrorKind::InvalidModel);
    }
}
