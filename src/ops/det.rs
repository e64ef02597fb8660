//! Det: the determinant of every square matrix of `[…, M, M]`, by elimination in float64.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Dtypes, Op, Operator, tensor_type, unary};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::Tensor;

/// Det.
pub const OPERATOR: Operator = unary::on_cpu("Det", |_| Ok(Box::new(Det)));

struct Det;

impl Op for Det {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        match inputs.shape(0)? {
            [batch @ .., rows, columns] if rows == columns => one(inputs.dtype(0)?, batch),
            other => bail!(ShapeMismatch, "expected square matrices [..., M, M], got {other:?}"),
        }
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let x = inputs.take_host(0)?;
        let size = x.shape().last().copied().unwrap_or_default();
        let determinants = if size == 0 {
            vec![1.0; shape.iter().product()]
        } else {
            x.to_f64s()?.chunks_exact_mut(size * size).map(|matrix| determinant(matrix, size)).collect()
        };
        output(Tensor::from_f64s(x.dtype(), shape, determinants)?)
    }
}

fn determinant(matrix: &mut [f64], size: usize) -> f64 {
    let mut product = 1.0;
    for step in 0..size {
        let at = |row: usize| matrix[row * size + step].abs();
        let pivot = (step + 1..size).fold(step, |best, row| if at(row) > at(best) { row } else { best });
        if pivot != step {
            (0..size).for_each(|column| matrix.swap(pivot * size + column, step * size + column));
            product = -product;
        }
        let (above, below) = matrix.split_at_mut((step + 1) * size);
        let top = &above[step * size..];
        product *= top[step];
        if top[step] == 0.0 {
            return product;
        }
        for row in below.chunks_exact_mut(size) {
            let factor = row[step] / top[step];
            row[step..].iter_mut().zip(&top[step..]).for_each(|(v, &t)| *v -= factor * t);
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, numbers};

    /// By expansion along the first row.
    fn expanded(m: &[f64], size: usize) -> f64 {
        if size == 0 {
            return 1.0;
        }
        let minor =
            |skip: usize| -> Vec<f64> { (size..size * size).filter(|i| i % size != skip).map(|i| m[i]).collect() };
        (0..size).map(|c| if c % 2 == 0 { m[c] } else { -m[c] } * expanded(&minor(c), size - 1)).sum()
    }

    #[test]
    fn random_matrices_agree_with_their_expansion() {
        let mut random = Random::new(8);
        for size in 0..6 {
            let x = random.tensor(&[3, size, size]);
            let got = Single::new("Det", 11).one(std::slice::from_ref(&x));
            assert_eq!(got.shape(), [3]);
            for (i, got) in numbers(&got).into_iter().enumerate() {
                let expected = expanded(&numbers(&x)[i * size * size..][..size * size], size);
                assert!((got - expected).abs() < 1e-6, "{got} {expected}");
            }
        }
    }

    #[test]
    fn edges() {
        let det = |shape: &[usize], v: Vec<f32>| numbers(&Single::new("Det", 11).one(&[f32s(shape, v)]));
        assert_eq!(det(&[2, 2], vec![0.0, 1.0, 1.0, 0.0]), [-1.0]);
        assert_eq!(det(&[2, 2], vec![1.0, 2.0, 2.0, 4.0]), [0.0]);
        assert!(det(&[2, 2], vec![f32::NAN, 1.0, 1.0, 0.0])[0].is_nan());
        for shape in [&[2][..], &[2, 3]] {
            let error = Single::new("Det", 11).error(&[f32s(shape, vec![0.0; shape.iter().product()])]);
            assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
        }
    }
}
