//! Inverse of Microsoft's domain: the inverse of every square matrix of `[…, M, M]`, by elimination in float64.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::Tensor;

/// Inverse.
pub const OPERATOR: Operator = Operator { name: "Inverse", domain: "com.microsoft", build, ..Operator::DEFAULT };

struct Inverse;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Inverse))
}

impl Op for Inverse {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        match inputs.shape(0)? {
            shape @ [.., rows, columns] if rows == columns => one(inputs.dtype(0)?, shape),
            other => bail!(ShapeMismatch, "expected square matrices [..., M, M], got {other:?}"),
        }
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let size = x.shape().last().copied().unwrap_or_default().max(1);
        let mut out = Vec::with_capacity(x.len());
        for matrix in x.to_f64s()?.chunks_exact_mut(size * size) {
            out.extend(inverse(matrix, size)?);
        }
        output(Tensor::from_f64s(x.dtype(), x.shape(), out)?)
    }
}

/// Gauss-Jordan with the largest pivot of each column.
fn inverse(matrix: &mut [f64], size: usize) -> Result<Vec<f64>> {
    let mut out: Vec<f64> = (0..size * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
    for step in 0..size {
        let at = |row: usize| matrix[row * size + step].abs();
        let pivot = (step + 1..size).fold(step, |best, row| if at(row) > at(best) { row } else { best });
        let value = matrix[pivot * size + step];
        if value == 0.0 {
            bail!(InvalidArgument, "a matrix is singular and has no inverse");
        }
        for side in [&mut *matrix, &mut out] {
            for column in 0..size {
                side.swap(pivot * size + column, step * size + column);
                side[step * size + column] /= value;
            }
        }
        for row in (0..size).filter(|&row| row != step) {
            let factor = matrix[row * size + step];
            for side in [&mut *matrix, &mut out] {
                for column in 0..size {
                    side[row * size + column] -= factor * side[step * size + column];
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, numbers};

    #[test]
    fn times_itself_is_one() {
        let mut random = Random::new(3);
        for size in 0..7 {
            let x = random.tensor(&[2, size, size]);
            let y = Single::new("com.microsoft.Inverse", 1).one(std::slice::from_ref(&x));
            let (x, y) = (numbers(&x), numbers(&y));
            for i in 0..2 * size * size {
                let (batch, row, column) = (i / (size * size) * size * size, i / size % size, i % size);
                let sum: f64 = (0..size).map(|k| x[batch + row * size + k] * y[batch + k * size + column]).sum();
                assert!((sum - f64::from(u8::from(row == column))).abs() < 1e-3, "{size} {row} {column}: {sum}");
            }
        }
    }

    #[test]
    fn errors() {
        let op = Single::new("com.microsoft.Inverse", 1);
        assert_eq!(op.error(&[f32s(&[2, 2], vec![1.0, 2.0, 2.0, 4.0])]).kind(), ErrorKind::InvalidArgument);
        assert_eq!(op.error(&[f32s(&[2, 3], vec![0.0; 6])]).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(op.error(&[f32s(&[3], vec![0.0; 3])]).kind(), ErrorKind::ShapeMismatch);
    }
}
