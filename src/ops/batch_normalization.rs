//! BatchNormalization: `(x - mean) / sqrt(var + epsilon) * scale + bias` per channel; in training
//! with the mean and variance of `x` itself, which the running ones, outputs too, take part of.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Array, BinaryOp, Device, DeviceKind, ReduceOp, cast, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// BatchNormalization.
pub const OPERATOR: Operator = Operator {
    name: "BatchNormalization",
    domain: "",
    inputs: 5..=5,
    outputs: 1..=5,
    attributes: &["consumed_inputs", "epsilon", "is_test", "momentum", "spatial", "training_mode"],
    parameters: &[],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct BatchNormalization {
    epsilon: f32,
    momentum: f32,
    trains: bool,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let trains = attributes.opset < 7 && !attributes.flag("is_test", false)?;
    ensure!(!trains, Unsupported, "is_test = 0: export the model for inference");
    ensure!(attributes.flag("spatial", true)?, Unsupported, "spatial = 0 (a mean per element)");
    let outputs = attributes.outputs();
    // Before opset 14 more outputs asked for training.
    let trains = if attributes.opset < 14 { outputs > 1 } else { attributes.flag("training_mode", false)? };
    let most = if attributes.opset < 14 { 5 } else { 3 };
    ensure!(outputs <= if trains { most } else { 1 }, InvalidModel, "{outputs} outputs outside of training");
    Ok(Box::new(BatchNormalization {
        epsilon: attributes.float("epsilon")?.unwrap_or(1e-5),
        momentum: attributes.float("momentum")?.unwrap_or(0.9),
        trains,
        outputs,
    }))
}

/// Channels of `[N, C, …]`; one dimension is `[N]` of one channel.
fn channels(shape: &[usize]) -> usize {
    shape.get(1).copied().unwrap_or(1)
}

impl Op for BatchNormalization {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let given = (0..5).map(|index| tensor_type(inputs, index, Dtypes::Float)).collect::<Result<Vec<_>>>()?;
        Ok([0, 3, 4, 3, 4].into_iter().take(self.outputs).map(|index| Type::Tensor(given[index])).collect())
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(!x.is_empty(), ShapeMismatch, "expected [N, C, …], got {x:?}");
        let channels = channels(x);
        for (index, name) in ["scale", "B", "mean", "var"].into_iter().enumerate() {
            let shape = inputs.shape(index + 1)?;
            ensure!(shape == [channels], ShapeMismatch, "{name}: expected [{channels}] for input {x:?}, got {shape:?}");
        }
        let info = |index| Ok(Some(Info { dtype: inputs.dtype(index)?, shape: inputs.shape(index)?.to_vec() }));
        [0, 3, 4, 3, 4].into_iter().take(self.outputs).map(info).collect()
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        let mut x = inputs.array(0)?;
        if shape.len() == 1 {
            x = device.reshape(x, &[shape[0], 1])?;
        }
        let (scale, bias, mean, variance) = (inputs.array(1)?, inputs.array(2)?, inputs.array(3)?, inputs.array(4)?);
        if !self.trains {
            let y = device.batch_norm(x, scale, bias, mean, variance, self.epsilon)?;
            return Ok(vec![device.reshape(y, &shape)?.into()]);
        }
        let own = Statistics::of(device, x.clone())?;
        let running = [(mean, &own.mean), (variance, &own.variance)];
        let running = running.map(|(old, new)| blend(device, old, new.clone(), self.momentum));
        let saved = (narrow(own.mean.clone(), x.dtype())?, narrow(own.variance.clone(), x.dtype())?);
        let y = device.batch_norm(x, scale, bias, own.mean, own.variance, self.epsilon)?;
        let [mean, variance] = running;
        let (mean, variance) = (mean?, variance?);
        let saved = (narrow(saved.0, mean.dtype())?, narrow(saved.1, variance.dtype())?);
        let all = [device.reshape(y, &shape)?, mean, variance, saved.0, saved.1];
        Ok(all.into_iter().take(self.outputs).map(Value::from).collect())
    }
}

