//! DynamicQuantizeLSTM: LSTM with quantised weights; input and states are quantised as
//! DynamicQuantizeLinear does, each over all of its batch, and multiplied as what they stand for.

use super::dynamic_quantize_linear::round_trip;
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::qlinear::{DOMAIN, transposed};
use super::quantized::{byte_type, codes, scales, zeros};
use super::{Attributes, Dtypes, Op, Operator, optional_type, recurrent, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::recurrent::Cell;

/// DynamicQuantizeLSTM.
pub const OPERATOR: Operator = Operator {
    name: "DynamicQuantizeLSTM",
    domain: DOMAIN,
    inputs: 12..=12,
    outputs: 1..=3,
    attributes: &[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
    ],
    parameters: &[4],
    build,
    ..Operator::DEFAULT
};

/// The layer that computes with what the codes stand for.
struct DynamicQuantizeLstm(Box<dyn Op>);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let input_forget = attributes.flag("input_forget", false)?;
    Ok(Box::new(DynamicQuantizeLstm(recurrent::build_either(attributes, Cell::Lstm { input_forget }, true)?)))
}

/// The weight at input `index`, `[directions, size, gates]`, as numbers `[directions, gates, size]`;
/// zeros where only its shape is asked for.
fn weight(inputs: &Inputs, index: usize, scale: usize, values: bool) -> Result<Value> {
    let &[directions, size, gates] = inputs.shape(index)? else {
        bail!(ShapeMismatch, "input {index}: expected [directions, size, gates], got {:?}", inputs.shape(index)?)
    };
    let per = |index: usize| {
        let shape = inputs.shape(index)?;
        ensure!(
            shape == [directions] || shape == [directions, gates],
            ShapeMismatch,
            "input {index}: expected [{directions}] or [{directions}, {gates}], got {shape:?}"
        );
        Ok(shape.len() == 2)
    };
    let (scales_differ, zeros_differ) = (per(scale)?, per(scale + 1)?);
    let shape = [directions, gates, size];
    let count = crate::graph::element_count(&shape)?;
    if !values || count == 0 {
        return Ok(Tensor::from_vec(shape.to_vec(), vec![0f32; count])?.into());
    }
    let (scales, zeros) = (scales(inputs, scale)?, zeros(inputs, scale + 1)?.unwrap_or_default());
    let tensor = inputs.host(index)?;
    let codes = tensor.as_ref().map(codes).transpose()?.unwrap_or_default();
    let mut numbers = Vec::with_capacity(count);
    for (row, codes) in transposed(&codes, size, gates).chunks_exact(size).enumerate() {
        let at = |differ: bool| if differ { row } else { row / gates };
        let (scale, zero) = (scales[at(scales_differ)], zeros[at(zeros_differ)]);
        numbers.extend(codes.iter().map(|code| (code - zero) as f32 * scale));
    }
    Ok(Tensor::from_vec(shape.to_vec(), numbers)?.into())
}

/// The inputs of the layer; of those that are quantised only the shapes, unless `values`.
fn layer_inputs(inputs: &Inputs, values: bool) -> Result<Inputs> {
    let mut all: Vec<Option<Value>> = (0..8).map(|i| inputs.value(i).ok().cloned()).collect();
    all[1] = Some(weight(inputs, 1, 8, values)?);
    all[2] = Some(weight(inputs, 2, 10, values)?);
    if values && let Some(x) = inputs.host(0)? {
        let rounded = round_trip(&x.to_f32s()?).collect();
        all[0] = Some(Tensor::from_vec(x.shape().to_vec(), rounded)?.into());
    }
    Ok(Inputs::new(all, inputs.context().clone()))
}

impl Op for DynamicQuantizeLstm {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let float = Dtypes::Only(DataType::Float32);
        tensor_type(inputs, 0, float)?;
        [3, 5, 6, 7].iter().try_for_each(|&index| optional_type(inputs, index, float))?;
        optional_type(inputs, 4, Dtypes::Only(DataType::Int32))?;
        for (index, scale) in [(1, 8), (2, 10)] {
            let dtype = byte_type(inputs, index)?;
            tensor_type(inputs, scale, float)?;
            tensor_type(inputs, scale + 1, Dtypes::Only(dtype))?;
        }
        Ok(vec![Type::Tensor(DataType::Float32); 3])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        self.0.infer(&layer_inputs(inputs, false)?)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        self.0.multiply_adds(&layer_inputs(inputs, false)?, outputs)
    }

    fn run(&self, device: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        self.0.run(device, layer_inputs(&inputs, true)?, outputs)
    }
}
