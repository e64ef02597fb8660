//! NonZero: the indices of the elements that are not zero, `[rank, count]` in row-major order.

use super::inputs::{Info, Inputs, Type, Value, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{DataType, Tensor};
use crate::kernels::layout::row_major;

/// NonZero.
pub const OPERATOR: Operator = Operator { name: "NonZero", build, ..Operator::DEFAULT };

struct NonZero;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(NonZero))
}

impl Op for NonZero {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::All)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, _: &Inputs) -> Result<Vec<Option<Info>>> {
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let found: Vec<usize> = match x.strings() {
            Some(strings) => (0..strings.len()).filter(|&i| !strings[i].is_empty()).collect(),
            None => x.to_f64s()?.into_iter().enumerate().filter(|(_, v)| *v != 0.0).map(|(i, _)| i).collect(),
        };
        let shape = x.shape();
        let mut out = Vec::with_capacity(shape.len() * found.len());
        for (&size, stride) in shape.iter().zip(row_major(shape)) {
            out.extend(found.iter().map(|&at| (at / stride as usize % size) as i64));
        }
        output(Tensor::from_vec(vec![shape.len(), found.len()], out)?)
    }
}
