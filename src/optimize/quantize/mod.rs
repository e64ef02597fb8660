//! Weights and activations with fewer bits: `w' = round(w / s) * s`, written as standard ONNX.

mod blocks;
mod dynamic;
mod half;
mod integer;

use serde::{Deserialize, Serialize};

pub use blocks::{BlockOptions, quantize_blocks};
pub use dynamic::quantize_dynamic;
pub use half::to_float16;
pub use integer::{IntegerOptions, correct_bias, last_weighted, quantize_integer, shift_bias, watched};

use super::rewrite::{constant, is};
use crate::graph::{DataType, Graph, Node};

/// What weights and activations are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Precision {
    /// As it is
    #[default]
    Float32,
    /// Weights of 16 bits, computed with in float32
    Float16,
    /// Weights of 8 bits, computed with in float32: a quarter of the bytes, no samples needed
    WeightOnly,
    /// Weights of 8 bits, activations of 8 bits whose ranges each run finds: for transformers
    Dynamic,
    /// Weights of 4 bits in blocks, activations in float32: for large matrices
    Int4,
    /// Weights and activations of 8 bits, ranges found by calibration
    Int8,
    /// As int8, the layers that lose most computed in float32
    Mixed,
}

impl Precision {
    /// The name that manifests have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::WeightOnly => "weight-only",
            Self::Dynamic => "dynamic",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Mixed => "mixed",
        }
    }
}

/// What became of one weight.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    pub node: String,
    pub op_type: String,
    pub weight: String,
    pub elements: usize,
    pub precision: Precision,
    /// Power of the weights over that of what quantising changes, in dB; none where nothing is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_to_noise: Option<f64>,
    /// Why the layer is what it is, where it was decided for it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl LayerReport {
    /// Of a node whose constant weight, its input 1, stays in float32.
    pub(crate) fn float32(graph: &Graph, node: &Node, reason: Option<String>) -> Self {
        Self {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            weight: node.inputs[1].clone(),
            elements: graph.initializers[&node.inputs[1]].len(),
            precision: Precision::Float32,
            signal_to_noise: None,
            reason,
        }
    }
}

/// Decibels of `signal` over the difference of `other`; rounded to tenths, since the last bits say nothing.
fn signal_to_noise(signal: &[f32], other: impl Iterator<Item = f32>) -> Option<f64> {
    let (mut power, mut noise) = (0f64, 0f64);
    for (&a, b) in signal.iter().zip(other) {
        power += f64::from(a) * f64::from(a);
        noise += (f64::from(a) - f64::from(b)).powi(2);
    }
    (noise > 0.0 && power > 0.0).then(|| (100.0 * (power / noise).log10()).round() / 10.0)
}

/// The nodes that multiply with constant float32 weights, which quantising is about.
pub fn weighted(graph: &Graph) -> Vec<usize> {
    (0..graph.nodes.len()).filter(|&index| has_weights(graph, &graph.nodes[index])).collect()
}

fn has_weights(graph: &Graph, node: &Node) -> bool {
    let multiplies = is(node, "Conv") || is(node, "Gemm") || is(node, "MatMul");
    multiplies && constant(graph, node, 1).is_some_and(|weight| weight.dtype() == DataType::Float32)
}
