//! Unique: the distinct elements, or slices along an axis, with where each is first, which one every input is, and how
//! often each occurs. NaNs are one; −0 and 0 are one.

use std::collections::BTreeMap;

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// Unique.
pub const OPERATOR: Operator =
    Operator { name: "Unique", outputs: 1..=4, attributes: &["axis", "sorted"], build, ..Operator::DEFAULT };

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
            axis_of(axis, inputs.shape(0)?.len())?;
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
