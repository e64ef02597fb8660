//! CumSum: sums of all elements up to each along an axis; `exclusive` leaves the element itself
//! out, `reverse` starts at the end. Floats are summed in float64, integers wrap.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::ordering::Lanes;
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::Tensor;

/// CumSum.
pub const OPERATOR: Operator = Operator {
    name: "CumSum",
    inputs: 2..=2,
    attributes: &["exclusive", "reverse"],
    parameters: &[1],
    build,
    ..Operator::DEFAULT
};

struct CumSum {
    exclusive: bool,
    reverse: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(CumSum {
        exclusive: attributes.flag("exclusive", false)?,
        reverse: attributes.flag("reverse", false)?,
    }))
}

impl CumSum {
    fn axis(&self, inputs: &Inputs) -> Result<usize> {
        let Some(axis) = inputs.int(1)? else { bail!(InvalidModel, "input 1 is missing") };
        axis_of(axis, inputs.shape(0)?.len())
    }

    fn sums<T: Copy + Default>(&self, values: &mut [T], lanes: &Lanes, add: fn(T, T) -> T) {
        for start in lanes.starts() {
            let mut sum = T::default();
            for i in 0..lanes.size {
                let i = if self.reverse { lanes.size - 1 - i } else { i };
                let value = &mut values[start + i * lanes.inner];
                let before = sum;
                sum = add(sum, *value);
                *value = if self.exclusive { before } else { sum };
            }
        }
    }
}

impl Op for CumSum {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Number)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        self.axis(inputs)?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let axis = self.axis(&inputs)?;
        let x = inputs.take_host(0)?;
        let lanes = Lanes::new(x.shape(), axis);
        output(if x.dtype().is_int() {
            let mut values = x.to_i64s()?;
            self.sums(&mut values, &lanes, i64::wrapping_add);
            Tensor::from_i64s(x.dtype(), x.shape(), values)?
        } else {
            let mut values = x.to_f64s()?;
            self.sums(&mut values, &lanes, |a, b| a + b);
            Tensor::from_f64s(x.dtype(), x.shape(), values)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Single, f32s, i64s, numbers};

    #[test]
    fn directions_axes_and_edges() {
        let x = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let sums = |exclusive, reverse, axis| {
            let node = Single::new("CumSum", 14).int("exclusive", exclusive).int("reverse", reverse);
            numbers(&node.one(&[x.clone(), i64s(&[], &[axis])]))
        };
        assert_eq!(sums(0, 0, -1), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
        assert_eq!(sums(1, 0, 1), [0.0, 1.0, 3.0, 0.0, 4.0, 9.0]);
        assert_eq!(sums(0, 1, 1), [6.0, 5.0, 3.0, 15.0, 11.0, 6.0]);
        assert_eq!(sums(1, 1, 0), [4.0, 5.0, 6.0, 0.0, 0.0, 0.0]);
        let cum_sum = |x| Single::new("CumSum", 14).one(&[x, i64s(&[1], &[0])]);
        assert_eq!(cum_sum(f32s(&[0, 2], vec![])).shape(), [0, 2]);
        let wrapped = cum_sum(i64s(&[2], &[i64::MAX, 1]));
        assert_eq!(wrapped.as_slice::<i64>(), Some(&[i64::MAX, i64::MIN][..]));
        let bytes = Tensor::from_vec(vec![2], vec![200u8, 100]).expect("two");
        assert_eq!(numbers(&cum_sum(bytes)), [200.0, 44.0]);
        // The element left out must not reach the sum before it.
        let node = Single::new("CumSum", 14).int("exclusive", 1);
        assert_eq!(numbers(&node.one(&[f32s(&[2], vec![1.0, f32::INFINITY]), i64s(&[], &[0])])), [0.0, 1.0]);
        let error = Single::new("CumSum", 14).error(&[x.clone(), i64s(&[], &[2])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    }
}
