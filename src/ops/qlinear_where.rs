//! QLinearWhere: from `X` where the condition holds, else from `Y`, quantised anew.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::qlinear::{DOMAIN, Reader, Writer, inferred, scale_type, triple_type};
use super::quantized::{check_single, codes, tensor_from_codes};
use super::{Attributes, Dtypes, Op, Operator, broadcast, tensor_type};
use crate::backend::{Device, select};
use crate::error::{Result, bail};
use crate::graph::DataType;

/// QLinearWhere.
pub const OPERATOR: Operator =
    Operator { name: "QLinearWhere", domain: DOMAIN, inputs: 9..=9, build, ..Operator::DEFAULT };

struct QLinearWhere;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(QLinearWhere))
}

impl Op for QLinearWhere {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Bool))?;
        let dtype = triple_type(inputs, 1)?;
        tensor_type(inputs, 4, Dtypes::Only(dtype))?;
        scale_type(inputs, 5, dtype)?;
        scale_type(inputs, 7, dtype)?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        check_single(inputs, &[2, 3, 5, 6, 7, 8])?;
        one(inputs.dtype(1)?, broadcast(&broadcast(inputs.shape(0)?, inputs.shape(1)?)?, inputs.shape(4)?)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (dtype, shape) = inferred(outputs)?;
        let to = Writer::new(&inputs, 7, dtype)?;
        let mut requantised = |at: usize| {
            let from = Reader::new(&inputs, at + 1)?;
            let tensor = inputs.take_host(at)?;
            let out = codes(&tensor)?.into_iter().map(|code| to.code(from.real(code)));
            match tensor_from_codes(dtype, tensor.shape(), out)?.to_flex() {
                Some(flex) => Ok(flex),
                None => bail!(Internal, "{dtype} reached arithmetic"),
            }
        };
        let (x, y) = (requantised(1)?, requantised(4)?);
        output(select(inputs.cpu(0)?, x, y, shape)?)
    }
}
