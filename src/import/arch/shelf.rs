//! The weights of a file while a graph takes them: what is missing, of another shape, or left over is noted, and named
//! together at the end.

use std::collections::BTreeSet;

use crate::error::{Result, ensure};
use crate::graph::{Attribute, DataType, Graph, Tensor};
use crate::import::builder::Builder;
use crate::import::weights::Weights;

/// A size that may be any.
pub const ANY: usize = usize::MAX;

/// What training counts or could be computed, and no graph needs.
const UNNEEDED: [&str; 2] = ["num_batches_tracked", "position_ids"];

/// How many weights of a kind an error names.
const SHOWN: usize = 50;

pub struct Shelf<'a> {
    pub weights: &'a Weights,
    pub graph: Builder,
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
    ill: Vec<String>,
    converted: usize,
}

/// A convolution that is not the plain one.
#[derive(Debug, Clone)]
pub struct Window {
    pub strides: Vec<i64>,
    /// Before each axis, then after each.
    pub pads: Vec<i64>,
    pub group: usize,
}

impl Window {
    /// Of an image: the same along both axes, padded alike on all sides.
    pub fn square(stride: usize, pad: usize, group: usize) -> Self {
        Self { strides: vec![stride as i64; 2], pads: vec![pad as i64; 4], group }
    }
}

fn float32(tensor: &Tensor) -> Option<Tensor> {
    let values: Vec<f32> = match tensor.dtype() {
        DataType::Float32 => return Some(tensor.clone()),
        DataType::Float16 => tensor.as_slice::<half::f16>()?.iter().map(|v| v.to_f32()).collect(),
        DataType::BFloat16 => tensor.as_slice::<half::bf16>()?.iter().map(|v| v.to_f32()).collect(),
        DataType::Float64 => tensor.as_slice::<f64>()?.iter().map(|&v| v as f32).collect(),
        _ => return None,
    };
    Tensor::from_vec(tensor.shape().to_vec(), values).ok()
}

