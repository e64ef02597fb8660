//! What the operators share that give the same elements another shape.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::DataType;

/// The output's shape, from the inputs.
type ShapeOf = dyn Fn(&Inputs) -> Result<Vec<usize>> + Send + Sync;

struct Shaping(Box<ShapeOf>);

/// An operator on one tensor and perhaps one list of integers.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator {
        name,
        inputs: 1..=2,
        attributes,
        parameters: &[1],
        webgpu: true,
        moves: true,
        build,
        ..Operator::DEFAULT
    }
}

/// Gives the elements of input 0 the shape that `shape` finds.
pub fn op(shape: impl Fn(&Inputs) -> Result<Vec<usize>> + Send + Sync + 'static) -> Result<Box<dyn Op>> {
    Ok(Box::new(Shaping(Box::new(shape))))
}

impl Op for Shaping {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, (self.0)(inputs)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use crate::ErrorKind;
    use crate::graph::{Attribute, Tensor};
    use crate::support::{Single, f32s, i64s};

    fn zeros(shape: &[usize]) -> Tensor {
        f32s(shape, vec![0.0; shape.iter().product()])
    }

    fn reshape(from: &[usize], to: &[i64], allow_zero: i64) -> Result<Vec<usize>, ErrorKind> {
        let operator = Single::new("Reshape", 14).int("allowzero", allow_zero);
        let out = operator.run(&[zeros(from), i64s(&[to.len()], to)]);
        out.map(|out| out[0].shape().to_vec()).map_err(|e| e.kind())
    }

    #[test]
    fn reshape_keeps_infers_and_refuses() {
        assert_eq!(reshape(&[2, 3], &[0, -1, 1], 0), Ok(vec![2, 3, 1]));
        assert_eq!(reshape(&[], &[-1], 0), Ok(vec![1]));
        assert_eq!(reshape(&[1, 1], &[], 0), Ok(vec![]));
        assert_eq!(reshape(&[0, 3], &[3, 0], 1), Ok(vec![3, 0]));
        assert_eq!(reshape(&[0, 3], &[-1, 3], 0), Ok(vec![0, 3]));
        assert_eq!(reshape(&[0, 3], &[0, -1], 1), Err(ErrorKind::ShapeMismatch));
        assert_eq!(reshape(&[2], &[1, 1, 0], 0), Err(ErrorKind::ShapeMismatch));
        assert_eq!(reshape(&[2, 3], &[-1, 4], 0), Err(ErrorKind::ShapeMismatch));
        assert_eq!(reshape(&[2, 3], &[7], 0), Err(ErrorKind::ShapeMismatch));
        assert_eq!(reshape(&[2], &[-1, -1], 0), Err(ErrorKind::InvalidArgument));
        assert_eq!(reshape(&[2], &[-2], 0), Err(ErrorKind::InvalidArgument));
        assert_eq!(reshape(&[0], &[1 << 40, 1 << 40, 0], 1), Err(ErrorKind::LimitExceeded));
        let old = Single::new("Reshape", 13).int("allowzero", 1).error(&[zeros(&[1]), i64s(&[1], &[1])]);
        assert_eq!(old.kind(), ErrorKind::InvalidModel);
        let first = Single::new("Reshape", 1).with("shape", Attribute::Ints(vec![2, -1])).one(&[zeros(&[4])]);
        assert_eq!(first.shape(), [2, 2]);
    }

    #[test]
    fn axes_are_an_attribute_and_then_an_input() {
        let axes = |v: &[i64]| Attribute::Ints(v.to_vec());
        for (name, from, at, to) in
            [("Squeeze", &[1, 2, 1][..], &[-1, 0][..], &[2][..]), ("Unsqueeze", &[2], &[-1, 0], &[1, 2, 1])]
        {
            assert_eq!(Single::new(name, 11).with("axes", axes(at)).one(&[zeros(from)]).shape(), to);
            assert_eq!(Single::new(name, 13).one(&[zeros(from), i64s(&[2], at)]).shape(), to);
            assert_eq!(
                Single::new(name, 13).with("axes", axes(at)).error(&[zeros(from)]).kind(),
                ErrorKind::InvalidModel
            );
            assert_eq!(Single::new(name, 11).error(&[zeros(from), i64s(&[2], at)]).kind(), ErrorKind::InvalidModel);
            for wrong in [[0, 0], [0, 9], [i64::MIN, 0]] {
                let error = Single::new(name, 13).error(&[zeros(from), i64s(&[2], &wrong)]);
                assert_eq!(error.kind(), ErrorKind::ShapeMismatch, "{name} {wrong:?}");
            }
        }
        assert_eq!(Single::new("Squeeze", 13).one(&[zeros(&[1, 0, 1, 2])]).shape(), [0, 2]);
        assert_eq!(Single::new("Unsqueeze", 13).error(&[zeros(&[2])]).kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn flatten_cuts_at_every_axis() {
        for (axis, to) in [(-3, [1, 24]), (-1, [6, 4]), (0, [1, 24]), (2, [6, 4]), (3, [24, 1])] {
            assert_eq!(Single::new("Flatten", 13).int("axis", axis).one(&[zeros(&[2, 3, 4])]).shape(), to);
        }
        assert_eq!(Single::new("Flatten", 13).int("axis", 0).one(&[zeros(&[])]).shape(), [1, 1]);
        for axis in [4, -4, i64::MIN] {
            assert_eq!(
                Single::new("Flatten", 13).int("axis", axis).error(&[zeros(&[2, 3, 4])]).kind(),
                ErrorKind::ShapeMismatch
            );
        }
    }

    #[test]
    fn shape_and_size_of_every_dtype() {
        let text = Tensor::from_strings(vec![2, 0, 3], vec![]).expect("none");
        for (start, end, dims) in [(0, i64::MAX, &[2, 0, 3][..]), (-2, -1, &[0]), (2, 1, &[]), (i64::MIN, 1, &[2])] {
            let out = Single::new("Shape", 15).int("start", start).int("end", end).one(from_ref(&text));
            assert_eq!(out.as_slice::<i64>(), Some(dims));
        }
        assert_eq!(Single::new("Shape", 13).int("start", 1).error(from_ref(&text)).kind(), ErrorKind::InvalidModel);
        assert_eq!(Single::new("Size", 13).one(&[text]).as_slice::<i64>(), Some(&[0][..]));
    }
}
