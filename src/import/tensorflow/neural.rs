//! Convolutions, pools, products, normalisation, activations.

use super::{Id, Order, Shape, Writer, broadcast, float, int, ints, text};
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType, Tensor};

/// What follows an operator within its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    None,
    Relu,
    Relu6,
    /// Between -1 and 1.
    ReluN1To1,
    /// Between 0 and 1.
    Relu0To1,
    Tanh,
    Sigmoid,
    Elu,
    LeakyRelu(f32),
}

/// How an image is padded.
#[derive(Debug, Clone, PartialEq)]
pub enum Padding {
    /// So that there are as many positions as strides fit; what is uneven goes to the end.
    Same,
    Valid,
    /// Before and after, for each spatial dimension.
    Explicit(Vec<(i64, i64)>),
}

/// How a kernel goes over an image: for each spatial dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub padding: Padding,
}

/// How an image is resized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resize {
    pub linear: bool,
    pub align_corners: bool,
    pub half_pixel_centers: bool,
}

type Attributes = Vec<(&'static str, Attribute)>;

/// Smallest norm that L2_NORMALIZATION divides by.
const SMALLEST_NORM: f32 = 1e-6;

fn check_pads(pads: &[(i64, i64)]) -> Result<()> {
    let sizes = 0..=i64::from(i32::MAX);
    let fits = pads.iter().all(|(before, after)| sizes.contains(before) && sizes.contains(after));
    ensure!(fits, InvalidModel, "pads {pads:?}: none may be below 0 or above {}", i32::MAX);
    Ok(())
}

impl Writer {
    /// An operator of one input, which works in any order.
    pub fn unary(&mut self, op_type: &str, name: &str, x: Id, attributes: Attributes) -> Result<Id> {
        let order = self.order(x);
        let from = self.real(x, order)?;
        let (dtype, shape) = (self.real_dtype(x), self.shape(x).clone());
        Ok(self.emit(op_type, name, &[&from], attributes, dtype, shape, order))
    }

    /// Between `low` and `high`; either may be absent.
    pub fn clip(&mut self, name: &str, x: Id, low: Option<f32>, high: Option<f32>) -> Result<Id> {
        let order = self.order(x);
        let from = self.real(x, order)?;
        let dtype = self.real_dtype(x);
        let mut bound = |value: Option<f32>, what: &str| -> Result<String> {
            let Some(value) = value else { return Ok(String::new()) };
            let tensor = match dtype {
                DataType::Float16 => Tensor::from_vec(vec![], vec![half::f16::from_f32(value)])?,
                DataType::Int32 => Tensor::from_vec(vec![], vec![value as i32])?,
                DataType::Int64 => Tensor::from_vec(vec![], vec![value as i64])?,
                _ => Tensor::from_vec(vec![], vec![value])?,
            };
            Ok(self.builder.constant(&format!("{name}/{what}"), tensor))
        };
        let (low, high) = (bound(low, "min")?, bound(high, "max")?);
        let shape = self.shape(x).clone();
        Ok(self.emit("Clip", name, &[&from, &low, &high], vec![], dtype, shape, order))
    }

    pub fn activate(&mut self, name: &str, x: Id, activation: Activation) -> Result<Id> {
        match activation {
            Activation::None => Ok(x),
            Activation::Relu => self.unary("Relu", name, x, vec![]),
            Activation::Relu6 => self.clip(name, x, Some(0.0), Some(6.0)),
            Activation::ReluN1To1 => self.clip(name, x, Some(-1.0), Some(1.0)),
            Activation::Relu0To1 => self.clip(name, x, Some(0.0), Some(1.0)),
            Activation::Tanh => self.unary("Tanh", name, x, vec![]),
            Activation::Sigmoid => self.unary("Sigmoid", name, x, vec![]),
            Activation::Elu => self.unary("Elu", name, x, vec![]),
            Activation::LeakyRelu(alpha) => self.unary("LeakyRelu", name, x, vec![float("alpha", alpha)]),
        }
    }

    /// The sizes of the spatial dimensions.
    fn spatial(&self, x: Id) -> Result<Vec<Option<usize>>> {
        let rank = self.rank(x)?;
        ensure!(rank >= 3, InvalidModel, "an image has at least 3 dimensions, got {rank}");
        let shape = self.shape(x).clone().unwrap_or_default();
        Ok(shape[1..rank - 1].to_vec())
    }

    /// The attributes of a window over `x`, and the sizes that come out.
    fn window(&self, x: Id, kernel: &[usize], window: &Window) -> Result<(Attributes, Vec<Option<usize>>)> {
        let sizes = self.spatial(x)?;
        let spatial = sizes.len();
        let fits = kernel.len() == spatial && window.strides.len() == spatial && window.dilations.len() == spatial;
        ensure!(fits, InvalidModel, "a window of {} dimensions over an image of {spatial}", kernel.len());
        let positive = |values: &[i64]| values.iter().all(|&v| (1..=i64::from(i32::MAX)).contains(&v));
        ensure!(
            positive(&window.strides) && positive(&window.dilations) && kernel.iter().all(|&k| k > 0),
            InvalidModel,
            "strides {:?}, dilations {:?}, kernel {kernel:?}: all must be above 0",
            window.strides,
            window.dilations
        );
        let mut attributes = vec![ints("strides", window.strides.clone()), ints("dilations", window.dilations.clone())];
        let reach = |axis: usize| (kernel[axis] as i64 - 1).saturating_mul(window.dilations[axis]).saturating_add(1);
        let strided = |axis: usize, room: i64| match room {
            1.. => (room as u64).div_ceil(window.strides[axis] as u64) as usize,
            _ => 0,
        };
        let mut out = Vec::with_capacity(spatial);
        match &window.padding {
            Padding::Same => {
                out.extend((0..spatial).map(|a| sizes[a].map(|size| strided(a, size as i64))));
                if sizes.iter().all(Option::is_some) {
                    let total = |axis: usize| {
                        let (size, out) = (sizes[axis].unwrap_or(0) as i64, out[axis].unwrap_or(0) as i64);
                        let needed = (out - 1).saturating_mul(window.strides[axis]).saturating_add(reach(axis));
                        needed.saturating_sub(size).max(0)
                    };
                    let before = (0..spatial).map(|axis| total(axis) / 2);
                    let after = (0..spatial).map(|axis| total(axis) - total(axis) / 2);
                    attributes.push(ints("pads", before.chain(after).collect()));
                } else {
                    attributes.push(text("auto_pad", "SAME_UPPER"));
                }
            }
            Padding::Valid => {
                let room = |axis: usize, size: usize| (size as i64).saturating_sub(reach(axis)).saturating_add(1);
                out.extend((0..spatial).map(|a| sizes[a].map(|size| strided(a, room(a, size)))));
            }
            Padding::Explicit(pads) => {
                ensure!(pads.len() == spatial, InvalidModel, "pads of {} dimensions, not {spatial}", pads.len());
                check_pads(pads)?;
                let room = |axis: usize, size: usize| {
                    let padded = (size as i64).saturating_add(pads[axis].0).saturating_add(pads[axis].1);
                    padded.saturating_sub(reach(axis)).saturating_add(1)
                };
                out.extend((0..spatial).map(|a| sizes[a].map(|size| strided(a, room(a, size)))));
                attributes.push(ints("pads", pads.iter().map(|p| p.0).chain(pads.iter().map(|p| p.1)).collect()));
            }
        }
        Ok((attributes, out))
    }

    fn image_shape(&self, x: Id, spatial: Vec<Option<usize>>, channels: Option<usize>) -> Shape {
        let batch = self.size(x, 0);
        Some([batch].into_iter().chain(spatial).chain([channels]).collect())
    }

    /// A convolution by `weight`, whose name and shape are given: `[outputs, inputs / groups, kernel…]`.
    pub fn conv(
        &mut self,
        name: &str,
        x: Id,
        weight: (String, Vec<usize>),
        bias: Option<Id>,
        groups: usize,
        window: &Window,
    ) -> Result<Id> {
        let (weight, shape) = weight;
        ensure!(shape.len() >= 3, InvalidModel, "a kernel of shape {shape:?}");
        let (mut attributes, spatial) = self.window(x, &shape[2..], window)?;
        attributes.push(ints("kernel_shape", shape[2..].iter().map(|&size| size as i64).collect()));
        attributes.push(int("group", groups as i64));
        let from = self.real(x, Order::First)?;
        let bias = bias.map(|bias| self.last(bias)).transpose()?;
        let mut inputs = vec![from.as_str(), &weight];
        inputs.extend(bias.as_deref());
        let out = self.image_shape(x, spatial, Some(shape[0]));
        let dtype = self.real_dtype(x);
        Ok(self.emit("Conv", name, &inputs, attributes, dtype, out, Order::First))
    }

    /// The groups of a convolution whose weight has `inputs` channels.
    pub fn groups(&self, x: Id, inputs: usize) -> Result<usize> {
        let channels = self.rank(x).ok().and_then(|rank| self.size(x, rank.checked_sub(1)?));
        let Some(channels) = channels else { return Ok(1) };
        match channels.checked_rem(inputs) {
            Some(0) => Ok((channels / inputs).max(1)),
            _ => bail!(InvalidModel, "weights for {inputs} channels over an image of {channels}"),
        }
    }

    /// A transposed convolution by `weight`, whose name and shape are given: `[inputs, outputs, kernel…]`; `out` are the
    /// spatial sizes that come out.
    pub fn conv_transpose(
        &mut self,
        name: &str,
        x: Id,
        weight: (String, Vec<usize>),
        bias: Option<Id>,
        out: &[usize],
        window: &Window,
    ) -> Result<Id> {
        let (weight, shape) = weight;
        let sizes = self.spatial(x)?.into_iter().collect::<Option<Vec<_>>>();
        let Some(sizes) = sizes else { bail!(UnsupportedOperator, "of images of sizes known at run time only") };
        let spatial = sizes.len();
        let fits = shape.len() == spatial + 2
            && out.len() == spatial
            && window.strides.len() == spatial
            && window.dilations.len() == spatial;
        ensure!(fits, InvalidModel, "a kernel of shape {shape:?} over an image of {spatial} dimensions");
        if let Padding::Explicit(pads) = &window.padding {
            check_pads(pads)?;
        }
        let (mut before, mut after, mut more) = (vec![], vec![], vec![]);
        for axis in 0..spatial {
            let (stride, kernel, dilation) = (window.strides[axis], shape[axis + 2] as i64, window.dilations[axis]);
            let in_range = stride > 0 && dilation > 0 && kernel > 0 && stride.max(dilation) <= i64::from(i32::MAX);
            ensure!(in_range, InvalidModel, "strides {:?}, kernel {shape:?}", window.strides);
            let reach = (kernel - 1).saturating_mul(dilation).saturating_add(1);
            let full = (sizes[axis] as i64 - 1).saturating_mul(stride).saturating_add(reach);
            let surplus = full.saturating_sub(out[axis] as i64);
            match &window.padding {
                Padding::Same => before.push(surplus.max(0) / 2),
                Padding::Valid => before.push(0),
                Padding::Explicit(pads) => before.push(pads.get(axis).map_or(0, |pad| pad.0)),
            }
            after.push(surplus.saturating_sub(before[axis]).max(0));
            // ONNX allows less than a stride more, which is all that TensorFlow allows, too.
            more.push(before[axis].saturating_sub(surplus).max(0));
            ensure!(more[axis] < stride, InvalidModel, "sizes {out:?} do not come of an image of {sizes:?}");
        }
        let attributes = vec![
            ints("strides", window.strides.clone()),
            ints("dilations", window.dilations.clone()),
            ints("kernel_shape", shape[2..].iter().map(|&size| size as i64).collect()),
            ints("pads", [before, after].concat()),
            ints("output_padding", more),
        ];
        let from = self.real(x, Order::First)?;
        let bias = bias.map(|bias| self.last(bias)).transpose()?;
        let mut inputs = vec![from.as_str(), &weight];
        inputs.extend(bias.as_deref());
        let out = self.image_shape(x, out.iter().map(|&size| Some(size)).collect(), Some(shape[1]));
        let dtype = self.real_dtype(x);
        Ok(self.emit("ConvTranspose", name, &inputs, attributes, dtype, out, Order::First))
    }

    /// A pool: `MaxPool`, or `AveragePool`, which leaves padding out of its means.
    pub fn pool(&mut self, op_type: &str, name: &str, x: Id, kernel: &[i64], window: &Window) -> Result<Id> {
        let sizes: Vec<usize> = kernel.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        let (mut attributes, spatial) = self.window(x, &sizes, window)?;
        attributes.push(ints("kernel_shape", kernel.to_vec()));
        let from = self.real(x, Order::First)?;
        let channels = self.size(x, self.rank(x)? - 1);
        let (out, dtype) = (self.image_shape(x, spatial, channels), self.real_dtype(x));
        Ok(self.emit(op_type, name, &[&from], attributes, dtype, out, Order::First))
    }

    /// `x * slope` where x is negative.
    pub fn prelu(&mut self, name: &str, x: Id, slope: Id) -> Result<Id> {
        let dtype = self.real_dtype(x);
        self.elementwise("PRelu", name, &[x, slope], vec![], dtype)
    }

    /// Resizes height and width to `size`, two integers.
    pub fn resize(&mut self, name: &str, x: Id, size: Id, how: Resize) -> Result<Id> {
        ensure!(self.rank(x)? == 4, InvalidModel, "an image to resize has 4 dimensions, got {}", self.rank(x)?);
        let coordinates = match how {
            Resize { align_corners: true, .. } => "align_corners",
            Resize { half_pixel_centers: true, .. } => "half_pixel",
            _ => "asymmetric",
        };
        let mut attributes = vec![
            ints("axes", vec![2, 3]),
            text("coordinate_transformation_mode", coordinates),
            text("mode", if how.linear { "linear" } else { "nearest" }),
        ];
        if !how.linear {
            let nearest = if coordinates == "asymmetric" { "floor" } else { "round_prefer_ceil" };
            attributes.push(text("nearest_mode", nearest));
        }
        let known = self.known_ints(size);
        let axis = |at: usize| known.as_ref().and_then(|known| usize::try_from(*known.get(at)?).ok());
        let channels = self.size(x, 3);
        let out = self.image_shape(x, vec![axis(0), axis(1)], channels);
        let sizes = self.as_longs(size)?;
        let from = self.real(x, Order::First)?;
        let dtype = self.real_dtype(x);
        Ok(self.emit("Resize", name, &[&from, "", "", &sizes], attributes, dtype, out, Order::First))
    }

    /// `Softmax` or `LogSoftmax` over the last dimension, of `x * beta`.
    pub fn softmax(&mut self, op_type: &str, name: &str, x: Id, beta: f32) -> Result<Id> {
        let mut x = x;
        if beta != 1.0 {
            let beta = self.scalar(&format!("{name}/beta"), beta)?;
            x = self.elementwise("Mul", &format!("{name}/scaled"), &[x, beta], vec![], DataType::Float32)?;
        }
        let axis = if self.prefers_first(x) { 1 } else { -1 };
        self.unary(op_type, name, x, vec![int("axis", axis)])
    }

    /// `x` of `[…, inputs]` by `weight` of `[outputs, inputs]`, plus `bias`. The dimensions before the last are kept, or
    /// else put into one.
    pub fn fully_connected(
        &mut self,
        name: &str,
        x: Id,
        weight: Id,
        transposed: bool,
        bias: Option<Id>,
        keep: bool,
    ) -> Result<Id> {
        let dtype = self.real_dtype(x);
        let rank = self.shape(x).as_ref().map(Vec::len);
        let Some(sizes) = self.sizes(weight).filter(|sizes| sizes.len() == 2) else {
            bail!(InvalidModel, "weights of a fully connected layer have 2 dimensions")
        };
        let [outputs, inputs] = if transposed { [sizes[0], sizes[1]] } else { [sizes[1], sizes[0]] };
        if keep && rank.is_some_and(|rank| rank != 2) {
            let (weight, _) = self.weight(weight, if transposed { &[1, 0] } else { &[0, 1] })?;
            let from = self.last(x)?;
            let mut shape = self.shape(x).clone();
            if let Some(last) = shape.as_mut().and_then(|shape| shape.last_mut()) {
                *last = Some(outputs);
            }
            let product = if bias.is_some() { format!("{name}/product") } else { name.to_string() };
            let product = self.emit("MatMul", &product, &[&from, &weight], vec![], dtype, shape, Order::Last);
            return match bias {
                Some(bias) => self.elementwise("Add", name, &[product, bias], vec![], dtype),
                None => Ok(product),
            };
        }
        let flat = match rank {
            Some(2) if self.size(x, 1) == Some(inputs) => x,
            _ => self.reshape(&format!("{name}/flat"), x, &[-1, inputs as i64])?,
        };
        let (weight, _) = self.weight(weight, &[0, 1])?;
        let from = self.last(flat)?;
        let bias = bias.map(|bias| self.last(bias)).transpose()?;
        let mut names = vec![from.as_str(), &weight];
        names.extend(bias.as_deref());
        let shape = Some(vec![self.size(flat, 0), Some(outputs)]);
        Ok(self.emit("Gemm", name, &names, vec![int("transB", transposed.into())], dtype, shape, Order::Last))
    }

    /// The product of matrices, batched; either may be transposed first.
    pub fn matmul(&mut self, name: &str, a: Id, b: Id, transposed: [bool; 2]) -> Result<Id> {
        let dtype = self.real_dtype(a);
        let mut operands = [a, b];
        for (operand, _) in operands.iter_mut().zip(transposed).filter(|(_, transposed)| *transposed) {
            let rank = self.rank(*operand)?;
            ensure!(rank >= 2, InvalidModel, "a matrix of {rank} dimensions");
            let mut permutation: Vec<usize> = (0..rank).collect();
            permutation.swap(rank - 1, rank - 2);
            *operand = self.transpose(&format!("{name}/transposed"), *operand, &permutation)?;
        }
        let [a, b] = operands;
        let shape = match (self.shape(a).as_deref(), self.shape(b).as_deref()) {
            (Some([outer @ .., rows, _]), Some([other @ .., _, columns])) => {
                let outer = broadcast(&[Some(outer.to_vec()), Some(other.to_vec())]);
                outer.map(|outer| [outer, vec![*rows, *columns]].concat())
            }
            _ => None,
        };
        let (left, right) = (self.last(a)?, self.last(b)?);
        Ok(self.emit("MatMul", name, &[&left, &right], vec![], dtype, shape, Order::Last))
    }

    /// `x` divided by its length along the last dimension.
    pub fn l2_normalization(&mut self, name: &str, x: Id) -> Result<Id> {
        let axis = self.rank(x)?.saturating_sub(1);
        let norm = self.reduce("ReduceL2", &format!("{name}/norm"), x, &[axis as i64], true)?;
        let norm = self.clip(&format!("{name}/bounded"), norm, Some(SMALLEST_NORM), None)?;
        self.elementwise("Div", name, &[x, norm], vec![], DataType::Float32)
    }

    /// Normalisation by neighbours within `radius` channels.
    pub fn local_response(&mut self, name: &str, x: Id, radius: i64, [bias, alpha, beta]: [f32; 3]) -> Result<Id> {
        ensure!((0..1 << 20).contains(&radius), InvalidModel, "a radius of {radius}");
        let size = 2 * radius + 1;
        let from = self.real(x, Order::First)?;
        let attributes =
            vec![int("size", size), float("alpha", alpha * size as f32), float("beta", beta), float("bias", bias)];
        let (dtype, shape) = (self.real_dtype(x), self.shape(x).clone());
        Ok(self.emit("LRN", name, &[&from], attributes, dtype, shape, Order::First))
    }

    /// Normalisation by stored statistics.
    pub fn batch_norm(
        &mut self,
        name: &str,
        x: Id,
        [scale, bias, mean, variance]: [Id; 4],
        epsilon: f32,
    ) -> Result<Id> {
        let from = self.real(x, Order::First)?;
        let names = [scale, bias, mean, variance].map(|id| self.last(id)).into_iter().collect::<Result<Vec<_>>>()?;
        let inputs: Vec<&str> = std::iter::once(&from).chain(&names).map(String::as_str).collect();
        let (dtype, shape) = (self.real_dtype(x), self.shape(x).clone());
        let attributes = vec![float("epsilon", epsilon)];
        Ok(self.emit("BatchNormalization", name, &inputs, attributes, dtype, shape, Order::First))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ErrorKind;
    use crate::import::builder::Builder;

    #[test]
    fn pads_without_end_are_refused() {
        let mut w = Writer::new(Builder::new("main"), HashSet::new());
        let shape = Some(vec![Some(1), Some(4), Some(4), Some(1)]);
        let x = w.given("x".to_string(), DataType::Float32, shape, None);
        for pad in [i64::MIN, i64::MAX] {
            let padding = Padding::Explicit(vec![(pad, 0); 2]);
            let window = Window { strides: vec![1; 2], dilations: vec![1; 2], padding };
            let made = w.conv_transpose("y", x, ("k".to_string(), vec![1, 1, 3, 3]), None, &[6, 6], &window);
            assert_eq!(made.expect_err("no image has such").kind(), ErrorKind::InvalidModel, "{pad}");
            let made = w.conv("z", x, ("k".to_string(), vec![1, 1, 3, 3]), None, 1, &window);
            assert_eq!(made.expect_err("no image has such").kind(), ErrorKind::InvalidModel, "{pad}");
        }
        let window = Window { strides: vec![1; 2], dilations: vec![], padding: Padding::Same };
        let made = w.conv_transpose("y", x, ("k".to_string(), vec![1, 1, 3, 3]), None, &[6, 6], &window);
        assert_eq!(made.expect_err("no dilations").kind(), ErrorKind::InvalidModel);
    }
}
