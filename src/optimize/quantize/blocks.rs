//! Weights of 4 bits in blocks, as MatMulNBits of com.microsoft has them.

use std::collections::HashMap;

use super::super::calibrate::coarse;
use super::super::rewrite::{self, constant, float, input, int, is};
use super::{LayerReport, Precision, signal_to_noise};
use crate::error::{Result, ensure};
use crate::graph::{Attribute, Graph, Node, Tensor};

/// How weights are cut into blocks.
#[derive(Debug, Clone)]
pub struct BlockOptions {
    /// Weights of one output that share a scale and a zero point: 16, 32, 64, 128 or 256.
    pub block_size: usize,
    /// Names of nodes that stay as they are.
    pub excluded: Vec<String>,
}

/// Replaces MatMul and Gemm by constant matrices with MatMulNBits. Matrices of fewer rows than a block stay.
///
/// Errors: `InvalidArgument` for a block size that there is none of.
pub fn quantize_blocks(graph: &mut Graph, options: &BlockOptions) -> Result<Vec<LayerReport>> {
    let block = options.block_size;
    ensure!(
        block.is_power_of_two() && (16..=256).contains(&block),
        InvalidArgument,
        "blocks of {block}: expected 16, 32, 64, 128 or 256"
    );
    let mut reports = Vec::new();
    let mut names = rewrite::Names::of(graph);
    // A weight of several nodes is cut once.
    let mut cut: HashMap<(String, bool), [String; 3]> = HashMap::new();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let gemm = is(node, "Gemm");
        if !gemm && !is(node, "MatMul") || options.excluded.contains(&node.name) {
            continue;
        }
        let plain = float(node, "alpha", 1.0) == 1.0 && float(node, "beta", 1.0) == 1.0 && int(node, "transA", 0) == 0;
        let (Some(name), Some(tensor)) = (input(node, 1), constant(graph, node, 1)) else { continue };
        let (Some(values), &[rows, columns]) = (tensor.as_slice::<f32>(), tensor.shape()) else { continue };
        let transposed = gemm && int(node, "transB", 0) != 0;
        let (depth, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        let bias = match input(node, 2) {
            None => None,
            Some(bias) => match constant(graph, node, 2) {
                Some(tensor) if tensor.shape() == [outputs] && tensor.as_slice::<f32>().is_some() => {
                    Some(bias.to_string())
                }
                _ => continue,
            },
        };
        if !plain || depth < block || outputs == 0 {
            continue;
        }
        let at = |k: usize, n: usize| if transposed { values[n * depth + k] } else { values[k * outputs + n] };
        let coded = Blocks::of(depth, outputs, block, at);
        let restored: Vec<f32> = (0..values.len())
            .map(|i| {
                let (k, n) = if transposed { (i % depth, i / depth) } else { (i / outputs, i % outputs) };
                coded.value(k, n)
            })
            .collect();
        reports.push(LayerReport {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            weight: name.to_string(),
            elements: values.len(),
            precision: Precision::Int4,
            signal_to_noise: signal_to_noise(values, restored.into_iter()),
            reason: None,
        });
        let name = name.to_string();
        let parts = match cut.get(&(name.clone(), transposed)) {
            Some(parts) => parts.clone(),
            None => {
                let parts = ["int4", "scales", "zero_points"].map(|part| names.unique(&format!("{name}_{part}")));
                for (part, tensor) in parts.iter().zip(coded.into_tensors()?) {
                    graph.initializers.insert(part.clone(), tensor);
                }
                cut.insert((name, transposed), parts.clone());
                parts
            }
        };
        let node = &mut graph.nodes[index];
        let data = node.inputs[0].clone();
        node.inputs = [data].into_iter().chain(parts).collect();
        if let Some(bias) = bias {
            node.inputs.extend([String::new(), bias]);
        }
        let attributes = [("K", depth), ("N", outputs), ("bits", 4), ("block_size", block)];
        node.attributes =
            attributes.into_iter().map(|(name, value)| (name.to_string(), Attribute::Int(value as i64))).collect();
        to_microsoft(node);
        graph.opsets.entry(MICROSOFT.to_string()).or_insert(1);
        graph.nodes[index].op_type = "MatMulNBits".to_string();
    }
    rewrite::sweep(graph);
    Ok(reports)
}

