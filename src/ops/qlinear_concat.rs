//! QLinearConcat: quantised tensors joined along an axis, each quantised anew.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::qlinear::{DOMAIN, Reader, Writer, codes_of, inferred, scale_type};
use super::quantized::{byte_type, check_single, tensor_from_codes};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// QLinearConcat.
pub const OPERATOR: Operator = Operator {
    name: "QLinearConcat",
    domain: DOMAIN,
    inputs: 5..=3 * 4096 + 2,
    attributes: &["axis"],
    build,
    ..Operator::DEFAULT
};

struct QLinearConcat {
    axis: i64,
    inputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let inputs = attributes.inputs();
    ensure!(inputs % 3 == 2, InvalidModel, "expected a scale, a zero point and triples of inputs, got {inputs} inputs");
    let Some(axis) = attributes.int("axis")? else { bail!(InvalidModel, "attribute \"axis\" is missing") };
    Ok(Box::new(QLinearConcat { axis, inputs }))
}

impl QLinearConcat {
    fn tensors(&self) -> impl Iterator<Item = usize> {
        (2..self.inputs).step_by(3)
    }
}

impl Op for QLinearConcat {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = byte_type(inputs, 1)?;
        tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?;
        for at in self.tensors() {
            tensor_type(inputs, at, Dtypes::Only(dtype))?;
            scale_type(inputs, at + 1, dtype)?;
        }
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut shape = inputs.shape(2)?.to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        check_single(inputs, &[0, 1])?;
        let mut size = 0usize;
        for at in self.tensors() {
            check_single(inputs, &[at + 1, at + 2])?;
            let other = inputs.shape(at)?;
            let fits = other.len() == shape.len() && (0..shape.len()).all(|d| d == axis || other[d] == shape[d]);
            ensure!(fits, ShapeMismatch, "{shape:?} and {other:?} cannot be joined along axis {axis}");
            size = size.saturating_add(other[axis]);
        }
        shape[axis] = size;
        one(inputs.dtype(1)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let axis = axis_of(self.axis, shape.len())?;
        let to = Writer::new(&inputs, 0, dtype)?;
        if shape.contains(&0) {
            return output(tensor_from_codes(dtype, shape, std::iter::empty())?);
        }
        let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let (row, mut first) = (shape[axis] * inner, 0);
        let mut out = vec![0; outer * row];
        for at in self.tensors() {
            let (from, run) = (Reader::new(&inputs, at + 1)?, inputs.shape(at)?[axis] * inner);
            let x = codes_of(&mut inputs, at)?;
            for (source, target) in x.chunks_exact(run.max(1)).zip(out.chunks_exact_mut(row)) {
                source
                    .iter()
                    .zip(&mut target[first..])
                    .for_each(|(&code, to_code)| *to_code = to.code(from.real(code)));
            }
            first += run;
        }
        output(tensor_from_codes(dtype, shape, out.into_iter())?)
    }
}
