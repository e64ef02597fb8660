//! Convolutions of every kind, and Dense.

use super::super::array::Array;
use super::super::emit::{Emitter, Flavour, Layer, Shape, Step, Value, invalid, refuse};
use super::super::network::Arguments;
use super::{activation, expect_rank, spatial};
use crate::graph::Attribute;

/// How a window moves over space.
pub struct Window {
    pub size: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub padding: Padding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    Valid,
    Same,
    Causal,
}

impl Padding {
    pub fn of(text: &str) -> Step<Self> {
        Ok(match text {
            "valid" => Self::Valid,
            "same" => Self::Same,
            "causal" => Self::Causal,
            other => refuse!("padding {other}"),
        })
    }
}

impl Window {
    /// How far the window reaches along an axis.
    fn reach(&self, axis: usize) -> Step<usize> {
        let reach = self.size[axis].checked_sub(1).and_then(|n| n.checked_mul(self.dilations[axis]));
        match reach.and_then(|n| n.checked_add(1)) {
            Some(reach) if reach < 1 << 31 => Ok(reach),
            _ => invalid!("a window of {:?} with dilations {:?}", self.size, self.dilations),
        }
    }

    /// The sizes that come out, and the attributes that say how much is padded.
    pub fn attributes(&self, sizes: &[Option<usize>]) -> Step<(Shape, Vec<(&'static str, Attribute)>)> {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut outer = Vec::new();
        let mut unknown = false;
        for (axis, size) in sizes.iter().enumerate() {
            let (reach, stride) = (self.reach(axis)?, self.strides[axis]);
            let (pad, out) = match (self.padding, size) {
                (Padding::Valid, Some(size)) if *size < reach => {
                    invalid!("a window that reaches over {reach} does not fit into {size}")
                }
                (Padding::Valid, Some(size)) => ((0, 0), Some((size - reach) / stride + 1)),
                (Padding::Valid, None) => ((0, 0), None),
                (Padding::Causal, size) => ((reach - 1, 0), size.map(|size| size.saturating_sub(1) / stride + 1)),
                (Padding::Same, Some(size)) => {
                    let out = size.div_ceil(stride);
                    let total = ((out.max(1) - 1) * stride + reach).saturating_sub(*size);
                    ((total / 2, total - total / 2), Some(out))
                }
                // With a stride of one, what is padded does not depend on the size.
                (Padding::Same, None) if stride == 1 => (((reach - 1) / 2, reach - 1 - (reach - 1) / 2), None),
                (Padding::Same, None) => {
                    unknown = true;
                    ((0, 0), None)
                }
            };
            before.push(pad.0 as i64);
            after.push(pad.1 as i64);
            outer.push(out);
        }
        let list = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
        let mut attributes = vec![("kernel_shape", list(&self.size)), ("strides", list(&self.strides))];
        if self.dilations.iter().any(|&dilation| dilation != 1) {
            attributes.push(("dilations", list(&self.dilations)));
        }
        if unknown {
            attributes.push(("auto_pad", Attribute::String(b"SAME_UPPER".to_vec())));
        } else if before.iter().chain(&after).any(|&pad| pad != 0) {
            before.extend(after);
            attributes.push(("pads", Attribute::Ints(before)));
        }
        Ok((outer, attributes))
    }
}

/// The input with channels behind the batch in memory, whether Keras has them last, and how many there are.
pub fn channels_behind_batch(emitter: &mut Emitter, layer: &Layer<'_>, value: &Value) -> Step<(Value, bool, usize)> {
    match layer.settings.text("data_format", "channels_last")? {
        "channels_last" => Ok((emitter.first(value), true, value.channels()?)),
        "channels_first" => match value.shape.get(1) {
            Some(Some(channels)) => Ok((emitter.last(value), false, *channels)),
            _ => refuse!("an unknown number of channels"),
        },
        other => refuse!("data_format {other}"),
    }
}

/// The sizes of space of a value with channels behind the batch in memory.
pub fn space(value: &Value, last: bool) -> Vec<Option<usize>> {
    if last { value.shape[1..value.rank() - 1].to_vec() } else { value.shape[2..].to_vec() }
}

/// The value of a convolution's or pool's output.
pub fn spatial_value(name: String, like: &Value, last: bool, space: &[Option<usize>], channels: usize) -> Value {
    let mut shape = vec![like.shape[0]];
    if !last {
        shape.push(Some(channels));
    }
    shape.extend(space);
    if last {
        shape.push(Some(channels));
    }
    Value { name, shape, dtype: like.dtype, first: last, masked: like.masked }
}

fn window(layer: &Layer<'_>, dimensions: usize, stride: Option<usize>) -> Step<Window> {
    let settings = layer.settings;
    let window = Window {
        size: settings.sizes("kernel_size", dimensions, None, 1)?,
        strides: settings.sizes("strides", dimensions, stride, 1)?,
        dilations: settings.sizes("dilation_rate", dimensions, Some(1), 1)?,
        padding: Padding::of(settings.text("padding", "valid")?)?,
    };
    Ok(window)
}

/// What all convolutions begin with.
fn input(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Value> {
    let value = arguments.one()?;
    expect_rank(&value, spatial(layer.class) + 2)?;
    Ok(emitter.float(&value))
}

fn bias(emitter: &mut Emitter, layer: &Layer<'_>, index: usize, count: usize) -> Step<Option<String>> {
    if !layer.settings.flag("use_bias", true)? {
        return Ok(None);
    }
    let key = format!("{}/bias", layer.path);
    emitter.constant(&key, |e| Ok(e.weight(layer, "bias", index, &[count])?.tensor()?)).map(Some)
}

fn convolve(
    emitter: &mut Emitter,
    name: &str,
    value: &Value,
    weights: (&str, Option<&str>),
    window: &Window,
    (last, groups, filters): (bool, usize, usize),
) -> Step<Value> {
    let (outer, mut attributes) = window.attributes(&space(value, last))?;
    if groups != 1 {
        attributes.push(("group", Attribute::Int(groups as i64)));
    }
    let mut inputs = vec![value.name.as_str(), weights.0];
    inputs.extend(weights.1);
    let output = emitter.node("Conv", name, &inputs, attributes);
    Ok(spatial_value(output, value, last, &outer, filters))
}

/// Conv1D, Conv2D, Conv3D.
pub fn conv(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = input(emitter, layer, arguments)?;
    let dimensions = value.rank() - 2;
    let window = window(layer, dimensions, Some(1))?;
    let filters = layer.settings.size("filters")?;
    let groups = layer.settings.int("groups", 1)?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    if groups < 1 || channels % groups as usize != 0 || filters % groups as usize != 0 {
        invalid!("{groups} groups of {channels} channels and {filters} filters");
    }
    let groups = groups as usize;
    let mut shape = window.size.clone();
    shape.extend([channels / groups, filters]);
    let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
        Ok(e.weight(layer, "kernel", 0, &shape)?.permuted(&forward_order(dimensions)).tensor()?)
    })?;
    let bias = bias(emitter, layer, 1, filters)?;
    let output = convolve(emitter, &layer.path, &value, (&kernel, bias.as_deref()), &window, (last, groups, filters))?;
    finish(emitter, layer, output)
}

