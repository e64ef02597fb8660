//! Mod: the remainder of `a / b`, with the sign of `b`, or of `a` where `fmod`.

use super::binary::{broadcast_to, same_type, zip_floats, zip_integers};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Dtypes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Mod.
pub const OPERATOR: Operator = Operator {
    name: "Mod",
    inputs: 2..=2,
    attributes: &["fmod"],
    build: |attributes| Ok(Box::new(Mod { fmod: attributes.flag("fmod", false)? })),
    ..Operator::DEFAULT
};

struct Mod {
    fmod: bool,
}

impl Op for Mod {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = same_type(inputs, Dtypes::Number)?;
        ensure!(self.fmod || dtype.is_int(), InvalidModel, "the remainder of {dtype} needs fmod = 1");
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, broadcast_to(inputs)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (a, b) = (inputs.take_host(0)?, inputs.take_host(1)?);
        if a.dtype().is_float() {
            return output(zip_floats(&a, &b, shape, &|a, b| a % b)?);
        }
        let by_zero = !shape.contains(&0) && b.to_i64s()?.contains(&0);
        ensure!(!by_zero, InvalidArgument, "an integer is divided by zero");
        let remainder: fn(i64, i64) -> i64 = match (a.dtype(), self.fmod) {
            (DataType::Uint64, _) => |a, b| (a as u64).checked_rem(b as u64).unwrap_or(0) as i64,
            (_, true) => |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) },
            (_, false) => |a, b| {
                let rest = if b == 0 { 0 } else { a.wrapping_rem(b) };
                if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
            },
        };
        output(zip_integers(&a, &b, shape, &remainder)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Tensor;
    use crate::support::{Single, compare, f32s, i64s};

    #[test]
    fn the_sign_is_the_divisors_or_the_dividends() {
        let (a, b) = (i64s(&[6], &[7, -7, 7, -7, i64::MIN, 6]), i64s(&[6], &[3, 3, -3, -3, -1, 3]));
        let check = |fmod: i64, expected: &[i64]| {
            let got = Single::new("Mod", 13).int("fmod", fmod).one(&[a.clone(), b.clone()]);
            assert_eq!(got.as_slice::<i64>(), Some(expected));
        };
        check(0, &[1, 2, -2, -1, 0, 0]);
        check(1, &[1, -1, 1, -1, 0, 0]);
    }

    #[test]
    fn uint64_is_unsigned_and_floats_follow_fmod() {
        let big = |v: u64| Tensor::from_vec(vec![], vec![v]).expect("a scalar");
        let got = Single::new("Mod", 13).one(&[big(u64::MAX), big(10)]);
        assert_eq!(got.as_slice::<u64>(), Some(&[5][..]));
        let a = f32s(&[5], vec![-5.5, 5.5, f32::INFINITY, 1.0, 1.0]);
        let b = f32s(&[5], vec![2.0, -2.0, 2.0, 0.0, f32::INFINITY]);
        let expected = f32s(&[5], vec![-1.5, 1.5, f32::NAN, f32::NAN, 1.0]);
        compare(&Single::new("Mod", 13).int("fmod", 1).one(&[a, b]), &expected, 0.0, 0.0).expect("equal");
    }

    #[test]
    fn what_has_no_remainder_is_refused() {
        let error = Single::new("Mod", 13).error(&[i64s(&[2], &[1, 2]), i64s(&[2], &[1, 0])]);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let error = Single::new("Mod", 13).error(&[f32s(&[], vec![1.0]), f32s(&[], vec![1.0])]);
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        // Nothing is divided.
        let none = Single::new("Mod", 13).one(&[i64s(&[0], &[]), i64s(&[1], &[0])]);
        assert_eq!(none.shape(), [0]);
    }
}
