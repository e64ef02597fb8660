//! What ArgMax and ArgMin share.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::ordering::{Lanes, keys, largest};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// An operator that finds positions along an axis.
pub const fn operator(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, attributes: &["axis", "keepdims", "select_last_index"], build, ..Operator::DEFAULT }
}

struct Arg {
    axis: i64,
    keepdims: bool,
    last: bool,
    smallest: bool,
}

/// The positions of the largest elements, or of the smallest.
pub fn op(attributes: &Attributes<'_>, smallest: bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Arg {
        axis: attributes.int("axis")?.unwrap_or(0),
        keepdims: attributes.flag("keepdims", true)?,
        last: attributes.flag("select_last_index", false)?,
        smallest,
    }))
}

impl Op for Arg {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Number)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut shape = inputs.shape(0)?.to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        let size = std::mem::replace(&mut shape[axis], 1);
        ensure!(size > 0 || shape.contains(&0), ShapeMismatch, "axis {axis} of {:?} has no elements", inputs.shape(0)?);
        if !self.keepdims {
            shape.remove(axis);
        }
        one(DataType::Int64, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let lanes = Lanes::new(x.shape(), axis_of(self.axis, x.shape().len())?);
        let mut keys = keys(&x, self.smallest)?;
        if self.smallest {
            keys.iter_mut().for_each(|k| *k = !*k);
        }
        let positions = largest(&keys, &lanes, self.last).into_iter().map(|p| p as i64).collect();
        output(Tensor::from_i64s(DataType::Int64, shape_of(outputs, 0)?, positions)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, i64s, numbers};

    fn positions(node: &Single<'_>, values: &[f32]) -> i64 {
        node.one(&[f32s(&[values.len()], values.to_vec())]).as_slice::<i64>().expect("int64")[0]
    }

    #[test]
    fn ties_zeros_and_nan() {
        let (max, min) = (Single::new("ArgMax", 13), Single::new("ArgMin", 13));
        let last = |name| Single::new(name, 13).int("select_last_index", 1);
        assert_eq!((positions(&max, &[1.0, 3.0, 3.0, 2.0]), positions(&last("ArgMax"), &[1.0, 3.0, 3.0, 2.0])), (1, 2));
        assert_eq!((positions(&min, &[1.0, -3.0, -3.0]), positions(&last("ArgMin"), &[1.0, -3.0, -3.0])), (1, 2));
        // Zeros of either sign are equal.
        assert_eq!((positions(&max, &[-0.0, 0.0]), positions(&min, &[0.0, -0.0])), (0, 0));
        let nan = [f32::NEG_INFINITY, f32::NAN, f32::INFINITY, f32::NAN, -f32::NAN];
        for name in ["ArgMax", "ArgMin"] {
            assert_eq!((positions(&Single::new(name, 13), &nan), positions(&last(name), &nan)), (1, 4), "{name}");
        }
        assert_eq!((positions(&max, &nan[..1]), positions(&min, &nan[2..3])), (0, 0));
    }

    #[test]
    fn wide_integers_are_exact() {
        let x = Tensor::from_vec(vec![3], vec![u64::MAX - 1, u64::MAX, 5]).expect("three");
        assert_eq!(numbers(&Single::new("ArgMax", 13).one(std::slice::from_ref(&x))), [1.0]);
        assert_eq!(numbers(&Single::new("ArgMin", 13).one(&[x])), [2.0]);
        let x = i64s(&[3], &[i64::MIN + 1, i64::MIN, i64::MAX]);
        assert_eq!(numbers(&Single::new("ArgMax", 13).one(std::slice::from_ref(&x))), [2.0]);
        assert_eq!(numbers(&Single::new("ArgMin", 13).one(&[x])), [1.0]);
    }

    #[test]
    fn random_shapes_agree_with_a_search() {
        let mut random = Random::new(11);
        for _ in 0..30 {
            let shape: Vec<usize> = (0..random.within(1, 4)).map(|_| random.within(1, 4)).collect();
            let axis = random.within(0, shape.len() - 1);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.within(0, 5) as f32).collect();
            let got = Single::new("ArgMax", 13)
                .int("axis", axis as i64 - shape.len() as i64)
                .int("keepdims", 0)
                .one(&[f32s(&shape, values.clone())]);
            assert_eq!(got.shape(), [&shape[..axis], &shape[axis + 1..]].concat());
            let inner: usize = shape[axis + 1..].iter().product();
            for (lane, &found) in got.as_slice::<i64>().expect("int64").iter().enumerate() {
                let at = |i: usize| values[(lane / inner * shape[axis] + i) * inner + lane % inner];
                let expected = (0..shape[axis]).rev().max_by(|&a, &b| at(a).total_cmp(&at(b)));
                assert_eq!(Some(found as usize), expected);
            }
        }
    }

    #[test]
    fn an_empty_axis_is_refused_and_no_lanes_are_not() {
        let error = Single::new("ArgMax", 13).int("axis", 1).error(&[f32s(&[2, 0], vec![])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
        assert_eq!(Single::new("ArgMax", 13).one(&[f32s(&[2, 0], vec![])]).shape(), [1, 0]);
        let error = Single::new("ArgMax", 13).error(&[f32s(&[], vec![1.0])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    }
}