/// The activation.
fn finish(emitter: &mut Emitter, layer: &Layer<'_>, output: Value) -> Step<Vec<Value>> {
    Ok(vec![activation::of(emitter, &layer.path, layer.settings.get("activation"), output)?])
}

/// `[space…, in, out]` as ONNX has it, `[out, in, space…]`.
fn forward_order(dimensions: usize) -> Vec<usize> {
    [dimensions + 1, dimensions].into_iter().chain(0..dimensions).collect()
}

/// The weights of a depthwise convolution, `[space…, in, multiplier]`, as `[in * multiplier, 1, space…]`.
fn depthwise_kernel(array: &Array, dimensions: usize) -> Step<Array> {
    let order: Vec<usize> = [dimensions, dimensions + 1].into_iter().chain(0..dimensions).collect();
    let array = array.permuted(&order);
    let mut shape = vec![array.shape[0] * array.shape[1], 1];
    shape.extend(&array.shape[2..]);
    Ok(array.reshaped(shape)?)
}

fn multiplied(layer: &Layer<'_>, channels: usize) -> Step<(usize, usize)> {
    let multiplier = match layer.settings.some_int("depth_multiplier")? {
        None => 1,
        Some(multiplier) if (1..1 << 20).contains(&multiplier) => multiplier as usize,
        Some(multiplier) => invalid!("\"depth_multiplier\": expected a size, got {multiplier}"),
    };
    match channels.checked_mul(multiplier) {
        Some(all) => Ok((multiplier, all)),
        None => invalid!("{channels} channels times {multiplier}"),
    }
}

