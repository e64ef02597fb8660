//! Attention, and products in Einstein's notation.

use serde_json::Value as Json;

use super::super::emit::{Emitter, Layer, Shape, Step, Value, invalid, refuse};
use super::super::network::{Argument, Arguments};
use super::{activation, convolution, expect_rank};
use crate::graph::{Attribute, DataType, Tensor};

/// What is added to the score of a step that is masked.
const MASKED: f64 = -1e9;

fn given(arguments: &Arguments<'_>, index: usize, name: &str) -> Option<Value> {
    arguments.value(name).cloned().or_else(|| arguments.values().get(index).cloned())
}

/// Refuses the masks that Keras makes on its own.
fn no_masks(arguments: &Arguments<'_>, values: &[&Value]) -> Step<()> {
    if values.iter().any(|value| value.masked) {
        refuse!("a mask (of an Embedding with mask_zero, or of Masking)");
    }
    for name in ["query_mask", "value_mask", "key_mask", "mask"] {
        if arguments.named.get(name).is_some_and(|given| !matches!(given, Argument::Json(json) if json.is_null())) {
            refuse!("a mask in its call");
        }
    }
    Ok(())
}

/// A constant of what is added to the scores so that no step sees a later one.
fn causal(emitter: &mut Emitter, steps: Option<usize>, seen: Option<usize>) -> Step<String> {
    let (Some(steps), Some(seen)) = (steps, seen) else { refuse!("a causal mask over an unknown number of steps") };
    emitter.constant(&format!("\0causal {steps} {seen}"), |e| {
        e.allow(&[steps, seen])?;
        let mask =
            (0..steps).flat_map(|row| (0..seen).map(move |column| if column > row { MASKED as f32 } else { 0.0 }));
        Ok(Tensor::from_vec(vec![steps, seen], mask.collect())?)
    })
}

