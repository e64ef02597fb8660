//! Dropout, for inference: the input unchanged, and a mask that keeps everything.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Dropout.
pub const OPERATOR: Operator = Operator {
    name: "Dropout",
    domain: "",
    inputs: 1..=3,
    outputs: 1..=2,
    attributes: &["consumed_inputs", "is_test", "ratio", "seed"],
    parameters: &[1, 2],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct Dropout {
    mask: bool,
    mask_dtype: Option<DataType>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let trains = attributes.opset < 7 && !attributes.flag("is_test", false)?;
    ensure!(!trains, Unsupported, "is_test = 0: export the model for inference");
    // The mask became bool with opset 10.
    let mask_dtype = (attributes.opset >= 10).then_some(DataType::Bool);
    Ok(Box::new(Dropout { mask: attributes.outputs() > 1, mask_dtype }))
}

impl Op for Dropout {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        Ok(vec![Type::Tensor(dtype), Type::Tensor(self.mask_dtype.unwrap_or(dtype))])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let training = inputs.number(2)?.unwrap_or(0.0) != 0.0;
        ensure!(!training, Unsupported, "training mode: export the model for inference");
        let info = Info { dtype: inputs.dtype(0)?, shape: inputs.shape(0)?.to_vec() };
        let mask = Info { dtype: self.mask_dtype.unwrap_or(info.dtype), shape: info.shape.clone() };
        Ok(vec![Some(info), Some(mask)])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        let x = inputs.array(0)?;
        if !self.mask {
            return Ok(vec![x.into()]);
        }
        let ones = tensor_of(DataType::Bool, &shape, vec![1u8; shape.iter().product()]);
        let mask = crate::backend::cast(&ones, self.mask_dtype.unwrap_or(x.dtype()))?;
        Ok(vec![x.into(), mask.into()])
    }
}
