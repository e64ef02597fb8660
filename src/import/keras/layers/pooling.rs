//! Pools, and what changes the sizes of images.

use super::super::emit::{Emitter, Flavour, Layer, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use super::convolution::{Padding, Window, channels_behind_batch, space, spatial_value};
use super::{channels_last, expect_rank, spatial};
use crate::graph::Attribute;

/// MaxPooling and AveragePooling.
pub fn pool(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let dimensions = spatial(layer.class);
    expect_rank(&value, dimensions + 2)?;
    let value = emitter.float(&value);
    let settings = layer.settings;
    // Keras 1 called it so for one dimension.
    let key = if settings.get("pool_size").is_none() && settings.get("pool_length").is_some() {
        "pool_length"
    } else {
        "pool_size"
    };
    let size = settings.sizes(key, dimensions, Some(2), 1)?;
    let strides = match settings.get("strides") {
        None => size.clone(),
        Some(_) => settings.sizes("strides", dimensions, None, 1)?,
    };
    let padding = Padding::of(settings.text("padding", "valid")?)?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    let window = Window { size, strides, dilations: vec![1; dimensions], padding };
    let (outer, attributes) = window.attributes(&space(&value, last))?;
    let op = if layer.class.starts_with("Max") { "MaxPool" } else { "AveragePool" };
    let output = emitter.node(op, &layer.path, &[&value.name], attributes);
    Ok(vec![spatial_value(output, &value, last, &outer, channels)])
}

/// GlobalMaxPooling and GlobalAveragePooling.
pub fn global(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    expect_rank(&value, spatial(layer.class) + 2)?;
    let value = emitter.float(&value);
    let mean = layer.class.contains("Av");
    if value.masked && mean {
        refuse!("a mask (of an Embedding with mask_zero, or of Masking)");
    }
    let keep = layer.settings.flag("keepdims", false)?;
    let axes: Vec<usize> = match layer.settings.text("data_format", "channels_last")? {
        "channels_last" => (1..value.rank() - 1).collect(),
        "channels_first" => (2..value.rank()).collect(),
        other => refuse!("data_format {other}"),
    };
    let op = if mean { "ReduceMean" } else { "ReduceMax" };
    if value.first && axes.first() == Some(&1) {
        // The pool is what convolutions end in.
        let op = if mean { "GlobalAveragePool" } else { "GlobalMaxPool" };
        let name = if keep { layer.path.clone() } else { format!("{}/pool", layer.path) };
        let pooled = emitter.node(op, &name, &[&value.name], vec![]);
        let channels = value.channels()?;
        if keep {
            let space = vec![Some(1); value.rank() - 2];
            return Ok(vec![spatial_value(pooled, &value, true, &space, channels)]);
        }
        let output = emitter.node("Flatten", &layer.path, &[&pooled], vec![]);
        return Ok(vec![Value {
            name: output,
            shape: vec![value.shape[0], Some(channels)],
            first: false,
            masked: false,
            ..value
        }]);
    }
    let output = emitter.reduce(op, &layer.path, &value, &axes, keep);
    Ok(vec![Value { masked: false, ..output }])
}

/// How samples between pixels are made.
pub fn interpolation(mode: &str, centred: bool) -> Step<Vec<(&'static str, Attribute)>> {
    let text = |text: &str| Attribute::String(text.as_bytes().to_vec());
    let place = if centred { "half_pixel" } else { "asymmetric" };
    Ok(match mode {
        "nearest" if centred => vec![
            ("mode", text("nearest")),
            ("coordinate_transformation_mode", text("half_pixel")),
            ("nearest_mode", text("round_prefer_ceil")),
        ],
        "nearest" => vec![
            ("mode", text("nearest")),
            ("coordinate_transformation_mode", text("asymmetric")),
            ("nearest_mode", text("floor")),
        ],
        "bilinear" => vec![("mode", text("linear")), ("coordinate_transformation_mode", text(place))],
        "bicubic" if centred => vec![
            ("mode", text("cubic")),
            ("coordinate_transformation_mode", text("half_pixel")),
            ("cubic_coeff_a", Attribute::Float(-0.5)),
            ("exclude_outside", Attribute::Int(1)),
        ],
        other => refuse!("interpolation {other}"),
    })
}

/// Resizes the space of a value with channels first in memory by whole factors.
fn enlarge(
    emitter: &mut Emitter,
    name: &str,
    value: &Value,
    factors: &[usize],
    mode: &str,
    last: bool,
    channels: usize,
) -> Step<Value> {
    // TensorFlow.js takes samples from the corners of pixels.
    let centred = emitter.flavour != Flavour::TensorFlowJs && mode != "nearest";
    let attributes = interpolation(mode, centred)?;
    let scales: Vec<f32> = [1.0, 1.0].into_iter().chain(factors.iter().map(|&factor| factor as f32)).collect();
    let key = format!("\0scales {scales:?}");
    let scales = emitter.constant(&key, |_| Ok(crate::graph::Tensor::from_vec(vec![scales.len()], scales)?))?;
    let output = emitter.node("Resize", name, &[&value.name, "", &scales], attributes);
    let mut outer = Vec::new();
    for (size, factor) in space(value, last).iter().zip(factors) {
        outer.push(match size {
            Some(size) => match size.checked_mul(*factor) {
                Some(size) => Some(size),
                None => invalid!("a size of {size} times {factor}"),
            },
            None => None,
        });
    }
    Ok(spatial_value(output, value, last, &outer, channels))
}

/// UpSampling1D, UpSampling2D, UpSampling3D.
pub fn upsample(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let dimensions = spatial(layer.class);
    expect_rank(&value, dimensions + 2)?;
    let value = emitter.float(&value);
    let key =
        if layer.settings.get("size").is_none() && layer.settings.get("length").is_some() { "length" } else { "size" };
    let factors = layer.settings.sizes(key, dimensions, Some(2), 1)?;
    let mode = layer.settings.text("interpolation", "nearest")?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    Ok(vec![enlarge(emitter, &layer.path, &value, &factors, mode, last, channels)?])
}

/// Resizes to a height and a width.
pub fn resize_to(
    emitter: &mut Emitter,
    name: &str,
    value: &Value,
    size: [usize; 2],
    mode: &str,
    centred: bool,
) -> Step<Value> {
    let value = emitter.first(value);
    let mut attributes = interpolation(mode, centred)?;
    attributes.push(("axes", Attribute::Ints(vec![2, 3])));
    let sizes = emitter.ints(&[size[0] as i64, size[1] as i64]);
    let output = emitter.node("Resize", name, &[&value.name, "", "", &sizes], attributes);
    let channels = value.channels()?;
    Ok(spatial_value(output, &value, true, &[Some(size[0]), Some(size[1])], channels))
}

/// Resizing.
pub fn resizing(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    channels_last(layer)?;
    let settings = layer.settings;
    for option in ["crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"] {
        if settings.flag(option, false)? {
            refuse!("{option}");
        }
    }
    let value = arguments.one()?;
    expect_rank(&value, 4)?;
    let value = emitter.float(&value);
    let size = [settings.size("height")?, settings.size("width")?];
    let mode = settings.text("interpolation", "bilinear")?.to_ascii_lowercase();
    let centred = emitter.flavour != Flavour::TensorFlowJs;
    Ok(vec![resize_to(emitter, &layer.path, &value, size, &mode, centred)?])
}

/// Moves channels into space, as TensorFlow's `depth_to_space`.
pub fn depth_to_space(emitter: &mut Emitter, name: &str, value: &Value, block: usize) -> Step<Value> {
    let channels = value.channels()?;
    let area = block.checked_mul(block).filter(|&area| area > 0 && channels % area == 0);
    let Some(area) = area else { invalid!("{channels} channels in blocks of {block} by {block}") };
    let value = emitter.first(value);
    let attributes = vec![("blocksize", Attribute::Int(block as i64)), ("mode", Attribute::String(b"DCR".to_vec()))];
    let output = emitter.node("DepthToSpace", name, &[&value.name], attributes);
    let outer: Vec<_> = space(&value, true).iter().map(|size| size.and_then(|size| size.checked_mul(block))).collect();
    Ok(spatial_value(output, &value, true, &outer, channels / area))
}

/// UpscalerJS' PixelShuffle2x and the like.
pub fn pixel_shuffle(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let block = layer.class.chars().find_map(|letter| letter.to_digit(10)).unwrap_or(2) as usize;
    let value = arguments.one()?;
    expect_rank(&value, 4)?;
    let value = emitter.float(&value);
    Ok(vec![depth_to_space(emitter, &layer.path, &value, block)?])
}