/// Mean and population variance of every channel, `[C]`; in float64 on the CPU.
struct Statistics {
    mean: Array,
    variance: Array,
}

impl Statistics {
    fn of(device: &dyn Device, x: Array) -> Result<Self> {
        let x = narrow(x, DataType::Float64)?;
        let shape = x.shape().to_vec();
        let axes: Vec<usize> = (0..shape.len()).filter(|&d| d != 1).collect();
        let mean = device.reduce(ReduceOp::Mean, x.clone(), &axes)?;
        let centred = device.binary(BinaryOp::Sub, x, mean.clone(), &shape)?;
        let squares = device.binary(BinaryOp::Mul, centred.clone(), centred, &shape)?;
        let variance = device.reduce(ReduceOp::Mean, squares, &axes)?;
        let per_channel = [channels(&shape)];
        Ok(Self { mean: device.reshape(mean, &per_channel)?, variance: device.reshape(variance, &per_channel)? })
    }
}

/// Converts an array on the CPU; other devices have one dtype.
fn narrow(x: Array, dtype: DataType) -> Result<Array> {
    if x.device() == DeviceKind::Cpu { Ok(Array::Cpu(cast(&x.into_cpu()?, dtype)?)) } else { Ok(x) }
}

/// `old * momentum + new * (1 - momentum)`, in the dtype of `old`.
fn blend(device: &dyn Device, old: Array, new: Array, momentum: f32) -> Result<Array> {
    let (dtype, shape) = (old.dtype(), old.shape().to_vec());
    let part = |x: Array, factor: f64| {
        let x = narrow(x, DataType::Float64)?;
        let factor = cast(&tensor_of(DataType::Float64, &[], vec![factor]), x.dtype())?;
        device.binary(BinaryOp::Mul, x, device.to_device(factor)?, &shape)
    };
    let momentum = f64::from(momentum);
    narrow(device.binary(BinaryOp::Add, part(old, momentum)?, part(new, 1.0 - momentum)?, &shape)?, dtype)
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, f32s, numbers};

    fn inputs(x: Tensor) -> [Tensor; 5] {
        [x, f32s(&[1], vec![2.0]), f32s(&[1], vec![1.0]), f32s(&[1], vec![10.0]), f32s(&[1], vec![20.0])]
    }

    #[test]
    fn training_uses_and_keeps_the_batch() {
        let node = |opset, outputs| {
            Single::new("BatchNormalization", opset).float("epsilon", 0.0).float("momentum", 0.75).outputs(outputs)
        };
        let x = || f32s(&[4], vec![1.0, 3.0, 1.0, 3.0]);
        let values = |outputs: Vec<Tensor>| outputs.iter().map(numbers).collect::<Vec<_>>();
        let expected = [vec![-1.0, 3.0, -1.0, 3.0], vec![8.0], vec![15.25], vec![2.0], vec![1.0]];
        assert_eq!(values(node(15, 3).int("training_mode", 1).run(&inputs(x())).expect("it runs")), expected[..3]);
        assert_eq!(values(node(9, 5).run(&inputs(x())).expect("it runs")), expected);
        // Squares of these are beyond float16.
        let wide = |v: &[f32]| {
            Tensor::from_f64s(DataType::Float16, &[v.len()], v.iter().map(|&v| f64::from(v)).collect())
                .expect("float16")
        };
        let inputs = [wide(&[1000.0, 3000.0]), wide(&[2.0]), wide(&[1.0]), wide(&[0.0]), wide(&[0.0])];
        assert_eq!(numbers(&node(15, 1).int("training_mode", 1).one(&inputs)), [-1.0, 3.0]);
    }

    #[test]
    fn more_outputs_need_training() {
        let error = Single::new("BatchNormalization", 15).outputs(3).error(&inputs(f32s(&[1], vec![0.0])));
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
    }
}
