//! Activation functions, by name and as layers.

use serde_json::Value as Json;

use super::super::emit::{Emitter, Flavour, Layer, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use super::super::settings::Settings;
use crate::graph::Attribute;

/// The layers that are nothing but an activation.
pub fn layer(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.values();
    let value = match (layer.class, value.as_slice()) {
        (_, [value]) => value.clone(),
        ("Softmax", [_, ..]) => refuse!("a mask"),
        _ => arguments.one()?,
    };
    let value = emitter.float(&value);
    let settings = layer.settings;
    let name = &layer.path;
    Ok(vec![match layer.class {
        "Activation" => of(emitter, name, settings.get("activation"), value)?,
        "PReLU" => {
            let mut shape: Vec<usize> = Vec::new();
            let shared = settings.ints("shared_axes")?.unwrap_or_default();
            for (axis, size) in value.shape.iter().enumerate().skip(1) {
                match size {
                    _ if shared.contains(&(axis as i64)) => shape.push(1),
                    Some(size) => shape.push(*size),
                    None => refuse!("an unknown size"),
                }
            }
            let key = format!("{}/alpha", layer.path);
            let alpha = emitter.weight(layer, "alpha", 0, &shape)?;
            let slope = emitter.along(&key, &value, alpha)?;
            let output = emitter.node("PRelu", name, &[&value.name, &slope], vec![]);
            Value { name: output, ..value }
        }
        _ => of_class(emitter, name, layer.class, settings, value)?,
    }])
}

fn of_class(emitter: &mut Emitter, name: &str, class: &str, settings: Settings<'_>, value: Value) -> Step<Value> {
    let legacy = emitter.flavour != Flavour::Keras3;
    Ok(match class {
        "ReLU" => {
            let slope = settings.float("negative_slope", 0.0)?;
            let (most, threshold) = (settings.some_float("max_value")?, settings.float("threshold", 0.0)?);
            if threshold < 0.0 && most.is_some() {
                refuse!("threshold {threshold} and a max_value");
            }
            relu(emitter, name, value, most, slope, threshold)
        }
        "LeakyReLU" => {
            let slope = settings.some_float("negative_slope")?.or(settings.some_float("alpha")?).unwrap_or(0.3);
            with_alpha(emitter, "LeakyRelu", name, &value, slope)
        }
        "ELU" => {
            let alpha = settings.float("alpha", 1.0)?;
            with_alpha(emitter, "Elu", name, &value, alpha)
        }
        "ThresholdedReLU" => {
            let theta = settings.float("theta", 1.0)?;
            with_alpha(emitter, "ThresholdedRelu", name, &value, theta)
        }
        "Softmax" => {
            if value.masked && !legacy {
                refuse!("a mask");
            }
            match settings.ints("axis")?.as_deref() {
                None => softmax(emitter, "Softmax", name, value, -1)?,
                Some([axis]) => softmax(emitter, "Softmax", name, value, *axis)?,
                Some(axes) => refuse!("the axes {axes:?}"),
            }
        }
        class => refuse!("the activation {class}"),
    })
}

/// The activation that a layer's settings have: a name, a layer, or nothing.
pub fn of(emitter: &mut Emitter, name: &str, activation: Option<&Json>, value: Value) -> Step<Value> {
    match activation {
        None => Ok(value),
        Some(Json::String(function)) => named(emitter, name, function, value),
        Some(Json::Object(object)) => {
            let class = object.get("class_name").and_then(Json::as_str).unwrap_or("");
            match object.get("config") {
                Some(Json::String(function)) => named(emitter, name, function, value),
                Some(Json::Object(settings)) if class == "Activation" => {
                    of(emitter, name, settings.get("activation").filter(|a| a.is_string()), value)
                }
                Some(Json::Object(settings)) => {
                    let float = emitter.float(&value);
                    of_class(emitter, name, class, Settings(settings), float)
                }
                _ => named(emitter, name, class, value),
            }
        }
        Some(other) => invalid!("\"activation\": expected a name, got {other}"),
    }
}

fn with_alpha(emitter: &mut Emitter, op: &str, name: &str, value: &Value, alpha: f64) -> Value {
    emitter.same(op, name, value, vec![("alpha", Attribute::Float(alpha as f32))])
}

/// Softmax or its like over an axis of Keras' shape.
pub fn softmax(emitter: &mut Emitter, op: &str, name: &str, value: Value, axis: i64) -> Step<Value> {
    let axis = value.axis(axis)?;
    let axis = Attribute::Int(value.place(axis) as i64);
    Ok(emitter.same(op, name, &value, vec![("axis", axis)]))
}

/// The lesser of the value and a number.
fn at_most(emitter: &mut Emitter, name: &str, value: Value, most: Option<f64>) -> Value {
    match most {
        Some(most) => emitter.with_scalar("Min", name, &value, most),
        None => value,
    }
}

/// Values between two numbers.
pub fn clip(emitter: &mut Emitter, name: &str, value: &Value, least: f64, most: f64) -> Value {
    let (least, most) = (emitter.scalar(least as f32), emitter.scalar(most as f32));
    let output = emitter.node("Clip", name, &[&value.name, &least, &most], vec![]);
    Value { name: output, ..value.clone() }
}

fn relu(emitter: &mut Emitter, name: &str, value: Value, most: Option<f64>, slope: f64, threshold: f64) -> Value {
    match (most, slope == 0.0, threshold == 0.0) {
        (None, true, true) => emitter.same("Relu", name, &value, vec![]),
        (Some(most), true, true) => clip(emitter, name, &value, 0.0, most),
        (most, false, true) => {
            let leaky = with_alpha(emitter, "LeakyRelu", name, &value, slope);
            at_most(emitter, &format!("{name}/max"), leaky, most)
        }
        (most, _, false) => {
            let over = emitter.with_scalar("Greater", &format!("{name}/over"), &value, threshold);
            let below = emitter.with_scalar("Sub", &format!("{name}/below"), &value, threshold);
            let below = emitter.with_scalar("Mul", &format!("{name}/slope"), &below, slope);
            let output = emitter.node("Where", name, &[&over.name, &value.name, &below.name], vec![]);
            at_most(emitter, &format!("{name}/max"), Value { name: output, ..value }, most)
        }
    }
}

fn times(emitter: &mut Emitter, name: &str, value: &Value, other: &Value) -> Value {
    let output = emitter.node("Mul", name, &[&value.name, &other.name], vec![]);
    Value { name: output, ..value.clone() }
}

/// The activation that Keras calls `function`.
pub fn named(emitter: &mut Emitter, name: &str, function: &str, value: Value) -> Step<Value> {
    if matches!(function, "linear" | "") {
        return Ok(value);
    }
    let value = emitter.float(&value);
    let name = &if name.is_empty() { function.to_string() } else { format!("{name}/{function}") };
    let plain = |emitter: &mut Emitter, op: &str| emitter.same(op, name, &value, vec![]);
    let inner = |part: &str| format!("{name}/{part}");
    Ok(match function {
        "relu" => plain(emitter, "Relu"),
        "relu6" => clip(emitter, name, &value, 0.0, 6.0),
        "sigmoid" => plain(emitter, "Sigmoid"),
        "tanh" => plain(emitter, "Tanh"),
        "softplus" => plain(emitter, "Softplus"),
        "softsign" => plain(emitter, "Softsign"),
        "exponential" | "exp" => plain(emitter, "Exp"),
        "elu" => with_alpha(emitter, "Elu", name, &value, 1.0),
        "selu" => plain(emitter, "Selu"),
        "celu" => with_alpha(emitter, "Celu", name, &value, 1.0),
        "mish" => plain(emitter, "Mish"),
        "leaky_relu" => with_alpha(emitter, "LeakyRelu", name, &value, 0.2),
        "softmax" => softmax(emitter, "Softmax", name, value, -1)?,
        "log_softmax" => softmax(emitter, "LogSoftmax", name, value, -1)?,
        "gelu" => plain(emitter, "Gelu"),
        "gelu_new" => emitter.same("Gelu", name, &value, vec![("approximate", Attribute::String(b"tanh".to_vec()))]),
        "swish" | "silu" => {
            let gate = emitter.same("Sigmoid", &inner("sigmoid"), &value, vec![]);
            times(emitter, name, &value, &gate)
        }
        "hard_sigmoid" | "hardSigmoid" => {
            let alpha = if emitter.flavour == Flavour::Keras3 { 1.0 / 6.0 } else { 0.2 };
            let attributes = vec![("alpha", Attribute::Float(alpha as f32)), ("beta", Attribute::Float(0.5))];
            emitter.same("HardSigmoid", name, &value, attributes)
        }
        "hard_silu" | "hard_swish" => plain(emitter, "HardSwish"),
        "hard_tanh" => clip(emitter, name, &value, -1.0, 1.0),
        "tanh_shrink" => {
            let tanh = emitter.same("Tanh", &inner("tanh"), &value, vec![]);
            let output = emitter.node("Sub", name, &[&value.name, &tanh.name], vec![]);
            Value { name: output, ..value }
        }
        "hard_shrink" | "soft_shrink" => {
            let bias = if function == "soft_shrink" { 0.5 } else { 0.0 };
            let attributes = vec![("lambd", Attribute::Float(0.5)), ("bias", Attribute::Float(bias))];
            emitter.same("Shrink", name, &value, attributes)
        }
        "log_sigmoid" => {
            let negative = emitter.same("Neg", &inner("neg"), &value, vec![]);
            let soft = emitter.same("Softplus", &inner("softplus"), &negative, vec![]);
            emitter.same("Neg", name, &soft, vec![])
        }
        "squareplus" => {
            let square = times(emitter, &inner("square"), &value, &value);
            let sum = emitter.with_scalar("Add", &inner("sum"), &square, 4.0);
            let root = emitter.same("Sqrt", &inner("sqrt"), &sum, vec![]);
            let output = emitter.node("Add", &inner("add"), &[&value.name, &root.name], vec![]);
            emitter.with_scalar("Mul", name, &Value { name: output, ..value }, 0.5)
        }
        "glu" => {
            let value = emitter.last(&value);
            let channels = value.channels()?;
            if channels % 2 != 0 {
                invalid!("glu halves its input, which has {channels} channels");
            }
            let attributes = vec![("axis", Attribute::Int(-1)), ("num_outputs", Attribute::Int(2))];
            let halves = emitter.builder.nodes("Split", &inner("split"), &[&value.name], attributes, 2);
            let gate = emitter.node("Sigmoid", &inner("sigmoid"), &[&halves[1]], vec![]);
            let mut shape = value.shape.clone();
            if let Some(last) = shape.last_mut() {
                *last = Some(channels / 2);
            }
            let output = emitter.node("Mul", name, &[&halves[0], &gate], vec![]);
            Value { name: output, shape, ..value }
        }
        other => refuse!("the activation {other}"),
    })
}

/// A recurrent layer's activation as ONNX' LSTM, GRU and RNN name it, with its alpha and beta.
pub fn recurrent(flavour: Flavour, activation: Option<&Json>, default: &str) -> Step<(&'static str, f32, f32)> {
    let name = match activation {
        None => default,
        Some(Json::String(name)) => name,
        Some(Json::Object(object)) => match object.get("config").and_then(Json::as_str) {
            Some(name) => name,
            None => refuse!("an activation that is a layer"),
        },
        Some(other) => invalid!("\"activation\": expected a name, got {other}"),
    };
    Ok(match name {
        "linear" => ("Affine", 1.0, 0.0),
        "relu" => ("Relu", 0.0, 0.0),
        "tanh" => ("Tanh", 0.0, 0.0),
        "sigmoid" => ("Sigmoid", 0.0, 0.0),
        "softplus" => ("Softplus", 0.0, 0.0),
        "softsign" => ("Softsign", 0.0, 0.0),
        "elu" => ("Elu", 1.0, 0.0),
        "leaky_relu" => ("LeakyRelu", 0.2, 0.0),
        "hard_sigmoid" | "hardSigmoid" => {
            ("HardSigmoid", if flavour == Flavour::Keras3 { (1.0 / 6.0) as f32 } else { 0.2 }, 0.5)
        }
        other => refuse!("the activation {other}"),
    })
}
