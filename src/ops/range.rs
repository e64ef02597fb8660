//! Range: `start + i * delta` up to `limit`, which is left out.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Dtypes, Op, Operator, binary};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// Range.
pub const OPERATOR: Operator = Operator {
    name: "Range",
    inputs: 3..=3,
    parameters: &[0, 1, 2],
    build: |_| Ok(Box::new(Range)),
    ..Operator::DEFAULT
};

struct Range;

fn scalar(inputs: &Inputs, index: usize) -> Result<Tensor> {
    let Some(tensor) = inputs.host(index)? else { bail!(InvalidModel, "input {index} is missing") };
    ensure!(tensor.len() == 1, ShapeMismatch, "input {index}: expected a scalar, got {:?}", tensor.shape());
    Ok(tensor)
}

fn integer(inputs: &Inputs, index: usize) -> Result<i64> {
    Ok(scalar(inputs, index)?.to_i64s()?.first().copied().unwrap_or_default())
}

fn float(inputs: &Inputs, index: usize) -> Result<f64> {
    Ok(scalar(inputs, index)?.to_f64s()?.first().copied().unwrap_or_default())
}

impl Op for Range {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(binary::same_type(inputs, Dtypes::Signed)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let dtype = inputs.dtype(0)?;
        let count = if dtype.is_int() {
            let (start, limit, delta) = (integer(inputs, 0)?, integer(inputs, 1)?, integer(inputs, 2)?);
            ensure!(delta != 0, InvalidArgument, "delta is 0");
            let (distance, step) = (i128::from(limit) - i128::from(start), i128::from(delta));
            let rest = i128::from(distance % step != 0);
            let count = if (distance < 0) == (step < 0) { distance / step + rest } else { 0 };
            usize::try_from(count).unwrap_or(usize::MAX)
        } else {
            let (start, limit, delta) = (float(inputs, 0)?, float(inputs, 1)?, float(inputs, 2)?);
            // The distance is rounded to the dtype, as ONNX Runtime does: it decides the size.
            let distance = if dtype == DataType::Float64 { limit - start } else { f64::from((limit - start) as f32) };
            let count = (distance / delta).ceil();
            ensure!(
                delta != 0.0 && !count.is_nan(),
                InvalidArgument,
                "there is no range from {start} to {limit} by {delta}"
            );
            count.max(0.0) as usize
        };
        one(dtype, [count])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = (inputs.dtype(0)?, shape_of(outputs, 0)?);
        let count = shape.iter().product::<usize>();
        if dtype.is_int() {
            let (start, delta) = (integer(&inputs, 0)?, integer(&inputs, 2)?);
            let values = (0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta))).collect();
            return output(Tensor::from_i64s(dtype, shape, values)?);
        }
        let (start, delta) = (float(&inputs, 0)?, float(&inputs, 2)?);
        output(Tensor::from_f64s(dtype, shape, (0..count).map(|i| start + i as f64 * delta).collect())?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Single, f32s, i64s};

    fn ints(start: i64, limit: i64, delta: i64) -> Vec<i64> {
        let inputs = [start, limit, delta].map(|v| i64s(&[], &[v]));
        Single::new("Range", 11).one(&inputs).as_slice::<i64>().expect("int64").to_vec()
    }

    #[test]
    fn it_ends_before_the_limit() {
        assert_eq!(ints(3, 9, 3), [3, 6]);
        assert_eq!(ints(3, 10, 3), [3, 6, 9]);
        assert_eq!(ints(10, 4, -2), [10, 8, 6]);
        assert_eq!(ints(10, 5, -2), [10, 8, 6]);
        assert!(ints(4, 10, -2).is_empty() && ints(10, 4, 2).is_empty() && ints(4, 4, 1).is_empty());
        assert_eq!(ints(i64::MIN, i64::MAX, i64::MAX), [i64::MIN, -1, i64::MAX - 1]);
        let got = Single::new("Range", 11).one(&[1.0, 2.1, 0.5].map(|v| f32s(&[], vec![v])));
        assert_eq!(got.as_slice::<f32>(), Some(&[1.0, 1.5, 2.0][..]));
    }

    #[test]
    fn endless_ranges_are_refused() {
        let range = Single::new("Range", 11);
        let floats = |v: [f32; 3]| range.error(&v.map(|v| f32s(&[], vec![v]))).kind();
        let integers = |v: [i64; 3]| range.error(&v.map(|v| i64s(&[], &[v]))).kind();
        assert_eq!(integers([0, 1, 0]), ErrorKind::InvalidArgument);
        assert_eq!(floats([0.0, 1.0, 0.0]), ErrorKind::InvalidArgument);
        assert_eq!(floats([0.0, f32::NAN, 1.0]), ErrorKind::InvalidArgument);
        assert_eq!(floats([0.0, f32::INFINITY, 1.0]), ErrorKind::LimitExceeded);
        assert_eq!(integers([i64::MIN, i64::MAX, 1]), ErrorKind::LimitExceeded);
        assert_eq!(
            range.error(&[i64s(&[2], &[0, 0]), i64s(&[], &[1]), i64s(&[], &[1])]).kind(),
            ErrorKind::ShapeMismatch
        );
    }
}
