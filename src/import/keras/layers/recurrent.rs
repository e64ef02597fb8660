//! LSTM, GRU and SimpleRNN.

use super::super::array::Array;
use super::super::emit::{Emitter, Layer, Step, Value, invalid, refuse};
use super::super::network::{Argument, Arguments};
use super::{activation, expect_rank};
use crate::graph::{Attribute, DataType, Tensor};

/// What a recurrent layer gives, in Keras' shapes.
pub struct Outputs {
    /// Of every step where the layer returns sequences, else of the last.
    pub output: Value,
    pub states: Vec<Value>,
}

/// The gates of a class as Keras orders them, by the number of theirs in ONNX' order.
fn gates(class: &str) -> Step<&'static [usize]> {
    Ok(match class {
        // i, f, c, o against i, o, f, c.
        "LSTM" => &[0, 3, 1, 2],
        "GRU" => &[0, 1, 2],
        "SimpleRNN" => &[0],
        other => refuse!("the recurrent layer {other}"),
    })
}

/// `[rows, gates * units]` as `[1, gates * units, rows]`, gates in ONNX' order.
fn by_gates(array: &Array, gates: &[usize], units: usize) -> Step<Tensor> {
    let mut data = Vec::with_capacity(array.data.len());
    for &gate in gates {
        data.extend(array.columns(gate * units, (gate + 1) * units).permuted(&[1, 0]).data);
    }
    Ok(Tensor::from_vec(vec![1, gates.len() * units, array.shape[0]], data)?)
}

/// The biases of the inputs, then those of the states.
fn biases(array: &Array, gates: &[usize], units: usize) -> Step<Tensor> {
    let width = gates.len() * units;
    let mut data = Vec::with_capacity(2 * width);
    for row in array.data.chunks(width.max(1)) {
        for &gate in gates {
            data.extend(&row[gate * units..(gate + 1) * units]);
        }
    }
    data.resize(2 * width, 0.0);
    Ok(Tensor::from_vec(vec![1, 2 * width], data)?)
}

/// The states that a call begins with.
fn initial(arguments: &Arguments<'_>) -> Vec<Value> {
    let named = match arguments.named.get("initial_state") {
        Some(argument) => Arguments { positional: vec![argument.clone()], ..Arguments::default() }.values(),
        None => Vec::new(),
    };
    arguments.values().into_iter().skip(1).chain(named).collect()
}

