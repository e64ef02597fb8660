//! QLinearSoftmax: Softmax of a quantised tensor, quantised anew; the attribute `opset` says whose.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::qlinear::{Writer, codes_of, inferred, unary_operator, unary_types};
use super::quantized::{check_single, per_tensor, tensor_from_codes};
use super::{Attributes, Op, Operator, axis_of};
use crate::backend::Device;
use crate::error::{Result, bail};

/// QLinearSoftmax.
pub const OPERATOR: Operator =
    Operator { inputs: 5..=5, ..unary_operator("QLinearSoftmax", &["axis", "opset"], build) };

struct QLinearSoftmax {
    axis: i64,
    /// Before opset 13, everything from the axis on is one row.
    flat: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(opset) = attributes.int("opset")? else { bail!(InvalidModel, "attribute \"opset\" is missing") };
    Ok(Box::new(QLinearSoftmax { axis: attributes.int("axis")?.unwrap_or(-1), flat: opset < 13 }))
}

impl Op for QLinearSoftmax {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        unary_types(inputs)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[1, 2, 3, 4])?;
        axis_of(self.axis, inputs.shape(0)?.len())?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let axis = axis_of(self.axis, shape.len())?;
        // The zero point cancels out.
        let scale = f64::from(per_tensor(&inputs, 1)?.0);
        let to = Writer::new(&inputs, 3, dtype)?;
        let mut x = codes_of(&mut inputs, 0)?;
        if !x.is_empty() {
            let inner = if self.flat { 1 } else { shape[axis + 1..].iter().product() };
            let size = if self.flat { shape[axis..].iter().product() } else { shape[axis] };
            for block in x.chunks_exact_mut(size * inner) {
                for i in 0..inner {
                    let row = || (i..size * inner).step_by(inner);
                    let largest = row().map(|at| block[at]).max().unwrap_or(0);
                    let powers: Vec<f64> = row().map(|at| (f64::from(block[at] - largest) * scale).exp()).collect();
                    let sum: f64 = powers.iter().sum();
                    row().zip(powers).for_each(|(at, power)| block[at] = to.code(power / sum));
                }
            }
        }
        output(tensor_from_codes(dtype, shape, x.into_iter())?)
    }
}
