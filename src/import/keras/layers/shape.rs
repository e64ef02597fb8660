//! Layers that only move elements.

use serde_json::Value as Json;

use super::super::emit::{Emitter, Layer, Shape, Step, Value, invalid, refuse, shown};
use super::super::network::Arguments;
use super::super::settings::{integer, integers};
use super::{channels_last, expect_rank, spatial};

/// The product of sizes; none where one is unknown.
pub fn product(sizes: &[Option<usize>]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |product, size| size.and_then(|size| product.checked_mul(size)))
}

/// Flatten.
pub fn flatten(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    channels_last(layer)?;
    let mut value = arguments.one()?;
    let shape = vec![value.shape[0], product(&value.shape[1..])];
    if value.first && value.shape[1..value.rank() - 1].iter().all(|size| *size == Some(1)) {
        value.first = false;
    }
    let target: &[i64] = if value.rank() == 1 { &[-1, 1] } else { &[0, -1] };
    let output = emitter.reshape(&layer.path, &value, target, shape);
    Ok(vec![Value { masked: false, ..output }])
}

/// Reshapes all but the batch.
pub fn reshape_to(emitter: &mut Emitter, name: &str, value: &Value, sizes: &[i64]) -> Step<Value> {
    let all = product(&value.shape[1..]);
    let mut shape: Shape = vec![value.shape[0]];
    let known = sizes.iter().filter(|&&size| size != -1).try_fold(1usize, |product, &size| {
        usize::try_from(size).ok().filter(|&size| size > 0).and_then(|size| product.checked_mul(size))
    });
    let Some(known) = known else { invalid!("a shape of {sizes:?}") };
    let unknown = sizes.iter().filter(|&&size| size == -1).count();
    if unknown > 1 || sizes.len() > 16 {
        invalid!("a shape of {sizes:?}");
    }
    match all {
        Some(all) if unknown == 0 && all != known || unknown == 1 && all % known != 0 => {
            invalid!("{} is reshaped to {sizes:?}", shown(&value.shape))
        }
        _ => {}
    }
    shape.extend(sizes.iter().map(|&size| if size == -1 { all.map(|all| all / known) } else { Some(size as usize) }));
    let mut target = vec![0];
    target.extend(sizes);
    Ok(emitter.reshape(name, value, &target, shape))
}

/// Reshape.
pub fn reshape(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let sizes = match layer.settings.ints("target_shape")? {
        Some(sizes) => sizes,
        None => invalid!("\"target_shape\" is missing"),
    };
    Ok(vec![reshape_to(emitter, &layer.path, &value, &sizes)?])
}

/// Permute.
pub fn permute(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let dims = layer.settings.ints("dims")?.unwrap_or_default();
    let mut order = vec![0usize];
    order.extend(dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..value.rank()).collect::<Vec<_>>() {
        invalid!("\"dims\" {dims:?} of a value of {} dimensions", value.rank());
    }
    Ok(vec![emitter.transpose(&layer.path, &value, &order)])
}

/// RepeatVector.
pub fn repeat_vector(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    expect_rank(&value, 2)?;
    let count = layer.settings.size("n")?;
    let axes = emitter.ints(&[1]);
    let row = emitter.node("Unsqueeze", &format!("{}/row", layer.path), &[&value.name, &axes], vec![]);
    let target = emitter.ints(&[1, count as i64, 1]);
    let output = emitter.node("Expand", &layer.path, &[&row, &target], vec![]);
    Ok(vec![Value { name: output, shape: vec![value.shape[0], Some(count), value.shape[1]], ..value }])
}

/// How much goes at each end of each dimension of space: a number, one for each, or a pair for each.
fn ends(layer: &Layer<'_>, key: &str, dimensions: usize, default: usize) -> Step<Vec<[usize; 2]>> {
    let size = |json: &Json| integer(json).and_then(|n| usize::try_from(n).ok()).filter(|&n| n < 1 << 31);
    let ends = match layer.settings.get(key) {
        None => Some(vec![[default; 2]; dimensions]),
        Some(Json::Array(items)) if dimensions == 1 && items.len() == 2 => {
            items.iter().map(size).collect::<Option<Vec<_>>>().map(|both| vec![[both[0], both[1]]])
        }
        Some(Json::Array(items)) if items.len() == dimensions => items
            .iter()
            .map(|item| match item {
                Json::Array(pair) if pair.len() == 2 => Some([size(&pair[0])?, size(&pair[1])?]),
                item => size(item).map(|both| [both; 2]),
            })
            .collect(),
        Some(value) => size(value).map(|both| vec![[both; 2]; dimensions]),
    };
    match ends {
        Some(ends) => Ok(ends),
        None => invalid!("\"{key}\": expected sizes for {dimensions} dimensions"),
    }
}