/// MultiHeadAttention.
pub fn multi_head(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    let Some(query) = given(arguments, 0, "query") else { invalid!("it has no query") };
    let Some(value) = given(arguments, 1, "value") else { invalid!("it has no value") };
    let key = given(arguments, 2, "key").unwrap_or_else(|| value.clone());
    no_masks(arguments, &[&query, &key, &value])?;
    if settings.flag("use_gate", false)? || settings.get("sliding_window").is_some() {
        refuse!("a gate or a window");
    }
    let over_steps = match settings.ints("attention_axes")? {
        None => true,
        Some(axes) => axes == [1] || axes == [-2],
    };
    if !over_steps || [&query, &key, &value].iter().any(|value| value.rank() != 3) {
        refuse!("more than one axis of attention");
    }
    let heads = settings.size("num_heads")?;
    let width = settings.size("key_dim")?;
    let value_width = if settings.get("value_dim").is_some() { settings.size("value_dim")? } else { width };
    let biased = settings.flag("use_bias", true)?;
    let out = match settings.ints("output_shape")?.as_deref() {
        None => query.channels()?,
        Some([one]) if *one > 0 => *one as usize,
        Some(other) => refuse!("output_shape {other:?}"),
    };
    let part = |name: &str| format!("{}/{name}", layer.path);
    let project = |emitter: &mut Emitter, name: &str, value: &Value, width: usize| -> Step<Value> {
        let value = emitter.float(value);
        let value = emitter.last(&value);
        let channels = value.channels()?;
        let place = layer.place.inside(name, &[&format!("{name}_dense")]);
        let path = part(name);
        let Some(all) = heads.checked_mul(width) else { invalid!("{heads} heads of {width}") };
        let kernel = emitter.constant(&format!("{path}/kernel"), |e| {
            let array = e.weight_in(&place, &path, "kernel", 0, &[channels, heads, width])?;
            Ok(array.reshaped(vec![channels, all])?.tensor()?)
        })?;
        let bias = match biased {
            false => None,
            true => Some(emitter.constant(&format!("{path}/bias"), |e| {
                let array = e.weight_in(&place, &path, "bias", 1, &[heads, width])?;
                Ok(array.reshaped(vec![all])?.tensor()?)
            })?),
        };
        let product = convolution::product(emitter, &path, &value, &kernel, bias.as_deref(), all);
        let shape = vec![value.shape[0], value.shape[1], Some(heads), Some(width)];
        Ok(emitter.reshape(&part(&format!("{name}/heads")), &product, &[0, 0, heads as i64, width as i64], shape))
    };
    let q = project(emitter, "query", &query, width)?;
    let k = project(emitter, "key", &key, width)?;
    let v = project(emitter, "value", &value, value_width)?;
    let q = emitter.transpose(&part("query/turned"), &q, &[0, 2, 1, 3]);
    let k = emitter.transpose(&part("key/turned"), &k, &[0, 2, 3, 1]);
    let v = emitter.transpose(&part("value/turned"), &v, &[0, 2, 1, 3]);
    let q = emitter.with_scalar("Mul", &part("query/scaled"), &q, 1.0 / (width as f64).sqrt());
    let mut scores = emitter.node("MatMul", &part("scores"), &[&q.name, &k.name], vec![]);
    if arguments.flag("use_causal_mask") {
        let mask = causal(emitter, query.shape[1], key.shape[1])?;
        scores = emitter.node("Add", &part("causal"), &[&scores, &mask], vec![]);
    }
    if let Some(mask) = arguments.value("attention_mask").cloned().or_else(|| arguments.values().get(3).cloned()) {
        let mask = emitter.float(&mask);
        let mask = emitter.last(&mask);
        let mask = emitter.with_scalar("Sub", &part("mask/off"), &mask, 1.0);
        let mask = emitter.with_scalar("Mul", &part("mask/added"), &mask, -MASKED);
        let mask = match mask.rank() {
            3 => {
                let axes = emitter.ints(&[1]);
                emitter.node("Unsqueeze", &part("mask/heads"), &[&mask.name, &axes], vec![])
            }
            2 | 4 => mask.name,
            rank => refuse!("a mask of {rank} dimensions"),
        };
        scores = emitter.node("Add", &part("masked"), &[&scores, &mask], vec![]);
    }
    let shares = emitter.node("Softmax", &part("softmax"), &[&scores], vec![("axis", Attribute::Int(-1))]);
    let heads_out = emitter.node("MatMul", &part("sums"), &[&shares, &v.name], vec![]);
    let shape = vec![query.shape[0], Some(heads), query.shape[1], Some(value_width)];
    let joined = Value { name: heads_out, shape, dtype: DataType::Float32, first: false, masked: false };
    let joined = emitter.transpose(&part("turned"), &joined, &[0, 2, 1, 3]);
    let Some(all) = heads.checked_mul(value_width) else { invalid!("{heads} heads of {value_width}") };
    let shape = vec![query.shape[0], query.shape[1], Some(all)];
    let joined = emitter.reshape(&part("joined"), &joined, &[0, 0, all as i64], shape);
    let place = layer.place.inside("attention_output", &["output_dense"]);
    let path = part("attention_output");
    let kernel = emitter.constant(&format!("{path}/kernel"), |e| {
        let array = e.weight_in(&place, &path, "kernel", 0, &[heads, value_width, out])?;
        Ok(array.reshaped(vec![all, out])?.tensor()?)
    })?;
    let bias = match biased {
        false => None,
        true => Some(
            emitter.constant(&format!("{path}/bias"), |e| {
                Ok(e.weight_in(&place, &path, "bias", 1, &[out])?.tensor()?)
            })?,
        ),
    };
    let output = convolution::product(emitter, &layer.path, &joined, &kernel, bias.as_deref(), out);
    let mut outputs = vec![output];
    if arguments.flag("return_attention_scores") {
        let shape = vec![query.shape[0], Some(heads), query.shape[1], key.shape[1]];
        outputs.push(Value { name: shares, shape, dtype: DataType::Float32, first: false, masked: false });
    }
    Ok(outputs)
}

/// The query, key and value of Attention and AdditiveAttention.
fn three(emitter: &mut Emitter, arguments: &Arguments<'_>) -> Step<[Value; 3]> {
    let values = arguments.values();
    let (query, value, key) = match values.as_slice() {
        [query, value] => (query, value, value),
        [query, value, key] => (query, value, key),
        values => invalid!("{} inputs, expected a query and a value, and perhaps a key", values.len()),
    };
    no_masks(arguments, &[query, key, value])?;
    let mut three = [query.clone(), key.clone(), value.clone()];
    for value in &mut three {
        expect_rank(value, 3)?;
        let float = emitter.float(value);
        *value = emitter.last(&float);
    }
    Ok(three)
}

