//! Trilu: the upper (`column >= row + k`) or lower (`column <= row + k`) triangle of matrices, the rest zeroed.

use super::indexing::zero;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// Trilu.
pub const OPERATOR: Operator =
    Operator { name: "Trilu", inputs: 1..=2, attributes: &["upper"], parameters: &[1], build, ..Operator::DEFAULT };

struct Trilu {
    upper: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Trilu { upper: attributes.flag("upper", true)? }))
}

impl Op for Trilu {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        ensure!(shape.len() >= 2, ShapeMismatch, "expected matrices, got {shape:?}");
        inputs.int(1)?;
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let k = inputs.int(1)?.unwrap_or(0);
        let x = inputs.take_host(0)?;
        let shape = x.shape().to_vec();
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let count = x.len();
        let mut positions: Vec<usize> = (0..count).collect();
        if columns > 0 {
            for (r, row) in positions.chunks_exact_mut(columns).enumerate() {
                let diagonal = ((r % rows) as i64).saturating_add(k);
                for (c, position) in row.iter_mut().enumerate() {
                    let kept = if self.upper { c as i64 >= diagonal } else { c as i64 <= diagonal };
                    if !kept {
                        *position = count;
                    }
                }
            }
        }
        let zero = zero(x.dtype())?;
        output(Tensor::joined(&[x, zero])?.take(&shape, &positions)?)
    }
}
