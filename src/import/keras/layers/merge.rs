//! Layers of several inputs.

use super::super::emit::{Emitter, Layer, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use super::normalization::l2;
use crate::graph::Attribute;

/// Keras' merging layers put what a value lacks in dimensions behind the batch.
fn of_rank(emitter: &mut Emitter, value: &Value, rank: usize) -> Value {
    let missing = rank.saturating_sub(value.rank());
    if missing == 0 || value.rank() == 0 {
        return value.clone();
    }
    let value = emitter.last(value);
    let axes: Vec<i64> = (1..=missing as i64).collect();
    let axes = emitter.ints(&axes);
    let name = emitter.node("Unsqueeze", &format!("{}/spread", value.name), &[&value.name, &axes], vec![]);
    let mut shape = vec![value.shape[0]];
    shape.extend(vec![Some(1); missing]);
    shape.extend(&value.shape[1..]);
    Value { name, shape, ..value }
}

/// Add, Subtract, Multiply, Average, Maximum, Minimum.
pub fn merge(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let values = arguments.values();
    let rank = values.iter().map(Value::rank).max().unwrap_or(0);
    let op = match layer.class {
        "Add" | "Average" => "Add",
        "Subtract" => "Sub",
        "Multiply" => "Mul",
        "Maximum" => "Max",
        _ => "Min",
    };
    if values.len() < 2 || op == "Sub" && values.len() != 2 {
        invalid!("{} inputs", values.len());
    }
    let values: Vec<Value> = values
        .iter()
        .map(|value| {
            let value = emitter.float(value);
            of_rank(emitter, &value, rank)
        })
        .collect();
    let mut sum = values[0].clone();
    for (index, value) in values.iter().enumerate().skip(1) {
        let end = index + 1 == values.len() && layer.class != "Average";
        let name = if end { layer.path.clone() } else { format!("{}/{index}", layer.path) };
        sum = emitter.binary(op, &name, &sum, value, value.dtype)?;
    }
    if layer.class == "Average" {
        sum = emitter.with_scalar("Mul", &layer.path, &sum, 1.0 / values.len() as f64);
    }
    Ok(vec![sum])
}

/// Joins values along an axis of Keras' shape.
pub fn join(emitter: &mut Emitter, name: &str, values: &[Value], axis: i64) -> Step<Value> {
    let Some(like) = values.first() else { invalid!("nothing to join") };
    let axis = like.axis(axis)?;
    let rank = like.rank();
    if values.iter().any(|value| value.rank() != rank) {
        invalid!("values of different ranks are joined");
    }
    let dtype =
        if values.iter().all(|value| value.dtype == like.dtype) { like.dtype } else { crate::graph::DataType::Float32 };
    let first = rank >= 3 && values.iter().any(|value| value.first);
    let values: Vec<Value> = values
        .iter()
        .map(|value| {
            let value = emitter.cast(value, dtype);
            if first { emitter.first(&value) } else { value }
        })
        .collect();
    let mut shape = values[0].shape.clone();
    for value in &values[1..] {
        for (at, size) in value.shape.iter().enumerate() {
            shape[at] = match (shape[at], size) {
                (Some(a), Some(b)) if at == axis => a.checked_add(*b),
                (_, _) if at == axis => None,
                (Some(a), Some(b)) if a != *b => invalid!("sizes {a} and {b} along axis {at}, which are not joined"),
                (a, b) => a.or(*b),
            };
        }
    }
    let place = values[0].place(axis) as i64;
    let inputs: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    let output = emitter.node("Concat", name, &inputs, vec![("axis", Attribute::Int(place))]);
    let masked = values.iter().any(|value| value.masked);
    Ok(Value { name: output, shape, dtype, first: values[0].first, masked })
}

/// Concatenate.
pub fn concatenate(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let axis = layer.settings.int("axis", -1)?;
    Ok(vec![join(emitter, &layer.path, &arguments.values(), axis)?])
}

/// Dot.
pub fn dot(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let values = arguments.values();
    let [a, b] = values.as_slice() else { invalid!("{} inputs", values.len()) };
    let axes = match layer.settings.ints("axes")?.as_deref() {
        Some([both]) => [a.axis(*both)?, b.axis(*both)?],
        Some([one, other]) => [a.axis(*one)?, b.axis(*other)?],
        _ => invalid!("\"axes\" are missing"),
    };
    if !(2..=3).contains(&a.rank()) || !(2..=3).contains(&b.rank()) || axes.contains(&0) {
        refuse!("inputs of {} and {} dimensions over the axes {axes:?}", a.rank(), b.rank());
    }
    let (mut a, mut b) = (emitter.float(a), emitter.float(b));
    if layer.settings.flag("normalize", false)? {
        a = l2(emitter, &format!("{}/a", layer.path), &a, &axes[..1], 1e-12)?;
        b = l2(emitter, &format!("{}/b", layer.path), &b, &axes[1..], 1e-12)?;
    }
    // The axis that is summed over: the last of the one, behind the batch of the other.
    let left = if a.rank() == 3 && axes[0] == 1 { [0, 2, 1].to_vec() } else { (0..a.rank()).collect() };
    let right = if b.rank() == 3 && axes[1] == 2 { [0, 2, 1].to_vec() } else { (0..b.rank()).collect() };
    let a = emitter.transpose(&format!("{}/left", layer.path), &a, &left);
    let b = emitter.transpose(&format!("{}/right", layer.path), &b, &right);
    let (a, b) = (emitter.last(&a), emitter.last(&b));
    let mut shape = vec![a.shape[0]];
    let raise = |emitter: &mut Emitter, value: &Value, axis: i64| match value.rank() {
        2 => {
            let axes = emitter.ints(&[axis]);
            emitter.node("Unsqueeze", &format!("{}/matrix", value.name), &[&value.name, &axes], vec![])
        }
        _ => value.name.clone(),
    };
    if a.rank() == 3 {
        shape.push(a.shape[1]);
    }
    if b.rank() == 3 {
        shape.push(b.shape[2]);
    }
    let (left, right) = (raise(emitter, &a, 1), raise(emitter, &b, 2));
    let mut output = emitter.node("MatMul", &layer.path, &[&left, &right], vec![]);
    // Where both are vectors, the product is [N, 1, 1], and Keras gives [N, 1].
    let gone: Vec<i64> = match (a.rank(), b.rank()) {
        (3, 3) => vec![],
        (3, _) => vec![2],
        (_, 3) => vec![1],
        _ => vec![2],
    };
    if !gone.is_empty() {
        let axes = emitter.ints(&gone);
        output = emitter.node("Squeeze", &format!("{}/squeezed", layer.path), &[&output, &axes], vec![]);
    }
    if shape.len() == 1 {
        shape.push(Some(1));
    }
    Ok(vec![Value { name: output, shape, first: false, masked: false, ..a }])
}