/// Shares of scores `[N, steps, seen]` of the values.
fn shared(
    emitter: &mut Emitter,
    layer: &Layer<'_>,
    arguments: &Arguments<'_>,
    scores: String,
    [query, key, value]: &[Value; 3],
) -> Step<Vec<Value>> {
    let part = |name: &str| format!("{}/{name}", layer.path);
    let mut scores = scores;
    if arguments.flag("use_causal_mask") || layer.settings.flag("causal", false)? {
        let mask = causal(emitter, query.shape[1], key.shape[1])?;
        scores = emitter.node("Add", &part("causal"), &[&scores, &mask], vec![]);
    }
    let shares = emitter.node("Softmax", &part("softmax"), &[&scores], vec![("axis", Attribute::Int(-1))]);
    let output = emitter.node("MatMul", &layer.path, &[&shares, &value.name], vec![]);
    let shape = vec![query.shape[0], query.shape[1], value.shape[2]];
    let mut outputs = vec![Value { name: output, shape, ..query.clone() }];
    if arguments.flag("return_attention_scores") {
        let shape = vec![query.shape[0], query.shape[1], key.shape[1]];
        outputs.push(Value { name: shares, shape, ..query.clone() });
    }
    Ok(outputs)
}

/// `[N, steps, 1, C]` and `[N, 1, seen, C]`, summed.
fn pairs(emitter: &mut Emitter, layer: &Layer<'_>, query: &Value, key: &Value) -> String {
    let part = |name: &str| format!("{}/{name}", layer.path);
    let (two, one) = (emitter.ints(&[2]), emitter.ints(&[1]));
    let query = emitter.node("Unsqueeze", &part("query"), &[&query.name, &two], vec![]);
    let key = emitter.node("Unsqueeze", &part("key"), &[&key.name, &one], vec![]);
    emitter.node("Add", &part("pairs"), &[&query, &key], vec![])
}

/// Attention.
pub fn dot(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    let three = three(emitter, arguments)?;
    let [query, key, _] = &three;
    let part = |name: &str| format!("{}/{name}", layer.path);
    let scaled = settings.flag("use_scale", false)?;
    let scale = match scaled {
        true => Some(emitter.constant(&part("scale"), |e| Ok(e.weight(layer, "scale", 0, &[])?.tensor()?))?),
        false => None,
    };
    let scores = match settings.text("score_mode", "dot")? {
        "dot" => {
            let key = emitter.transpose(&part("key"), key, &[0, 2, 1]);
            let scores = emitter.node("MatMul", &part("scores"), &[&query.name, &key.name], vec![]);
            match scale {
                Some(scale) => emitter.node("Mul", &part("scaled"), &[&scores, &scale], vec![]),
                None => scores,
            }
        }
        "concat" => {
            let weight = emitter.constant(&part("concat_score_weight"), |e| {
                Ok(e.weight(layer, "concat_score_weight", usize::from(scaled), &[])?.tensor()?)
            })?;
            let mut sum = pairs(emitter, layer, query, key);
            if let Some(scale) = scale {
                sum = emitter.node("Mul", &part("scaled"), &[&sum, &scale], vec![]);
            }
            let tanh = emitter.node("Tanh", &part("tanh"), &[&sum], vec![]);
            let axes = emitter.ints(&[-1]);
            let sum = emitter.node("ReduceSum", &part("sum"), &[&tanh, &axes], vec![("keepdims", Attribute::Int(0))]);
            emitter.node("Mul", &part("scores"), &[&sum, &weight], vec![])
        }
        other => refuse!("score_mode {other}"),
    };
    shared(emitter, layer, arguments, scores, &three)
}