const MICROSOFT: &str = "com.microsoft";

fn to_microsoft(node: &mut Node) {
    node.domain = MICROSOFT.to_string();
    node.opset = 1;
}

/// A matrix of `[depth, outputs]` in blocks along its depth.
struct Blocks {
    depth: usize,
    outputs: usize,
    block: usize,
    /// A code of 0 to 15 for each weight, output by output, whole blocks.
    codes: Vec<u8>,
    /// For each output, one for each of its blocks.
    scales: Vec<f32>,
    zeros: Vec<u8>,
}

impl Blocks {
    fn of(depth: usize, outputs: usize, block: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let count = depth.div_ceil(block);
        let (mut codes, mut scales, mut zeros) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..outputs {
            for b in 0..count {
                let values: Vec<f32> = (b * block..((b + 1) * block).min(depth)).map(|k| at(k, n)).collect();
                let (scale, zero) = best(&values);
                codes.extend(values.iter().map(|&value| code(value, scale, zero)));
                codes.resize((n * count + b + 1) * block, zero);
                scales.push(scale);
                zeros.push(zero);
            }
        }
        Self { depth, outputs, block, codes, scales, zeros }
    }

    fn value(&self, k: usize, n: usize) -> f32 {
        let count = self.depth.div_ceil(self.block);
        let at = n * count + k / self.block;
        (f32::from(self.codes[at * self.block + k % self.block]) - f32::from(self.zeros[at])) * self.scales[at]
    }

    /// B `[N, blocks, block / 2]`, scales `[N * blocks]`, zero points `[N * ceil(blocks / 2)]`.
    fn into_tensors(self) -> Result<[Tensor; 3]> {
        let count = self.depth.div_ceil(self.block);
        let pairs = |codes: &[u8]| -> Vec<u8> {
            codes.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4).collect()
        };
        let packed = pairs(&self.codes);
        let zeros: Vec<u8> = self.zeros.chunks(count).flat_map(pairs).collect();
        Ok([
            Tensor::from_vec(vec![self.outputs, count, self.block / 2], packed)?,
            Tensor::from_vec(vec![self.scales.len()], self.scales)?,
            Tensor::from_vec(vec![zeros.len()], zeros)?,
        ])
    }
}

fn code(value: f32, scale: f32, zero: u8) -> u8 {
    ((value / scale).round_ties_even() + f32::from(zero)).clamp(0.0, 15.0) as u8
}

/// Scale and zero point of a block: of ranges from all of it down to 0.7, the one with the least squared error.
fn best(values: &[f32]) -> (f32, u8) {
    let low = values.iter().copied().fold(0f32, f32::min);
    let high = values.iter().copied().fold(0f32, f32::max);
    let candidate = |share: f64| {
        let (low, high) = (f64::from(low) * share, f64::from(high) * share);
        let scale = coarse((high - low) / 15.0);
        let zero = (-low / f64::from(scale)).round_ties_even().clamp(0.0, 15.0) as u8;
        let error = values.iter().map(|&value| {
            let restored = (f32::from(code(value, scale, zero)) - f32::from(zero)) * scale;
            f64::from(value - restored).powi(2)
        });
        (error.sum::<f64>(), scale, zero)
    };
    let candidates = (0..7).map(|step| candidate(1.0 - 0.05 * f64::from(step)));
    let (_, scale, zero) = candidates.reduce(|a, b| if b.0 < a.0 { b } else { a }).unwrap_or((0.0, 1.0, 0));
    (scale, zero)
}
