//! Resize: each axis read at other places, by the nearest element or a weighted sum of those
//! around; `out = floor(in * scale)`.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Array, BinaryOp, Device, DeviceKind, PadMode, in_memory, logical, place, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::resample::{Taps, resample};

/// Resize.
pub const OPERATOR: Operator = Operator {
    name: "Resize",
    inputs: 1..=4,
    attributes: &[
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    ],
    parameters: &[1, 2, 3],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

/// The longest axis that can come out.
const MAX_SIZE: f32 = (1 << 30) as f32;

/// The longest axis that can be resized, so that its places are exact in float32 and its tables
/// small.
const MAX_RESIZED: usize = 1 << 24;

/// How elements are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// The attributes of Resize, and of Upsample, which is an older Resize.
pub struct Resize {
    pub mode: Mode,
    pub coordinates: &'static str,
    /// How places are rounded; `"simple"` is the rule before opset 11.
    pub nearest: &'static str,
    pub cubic_coeff_a: f32,
    pub exclude_outside: bool,
    pub extrapolation_value: f32,
    pub antialias: bool,
    pub axes: Option<Vec<i64>>,
    pub policy: &'static str,
    /// Scales that are an attribute.
    pub scales: Option<Vec<f32>>,
    /// The input that the scales are otherwise; before it comes `roi`, after it `sizes`, if it
    /// is not the first.
    pub scales_input: usize,
    pub least_scale: f32,
}

impl Resize {
    /// The rules before opset 11.
    pub fn old(mode: Mode) -> Self {
        Self {
            mode,
            coordinates: "asymmetric",
            nearest: "simple",
            cubic_coeff_a: -0.75,
            exclude_outside: false,
            extrapolation_value: 0.0,
            antialias: false,
            axes: None,
            policy: "stretch",
            scales: None,
            scales_input: 1,
            least_scale: 0.0,
        }
    }
}

/// Reads `mode`.
pub fn mode(attributes: &Attributes<'_>) -> Result<Mode> {
    Ok(match attributes.choice("mode", &["nearest", "linear", "cubic"])? {
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic,
        _ => Mode::Nearest,
    })
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let mode = mode(attributes)?;
    if attributes.opset < 11 {
        return Ok(Box::new(Resize::old(mode)));
    }
    let antialias = attributes.flag("antialias", false)?;
    ensure!(!antialias || mode != Mode::Nearest, InvalidModel, "antialias = 1 goes with mode linear or cubic");
    Ok(Box::new(Resize {
        mode,
        coordinates: attributes.choice(
            "coordinate_transformation_mode",
            &[
                "half_pixel",
                "half_pixel_symmetric",
                "pytorch_half_pixel",
                "align_corners",
                "asymmetric",
                "tf_crop_and_resize",
                "tf_half_pixel_for_nn",
            ],
        )?,
        nearest: attributes.choice("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])?,
        cubic_coeff_a: attributes.float("cubic_coeff_a")?.unwrap_or(-0.75),
        exclude_outside: attributes.flag("exclude_outside", false)?,
        extrapolation_value: attributes.float("extrapolation_value")?.unwrap_or(0.0),
        antialias,
        axes: attributes.ints("axes")?.map(<[i64]>::to_vec),
        policy: attributes.choice("keep_aspect_ratio_policy", &["stretch", "not_larger", "not_smaller"])?,
        scales: None,
        scales_input: 2,
        least_scale: 0.0,
    }))
}

/// One axis: its sizes, and which part of it is read.
struct Axis {
    from: usize,
    to: usize,
    scale: f32,
    /// `from * scale`, which `to` is rounded from.
    length: f32,
    roi: [f32; 2],
}

/// A list of floats that may be absent; an empty one is too.
fn list(inputs: &Inputs, index: usize) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = inputs.host(index)? else { return Ok(None) };
    ensure!(
        tensor.shape().len() <= 1,
        ShapeMismatch,
        "input {index}: expected one dimension, got {:?}",
        tensor.shape()
    );
    let values = tensor.to_f32s()?.into_owned();
    Ok(if values.is_empty() { None } else { Some(values) })
}

impl Resize {
    fn crops(&self) -> bool {
        self.coordinates == "tf_crop_and_resize"
    }

    fn plan(&self, inputs: &Inputs) -> Result<Vec<Axis>> {
        let shape = inputs.shape(0)?;
        let axes = match &self.axes {
            Some(axes) => axes.iter().map(|&a| axis_of(a, shape.len())).collect::<Result<Vec<_>>>()?,
            None => (0..shape.len()).collect(),
        };
        let twice = (1..axes.len()).find(|&i| axes[..i].contains(&axes[i]));
        ensure!(twice.is_none(), InvalidModel, "axes {axes:?} name a dimension twice");
        let whole = |&size: &usize| Axis { from: size, to: size, scale: 1.0, length: size as f32, roi: [0.0, 1.0] };
        let mut plan: Vec<Axis> = shape.iter().map(whole).collect();

        let modern = self.scales_input > 1;
        let scales = if self.scales.is_some() { self.scales.clone() } else { list(inputs, self.scales_input)? };
        let sizes = if modern { inputs.ints(3)?.filter(|sizes| !sizes.is_empty()) } else { None };
        let fits = |what: &str, count: usize, expected: usize| {
            ensure!(count == expected, ShapeMismatch, "{what} has {count} entries, expected {expected} for {shape:?}");
            Ok(())
        };
        match (scales, sizes) {
            (Some(_), Some(_)) => bail!(InvalidArgument, "both scales and sizes are given; leave one out"),
            (None, None) => ensure!(axes.is_empty(), InvalidArgument, "neither scales nor sizes are given"),
            (Some(scales), None) => {
                fits("scales", scales.len(), axes.len())?;
                for (&axis, &scale) in axes.iter().zip(&scales) {
                    let length = scale * shape[axis] as f32;
                    ensure!(
                        scale > 0.0 && scale >= self.least_scale && scale.is_finite() && length <= MAX_SIZE,
                        InvalidArgument,
                        "scales {scales:?} for {shape:?}: expected more than 0, at least {}, and an axis of at most \
                         2^30; got {scale}",
                        self.least_scale
                    );
                    (plan[axis].scale, plan[axis].length, plan[axis].to) = (scale, length, length as usize);
                }
            }
            (None, Some(sizes)) => {
                fits("sizes", sizes.len(), axes.len())?;
                for (&axis, &size) in axes.iter().zip(&sizes) {
                    ensure!(
                        (0..=1 << 30).contains(&size) && (shape[axis] > 0 || size == 0),
                        InvalidArgument,
                        "sizes {sizes:?} for {shape:?}: expected 0 to 2^30, and 0 for 0; got {size}"
                    );
                    let at = &mut plan[axis];
                    (at.to, at.length) = (size as usize, size as f32);
                    at.scale = if at.from == 0 { 1.0 } else { size as f32 / at.from as f32 };
                }
                if self.policy != "stretch" {
                    let scales = axes.iter().filter(|&&axis| shape[axis] > 0).map(|&axis| plan[axis].scale);
                    let scale =
                        if self.policy == "not_larger" { scales.reduce(f32::min) } else { scales.reduce(f32::max) };
                    let scale = scale.unwrap_or(1.0);
                    for &axis in &axes {
                        let length = scale * shape[axis] as f32;
                        ensure!(length <= MAX_SIZE, InvalidArgument, "sizes {sizes:?} stretch {shape:?} beyond 2^30");
                        let at = &mut plan[axis];
                        (at.scale, at.length, at.to) = (scale, length, length.round() as usize);
                    }
                }
            }
        }
        if self.crops() {
            let Some(roi) = list(inputs, 1)? else { bail!(InvalidArgument, "tf_crop_and_resize needs roi") };
            fits("roi", roi.len(), 2 * axes.len())?;
            for (i, &axis) in axes.iter().enumerate() {
                plan[axis].roi = [roi[i], roi[axes.len() + i]];
            }
        }
        let longest = plan.iter().filter(|axis| !self.stays(axis)).map(|axis| axis.from.max(axis.to)).max();
        ensure!(
            longest.is_none_or(|size| size <= MAX_RESIZED),
            LimitExceeded,
            "an axis of {} elements; at most {MAX_RESIZED} can be resized",
            longest.unwrap_or(0)
        );
        Ok(plan)
    }

    /// Whether the axis is as it was.
    fn stays(&self, axis: &Axis) -> bool {
        axis.from == axis.to && if self.crops() { axis.roi == [0.0, 1.0] } else { axis.scale == 1.0 }
    }

    /// Where position `x` of the new axis lies on the old one. In float32, as ONNX Runtime
    /// computes it: rounding decides which element is the nearest.
    fn place(&self, axis: &Axis, x: usize) -> f32 {
        let (x, from, to) = (x as f32, axis.from as f32, axis.to as f32);
        let half_pixel = (x + 0.5) / axis.scale - 0.5;
        match self.coordinates {
            "asymmetric" => x / axis.scale,
            "align_corners" if axis.to <= 1 => 0.0,
            "align_corners" => x * (from - 1.0) / (axis.length - 1.0),
            "pytorch_half_pixel" if axis.to <= 1 => 0.0,
            "tf_half_pixel_for_nn" => (x + 0.5) / axis.scale,
            "half_pixel_symmetric" => from / 2.0 * (1.0 - to / axis.length) + half_pixel,
            "tf_crop_and_resize" => {
                let [start, end] = axis.roi;
                if axis.to > 1 {
                    start * (from - 1.0) + x * (end - start) * (from - 1.0) / (to - 1.0)
                } else {
                    0.5 * (start + end) * (from - 1.0)
                }
            }
            _ => half_pixel,
        }
    }

    fn nearest(&self, x: f32, scale: f32) -> f32 {
        match self.nearest {
            "simple" if scale < 1.0 => x.ceil(),
            "simple" => x.trunc(),
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            "round_prefer_ceil" => x.round(),
            _ if x == x.trunc() + 0.5 => x.floor(),
            _ => x.round(),
        }
    }

    /// The elements that position `x` of the old axis is a sum of: the first, and the weights.
    fn around(&self, x: f32, axis: &Axis, weights: &mut Vec<f32>) -> i64 {
        let scale = f64::from(if self.antialias { axis.scale.min(1.0) } else { 1.0 });
        let reach = if self.mode == Mode::Cubic { 2.0 } else { 1.0 };
        let before = -((-reach / scale).floor() as i64);
        let base = x.floor() as i64;
        let ratio = f64::from(x) - base as f64;
        let a = f64::from(self.cubic_coeff_a);
        let weight = |distance: f64| {
            let d = distance.abs();
            match self.mode {
                Mode::Cubic if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
                Mode::Cubic if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
                Mode::Cubic => 0.0,
                _ => (1.0 - d).max(0.0),
            }
        };
        let first = 1 - before;
        let mut all: Vec<f64> = (first..=before).map(|i| weight((i as f64 - ratio) * scale)).collect();
        let excludes = self.exclude_outside && (self.mode == Mode::Cubic || self.antialias);
        if excludes {
            let inside = |i: i64| (0..axis.from as i64).contains(&(base + i));
            (first..).zip(&mut all).filter(|(i, _)| !inside(*i)).for_each(|(_, weight)| *weight = 0.0);
        }
        let sum: f64 = all.iter().sum();
        let sum = if (excludes || self.antialias) && sum != 0.0 { sum } else { 1.0 };
        weights.extend(all.iter().map(|w| (w / sum) as f32));
        base + first
    }

    /// What each position of the new axis is a sum of; nothing where the axis stays as it is.
    fn taps(&self, axis: &Axis) -> Option<Taps> {
        if self.stays(axis) {
            return None;
        }
        let last = axis.from as i64 - 1;
        let mut taps = Taps { count: 1, places: Vec::with_capacity(axis.to), weights: Vec::new() };
        for x in 0..axis.to {
            let place = self.place(axis, x).clamp(-MAX_SIZE, MAX_SIZE);
            if self.mode == Mode::Nearest {
                taps.places.push((self.nearest(place, axis.scale) as i64).clamp(0, last) as usize);
                continue;
            }
            let first = self.around(place, axis, &mut taps.weights);
            taps.count = taps.weights.len() / (x + 1);
            taps.places.extend((first..).take(taps.count).map(|i| i.clamp(0, last) as usize));
        }
        Some(taps)
    }

    /// Whether each position of the new axis reads outside of the old one.
    fn outside(&self, axis: &Axis) -> Vec<bool> {
        let inside = 0.0..=(axis.from as f32 - 1.0);
        (0..axis.to).map(|x| !inside.contains(&self.place(axis, x))).collect()
    }

    /// The sums by what every device has.
    fn sums(device: &dyn Device, mut x: Array, axis: usize, taps: &Taps) -> Result<Array> {
        let to = taps.places.len() / taps.count;
        let mut shape = x.shape().to_vec();
        let mut broadcast = vec![1; shape.len()];
        (shape[axis], broadcast[axis]) = (to, to);
        let mut sum: Option<Array> = None;
        for tap in 0..taps.count {
            let places: Vec<usize> = taps.places.iter().skip(tap).step_by(taps.count).copied().collect();
            let weights: Vec<f32> = taps.weights.iter().skip(tap).step_by(taps.count).copied().collect();
            let weights = device.to_device(tensor_of(DataType::Float32, &broadcast, weights))?;
            let part = device.gather(x.clone(), axis, &places, &[to])?;
            let part = device.binary(BinaryOp::Mul, part, weights, &shape)?;
            sum = Some(match sum {
                Some(sum) => device.binary(BinaryOp::Add, sum, part, &shape)?,
                None => part,
            });
        }
        if let Some(sum) = sum {
            x = sum;
        }
        Ok(x)
    }
}

/// Resamples axis after axis on the host.
fn on_host(x: Tensor, changes: &[(usize, Taps)]) -> Result<Tensor> {
    fn all<T: num_traits::Float>(mut values: Vec<T>, shape: &mut [usize], changes: &[(usize, Taps)]) -> Vec<T> {
        for (axis, taps) in changes {
            let inner: usize = shape[axis + 1..].iter().product();
            values = resample(&values, shape[*axis], inner, taps);
            shape[*axis] = taps.places.len() / taps.count;
        }
        values
    }
    let (dtype, mut shape) = (x.dtype(), x.shape().to_vec());
    if dtype.size() > 4 || matches!(dtype, DataType::Int32 | DataType::Uint32) {
        let values = all(x.to_f64s()?, &mut shape, changes);
        return Tensor::from_f64s(dtype, &shape, values);
    }
    let values = all(x.to_f32s()?.into_owned(), &mut shape, changes);
    Tensor::from_f32s(dtype, &shape, values)
}

impl Op for Resize {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let allowed = match (self.mode, self.crops()) {
            (Mode::Nearest, false) => Dtypes::All,
            (Mode::Nearest, true) => Dtypes::Any,
            _ => Dtypes::Number,
        };
        if self.scales_input > 1 {
            optional_type(inputs, 1, Dtypes::Float)?;
            optional_type(inputs, 3, Dtypes::Only(DataType::Int64))?;
        }
        optional_type(inputs, self.scales_input, Dtypes::Only(DataType::Float32))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, allowed)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(inputs.dtype(0)?, self.plan(inputs)?.iter().map(|axis| axis.to).collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let plan = self.plan(&inputs)?;
        if plan.iter().any(|axis| axis.to == 0) {
            let shape: Vec<usize> = plan.iter().map(|axis| axis.to).collect();
            let x = inputs.array(0)?;
            return output(device.slice(x, &vec![0; shape.len()], &vec![1; shape.len()], &shape)?);
        }
        let changes = plan.iter().enumerate().filter_map(|(d, axis)| Some((d, self.taps(axis)?)));
        let mut changes: Vec<(usize, Taps)> = changes.collect();
        // What shrinks comes first, so that nothing in between is larger than what goes in or out.
        changes.sort_by(|(a, _), (b, _)| plan[*a].scale.total_cmp(&plan[*b].scale).then(b.cmp(a)));
        let mut x = if self.mode == Mode::Nearest {
            let mut x = inputs.array(0)?;
            for (axis, taps) in &changes {
                x = device.gather(x, *axis, &taps.places, &[taps.places.len()])?;
            }
            x
        } else if device.kind() == DeviceKind::Cpu {
            let (x, order) = in_memory(inputs.cpu(0)?);
            changes.iter_mut().for_each(|(axis, _)| *axis = place(&order, *axis));
            match Value::from(on_host(Tensor::from_flex(x), &changes)?) {
                Value::Tensor(array) => Array::Cpu(logical(array.into_cpu()?, &order)),
                other => bail!(Internal, "resized to {}", other.describe()),
            }
        } else {
            let mut x = inputs.array(0)?;
            for (axis, taps) in &changes {
                x = Self::sums(device, x, *axis, taps)?;
            }
            x
        };
        if self.crops() {
            for (d, axis) in plan.iter().enumerate() {
                let outside = self.outside(axis);
                if outside.contains(&true) {
                    let mut pads = vec![(0, 0); plan.len()];
                    pads[d].1 = 1;
                    x = device.pad(x, &pads, PadMode::Constant(f64::from(self.extrapolation_value)))?;
                    let places: Vec<usize> =
                        outside.iter().enumerate().map(|(i, &out)| if out { axis.to } else { i }).collect();
                    x = device.gather(x, d, &places, &[axis.to])?;
                }
            }
        }
        output(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, compare, f32s, i64s, numbers};
    use crate::{Feed, Result};

    /// One element of one axis, as ONNX's reference words it: the nearest elements of the axis,
    /// its ends repeated.
    fn along(node: &Resize, line: &[f64], axis: &Axis, x: usize) -> f64 {
        let scale = f64::from(axis.scale);
        let (x, from, to) = (x as f64, line.len() as f64, axis.to as f64);
        let place = match node.coordinates {
            "asymmetric" => x / scale,
            "align_corners" => {
                if to == 1.0 {
                    0.0
                } else {
                    x * (from - 1.0) / (scale * from - 1.0)
                }
            }
            "pytorch_half_pixel" if to == 1.0 => 0.0,
            "half_pixel_symmetric" => from / 2.0 * (1.0 - to / (scale * from)) + (x + 0.5) / scale - 0.5,
            _ => (x + 0.5) / scale - 0.5,
        };
        let at = |i: f64| line[i.clamp(0.0, from - 1.0) as usize];
        let a = f64::from(node.cubic_coeff_a);
        let squeezed = if node.antialias { scale.min(1.0) } else { 1.0 };
        let weight = |i: f64| match node.mode {
            Mode::Nearest => match node.nearest {
                "floor" => f64::from(i == place.floor()),
                "ceil" => f64::from(i == place.ceil()),
                "round_prefer_ceil" => f64::from(i == (place + 0.5).floor()),
                _ => f64::from(i == (place - 0.5).ceil()),
            },
            Mode::Linear => (1.0 - (i - place).abs() * squeezed).max(0.0),
            Mode::Cubic => match (i - place).abs() * squeezed {
                d if d <= 1.0 => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
                d if d < 2.0 => a * d.powi(3) - 5.0 * a * d.powi(2) + 8.0 * a * d - 4.0 * a,
                _ => 0.0,
            },
        };
        let far = (2.0 / squeezed).ceil() + 1.0;
        let (mut sum, mut weights) = (0.0, 0.0);
        for i in (place - far).floor() as i64..=(place + far) as i64 {
            let outside = node.exclude_outside && !(0.0..from).contains(&(i as f64));
            let weight = if outside { 0.0 } else { weight(i as f64) };
            (sum, weights) = (sum + weight * at(i as f64), weights + weight);
        }
        sum / weights
    }

    fn naive(node: &Resize, x: &Tensor, plan: &[Axis]) -> Tensor {
        let (mut values, mut shape) = (numbers(x), x.shape().to_vec());
        for (d, axis) in plan.iter().enumerate() {
            let (inner, size) = (shape[d + 1..].iter().product::<usize>(), shape[d]);
            shape[d] = axis.to;
            values = (0..shape.iter().product())
                .map(|i| {
                    let (outer, at) = (i / inner / axis.to, i / inner % axis.to);
                    let line: Vec<f64> = (0..size).map(|k| values[(outer * size + k) * inner + i % inner]).collect();
                    along(node, &line, axis, at)
                })
                .collect();
        }
        f32s(&shape, values.into_iter().map(|v| v as f32).collect())
    }

    fn node(opset: i64, mode: &str, coordinates: &str) -> Single<'static> {
        Single::new("Resize", opset).string("mode", mode).string("coordinate_transformation_mode", coordinates)
    }

    fn by_scales(node: &Single<'_>, x: &Tensor, scales: &[f32]) -> Result<Tensor> {
        let scales = f32s(&[scales.len()], scales.to_vec());
        let feeds = node.feeds(&[Some(Feed::Tensor(x.clone())), None, Some(Feed::Tensor(scales))])?;
        Ok(feeds.into_iter().map(crate::support::into_tensor).next().expect("one output"))
    }

    #[test]
    fn every_mode_is_what_the_formula_says() {
        let mut random = Random::new(3);
        // Powers of two, so that ties between elements are ties in float32 and float64 alike.
        let scales = [0.25f32, 0.375, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0];
        let kinds = [(Mode::Nearest, "nearest"), (Mode::Linear, "linear"), (Mode::Cubic, "cubic")];
        for coordinates in ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"] {
            for (mode, name) in kinds {
                for round in 0..8 {
                    let rank = round % 4 + 1;
                    let shape: Vec<usize> = (0..rank).map(|_| random.within(4, 6)).collect();
                    let chosen: Vec<f32> = (0..rank).map(|_| scales[random.within(0, 8)]).collect();
                    let nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"][random.within(0, 3)];
                    // Of places between elements rounding decides, where their formula divides.
                    if mode == Mode::Nearest && coordinates == "align_corners" && round > 3 {
                        continue;
                    }
                    let flag = |r: &mut Random| mode != Mode::Nearest && r.within(0, 1) == 1;
                    let (antialias, excludes) = (flag(&mut random), mode == Mode::Cubic && flag(&mut random));
                    let single = node(18, name, coordinates)
                        .string("nearest_mode", nearest)
                        .int("antialias", i64::from(antialias))
                        .int("exclude_outside", i64::from(excludes))
                        .float("cubic_coeff_a", -0.5);
                    let resize = Resize {
                        coordinates,
                        nearest,
                        antialias,
                        exclude_outside: excludes,
                        cubic_coeff_a: -0.5,
                        scales_input: 2,
                        ..Resize::old(mode)
                    };
                    let x = random.tensor(&shape);
                    let plan: Vec<Axis> = std::iter::zip(&shape, &chosen)
                        .map(|(&from, &scale)| {
                            let length = from as f32 * scale;
                            Axis { from, to: length as usize, scale, length, roi: [0.0, 1.0] }
                        })
                        .collect();
                    let got = by_scales(&single, &x, &chosen).expect("resized");
                    let what = format!("{coordinates} {name} {nearest} {antialias} {excludes} {shape:?} {chosen:?}");
                    compare(&got, &naive(&resize, &x, &plan), 1e-5, 1e-5).unwrap_or_else(|e| panic!("{what}: {e}"));

                    // What WebGPU does.
                    let mut sums = Array::Cpu(x.to_flex().expect("numbers"));
                    for (d, axis) in plan.iter().enumerate() {
                        if let Some(taps) = resize.taps(axis).filter(|_| mode != Mode::Nearest) {
                            sums = Resize::sums(&Cpu, sums, d, &taps).expect("computed");
                        }
                    }
                    if mode != Mode::Nearest {
                        let sums = Tensor::from_flex(sums.into_cpu().expect("on the CPU"));
                        compare(&sums, &got, 1e-5, 1e-5).unwrap_or_else(|e| panic!("{what}, by operations: {e}"));
                    }
                }
            }
        }
    }

    #[test]
    fn other_dtypes_move_or_are_truncated() {
        let big = i64s(&[3], &[i64::MAX, -5, i64::MIN + 1]);
        let got = by_scales(&node(13, "nearest", "asymmetric"), &big, &[2.0]).expect("moved");
        assert_eq!(got.as_slice::<i64>(), Some(&[i64::MAX, i64::MAX, -5, -5, i64::MIN + 1, i64::MIN + 1][..]));
        let words = Tensor::from_strings(vec![2], vec!["a".into(), "b".into()]).expect("two");
        let got = by_scales(&node(13, "nearest", "half_pixel"), &words, &[1.5]).expect("moved");
        assert_eq!(got.strings().map(<[String]>::concat).as_deref(), Some("aab"));
        let bytes = Tensor::from_bytes(DataType::Uint8, vec![2], vec![0, 255]).expect("two");
        let got = by_scales(&node(13, "linear", "half_pixel"), &bytes, &[2.0]).expect("summed");
        assert_eq!(got.bytes(), Some(&[0, 63, 191, 255][..]));
        assert_eq!(
            by_scales(&node(13, "linear", "half_pixel"), &words, &[2.0]).map_err(|e| e.kind()).err(),
            Some(ErrorKind::Unsupported)
        );
    }

    #[test]
    fn crops_give_the_extrapolation_value_outside() {
        let single = node(13, "linear", "tf_crop_and_resize").float("extrapolation_value", 7.0);
        let x = f32s(&[3], vec![0.0, 1.0, 2.0]);
        let got = single.one(&[x.clone(), f32s(&[2], vec![-0.5, 1.0]), f32s(&[0], vec![]), i64s(&[1], &[4])]);
        assert_eq!(numbers(&got), [7.0, 0.0, 1.0, 2.0]);
        let nan = f32s(&[2], vec![f32::NAN, 1.0]);
        assert_eq!(numbers(&single.one(&[x, nan, f32s(&[0], vec![]), i64s(&[1], &[2])])), [7.0, 7.0]);
    }

    #[test]
    fn old_opsets_round_as_they_did() {
        let x = f32s(&[4], vec![0., 1., 2., 3.]);
        for opset in [7, 9] {
            let got = if opset == 7 {
                Single::new("Upsample", 7).with("scales", crate::graph::Attribute::Floats(vec![1.5])).one(std::slice::from_ref(&x))
            } else {
                Single::new("Upsample", 9).one(&[x.clone(), f32s(&[1], vec![1.5])])
            };
            assert_eq!(numbers(&got), [0., 0., 1., 2., 2., 3.]);
        }
        let got = Single::new("Resize", 10).one(&[x.clone(), f32s(&[1], vec![0.6])]);
        assert_eq!(numbers(&got), [0., 2.]);
        let got = Single::new("Upsample", 9).string("mode", "linear").one(&[x.clone(), f32s(&[1], vec![2.0])]);
        assert_eq!(numbers(&got), [0., 0.5, 1., 1.5, 2., 2.5, 3., 3.]);
        Single::new("Upsample", 9).error(&[x.clone(), f32s(&[1], vec![0.5])]);
        Single::new("Upsample", 10).error(&[x, f32s(&[1], vec![2.0])]);
    }

    #[test]
    fn empty_axes_and_wrong_parameters() {
        let (x, none) = (f32s(&[2, 0], vec![]), f32s(&[0], vec![]));
        let run = |sizes: &[i64]| {
            node(18, "linear", "half_pixel").run(&[x.clone(), none.clone(), none.clone(), i64s(&[2], sizes)])
        };
        assert_eq!(run(&[5, 0]).expect("empty")[0].shape(), [5, 0]);
        assert_eq!(run(&[0, 0]).expect("empty")[0].shape(), [0, 0]);
        for wrong in [[1, 1], [-1, 0], [i64::MAX, 0]] {
            run(&wrong).expect_err("refused");
        }
        let x = f32s(&[2], vec![1., 2.]);
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
            by_scales(&node(13, "nearest", "half_pixel"), &x, &[scale]).expect_err("refused");
        }
        node(13, "linear", "half_pixel").error(&[x.clone(), none.clone(), none.clone()]);
        node(13, "linear", "half_pixel").error(&[x.clone(), none.clone(), none.clone(), i64s(&[1], &[1 << 25])]);
        node(13, "linear", "half_pixel").error(&[x.clone(), none.clone(), f32s(&[1], vec![2.]), i64s(&[1], &[4])]);
        node(13, "linear", "tf_crop_and_resize").error(&[x.clone(), none.clone(), f32s(&[1], vec![2.])]);
        node(18, "nearest", "half_pixel").int("antialias", 1).error(&[x.clone(), none.clone(), f32s(&[1], vec![2.])]);
        let twice = crate::graph::Attribute::Ints(vec![0, -1]);
        node(18, "nearest", "half_pixel").with("axes", twice).error(&[x, none, f32s(&[2], vec![2., 2.])]);
    }
}
