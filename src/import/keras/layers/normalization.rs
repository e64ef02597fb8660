//! Normalizations by what was learnt and by the values themselves.

use super::super::array::Array;
use super::super::emit::{Emitter, Layer, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use crate::graph::Attribute;

fn size_at(value: &Value, axis: usize) -> Step<usize> {
    match value.shape[axis] {
        Some(size) => Ok(size),
        None => refuse!("an unknown size along axis {axis}"),
    }
}

/// A vector's shape where it goes along `axis` of `rank` dimensions, leading ones left out.
fn along_axis(rank: usize, axis: usize, count: usize) -> Vec<usize> {
    let mut shape = vec![1; rank - axis];
    shape[0] = count;
    shape
}

/// BatchNormalization.
pub fn batch(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    if arguments.flag("training") {
        refuse!("training=True in its call");
    }
    let value = match arguments.values().as_slice() {
        [value] => value.clone(),
        _ => arguments.one()?,
    };
    let value = emitter.float(&value);
    let axis = match settings.ints("axis")?.as_deref() {
        None => value.axis(-1)?,
        Some([axis]) => value.axis(*axis)?,
        Some(axes) => refuse!("the axes {axes:?}"),
    };
    let count = size_at(&value, axis)?;
    let epsilon = settings.float("epsilon", 1e-3)?;
    let (scales, centres) = (settings.flag("scale", true)?, settings.flag("center", true)?);
    let mut index = 0;
    let mut next = |emitter: &mut Emitter, name: &str, there: bool, default: f32| -> Step<Array> {
        if !there {
            return emitter.filled(count, default);
        }
        index += 1;
        emitter.weight(layer, name, index - 1, &[count])
    };
    let gamma = next(emitter, "gamma", scales, 1.0)?;
    let beta = next(emitter, "beta", centres, 0.0)?;
    let mean = next(emitter, "moving_mean", true, 0.0)?;
    let variance = next(emitter, "moving_variance", true, 1.0)?;
    let place = value.place(axis);
    if place == 1 && (value.first || value.rank() == 2 || axis == 1) {
        let mut inputs = vec![value.name.clone()];
        for (name, array) in [("gamma", gamma), ("beta", beta), ("moving_mean", mean), ("moving_variance", variance)] {
            inputs.push(emitter.constant(&format!("{}/{name}", layer.path), |_| Ok(array.tensor()?))?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![("epsilon", Attribute::Float(epsilon as f32))];
        let output = emitter.node("BatchNormalization", &layer.path, &inputs, attributes);
        return Ok(vec![Value { name: output, ..value }]);
    }
    // Along the last dimension in memory a scale and a shift cost less than turning the value twice.
    let scale: Vec<f64> = gamma
        .data
        .iter()
        .zip(&variance.data)
        .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
        .collect();
    let shift = beta.data.iter().zip(&mean.data).zip(&scale);
    let shift: Vec<f32> =
        shift.map(|((&beta, &mean), scale)| (f64::from(beta) - f64::from(mean) * scale) as f32).collect();
    let shape = along_axis(value.rank(), axis, count);
    let scale = Array::new(shape.clone(), scale.into_iter().map(|v| v as f32).collect())?;
    let shift = Array::new(shape, shift)?;
    Ok(vec![scale_and_shift(emitter, &layer.path, &value, Some(scale), Some(shift))?])
}

/// `value * scale + shift` of arrays that go along the last dimensions.
pub fn scale_and_shift(
    emitter: &mut Emitter,
    path: &str,
    value: &Value,
    scale: Option<Array>,
    shift: Option<Array>,
) -> Step<Value> {
    let mut value = value.clone();
    for (op, key, array) in [("Mul", "scale", scale), ("Add", "shift", shift)] {
        let Some(array) = array else { continue };
        let key = format!("{path}/{key}");
        let constant = emitter.along(&key, &value, array)?;
        let name = if op == "Mul" { format!("{path}/scaled") } else { path.to_string() };
        let output = emitter.node(op, &name, &[&value.name, &constant], vec![]);
        value = Value { name: output, ..value };
    }
    Ok(value)
}

/// The axes of `axis`, sorted, and their sizes.
fn axes(layer: &Layer<'_>, value: &Value) -> Step<(Vec<usize>, Vec<usize>)> {
    let mut axes = Vec::new();
    for axis in layer.settings.ints("axis")?.unwrap_or(vec![-1]) {
        let axis = value.axis(axis)?;
        if axis == 0 || axes.contains(&axis) {
            invalid!("\"axis\" names the batch, or an axis twice");
        }
        axes.push(axis);
    }
    axes.sort_unstable();
    let sizes = axes.iter().map(|&axis| size_at(value, axis)).collect::<Step<Vec<_>>>()?;
    Ok((axes, sizes))
}

/// The shape of an array over `axes` where it goes along all dimensions from the first of them on.
fn spread(rank: usize, axes: &[usize], sizes: &[usize]) -> Vec<usize> {
    let first = axes.first().copied().unwrap_or(0);
    let size = |axis: usize| axes.iter().position(|&a| a == axis).map_or(1, |index| sizes[index]);
    (first..rank).map(size).collect()
}

/// LayerNormalization.
pub fn layer(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let (axes, sizes) = axes(layer, &value)?;
    let epsilon = settings.float("epsilon", 1e-3)?;
    let rms = settings.flag("rms_scaling", false)?;
    let scales = settings.flag("scale", true)? || rms;
    let centres = settings.flag("center", true)? && !rms;
    let trailing = axes.iter().enumerate().all(|(index, &axis)| axis + axes.len() == value.rank() + index);
    let gamma = if scales { Some(emitter.weight(layer, "gamma", 0, &sizes)?) } else { None };
    let beta = if centres { Some(emitter.weight(layer, "beta", usize::from(scales), &sizes)?) } else { None };
    if trailing && !rms {
        let value = emitter.last(&value);
        let gamma = match gamma {
            Some(gamma) => gamma,
            None => {
                emitter.allow(&sizes)?;
                Array::new(sizes.clone(), vec![1.0; sizes.iter().product()])?
            }
        };
        let mut inputs = vec![value.name.clone()];
        inputs.push(emitter.constant(&format!("{}/gamma", layer.path), |_| Ok(gamma.tensor()?))?);
        if let Some(beta) = beta {
            inputs.push(emitter.constant(&format!("{}/beta", layer.path), |_| Ok(beta.tensor()?))?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes =
            vec![("axis", Attribute::Int(-(axes.len() as i64))), ("epsilon", Attribute::Float(epsilon as f32))];
        let output = emitter.node("LayerNormalization", &layer.path, &inputs, attributes);
        return Ok(vec![Value { name: output, ..value }]);
    }
    let shape = spread(value.rank(), &axes, &sizes);
    let gamma = gamma.map(|gamma| gamma.reshaped(shape.clone())).transpose()?;
    let beta = beta.map(|beta| beta.reshaped(shape)).transpose()?;
    let centred = if rms {
        value.clone()
    } else {
        let mean = emitter.reduce("ReduceMean", &format!("{}/mean", layer.path), &value, &axes, true);
        emitter.binary("Sub", &format!("{}/centred", layer.path), &value, &mean, value.dtype)?
    };
    let normal = by_root_mean_square(emitter, &layer.path, &centred, &axes, epsilon)?;
    Ok(vec![scale_and_shift(emitter, &layer.path, &normal, gamma, beta)?])
}

fn by_root_mean_square(emitter: &mut Emitter, path: &str, value: &Value, axes: &[usize], epsilon: f64) -> Step<Value> {
    let square = emitter.binary("Mul", &format!("{path}/square"), value, value, value.dtype)?;
    let mean = emitter.reduce("ReduceMean", &format!("{path}/variance"), &square, axes, true);
    let sum = emitter.with_scalar("Add", &format!("{path}/epsilon"), &mean, epsilon);
    let root = emitter.same("Sqrt", &format!("{path}/deviation"), &sum, vec![]);
    emitter.binary("Div", &format!("{path}/normal"), value, &root, value.dtype)
}

/// RMSNormalization.
pub fn rms(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let (axes, sizes) = axes(layer, &value)?;
    let epsilon = layer.settings.float("epsilon", 1e-6)?;
    let scale = emitter.weight(layer, "scale", 0, &sizes)?.reshaped(spread(value.rank(), &axes, &sizes))?;
    let normal = by_root_mean_square(emitter, &layer.path, &value, &axes, epsilon)?;
    Ok(vec![scale_and_shift(emitter, &layer.path, &normal, Some(scale), None)?])
}

/// GroupNormalization.
pub fn group(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let settings = layer.settings;
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let axis = value.axis(settings.int("axis", -1)?)?;
    if axis + 1 != value.rank() || value.rank() < 3 {
        refuse!("axis {axis} of {} dimensions", value.rank());
    }
    let count = value.channels()?;
    let groups = match settings.int("groups", 32)? {
        -1 => count as i64,
        groups if groups >= 1 && count as i64 % groups == 0 => groups,
        groups => invalid!("{groups} groups of {count} channels"),
    };
    let (scales, centres) = (settings.flag("scale", true)?, settings.flag("center", true)?);
    let gamma = match scales {
        true => emitter.weight(layer, "gamma", 0, &[count])?,
        false => emitter.filled(count, 1.0)?,
    };
    let beta = match centres {
        true => emitter.weight(layer, "beta", usize::from(scales), &[count])?,
        false => emitter.filled(count, 0.0)?,
    };
    let value = emitter.first(&value);
    let gamma = emitter.constant(&format!("{}/gamma", layer.path), |_| Ok(gamma.tensor()?))?;
    let beta = emitter.constant(&format!("{}/beta", layer.path), |_| Ok(beta.tensor()?))?;
    let attributes = vec![
        ("num_groups", Attribute::Int(groups)),
        ("epsilon", Attribute::Float(settings.float("epsilon", 1e-3)? as f32)),
    ];
    let output = emitter.node("GroupNormalization", &layer.path, &[&value.name, &gamma, &beta], attributes);
    Ok(vec![Value { name: output, ..value }])
}

/// `value / sqrt(max(sum(value²), 1e-12))` over axes.
pub fn l2(emitter: &mut Emitter, path: &str, value: &Value, axes: &[usize], epsilon: f64) -> Step<Value> {
    let square = emitter.binary("Mul", &format!("{path}/square"), value, value, value.dtype)?;
    let sum = emitter.reduce("ReduceSum", &format!("{path}/sum"), &square, axes, true);
    let sum = emitter.with_scalar("Max", &format!("{path}/least"), &sum, epsilon);
    let root = emitter.same("Sqrt", &format!("{path}/length"), &sum, vec![]);
    emitter.binary("Div", path, value, &root, value.dtype)
}

/// UnitNormalization.
pub fn unit(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let mut axes = Vec::new();
    for axis in layer.settings.ints("axis")?.unwrap_or(vec![-1]) {
        axes.push(value.axis(axis)?);
    }
    Ok(vec![l2(emitter, &layer.path, &value, &axes, 1e-12)?])
}