/// AdditiveAttention.
pub fn additive(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let three = three(emitter, arguments)?;
    let [query, key, _] = &three;
    let part = |name: &str| format!("{}/{name}", layer.path);
    let sum = pairs(emitter, layer, query, key);
    let mut tanh = emitter.node("Tanh", &part("tanh"), &[&sum], vec![]);
    if layer.settings.flag("use_scale", true)? {
        let channels = query.channels()?;
        let scale = emitter.constant(&part("scale"), |e| Ok(e.weight(layer, "scale", 0, &[channels])?.tensor()?))?;
        tanh = emitter.node("Mul", &part("scaled"), &[&tanh, &scale], vec![]);
    }
    let axes = emitter.ints(&[-1]);
    let scores = emitter.node("ReduceSum", &part("scores"), &[&tanh, &axes], vec![("keepdims", Attribute::Int(0))]);
    shared(emitter, layer, arguments, scores, &three)
}

/// EinsumDense.
pub fn einsum_dense(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    if settings.get("lora_rank").is_some() {
        refuse!("lora_rank");
    }
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let value = emitter.last(&value);
    let equation = settings.text("equation", "")?.replace(' ', "");
    let parts = equation.split_once("->").and_then(|(left, out)| left.split_once(',').map(|(a, b)| (a, b, out)));
    let Some((a, b, out)) = parts else { invalid!("\"equation\": {equation}") };
    // An ellipsis stands for what the letters do not name.
    let letters = |text: &str| -> Vec<char> { text.chars().filter(|c| c.is_ascii_alphabetic()).collect() };
    let free = value.rank().checked_sub(letters(a).len());
    let Some(free) = free.filter(|&free| free == 0 || a.contains("...")) else {
        invalid!("{equation} of {} dimensions", value.rank())
    };
    let names = |text: &str| -> Vec<String> {
        let dots: String = (0..free).map(|index| format!("{index}")).collect();
        text.replace("...", &dots).chars().map(|c| c.to_string()).collect()
    };
    let (a, b, out) = (names(a), names(b), names(out));
    if a.len() != value.rank() {
        invalid!("{equation} of {} dimensions", value.rank());
    }
    let mut output_shape: Vec<Option<i64>> = Vec::new();
    match settings.get("output_shape") {
        Some(Json::Array(items)) => output_shape.extend(items.iter().map(super::super::settings::integer)),
        Some(one) => output_shape.push(super::super::settings::integer(one)),
        None => {}
    }
    let behind = out.len().checked_sub(output_shape.len());
    let Some(behind) = behind else { invalid!("{equation} with output_shape {output_shape:?}") };
    let size = |letter: &String| -> Option<usize> {
        if let Some(index) = a.iter().position(|l| l == letter) {
            return value.shape[index];
        }
        let index = out.iter().position(|l| l == letter)?;
        output_shape.get(index.checked_sub(behind)?).copied().flatten().and_then(|n| usize::try_from(n).ok())
    };
    let Some(kernel_shape) = b.iter().map(size).collect::<Option<Vec<usize>>>() else { refuse!("unknown sizes") };
    let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
        Ok(e.weight(layer, "kernel", 0, &kernel_shape)?.tensor()?)
    })?;
    let name = format!("{}/einsum", layer.path);
    let attributes = vec![("equation", Attribute::String(equation.clone().into_bytes()))];
    let mut output = emitter.node("Einsum", &name, &[&value.name, &kernel], attributes);
    let shape: Shape = out.iter().map(size).collect();
    if let Some(axes) = settings.get("bias_axes") {
        let Some(axes) = axes.as_str() else { invalid!("\"bias_axes\": expected letters, got {axes}") };
        let biased = |letter: &String| axes.contains(letter.as_str());
        let Some(first) = out.iter().position(biased) else { invalid!("\"bias_axes\": {axes} of {equation}") };
        let bias_shape = out[first..].iter().map(|letter| if biased(letter) { size(letter) } else { Some(1) });
        let Some(bias_shape) = bias_shape.collect::<Option<Vec<usize>>>() else { refuse!("unknown sizes") };
        let bias = emitter
            .constant(&format!("{}/bias", layer.path), |e| Ok(e.weight(layer, "bias", 1, &bias_shape)?.tensor()?))?;
        output = emitter.node("Add", &layer.path, &[&output, &bias], vec![]);
    }
    let output = Value { name: output, shape, ..value };
    Ok(vec![activation::of(emitter, &layer.path, settings.get("activation"), output)?])
}