/// Pads with zeros; `ends` are those of the dimensions from `axis` on.
pub fn pad(emitter: &mut Emitter, name: &str, value: &Value, axis: usize, ends: &[[usize; 2]]) -> Value {
    let rank = value.rank();
    let mut pads = vec![0i64; rank * 2];
    let mut shape = value.shape.clone();
    for (index, end) in ends.iter().enumerate() {
        let place = value.place(axis + index);
        pads[place] = end[0] as i64;
        pads[rank + place] = end[1] as i64;
        shape[axis + index] = shape[axis + index].and_then(|size| size.checked_add(end[0])?.checked_add(end[1]));
    }
    let pads = emitter.ints(&pads);
    let output = emitter.node("Pad", name, &[&value.name, &pads], vec![]);
    Value { name: output, shape, ..value.clone() }
}

/// ZeroPadding1D, ZeroPadding2D, ZeroPadding3D.
pub fn zero_padding(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let dimensions = spatial(layer.class);
    expect_rank(&value, dimensions + 2)?;
    let ends = ends(layer, "padding", dimensions, 1)?;
    let axis = match layer.settings.text("data_format", "channels_last")? {
        "channels_first" => 2,
        _ => 1,
    };
    Ok(vec![pad(emitter, &layer.path, &value, axis, &ends)])
}

/// What `from..to` of some dimensions of Keras' shape are; `to` 0 is the end, a negative one counts from there.
pub fn slice(emitter: &mut Emitter, name: &str, value: &Value, parts: &[(usize, i64, i64)]) -> Step<Value> {
    let mut shape = value.shape.clone();
    let (mut starts, mut ends, mut axes) = (Vec::new(), Vec::new(), Vec::new());
    for &(axis, from, to) in parts {
        if let Some(size) = shape[axis] {
            let end = if to <= 0 { size as i64 + to } else { to.min(size as i64) };
            if end < from {
                invalid!("{from}..{to} of a size of {size}");
            }
            shape[axis] = Some((end - from) as usize);
        } else if to > 0 {
            shape[axis] = None;
        }
        axes.push(value.place(axis) as i64);
        starts.push(from);
        ends.push(if to == 0 { i64::MAX } else { to });
    }
    let (starts, ends, axes) = (emitter.ints(&starts), emitter.ints(&ends), emitter.ints(&axes));
    let output = emitter.node("Slice", name, &[&value.name, &starts, &ends, &axes], vec![]);
    Ok(Value { name: output, shape, ..value.clone() })
}

/// Cropping1D, Cropping2D, Cropping3D.
pub fn cropping(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let dimensions = spatial(layer.class);
    expect_rank(&value, dimensions + 2)?;
    let default = if dimensions == 2 { 0 } else { 1 };
    let ends = ends(layer, "cropping", dimensions, default)?;
    let axis = match layer.settings.text("data_format", "channels_last")? {
        "channels_first" => 2,
        _ => 1,
    };
    let parts: Vec<(usize, i64, i64)> =
        ends.iter().enumerate().map(|(index, end)| (axis + index, end[0] as i64, -(end[1] as i64))).collect();
    Ok(vec![slice(emitter, &layer.path, &value, &parts)?])
}

/// CenterCrop.
pub fn center_crop(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    channels_last(layer)?;
    let value = arguments.one()?;
    expect_rank(&value, 4)?;
    let wanted = [layer.settings.size("height")?, layer.settings.size("width")?];
    let mut parts = Vec::new();
    for (axis, wanted) in [1, 2].into_iter().zip(wanted) {
        match value.shape[axis] {
            Some(size) if size >= wanted => {
                let from = (size - wanted) / 2;
                parts.push((axis, from as i64, (from + wanted) as i64));
            }
            Some(size) => refuse!("a size of {wanted} that is larger than the image's, {size}"),
            None => refuse!("an image of unknown size"),
        }
    }
    let value = emitter.float(&value);
    Ok(vec![slice(emitter, &layer.path, &value, &parts)?])
}

/// The integers of an argument.
pub fn argument_ints(json: Option<&Json>) -> Option<Vec<i64>> {
    match json? {
        Json::Object(object) => object.get("items").or_else(|| object.get("value")).and_then(integers),
        json => integers(json),
    }
}
