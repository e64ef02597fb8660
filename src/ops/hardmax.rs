//! Hardmax: 1 at the first of the largest elements along an axis, 0 elsewhere; NaN counts as the
//! largest, as in NumPy.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::ordering::{Lanes, keys, largest};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::Tensor;

/// Hardmax.
pub const OPERATOR: Operator = Operator { name: "Hardmax", attributes: &["axis"], build, ..Operator::DEFAULT };

struct Hardmax {
    axis: i64,
    /// Before opset 13 everything from the axis on was one row.
    flattens: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let flattens = attributes.opset < 13;
    Ok(Box::new(Hardmax { axis: attributes.int("axis")?.unwrap_or(if flattens { 1 } else { -1 }), flattens }))
}

impl Op for Hardmax {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        axis_of(self.axis, shape.len())?;
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let axis = axis_of(self.axis, x.shape().len())?;
        let mut lanes = Lanes::new(x.shape(), axis);
        if self.flattens {
            lanes = Lanes { size: lanes.size * lanes.inner, inner: 1, ..lanes };
        }
        let mut values = vec![0.0; x.len()];
        if !x.is_empty() {
            let found = largest(&keys(&x, false)?, &lanes, false);
            lanes.starts().zip(found).for_each(|(start, at)| values[start + at * lanes.inner] = 1.0);
        }
        output(Tensor::from_f64s(x.dtype(), x.shape(), values)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Single, f32s, numbers};

    #[test]
    fn opsets_ties_and_nan() {
        let x = f32s(&[2, 2, 2], vec![1.0, 4.0, 4.0, 2.0, 0.0, f32::NAN, 9.0, 1.0]);
        let run = |opset| numbers(&Single::new("Hardmax", opset).one(std::slice::from_ref(&x)));
        assert_eq!(run(13), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(run(11), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(Single::new("Hardmax", 13).one(&[f32s(&[2, 0], vec![])]).shape(), [2, 0]);
    }
}
