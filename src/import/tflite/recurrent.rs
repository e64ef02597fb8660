//! UNIDIRECTIONAL_SEQUENCE_RNN and _LSTM. State that TFLite keeps from one run to the next starts at zero in each.

use super::operators::Call;
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType};
use crate::import::tensorflow::{Activation, Id, Order, int};

const STATELESS: &str =
    "recurrent layers begin every run with a state of zeros; TFLite keeps it from one run to the next";

fn note(call: &mut Call<'_, '_>) {
    if !call.importer.notes.iter().any(|note| note == STATELESS) {
        call.importer.notes.push(STATELESS.to_string());
    }
}

/// Puts `[count, inputs]` weights below each other, and before them the dimension of directions.
fn stacked(call: &mut Call<'_, '_>, what: &str, parts: &[Id]) -> Result<String> {
    let name = format!("{}/{what}", call.name);
    let whole = if parts.len() == 1 { parts[0] } else { call.w.concat(&name, parts, 0)? };
    let whole = call.w.expand_dims(&format!("{name}/directed"), whole, &[0])?;
    call.w.last(whole)
}

/// The layer's input with time first, and its outputs as TFLite has them.
fn sequence(
    call: &mut Call<'_, '_>,
    op_type: &'static str,
    x: Id,
    weights: [&str; 3],
    size: usize,
    attributes: Vec<(&'static str, Attribute)>,
    time_major: bool,
) -> Result<Id> {
    ensure!(call.w.rank(x)? == 3, InvalidModel, "a sequence of {} dimensions", call.w.rank(x)?);
    let name = call.name.to_string();
    let timed = if time_major { x } else { call.w.transpose(&format!("{name}/timed"), x, &[1, 0, 2])? };
    let (time, batch) = (call.w.size(timed, 0), call.w.size(timed, 1));
    let from = call.w.last(timed)?;
    let shape = Some(vec![time, Some(1), batch, Some(size)]);
    let inputs = [from.as_str(), weights[0], weights[1], weights[2]];
    let y =
        call.w.emit(op_type, &format!("{name}/sequence"), &inputs, attributes, DataType::Float32, shape, Order::Last);
    if time_major {
        return call.w.squeeze(&name, y, &[1]);
    }
    let y = call.w.squeeze(&format!("{name}/undirected"), y, &[1])?;
    call.w.transpose(&name, y, &[1, 0, 2])
}

pub fn rnn(call: &mut Call<'_, '_>) -> Result<Id> {
    let options = call.op.options;
    let activation = match call.activation(1)? {
        Activation::Relu => "Relu",
        Activation::Tanh => "Tanh",
        other => bail!(UnsupportedOperator, "with the activation {other:?}"),
    };
    note(call);
    let [x, weight, recurrent, bias] = [call.input(0)?, call.input(1)?, call.input(2)?, call.input(3)?];
    let Some(size) = call.w.size(weight, 0) else { bail!(InvalidModel, "weights without a size") };
    let weight = stacked(call, "weight", &[weight])?;
    let recurrent = stacked(call, "recurrent", &[recurrent])?;
    let none = zeros(call, size)?;
    let zeros = call.w.constant(&format!("{}/none", call.name), none, None);
    let bias = stacked(call, "bias", &[bias, zeros])?;
    let attributes = vec![
        int("hidden_size", size as i64),
        ("activations", Attribute::Strings(vec![activation.as_bytes().to_vec()])),
    ];
    sequence(call, "RNN", x, [&weight, &recurrent, &bias], size, attributes, options.flag(0)?)
}

fn zeros(call: &mut Call<'_, '_>, count: usize) -> Result<crate::Tensor> {
    call.importer.schema.spend(count.saturating_mul(4))?;
    crate::Tensor::from_vec(vec![count], vec![0f32; count])
}

pub fn lstm(call: &mut Call<'_, '_>) -> Result<Id> {
    let options = call.op.options;
    ensure!(call.activation(0)? == Activation::Tanh, UnsupportedOperator, "with an activation other than TANH");
    ensure!(options.float(2)? == 0.0, UnsupportedOperator, "with clipped projections");
    let clip = options.float(1)?;
    for at in (9..12).chain(16..18).chain(20..24) {
        ensure!(call.optional(at)?.is_none(), UnsupportedOperator, "with peepholes, projections or normalised layers");
    }
    // A clip of the cell is not ONNX's, which is of what goes into activations.
    ensure!(clip == 0.0, UnsupportedOperator, "with a clipped cell");
    note(call);
    let x = call.input(0)?;
    // TFLite's order is input, forget, cell, output; ONNX's input, output, forget, cell.
    let mut parts = |first: usize| [0, 3, 1, 2].into_iter().map(|n| call.input(first + n)).collect::<Result<Vec<_>>>();
    let (weights, recurrent, mut bias) = (parts(1)?, parts(5)?, parts(12)?);
    let Some(size) = call.w.size(weights[0], 0) else { bail!(InvalidModel, "weights without a size") };
    let weight = stacked(call, "weight", &weights)?;
    let recurrent = stacked(call, "recurrent", &recurrent)?;
    let none = zeros(call, size.saturating_mul(4))?;
    bias.push(call.w.constant(&format!("{}/none", call.name), none, None));
    let bias = stacked(call, "bias", &bias)?;
    let attributes = vec![int("hidden_size", size as i64)];
    sequence(call, "LSTM", x, [&weight, &recurrent, &bias], size, attributes, options.flag(3)?)
}
