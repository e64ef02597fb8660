//! Unique: the distinct elements, or slices along an axis, with where each is first, which one every input is, and how
//! often each occurs. NaNs are one; −0 and 0 are one.

use std::collections::BTreeMap;

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// Unique.
pub const OPERATOR: Operator =
    Operator { name: "Unique", outputs: 1..=4, attributes: &["axis", "sorted"], build, ..Operator::DEFAULT };

const MAX_EMPTY: usize = 1 << 20;

struct Unique {
    axis: Option<i64>,
    sorted: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Unique { axis: attributes.int("axis")?, sorted: attributes.flag("sorted", true)? }))
}

/// For every element a number, ordered as the elements are and equal where they are.
fn keys(x: &Tensor) -> Result<Vec<u64>> {
    const SIGN: u64 = 1 << 63;
    if let Some(strings) = x.strings() {
        let mut ranks: BTreeMap<&String, u64> = strings.iter().map(|s| (s, 0)).collect();
        ranks.values_mut().zip(0..).for_each(|(rank, i)| *rank = i);
        return Ok(strings.iter().filter_map(|s| ranks.get(s).copied()).collect());
    }
    if x.dtype() == DataType::Uint64 {
        return Ok(x.to_i64s()?.into_iter().map(|v| v as u64).collect());
    }
    if !x.dtype().is_float() && !x.dtype().is_float8() {
        return Ok(x.to_i64s()?.into_iter().map(|v| v as u64 ^ SIGN).collect());
    }
    let key = |v: f64| match v {
        v if v.is_nan() => u64::MAX,
        v if v > 0.0 => v.to_bits() | SIGN,
        v if v < 0.0 => !v.to_bits(),
        _ => SIGN,
    };
    Ok(x.to_f64s()?.into_iter().map(key).collect())
}

