//! What stands before the layers that learn: numbers scaled, categories encoded, tokens embedded.

use super::super::array::Array;
use super::super::emit::{Emitter, Flavour, Layer, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use super::normalization::scale_and_shift;
use crate::graph::{Attribute, DataType, Tensor};

/// Embedding.
pub fn embedding(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let settings = layer.settings;
    let (rows, width) = (settings.size("input_dim")?, settings.size("output_dim")?);
    if settings.get("lora_rank").is_some() {
        refuse!("lora_rank");
    }
    let value = match value.dtype {
        DataType::Int32 | DataType::Int64 => value,
        _ => emitter.cast(&value, DataType::Int32),
    };
    let value = emitter.last(&value);
    let table = emitter.constant(&format!("{}/embeddings", layer.path), |e| {
        Ok(e.weight(layer, "embeddings", 0, &[rows, width])?.tensor()?)
    })?;
    let output = emitter.node("Gather", &layer.path, &[&table, &value.name], vec![]);
    let mut shape = value.shape.clone();
    shape.push(Some(width));
    let masked = settings.flag("mask_zero", false)?;
    Ok(vec![Value { name: output, shape, dtype: DataType::Float32, first: false, masked }])
}

/// Masking: rows that are nothing but the mask's value become zeros.
pub fn masking(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let mask = layer.settings.float("mask_value", 0.0)?;
    let name = |part: &str| format!("{}/{part}", layer.path);
    let equal = emitter.with_scalar("Equal", &name("equal"), &value, mask);
    let other = emitter.same("Not", &name("other"), &equal, vec![]);
    let to = Attribute::Int(i64::from(DataType::Float32.onnx()));
    let other = emitter.same("Cast", &name("kept"), &other, vec![("to", to)]);
    let kept = emitter.reduce("ReduceMax", &name("any"), &other, &[value.rank() - 1], true);
    let output = emitter.binary("Mul", &layer.path, &value, &kept, DataType::Float32)?;
    Ok(vec![Value { masked: true, ..output }])
}

/// A list of settings as an array along the last dimension; none where it is not set.
fn vector(layer: &Layer<'_>, key: &str) -> Step<Option<Array>> {
    let Some(values) = layer.settings.floats(key)? else { return Ok(None) };
    let shape = if values.len() == 1 { vec![] } else { vec![values.len()] };
    Ok(Some(Array::new(shape, values.into_iter().map(|v| v as f32).collect())?))
}

/// Rescaling.
pub fn rescaling(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let (scale, offset) = (vector(layer, "scale")?, vector(layer, "offset")?);
    if scale.is_none() {
        invalid!("\"scale\" is missing");
    }
    let offset = offset.filter(|offset| offset.data.iter().any(|&v| v != 0.0));
    for array in [&scale, &offset].into_iter().flatten() {
        match (array.shape.as_slice(), value.shape.last()) {
            ([length], Some(Some(size))) if length != size => invalid!("{length} numbers for {size} channels"),
            _ => {}
        }
    }
    Ok(vec![scale_and_shift(emitter, &layer.path, &value, scale, offset)?])
}

/// Normalization.
pub fn normalization(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let settings = layer.settings;
    let mut axes = Vec::new();
    let whole = settings.0.get("axis").is_some_and(serde_json::Value::is_null);
    let listed = if whole { Vec::new() } else { settings.ints("axis")?.unwrap_or(vec![-1]) };
    for axis in listed {
        axes.push(value.axis(axis)?);
    }
    axes.sort_unstable();
    let sizes = axes.iter().map(|&axis| value.shape[axis]).collect::<Option<Vec<usize>>>();
    let Some(sizes) = sizes else { refuse!("an unknown size along its axes") };
    let first = axes.first().copied().unwrap_or(value.rank());
    let shape: Vec<usize> =
        (first..value.rank()).map(|axis| axes.iter().position(|&a| a == axis).map_or(1, |i| sizes[i])).collect();
    let (mean, variance) = match (settings.floats("mean")?, settings.floats("variance")?) {
        (Some(mean), Some(variance)) => {
            let mut array = |values: Vec<f64>| -> Step<Array> {
                let mut values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
                if let [one] = values[..] {
                    emitter.allow(&sizes)?;
                    values = vec![one; sizes.iter().product()];
                }
                Ok(Array::new(shape.clone(), values)?)
            };
            (array(mean)?, array(variance)?)
        }
        _ => {
            let mean = emitter.weight(layer, "mean", 0, &sizes)?.reshaped(shape.clone())?;
            (mean, emitter.weight(layer, "variance", 1, &sizes)?.reshaped(shape.clone())?)
        }
    };
    let deviation = variance.map(|v| v.sqrt().max(1e-7));
    if settings.flag("invert", false)? {
        return Ok(vec![scale_and_shift(emitter, &layer.path, &value, Some(deviation), Some(mean))?]);
    }
    let negative = mean.map(|v| -v);
    let centred = scale_and_shift(emitter, &format!("{}/centred", layer.path), &value, None, Some(negative))?;
    let divisor = emitter.along(&format!("{}/deviation", layer.path), &centred, deviation)?;
    let output = emitter.node("Div", &layer.path, &[&centred.name, &divisor], vec![]);
    Ok(vec![Value { name: output, ..centred }])
}

/// Discretization into the number of the bin.
pub fn discretization(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let mode = layer.settings.text("output_mode", "int")?;
    if mode != "int" {
        refuse!("output_mode {mode}");
    }
    let Some(bounds) = layer.settings.floats("bin_boundaries")?.filter(|bounds| !bounds.is_empty()) else {
        refuse!("boundaries that were learnt from data")
    };
    let value = emitter.float(&value);
    let value = emitter.last(&value);
    let bounds: Vec<f32> = bounds.into_iter().map(|v| v as f32).collect();
    let bounds = emitter
        .constant(&format!("{}/bin_boundaries", layer.path), |_| Ok(Tensor::from_vec(vec![bounds.len()], bounds)?))?;
    let axes = emitter.ints(&[-1]);
    let name = |part: &str| format!("{}/{part}", layer.path);
    let column = emitter.node("Unsqueeze", &name("column"), &[&value.name, &axes], vec![]);
    let over = emitter.node("GreaterOrEqual", &name("over"), &[&column, &bounds], vec![]);
    let counted = if emitter.flavour == Flavour::Keras3 { DataType::Int32 } else { DataType::Int64 };
    let to = Attribute::Int(i64::from(counted.onnx()));
    let over = emitter.node("Cast", &name("counted"), &[&over], vec![("to", to)]);
    let output = emitter.node("ReduceSum", &layer.path, &[&over, &axes], vec![("keepdims", Attribute::Int(0))]);
    Ok(vec![Value { name: output, dtype: counted, ..value }])
}

/// CategoryEncoding.
pub fn category_encoding(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let values = arguments.values();
    let [value] = values.as_slice() else { refuse!("weights of counts") };
    if arguments
        .named
        .get("count_weights")
        .is_some_and(|a| !matches!(a, super::super::network::Argument::Json(j) if j.is_null()))
    {
        refuse!("weights of counts");
    }
    let count = layer.settings.size("num_tokens")?;
    let mode = layer.settings.text("output_mode", "multi_hot")?;
    let value = emitter.cast(value, DataType::Int64);
    let value = emitter.last(&value);
    if value.rank() > 2 {
        refuse!("an input of {} dimensions", value.rank());
    }
    let depth = emitter.constant(&format!("\0depth {count}"), |_| Ok(Tensor::from_vec(vec![], vec![count as i64])?))?;
    let ends = emitter.constant("\0off and on", |_| Ok(Tensor::from_vec(vec![2], vec![0f32, 1.0])?))?;
    let name = format!("{}/each", layer.path);
    let hot = emitter.node("OneHot", &name, &[&value.name, &depth, &ends], vec![("axis", Attribute::Int(-1))]);
    let mut shape = value.shape.clone();
    shape.push(Some(count));
    let hot = Value { name: hot, shape, dtype: DataType::Float32, ..value };
    let op = match mode {
        "one_hot" | "multi_hot" => "ReduceMax",
        "count" => "ReduceSum",
        other => refuse!("output_mode {other}"),
    };
    match hot.rank() {
        2 => Ok(vec![hot]),
        _ if mode == "one_hot" && value_is_column(&hot) => Ok(vec![emitter.reduce(op, &layer.path, &hot, &[1], false)]),
        _ if mode == "one_hot" => Ok(vec![hot]),
        _ => Ok(vec![emitter.reduce(op, &layer.path, &hot, &[1], false)]),
    }
}

fn value_is_column(hot: &Value) -> bool {
    hot.shape.get(1) == Some(&Some(1))
}

/// UpscalerJS' MultiplyBeta.
pub fn multiply_beta(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    Ok(vec![emitter.with_scalar("Mul", &layer.path, &value, 0.2)])
}