/// DepthwiseConv1D, DepthwiseConv2D.
pub fn depthwise(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = input(emitter, layer, arguments)?;
    let dimensions = value.rank() - 2;
    let window = window(layer, dimensions, Some(1))?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    let (multiplier, filters) = multiplied(layer, channels)?;
    let mut shape = window.size.clone();
    shape.extend([channels, multiplier]);
    let name = match emitter.flavour == Flavour::Keras3 {
        true => "kernel",
        false => "depthwise_kernel",
    };
    let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
        Ok(depthwise_kernel(&e.weight(layer, name, 0, &shape)?, dimensions)?.tensor()?)
    })?;
    let bias = bias(emitter, layer, 1, filters)?;
    let output =
        convolve(emitter, &layer.path, &value, (&kernel, bias.as_deref()), &window, (last, channels, filters))?;
    finish(emitter, layer, output)
}

/// SeparableConv1D, SeparableConv2D.
pub fn separable(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = input(emitter, layer, arguments)?;
    let dimensions = value.rank() - 2;
    let depthwise = window(layer, dimensions, Some(1))?;
    let filters = layer.settings.size("filters")?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    let (multiplier, between) = multiplied(layer, channels)?;
    let mut shape = depthwise.size.clone();
    shape.extend([channels, multiplier]);
    let kernel = emitter.constant(&format!("{}/depthwise_kernel", layer.path), |e| {
        Ok(depthwise_kernel(&e.weight(layer, "depthwise_kernel", 0, &shape)?, dimensions)?.tensor()?)
    })?;
    let mut shape = vec![1; dimensions];
    shape.extend([between, filters]);
    let pointwise = emitter.constant(&format!("{}/pointwise_kernel", layer.path), |e| {
        Ok(e.weight(layer, "pointwise_kernel", 1, &shape)?.permuted(&forward_order(dimensions)).tensor()?)
    })?;
    let bias = bias(emitter, layer, 2, filters)?;
    let name = format!("{}/depthwise", layer.path);
    let output = convolve(emitter, &name, &value, (&kernel, None), &depthwise, (last, channels, between))?;
    let point = Window {
        size: vec![1; dimensions],
        strides: vec![1; dimensions],
        dilations: vec![1; dimensions],
        padding: Padding::Valid,
    };
    let output = convolve(emitter, &layer.path, &output, (&pointwise, bias.as_deref()), &point, (last, 1, filters))?;
    finish(emitter, layer, output)
}

