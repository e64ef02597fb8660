//! Layers around a layer.

use serde_json::{Map, Value as Json};

use super::super::emit::{Emitter, Layer, Step, Stop, Value, invalid, refuse};
use super::super::network::{self, Arguments};
use super::super::settings::Settings;
use super::recurrent;
use crate::graph::Attribute;

fn inner<'a>(layer: &Layer<'a>, key: &str) -> Option<(&'a Map<String, Json>, &'a str, Option<Settings<'a>>)> {
    let object = layer.settings.0.get(key)?.as_object()?;
    let class = object.get("class_name").and_then(Json::as_str).unwrap_or("");
    Some((object, class, object.get("config").and_then(Json::as_object).map(Settings)))
}

fn direction(name: &str, prefix: &str) -> String {
    let base = name.strip_prefix("forward_").or_else(|| name.strip_prefix("backward_")).unwrap_or(name);
    format!("{prefix}_{base}")
}

/// Bidirectional.
pub fn bidirectional(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = match arguments.values().as_slice() {
        [value] => value.clone(),
        _ => refuse!("initial states"),
    };
    recurrent::unmasked(arguments)?;
    let Some((_, class, Some(forward))) = inner(layer, "layer") else { invalid!("it has no layer") };
    let backward = inner(layer, "backward_layer");
    match &backward {
        Some((_, other, _)) if *other != class => refuse!("a {class} one way and a {other} the other"),
        _ => {}
    }
    let given = backward.and_then(|(_, _, settings)| settings);
    if forward.flag("go_backwards", false)?
        || given.is_some_and(|b| b.0.get("go_backwards") == Some(&Json::Bool(false)))
    {
        refuse!("layers that go the other way");
    }
    let backward = given.unwrap_or(forward);
    let name = forward.text("name", "")?;
    let mut both = Vec::new();
    for (settings, way) in [(forward, "forward"), (backward, "backward")] {
        let name = direction(if way == "forward" { name } else { backward.text("name", "")? }, way);
        let part = Layer {
            class,
            path: format!("{}/{name}", layer.path),
            settings,
            place: layer.place.inside(&name, &[&format!("{way}_layer")]),
        };
        let outputs = recurrent::write(emitter, &part, &value, &[], way == "backward", true)?;
        both.push(outputs);
    }
    let (Some(back), Some(fore)) = (both.pop(), both.pop()) else { invalid!("it has no layer") };
    let (a, b) = (fore.output, back.output);
    let states = fore.states.into_iter().chain(back.states);
    let output = match layer.settings.0.get("merge_mode") {
        Some(Json::Null) => return Ok([a, b].into_iter().chain(states).collect()),
        None => super::merge::join(emitter, &layer.path, &[a, b], -1)?,
        Some(Json::String(mode)) => match mode.as_str() {
            "concat" => super::merge::join(emitter, &layer.path, &[a, b], -1)?,
            "sum" => emitter.binary("Add", &layer.path, &a, &b, a.dtype)?,
            "mul" => emitter.binary("Mul", &layer.path, &a, &b, a.dtype)?,
            "ave" => {
                let sum = emitter.binary("Add", &format!("{}/sum", layer.path), &a, &b, a.dtype)?;
                emitter.with_scalar("Mul", &layer.path, &sum, 0.5)
            }
            other => refuse!("merge_mode {other}"),
        },
        Some(other) => invalid!("\"merge_mode\": expected a name, got {other}"),
    };
    Ok(std::iter::once(output).chain(states).collect())
}

/// TimeDistributed.
pub fn time_distributed(
    emitter: &mut Emitter,
    layer: &Layer<'_>,
    arguments: &Arguments<'_>,
    depth: usize,
) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    recurrent::unmasked(arguments)?;
    if value.rank() < 3 {
        invalid!("expected an input of three dimensions or more, got {}", value.rank());
    }
    if depth > 16 {
        refuse!("layers in each other this deep");
    }
    let Some((object, class, settings)) = inner(layer, "layer") else { invalid!("it has no layer") };
    let name = settings.map(|settings| settings.text("name", "")).transpose()?.unwrap_or("");
    let place = layer.place.inside(name, &["layer"]);
    // What looks at the last dimension alone has no need of one batch.
    let along_last = |settings: Option<Settings<'_>>| match settings.map(|s| s.ints("axis")) {
        Some(Ok(Some(axes))) => axes == [-1],
        _ => true,
    };
    let alone = matches!(class, "Dense" | "Activation" | "ReLU" | "LeakyReLU" | "ELU" | "Dropout" | "Rescaling")
        || matches!(class, "LayerNormalization" | "Softmax") && along_last(settings);
    let path = if name.is_empty() { layer.path.clone() } else { format!("{}/{name}", layer.path) };
    let write = |emitter: &mut Emitter, value: Value| -> Step<Vec<Value>> {
        match network::object(emitter, object, &path, &place, Arguments::of(value), depth + 1)? {
            Some(values) => Ok(values),
            // What stopped it is noted.
            None => Err(Stop::Absent),
        }
    };
    if alone {
        return write(emitter, value);
    }
    let rest: Option<Vec<i64>> = value.shape[2..].iter().map(|size| size.map(|size| size as i64)).collect();
    let Some(rest) = rest else { refuse!("unknown sizes") };
    let mut target = vec![-1];
    target.extend(&rest);
    let mut shape = vec![None];
    shape.extend(&value.shape[2..]);
    let value = emitter.last(&value);
    let one = emitter.reshape(&format!("{}/batch", layer.path), &value, &target, shape);
    let mut outputs = Vec::new();
    for output in write(emitter, one)? {
        let output = emitter.last(&output);
        let rest: Option<Vec<i64>> = output.shape[1..].iter().map(|size| size.map(|size| size as i64)).collect();
        let Some(rest) = rest else { refuse!("unknown sizes") };
        let mut shape = value.shape[..2].to_vec();
        shape.extend(&output.shape[1..]);
        outputs.push(match value.shape[1] {
            Some(steps) => {
                let mut target = vec![-1, steps as i64];
                target.extend(&rest);
                emitter.reshape(&layer.path, &output, &target, shape)
            }
            None => {
                let ends = vec![("start", Attribute::Int(0)), ("end", Attribute::Int(2))];
                let sizes = emitter.node("Shape", &format!("{}/sizes", layer.path), &[&value.name], ends);
                let rest = emitter.ints(&rest);
                let axis = vec![("axis", Attribute::Int(0))];
                let target = emitter.node("Concat", &format!("{}/shape", layer.path), &[&sizes, &rest], axis);
                let name = emitter.node("Reshape", &layer.path, &[&output.name, &target], vec![]);
                Value { name, shape, ..output }
            }
        });
    }
    Ok(outputs)
}