impl Op for Unique {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let int64 = Type::Tensor(DataType::Int64);
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?), int64.clone(), int64.clone(), int64])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        if let Some(axis) = self.axis {
            let shape = inputs.shape(0)?;
            let size = shape[axis_of(axis, shape.len())?];
            // Every slice costs memory, an empty one too.
            let empty = shape.iter().product::<usize>() == 0;
            ensure!(
                !empty || size <= MAX_EMPTY,
                LimitExceeded,
                "{size} empty slices; at most {MAX_EMPTY} are possible"
            );
        }
        Ok(vec![None; 4])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let (mut shape, axis) = match self.axis {
            Some(axis) => (x.shape().to_vec(), axis_of(axis, x.shape().len())?),
            None => (vec![x.len()], 0),
        };
        let (outer, size) = (shape[..axis].iter().product::<usize>(), shape[axis]);
        let inner: usize = shape[axis + 1..].iter().product();
        let keys = keys(&x)?;
        // Slices as rows, so that they compare as they lie.
        let at = |slice: usize| (0..outer * inner).map(move |i| (i / inner * size + slice) * inner + i % inner);
        let rows: Vec<u64> = (0..size).flat_map(|slice| at(slice).map(|p| keys[p])).collect();
        let width = outer * inner;
        let mut groups: BTreeMap<&[u64], Vec<usize>> = BTreeMap::new();
        for slice in 0..size {
            groups.entry(&rows[slice * width..(slice + 1) * width]).or_default().push(slice);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        if !self.sorted {
            groups.sort_unstable_by_key(|slices| slices[0]);
        }
        let mut inverse = vec![0i64; size];
        for (group, slices) in (0i64..).zip(&groups) {
            slices.iter().for_each(|&slice| inverse[slice] = group);
        }
        shape[axis] = groups.len();
        let kept = (0..outer).flat_map(|o| groups.iter().map(move |g| o * size + g[0]));
        let positions: Vec<usize> = kept.flat_map(|row| (0..inner).map(move |i| row * inner + i)).collect();
        let first = groups.iter().map(|g| g[0] as i64).collect();
        let counts = groups.iter().map(|g| g.len() as i64).collect();
        let list = |v: Vec<i64>| Tensor::from_vec(vec![v.len()], v).map(Value::from);
        Ok(vec![Value::from(x.take(&shape, &positions)?), list(first)?, list(inverse)?, list(counts)?])
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use crate::graph::Tensor;
    use crate::support::{Random, Single, compare, f32s, i64s, numbers};

    fn run(operator: Single<'_>, x: &Tensor) -> Vec<Tensor> {
        operator.outputs(4).run(from_ref(x)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Rebuilds the input from the outputs, and checks that they say the same of it.
    fn check(operator: Single<'_>, x: &Tensor, rows: &[Vec<f64>], sorted: bool) {
        let out = run(operator, x);
        let (first, inverse, counts) = (numbers(&out[1]), numbers(&out[2]), numbers(&out[3]));
        let distinct: Vec<&Vec<f64>> = first.iter().map(|&i| &rows[i as usize]).collect();
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(distinct[inverse[i] as usize], row);
            let earliest = rows.iter().position(|r| r == row).expect("it is there");
            assert_eq!(first[inverse[i] as usize] as usize, earliest);
        }
        for (group, &count) in counts.iter().enumerate() {
            assert_eq!(inverse.iter().filter(|&&g| g as usize == group).count(), count as usize);
        }
        let ordered =
            if sorted { distinct.windows(2).all(|w| w[0] < w[1]) } else { first.windows(2).all(|w| w[0] < w[1]) };
        assert!(ordered, "{distinct:?}");
        if let [_] = x.shape() {
            assert_eq!(numbers(&out[0]), distinct.iter().map(|row| row[0]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn outputs_agree_with_each_other_and_the_input() {
        let random = &mut Random::new(1);
        for _ in 0..20 {
            let x: Vec<i64> = (0..random.within(1, 20)).map(|_| random.within(0, 5) as i64 - 3).collect();
            let rows: Vec<Vec<f64>> = x.iter().map(|&v| vec![v as f64]).collect();
            for sorted in [true, false] {
                let operator = Single::new("Unique", 11).int("sorted", i64::from(sorted));
                check(operator, &i64s(&[x.len()], &x), &rows, sorted);
            }
            let x: Vec<f32> = (0..12).map(|_| random.within(0, 1) as f32 - 0.5).collect();
            let columns: Vec<Vec<f64>> = (0..4).map(|c| [x[c], x[4 + c], x[8 + c]].map(f64::from).to_vec()).collect();
            let operator = Single::new("Unique", 11).int("axis", -1);
            check(operator, &f32s(&[3, 4], x), &columns, true);
        }
    }

    fn list(v: &[f32]) -> Tensor {
        f32s(&[v.len()], v.to_vec())
    }

    #[test]
    fn nan_is_one_and_last_and_zeros_are_one() {
        let x = list(&[f32::NAN, 1.0, -0.0, 0.0, f32::NAN, f32::NEG_INFINITY, -1.0]);
        let out = run(Single::new("Unique", 11), &x);
        let expected = list(&[f32::NEG_INFINITY, -1.0, 0.0, 1.0, f32::NAN]);
        compare(&out[0], &expected, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(numbers(&out[3]), [1.0, 1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn strings_unsigned_and_empty_ones() {
        let text = Tensor::from_strings(vec![3], ["b", "a", "b"].map(String::from).to_vec()).expect("three");
        let out = run(Single::new("Unique", 11), &text);
        assert_eq!(out[0].strings(), Some(&["a".to_string(), "b".to_string()][..]));
        let wide = Tensor::from_vec(vec![2], vec![u64::MAX, 1]).expect("two");
        assert_eq!(run(Single::new("Unique", 11), &wide)[0].as_slice::<u64>(), Some(&[1, u64::MAX][..]));
        assert_eq!(run(Single::new("Unique", 11), &f32s(&[0], vec![]))[0].shape(), [0]);
        // Slices without elements are all alike.
        assert_eq!(run(Single::new("Unique", 11).int("axis", 0), &f32s(&[3, 0], vec![]))[0].shape(), [1, 0]);
    }
}