/// Conv1DTranspose, Conv2DTranspose, Conv3DTranspose.
pub fn transposed(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = input(emitter, layer, arguments)?;
    let dimensions = value.rank() - 2;
    let window = window(layer, dimensions, Some(1))?;
    let filters = layer.settings.size("filters")?;
    let (value, last, channels) = channels_behind_batch(emitter, layer, &value)?;
    let groups = layer.settings.int("groups", 1)?;
    if groups != 1 {
        refuse!("{groups} groups");
    }
    let given = match layer.settings.get("output_padding") {
        None => None,
        Some(_) => Some(layer.settings.sizes("output_padding", dimensions, None, 0)?),
    };
    let mut shape = window.size.clone();
    shape.extend([filters, channels]);
    let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
        // `[in, out, space…]`.
        let order = forward_order(dimensions);
        Ok(e.weight(layer, "kernel", 0, &shape)?.permuted(&order).tensor()?)
    })?;
    let bias = bias(emitter, layer, 1, filters)?;
    let (mut before, mut after, mut more, mut outer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (axis, size) in space(&value, last).iter().enumerate() {
        let (reach, stride) = (window.reach(axis)? as i64, window.strides[axis] as i64);
        // How much less than everything that the window reaches Keras keeps; its sizes are those of the gradient.
        let cut = match (&given, window.padding) {
            (None, Padding::Same) => reach - stride,
            (None, Padding::Valid) => (reach - stride).min(0),
            (Some(given), Padding::Same) => 2 * (reach / 2) - given[axis] as i64,
            (Some(given), Padding::Valid) => -(given[axis] as i64),
            (_, Padding::Causal) => refuse!("padding causal"),
        };
        let total = cut.max(0);
        before.push(total / 2);
        after.push(total - total / 2);
        more.push((-cut).max(0));
        outer.push(match size {
            Some(0) | None => None,
            Some(size) => match (*size as i64 - 1).checked_mul(stride).map(|n| n + reach - cut) {
                Some(out) if (1..1 << 31).contains(&out) => Some(out as usize),
                out => invalid!("an output of size {out:?}"),
            },
        });
    }
    let list = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
    before.extend(after);
    let mut attributes = vec![("kernel_shape", list(&window.size)), ("strides", list(&window.strides))];
    if window.dilations.iter().any(|&dilation| dilation != 1) {
        attributes.push(("dilations", list(&window.dilations)));
    }
    if before.iter().any(|&pad| pad != 0) {
        attributes.push(("pads", Attribute::Ints(before)));
    }
    if more.iter().any(|&pad| pad != 0) {
        attributes.push(("output_padding", Attribute::Ints(more)));
    }
    let mut inputs = vec![value.name.as_str(), &kernel];
    inputs.extend(bias.as_deref());
    let output = emitter.node("ConvTranspose", &layer.path, &inputs, attributes);
    let output = spatial_value(output, &value, last, &outer, filters);
    finish(emitter, layer, output)
}

/// Dense, over the last dimension.
pub fn dense(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let value = arguments.one()?;
    let value = emitter.float(&value);
    let units = layer.settings.size("units")?;
    let channels = value.channels()?;
    if layer.settings.get("lora_rank").is_some() {
        emitter.notes.insert("the adapters of low rank (LoRA) that layers have are not read".to_string());
        refuse!("lora_rank");
    }
    let bias_name = bias(emitter, layer, 1, units)?;
    let output = if value.first {
        // A product over channels is a convolution of one element; nothing has to be turned for it.
        let space = space(&value, true);
        let kernel = emitter.constant(&format!("{}/kernel:conv{}", layer.path, space.len()), |e| {
            let array = e.weight(layer, "kernel", 0, &[channels, units])?.permuted(&[1, 0]);
            let mut shape = array.shape.clone();
            shape.extend(vec![1; space.len()]);
            Ok(array.reshaped(shape)?.tensor()?)
        })?;
        let mut inputs = vec![value.name.as_str(), &kernel];
        inputs.extend(bias_name.as_deref());
        let output = emitter.node("Conv", &layer.path, &inputs, vec![]);
        spatial_value(output, &value, true, &space, units)
    } else {
        let kernel = emitter.constant(&format!("{}/kernel", layer.path), |e| {
            Ok(e.weight(layer, "kernel", 0, &[channels, units])?.tensor()?)
        })?;
        product(emitter, &layer.path, &value, &kernel, bias_name.as_deref(), units)
    };
    Ok(vec![activation::of(emitter, &layer.path, layer.settings.get("activation"), output)?])
}

/// A product with a constant `[channels, units]`, and a bias. The value is not turned in memory.
pub fn product(
    emitter: &mut Emitter,
    name: &str,
    value: &Value,
    kernel: &str,
    bias: Option<&str>,
    units: usize,
) -> Value {
    let mut shape = value.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = Some(units);
    }
    let output = match (bias, value.rank()) {
        (Some(bias), 2) => emitter.node("Gemm", name, &[&value.name, kernel, bias], vec![]),
        (Some(bias), _) => {
            let product = emitter.node("MatMul", &format!("{name}/product"), &[&value.name, kernel], vec![]);
            emitter.node("Add", name, &[&product, bias], vec![])
        }
        (None, _) => emitter.node("MatMul", name, &[&value.name, kernel], vec![]),
    };
    Value { name: output, shape, ..value.clone() }
}
