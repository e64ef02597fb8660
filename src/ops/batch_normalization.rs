//! BatchNormalization, for inference: `(x - mean) / sqrt(var + epsilon) * scale + bias`.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};

/// BatchNormalization.
pub const OPERATOR: Operator = Operator {
    name: "BatchNormalization",
    domain: "",
    inputs: 5..=5,
    outputs: 1..=5,
    attributes: &["consumed_inputs", "epsilon", "is_test", "momentum", "spatial", "training_mode"],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct BatchNormalization {
    epsilon: f32,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let trains = attributes.opset < 7 && !attributes.flag("is_test", false)?;
    ensure!(!trains, Unsupported, "is_test = 0: export the model for inference");
    ensure!(!attributes.flag("training_mode", false)? && attributes.outputs() == 1, Unsupported, "training mode: export the model for inference");
    ensure!(attributes.flag("spatial", true)?, Unsupported, "spatial = 0 (a mean per element)");
    Ok(Box::new(BatchNormalization { epsilon: attributes.float("epsilon")?.unwrap_or(1e-5) }))
}

impl Op for BatchNormalization {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for index in 1..5 {
            tensor_type(inputs, index, Dtypes::Float)?;
        }
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(x.len() >= 2, ShapeMismatch, "expected [N, C, …], got {x:?}");
        for (index, name) in ["scale", "B", "mean", "var"].into_iter().enumerate() {
            let shape = inputs.shape(index + 1)?;
            ensure!(shape == [x[1]], ShapeMismatch, "{name}: expected [{}] for input {x:?}, got {shape:?}", x[1]);
        }
        one(inputs.dtype(0)?, x)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.array(0)?;
        let (scale, bias, mean, variance) = (inputs.array(1)?, inputs.array(2)?, inputs.array(3)?, inputs.array(4)?);
        output(device.batch_norm(x, scale, bias, mean, variance, self.epsilon)?)
    }
}
