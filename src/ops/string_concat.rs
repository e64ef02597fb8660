//! StringConcat: `X` followed by `Y`, element by element, broadcast together.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// StringConcat.
pub const OPERATOR: Operator = Operator { name: "StringConcat", inputs: 2..=2, build, ..Operator::DEFAULT };

struct StringConcat;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(StringConcat))
}

/// For every element of `to`, the row-major position of the element of `from` that broadcasts to it.
fn positions(from: &[usize], to: &[usize]) -> Vec<usize> {
    let mut positions = vec![0];
    let offset = to.len() - from.len();
    for (d, &size) in to.iter().enumerate() {
        let own = if d < offset { 1 } else { from[d - offset] };
        positions =
            positions.iter().flat_map(|&p| (0..size).map(move |i| p * own + if own == 1 { 0 } else { i })).collect();
    }
    positions
}

impl Op for StringConcat {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::String))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::String))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::String, broadcast(inputs.shape(0)?, inputs.shape(1)?)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, y) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let shape = shape_of(outputs, 0)?;
        let (xs, ys) = (x.strings().unwrap_or_default(), y.strings().unwrap_or_default());
        let (at_x, at_y) = (positions(x.shape(), shape), positions(y.shape(), shape));
        let pairs = || at_x.iter().zip(&at_y).map(|(&i, &j)| (&xs[i], &ys[j]));
        inputs.context().check_strings(pairs().map(|(x, y)| x.len() + y.len()))?;
        output(Tensor::from_strings(shape.to_vec(), pairs().map(|(x, y)| format!("{x}{y}")).collect())?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Tensor;
    use crate::support::{Single, f32s, strings};

    #[test]
    fn both_sides_broadcast() {
        let x = strings(&[2, 1], &["a", "ü"]);
        let y = strings(&[3], &["1", "", "3"]);
        let z = Single::new("StringConcat", 20).one(&[x.clone(), y.clone()]);
        assert_eq!(
            (z.shape(), z.strings().unwrap()),
            (&[2, 3][..], strings(&[6], &["a1", "a", "a3", "ü1", "ü", "ü3"]).strings().unwrap())
        );
        let z = Single::new("StringConcat", 20).one(&[y, x]);
        assert_eq!(z.strings().unwrap(), strings(&[6], &["1a", "a", "3a", "1ü", "ü", "3ü"]).strings().unwrap());
        let empty = Tensor::from_strings(vec![0, 1], vec![]).unwrap();
        assert_eq!(Single::new("StringConcat", 20).one(&[empty, strings(&[2], &["a", "b"])]).shape(), [0, 2]);
    }

    #[test]
    fn errors() {
        let pair = |shape: &[usize]| strings(shape, &["a", "b"]);
        let error = Single::new("StringConcat", 20).error(&[pair(&[2]), strings(&[3], &["a", "b", "c"])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch, "{error}");
        let error = Single::new("StringConcat", 20).error(&[pair(&[2]), f32s(&[2], vec![0.0; 2])]);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}
