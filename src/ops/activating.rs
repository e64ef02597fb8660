//! What Microsoft's operators with an activation share: Gelu and its kin, and products that an activation follows.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::real::same_floats;
use super::{Attributes, MultiplyAdds, Op, Operator};
use crate::backend::{Array, BinaryOp, Device, UnaryOp, cast, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// `x · f(alpha x)`, or a function, of `x + bias`.
struct Biased {
    op: UnaryOp,
    /// Where it is there, the function is a gate of its input times this.
    gate: Option<f32>,
    /// Whether the bias must be there.
    needed: bool,
}

/// An operator of one input and perhaps a bias along the last dimension.
pub const fn operator(
    name: &'static str,
    inputs: std::ops::RangeInclusive<usize>,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator { name, domain: "com.microsoft", inputs, attributes, webgpu: true, build, ..Operator::DEFAULT }
}

/// `op` of the input and a bias.
pub fn biased(op: UnaryOp, needed: bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Biased { op, gate: None, needed }))
}

/// The input times the sigmoid of it times `alpha`.
pub fn gated(alpha: f32) -> Result<Box<dyn Op>> {
    Ok(Box::new(Biased { op: UnaryOp::Sigmoid, gate: Some(alpha), needed: false }))
}

impl Op for Biased {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_floats(inputs, &[1])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(!self.needed || inputs.has(1), InvalidModel, "input 1 is missing");
        if inputs.has(1) {
            let bias = inputs.shape(1)?;
            let fits = bias.len() == 1 && x.last() == bias.first();
            ensure!(
                fits,
                ShapeMismatch,
                "the bias {bias:?} is not one for each element of the last dimension of {x:?}"
            );
        }
        one(inputs.dtype(0)?, x)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let mut x = inputs.array(0)?;
        if let Some(bias) = inputs.optional_array(1)? {
            x = device.binary(BinaryOp::Add, x, bias, shape)?;
        }
        let Some(alpha) = self.gate else { return output(device.unary(self.op, x)?) };
        let scaled = times(device, x.clone(), alpha)?;
        output(device.binary(BinaryOp::Mul, x, device.unary(self.op, scaled)?, shape)?)
    }
}

/// `x * by`.
pub fn times(device: &dyn Device, x: Array, by: f32) -> Result<Array> {
    if by == 1.0 {
        return Ok(x);
    }
    let shape = x.shape().to_vec();
    let factor = cast(&tensor_of(DataType::Float32, &[], vec![by]), x.dtype())?;
    device.binary(BinaryOp::Mul, x, device.to_device(factor)?, &shape)
}

/// An operator, and then an activation.
struct Followed {
    inner: Box<dyn Op>,
    activation: Option<UnaryOp>,
    /// An input that is added before the activation.
    sum: Option<usize>,
}

/// The operator that `inner` builds, followed by the activation that the attributes name; `alpha`, `beta` and
/// `gamma` are its parameters.
pub fn followed(
    inner: Box<dyn Op>,
    name: Option<&str>,
    parameters: &[Option<f32>; 3],
    sum: Option<usize>,
) -> Result<Box<dyn Op>> {
    let get = |index: usize, default: f32| parameters[index].unwrap_or(default);
    let activation = match name.unwrap_or_default() {
        "" => None,
        "Relu" => Some(UnaryOp::Relu),
        "Tanh" => Some(UnaryOp::Tanh),
        "Sigmoid" => Some(UnaryOp::Sigmoid),
        "Softplus" => Some(UnaryOp::Softplus),
        "Softsign" => Some(UnaryOp::Softsign),
        "LeakyRelu" => Some(UnaryOp::LeakyRelu { alpha: get(0, 0.01) }),
        "Elu" => Some(UnaryOp::Elu { alpha: get(0, 1.0) }),
        "HardSigmoid" => Some(UnaryOp::HardSigmoid { alpha: get(0, 0.2), beta: get(1, 0.5) }),
        "Clip" => Some(UnaryOp::Clip { min: f64::from(get(0, f32::MIN)), max: f64::from(get(1, f32::MAX)) }),
        other => bail!(Unsupported, "activation \"{other}\""),
    };
    Ok(Box::new(Followed { inner, activation, sum }))
}

impl Op for Followed {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        same_floats(inputs, &[1, 2, 3])?;
        self.inner.types(inputs)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let infos = self.inner.infer(inputs)?;
        if let Some(sum) = self.sum.filter(|&s| inputs.has(s)) {
            let (more, shape) = (inputs.shape(sum)?, shape_of(&infos, 0)?);
            ensure!(more == shape, ShapeMismatch, "input {sum}: expected {shape:?}, got {more:?}");
        }
        Ok(infos)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        self.inner.multiply_adds(inputs, outputs)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let more = match self.sum {
            Some(sum) => inputs.optional_array(sum)?,
            None => None,
        };
        let Some(Value::Tensor(mut y)) = self.inner.run(device, inputs, outputs)?.pop() else {
            bail!(Internal, "an operator gave no tensor")
        };
        if let Some(more) = more {
            y = device.binary(BinaryOp::Add, y, more, shape_of(outputs, 0)?)?;
        }
        output(match self.activation {
            Some(op) => device.unary(op, y)?,
            None => y,
        })
    }
}