/// `tensor` with its axes in the order of `axes`, of float32.
fn transposed(tensor: &Tensor, axes: &[usize]) -> Option<Tensor> {
    let values = tensor.as_slice::<f32>()?;
    let shape: Vec<usize> = axes.iter().map(|&axis| tensor.shape()[axis]).collect();
    let mut step = 1;
    let mut all = vec![0; axes.len()];
    for axis in (0..axes.len()).rev() {
        all[axis] = step;
        step *= tensor.shape()[axis];
    }
    let strides: Vec<usize> = axes.iter().map(|&axis| all[axis]).collect();
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    let mut at = 0;
    for _ in 0..values.len() {
        out.push(values[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Tensor::from_vec(shape, out).ok()
}

impl<'a> Shelf<'a> {
    pub fn new(weights: &'a Weights, name: &str) -> Self {
        Self {
            weights,
            graph: Builder::new(name),
            used: BTreeSet::new(),
            missing: BTreeSet::new(),
            ill: Vec::new(),
            converted: 0,
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    /// A weight's shape; of one that is missing, [`take`](Self::take) tells.
    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.weights.get(name).map(Tensor::shape)
    }

    /// The weight `name` as float32. Where there is none of `shape` (in which [`ANY`] stands for every size) that is
    /// noted, and one of one element takes its place until [`finish`](Self::finish) tells.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Tensor {
        let nothing = || Tensor::from_vec(vec![1; shape.len()], vec![0f32]).expect("one element");
        let Some(tensor) = self.weights.get(name) else {
            self.missing.insert(name.to_string());
            return nothing();
        };
        self.used.insert(name.to_string());
        let got = tensor.shape();
        let fits = got.len() == shape.len() && got.iter().zip(shape).all(|(got, &size)| size == ANY || *got == size);
        // Sizes of 0 have no meaning in a layer, and operators refuse them each in their own words.
        let Some(float) = float32(tensor).filter(|_| fits && !tensor.is_empty()) else {
            let expected = shape.iter().map(|&size| if size == ANY { "?".to_string() } else { size.to_string() });
            let expected = expected.collect::<Vec<_>>().join(", ");
            self.ill.push(format!("\"{name}\": expected float [{expected}], got {} {got:?}", tensor.dtype()));
            return nothing();
        };
        if tensor.dtype() != DataType::Float32 {
            self.converted += 1;
        }
        float
    }

    /// As [`take`](Self::take), a constant of the graph under its own name.
    pub fn constant(&mut self, name: &str, shape: &[usize]) -> String {
        let tensor = self.take(name, shape);
        self.graph.constant(name, tensor)
    }

    /// As [`constant`](Self::constant), with its axes in the order of `axes`; `shape` is that of the file.
    pub fn reordered(&mut self, name: &str, shape: &[usize], axes: &[usize], named: &str) -> String {
        let tensor = self.take(name, shape);
        let tensor = transposed(&tensor, axes).unwrap_or(tensor);
        self.graph.constant(named, tensor)
    }

    /// A convolution with weights `name.weight`, of `shape`, and `name.bias` where there is one.
    pub fn convolution(&mut self, name: &str, input: &str, shape: &[usize], window: &Window) -> String {
        let weight = self.take(&format!("{name}.weight"), shape);
        let outputs = weight.shape().first().copied().unwrap_or(ANY);
        let kernel: Vec<i64> = weight.shape().iter().skip(2).map(|&size| size as i64).collect();
        let mut inputs = vec![input.to_string(), self.graph.constant(&format!("{name}.weight"), weight)];
        let bias = format!("{name}.bias");
        if self.has(&bias) {
            inputs.push(self.constant(&bias, &[outputs]));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("Conv", name, &inputs, window_attributes(kernel, window))
    }

    /// A batch normalisation with the weights that PyTorch has for one.
    pub fn batch_norm(&mut self, name: &str, input: &str, channels: usize, epsilon: f32) -> String {
        let mut inputs = vec![input.to_string()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.constant(&format!("{name}.{part}"), &[channels]));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("BatchNormalization", name, &inputs, vec![("epsilon", Attribute::Float(epsilon))])
    }

    /// `input` times `name.weight`, which is `[outputs, inputs]`, and `name.bias` where there is one.
    pub fn linear(&mut self, name: &str, input: &str, outputs: usize, inputs: usize) -> String {
        let weight = self.constant(&format!("{name}.weight"), &[outputs, inputs]);
        let mut all = vec![input.to_string(), weight];
        let bias = format!("{name}.bias");
        if self.has(&bias) {
            let outputs = self.shape(&format!("{name}.weight")).and_then(|s| s.first()).copied().unwrap_or(outputs);
            all.push(self.constant(&bias, &[outputs]));
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        self.graph.node("Gemm", name, &all, vec![("transB", Attribute::Int(1))])
    }

    /// Says that `name` is there and not needed.
    pub fn leave(&mut self, name: &str) {
        self.used.insert(name.to_string());
    }

    /// The graph.
    ///
    /// Errors: `InvalidModel` with everything that was noted, and the weights that nothing took.
    pub fn finish(self, architecture: &str, notes: &mut Vec<String>) -> Result<Graph> {
        let left = |name: &&String| !self.used.contains(*name) && !UNNEEDED.iter().any(|end| name.ends_with(end));
        let left: Vec<&String> = self.weights.keys().filter(left).collect();
        let mut problems = Vec::new();
        let quoted = |names: Vec<&String>| listed(&names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>());
        if !self.missing.is_empty() {
            problems.push(format!("{} missing: {}", self.missing.len(), quoted(self.missing.iter().collect())));
        }
        if !self.ill.is_empty() {
            problems.push(format!("{} of another shape or type: {}", self.ill.len(), listed(&self.ill)));
        }
        if !left.is_empty() {
            problems.push(format!("{} that it has no place for: {}", left.len(), quoted(left)));
        }
        ensure!(
            problems.is_empty(),
            InvalidModel,
            "the weights are not those of {architecture}: {}",
            problems.join("; ")
        );
        if self.converted > 0 {
            notes.push(format!("{} weights of another float type were made float32", self.converted));
        }
        self.graph.finish()
    }
}

/// The first of a list in words, and how many there are more: all of another architecture's would fill the screen.
fn listed(all: &[String]) -> String {
    let more = if all.len() > SHOWN { format!(" and {} more", all.len() - SHOWN) } else { String::new() };
    format!("{}{more}", all[..all.len().min(SHOWN)].join(", "))
}

/// The attributes of a convolution or pool over `kernel`.
pub fn window_attributes(kernel: Vec<i64>, window: &Window) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![("kernel_shape", Attribute::Ints(kernel))];
    if window.strides.iter().any(|&stride| stride != 1) {
        attributes.push(("strides", Attribute::Ints(window.strides.clone())));
    }
    if window.pads.iter().any(|&pad| pad != 0) {
        attributes.push(("pads", Attribute::Ints(window.pads.clone())));
    }
    if window.group != 1 {
        attributes.push(("group", Attribute::Int(window.group as i64)));
    }
    attributes
}
