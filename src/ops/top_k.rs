//! TopK: the `k` largest or smallest elements along an axis, in order, and their positions. Of
//! equal ones the first comes first; NaN counts as the largest, as in NumPy.

use std::cmp::Reverse;

use super::inputs::{Info, Inputs, Type, Value};
use super::ordering::{Lanes, keys};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// TopK.
pub const OPERATOR: Operator = Operator {
    name: "TopK",
    inputs: 1..=2,
    outputs: 1..=2,
    attributes: &["axis", "k", "largest", "sorted"],
    parameters: &[1],
    build,
    ..Operator::DEFAULT
};

struct TopK {
    axis: i64,
    /// Before opset 10 `k` was an attribute.
    k: Option<i64>,
    largest: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let k = attributes.int("k")?;
    ensure!(k.is_some() || attributes.inputs() == 2, InvalidModel, "K is missing");
    Ok(Box::new(TopK { axis: attributes.int("axis")?.unwrap_or(-1), k, largest: attributes.flag("largest", true)? }))
}

impl Op for TopK {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Number)?), Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut shape = inputs.shape(0)?.to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        let Some(k) = (if self.k.is_some() { self.k } else { inputs.int(1)? }) else {
            bail!(InvalidModel, "K is missing")
        };
        let fits = usize::try_from(k).is_ok_and(|k| k <= shape[axis]);
        ensure!(fits, InvalidArgument, "K is {k}; axis {axis} of {shape:?} has {} elements", shape[axis]);
        shape[axis] = k as usize;
        let info = |dtype| Some(Info { dtype, shape: shape.clone() });
        Ok(vec![info(inputs.dtype(0)?), info(DataType::Int64)])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let Some(Some(Info { shape, .. })) = outputs.first() else { bail!(Internal, "output 0 was not inferred") };
        let x = inputs.take_host(0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let (lanes, k) = (Lanes::new(x.shape(), axis), shape[axis]);
        let mut keys = keys(&x, false)?;
        if !self.largest {
            keys.iter_mut().for_each(|k| *k = !*k);
        }
        let count: usize = shape.iter().product();
        let (mut found, mut indices) = (vec![0; count], vec![0i64; count]);
        let targets = Lanes { size: k, ..lanes };
        let mut order: Vec<usize> = Vec::with_capacity(lanes.size);
        for (start, target) in lanes.starts().zip(targets.starts()) {
            let rank = |&i: &usize| (Reverse(keys[start + i * lanes.inner]), i);
            order.clear();
            order.extend(0..lanes.size);
            if k < lanes.size {
                order.select_nth_unstable_by_key(k, rank);
                order.truncate(k);
            }
            order.sort_unstable_by_key(rank);
            for (i, &at) in order.iter().enumerate() {
                found[target + i * lanes.inner] = start + at * lanes.inner;
                indices[target + i * lanes.inner] = at as i64;
            }
        }
        Ok(vec![x.take(shape, &found)?.into(), Tensor::from_vec(shape.clone(), indices)?.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, i64s, numbers};

    fn top(node: &Single<'_>, x: Tensor, k: i64) -> (Vec<f64>, Vec<f64>) {
        let outputs = node.run(&[x, i64s(&[1], &[k])]).expect("it runs");
        (numbers(&outputs[0]), numbers(&outputs[1]))
    }

    #[test]
    fn ties_and_nan() {
        let (largest, smallest) =
            (Single::new("TopK", 11).outputs(2), Single::new("TopK", 11).outputs(2).int("largest", 0));
        let x = || f32s(&[5], vec![2.0, f32::NAN, -0.0, 2.0, 0.0]);
        let (values, indices) = top(&largest, x(), 3);
        assert!(
            values[0].is_nan() && values[1..] == [2.0, 2.0] && indices == [1.0, 0.0, 3.0],
            "{values:?} {indices:?}"
        );
        assert_eq!(top(&smallest, x(), 4), (vec![0.0, 0.0, 2.0, 2.0], vec![2.0, 4.0, 0.0, 3.0]));
        assert_eq!(top(&largest, x(), 0), (vec![], vec![]));
        assert_eq!(top(&smallest, i64s(&[3], &[i64::MAX, i64::MIN, 0]), 1).1, [1.0]);
    }

    #[test]
    fn random_shapes_agree_with_a_sort() {
        let mut random = Random::new(5);
        for _ in 0..30 {
            let shape: Vec<usize> = (0..random.within(1, 3)).map(|_| random.within(1, 6)).collect();
            let axis = random.within(0, shape.len() - 1);
            let k = random.within(0, shape[axis]);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.within(0, 4) as f32).collect();
            let node = Single::new("TopK", 11).outputs(2).int("axis", axis as i64);
            let (got, indices) = top(&node, f32s(&shape, values.clone()), k as i64);
            let inner: usize = shape[axis + 1..].iter().product();
            let lanes: usize = shape.iter().product::<usize>() / shape[axis];
            for lane in 0..lanes {
                let at = |i: usize| f64::from(values[(lane / inner * shape[axis] + i) * inner + lane % inner]);
                let mut expected: Vec<usize> = (0..shape[axis]).collect();
                expected.sort_by(|&a, &b| at(b).total_cmp(&at(a)));
                for (i, &e) in expected[..k].iter().enumerate() {
                    let place = (lane / inner * k + i) * inner + lane % inner;
                    assert_eq!((indices[place], got[place]), (e as f64, at(e)));
                }
            }
        }
    }

    #[test]
    fn opset_1_has_an_attribute_and_wrong_sizes_are_refused() {
        let outputs = Single::new("TopK", 9).outputs(2).int("k", 2).run(&[f32s(&[3], vec![1.0, 3.0, 2.0])]);
        assert_eq!(numbers(&outputs.expect("it runs")[0]), [3.0, 2.0]);
        for k in [4, -1, i64::MIN] {
            let error = Single::new("TopK", 11).outputs(2).error(&[f32s(&[3], vec![0.0; 3]), i64s(&[1], &[k])]);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
        let error = Single::new("TopK", 11).outputs(2).error(&[f32s(&[], vec![0.0]), i64s(&[1], &[1])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    }
}