/// Writes a recurrent layer; `backwards` is whether it goes from the last step to the first.
pub fn write(
    emitter: &mut Emitter,
    layer: &Layer<'_>,
    value: &Value,
    states: &[Value],
    backwards: bool,
    in_order_of_time: bool,
) -> Step<Outputs> {
    let settings = layer.settings;
    let gates = gates(layer.class)?;
    expect_rank(value, 3)?;
    if value.masked {
        refuse!("a mask (of an Embedding with mask_zero, or of Masking)");
    }
    for option in ["stateful", "time_major"] {
        if settings.flag(option, false)? {
            refuse!("{option}");
        }
    }
    let value = emitter.float(value);
    let channels = value.channels()?;
    let units = settings.size("units")?;
    let Some(width) = units.checked_mul(gates.len()) else { invalid!("{units} units") };
    let reset_after = layer.class == "GRU" && settings.flag("reset_after", false)?;
    let place = layer.place.inside("", &["cell"]);
    let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
        by_gates(&e.weight_in(&place, &layer.path, "kernel", 0, &[channels, width])?, gates, units)
    })?;
    let recurrent = emitter.constant(&format!("{}/recurrent_kernel", layer.path), |e| {
        by_gates(&e.weight_in(&place, &layer.path, "recurrent_kernel", 1, &[units, width])?, gates, units)
    })?;
    let bias = match settings.flag("use_bias", true)? {
        false => String::new(),
        true => {
            let shape = if reset_after { vec![2, width] } else { vec![width] };
            emitter.constant(&format!("{}/bias", layer.path), |e| {
                biases(&e.weight_in(&place, &layer.path, "bias", 2, &shape)?, gates, units)
            })?
        }
    };
    let flavour = emitter.flavour;
    // Keras before TensorFlow's wrote the old default out as well.
    let function = activation::recurrent(flavour, settings.get("activation"), "tanh")?;
    let gate = activation::recurrent(flavour, settings.get("recurrent_activation"), "sigmoid")?;
    let functions = match layer.class {
        "LSTM" => vec![gate, function, function],
        "GRU" => vec![gate, function],
        _ => vec![function],
    };
    let mut attributes = vec![
        ("hidden_size", Attribute::Int(units as i64)),
        ("activations", Attribute::Strings(functions.iter().map(|f| f.0.as_bytes().to_vec()).collect())),
    ];
    if functions.iter().any(|f| f.1 != 0.0 || f.2 != 0.0) {
        attributes.push(("activation_alpha", Attribute::Floats(functions.iter().map(|f| f.1).collect())));
        attributes.push(("activation_beta", Attribute::Floats(functions.iter().map(|f| f.2).collect())));
    }
    if backwards {
        attributes.push(("direction", Attribute::String(b"reverse".to_vec())));
    }
    if layer.class == "GRU" {
        attributes.push(("linear_before_reset", Attribute::Int(i64::from(reset_after))));
    }
    let path = &layer.path;
    let steps = emitter.transpose(&format!("{path}/steps"), &value, &[1, 0, 2]);
    let count = if layer.class == "LSTM" { 2 } else { 1 };
    let mut inputs = vec![steps.name.clone(), kernel, recurrent, bias];
    if !states.is_empty() {
        if states.len() != count {
            invalid!("{} initial states, expected {count}", states.len());
        }
        inputs.push(String::new());
        let axes = emitter.ints(&[0]);
        for state in states {
            let state = emitter.float(state);
            expect_rank(&state, 2)?;
            inputs.push(emitter.node("Unsqueeze", &format!("{path}/initial"), &[&state.name, &axes], vec![]));
        }
    }
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let op = if layer.class == "SimpleRNN" { "RNN" } else { layer.class };
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let made =
        emitter.builder.nodes(op, &format!("{path}/{}", op.to_ascii_lowercase()), &inputs, attributes, count + 1);
    let state = vec![value.shape[0], Some(units)];
    let like = Value { name: String::new(), shape: state, dtype: DataType::Float32, first: false, masked: false };
    let axes = emitter.ints(&[0]);
    let sequences = settings.flag("return_sequences", false)?;
    let return_state = settings.flag("return_state", false)?;
    let mut ends = Vec::new();
    if !sequences || return_state {
        for (index, made) in made[1..].iter().enumerate() {
            if index == 0 || return_state {
                let name = if index == 0 && !sequences { path.clone() } else { format!("{path}/state") };
                ends.push(Value { name: emitter.node("Squeeze", &name, &[made, &axes], vec![]), ..like.clone() });
            }
        }
    }
    let output = if sequences {
        let axes = emitter.ints(&[1]);
        let all = emitter.node("Squeeze", &format!("{path}/sequence"), &[&made[0], &axes], vec![]);
        let shape = vec![value.shape[1], value.shape[0], Some(units)];
        let mut all = Value { name: all, shape, ..like };
        if backwards && !in_order_of_time {
            let (minus, end, axis) = (emitter.ints(&[-1]), emitter.ints(&[i64::MIN]), emitter.ints(&[0]));
            let name = format!("{path}/reversed");
            let inputs = [all.name.as_str(), &minus, &end, &axis, &minus];
            all.name = emitter.node("Slice", &name, &inputs, vec![]);
        }
        emitter.transpose(path, &all, &[1, 0, 2])
    } else {
        ends[0].clone()
    };
    Ok(Outputs { output, states: if return_state { ends } else { Vec::new() } })
}

/// LSTM, GRU, SimpleRNN.
pub fn layer(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let values = arguments.values();
    let Some(value) = values.first() else { invalid!("no input") };
    unmasked(arguments)?;
    let backwards = layer.settings.flag("go_backwards", false)?;
    let outputs = write(emitter, layer, value, &initial(arguments), backwards, false)?;
    Ok(std::iter::once(outputs.output).chain(outputs.states).collect())
}

/// Refuses a mask in a layer's call.
pub fn unmasked(arguments: &Arguments<'_>) -> Step<()> {
    match arguments.named.get("mask") {
        None => Ok(()),
        Some(Argument::Json(json)) if json.is_null() => Ok(()),
        Some(_) => refuse!("a mask in its call"),
    }
}
