//! CDist: the distance of every row of `A` `[M, K]` to every row of `B` `[N, K]`: `Σ (a − b)²`, or its root (euclidean).

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// CDist.
pub const OPERATOR: Operator = Operator {
    name: "CDist",
    domain: "com.microsoft",
    inputs: 2..=2,
    attributes: &["metric"],
    build,
    ..Operator::DEFAULT
};

struct CDist {
    root: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(CDist { root: attributes.choice("metric", &["sqeuclidean", "euclidean"])? == "euclidean" }))
}

impl Op for CDist {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        ensure!(
            matches!(dtype, DataType::Float32 | DataType::Float64),
            Unsupported,
            "input 0: expected float32 or float64, got {dtype}"
        );
        Ok(vec![Type::Tensor(tensor_type(inputs, 1, Dtypes::Only(dtype))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        match (inputs.shape(0)?, inputs.shape(1)?) {
            ([m, k], [n, other]) if k == other => one(inputs.dtype(0)?, [*m, *n]),
            (a, b) => bail!(ShapeMismatch, "expected [M, K] and [N, K], got {a:?} and {b:?}"),
        }
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (a, b) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let shape = shape_of(outputs, 0)?;
        let width = a.shape().last().copied().unwrap_or_default();
        let (xs, ys) = (a.to_f64s()?, b.to_f64s()?);
        let rows = b.shape().first().copied().unwrap_or_default();
        let distance = |i: usize| {
            let (x, y) = (i / rows * width, i % rows * width);
            let pairs = xs[x..x + width].iter().zip(&ys[y..y + width]);
            let sum: f64 = pairs.map(|(x, y)| (x - y) * (x - y)).sum();
            if self.root { sum.sqrt() } else { sum }
        };
        output(Tensor::from_f64s(a.dtype(), shape, (0..shape.iter().product()).map(distance).collect())?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Single, f32s, numbers};

    #[test]
    fn edges() {
        let op = Single::new("com.microsoft.CDist", 1);
        let (a, b) = (f32s(&[1, 2], vec![0.0, f32::INFINITY]), f32s(&[2, 2], vec![3.0, 0.0, 0.0, f32::NAN]));
        let y = numbers(&op.one(&[a, b]));
        assert!(y[0] == f64::INFINITY && y[1].is_nan(), "{y:?}");
        assert_eq!(numbers(&op.one(&[f32s(&[1, 0], vec![]), f32s(&[2, 0], vec![])])), [0.0, 0.0]);
        assert_eq!(op.one(&[f32s(&[2, 1], vec![0.0; 2]), f32s(&[0, 1], vec![])]).shape(), [2, 0]);
        let error = op.error(&[f32s(&[1, 2], vec![0.0; 2]), f32s(&[1, 3], vec![0.0; 3])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    }
}
