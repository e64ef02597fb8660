//! Weights of 8 bits; activations of 8 bits whose ranges every run finds by itself (DynamicQuantizeLinear): for
//! transformers, whose activations differ too much from one input to the next for one range. Tables of embeddings
//! are stored in 8 bits, a scale for each row.

use std::collections::HashMap;

use super::super::rewrite::{self, Links, Names, constant, float, floats, input, int, is};
use super::{LayerReport, Precision, signal_to_noise};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Graph, Node, Tensor};

/// Smaller tables of embeddings gain nothing.
const SMALLEST_TABLE: usize = 1 << 14;

/// Replaces MatMul and Gemm by constant matrices with DynamicQuantizeLinear, MatMulInteger and the product of scales,
/// and Gather from large tables with a Gather of codes. `excluded` are names of nodes that stay.
///
/// Errors: `InvalidModel` where the graph contradicts itself.
pub fn quantize_dynamic(graph: &mut Graph, excluded: &[String]) -> Result<Vec<LayerReport>> {
    rewrite::sort(graph)?;
    let mut writer = Writer {
        names: Names::of(graph),
        nodes: Vec::new(),
        added: HashMap::new(),
        activations: HashMap::new(),
        opset: graph.opset(""),
    };
    let links = Links::of(graph);
    let mut reports = Vec::new();
    for node in std::mem::take(&mut graph.nodes) {
        let stays = excluded.contains(&node.name);
        let written = match () {
            () if stays => None,
            () if is(&node, "Gather") => writer.gather(graph, &links, &node)?,
            () => writer.product(graph, &node)?,
        };
        match written {
            Some(report) => reports.push(report),
            None => {
                if super::has_weights(graph, &node) {
                    let reason = if stays { "kept in float32" } else { "no form in integers" };
                    reports.push(LayerReport::float32(graph, &node, Some(reason.to_string())));
                }
                writer.nodes.push(node);
            }
        }
    }
    graph.nodes = writer.nodes;
    graph.initializers.extend(writer.added);
    rewrite::sweep(graph);
    rewrite::sort(graph)?;
    Ok(reports)
}

struct Writer {
    names: Names,
    nodes: Vec<Node>,
    added: HashMap<String, Tensor>,
    /// Codes, scale and zero point of each value that is quantised.
    activations: HashMap<String, [String; 3]>,
    opset: i64,
}

impl Writer {
    fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        let name = self.names.unique(name);
        self.added.insert(name.clone(), tensor);
        name
    }

    fn push(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attribute: Option<(&str, i64)>,
    ) {
        let attribute = attribute.map(|(name, value)| (name.to_string(), Attribute::Int(value)));
        let name = self.names.unique(name);
        self.nodes.push(Node {
            name,
            domain: String::new(),
            op_type: op_type.to_string(),
            opset: self.opset,
            inputs,
            outputs,
            attributes: attribute.into_iter().collect(),
        });
    }

    fn node(&mut self, op_type: &str, name: &str, inputs: Vec<String>, attribute: Option<(&str, i64)>) -> String {
        let output = self.names.unique(&format!("{name}_output"));
        self.push(op_type, name, inputs, vec![output.clone()], attribute);
        output
    }

    fn product(&mut self, graph: &Graph, node: &Node) -> Result<Option<LayerReport>> {
        let gemm = is(node, "Gemm");
        if !gemm && !is(node, "MatMul") {
            return Ok(None);
        }
        let plain = float(node, "alpha", 1.0) == 1.0 && float(node, "beta", 1.0) == 1.0 && int(node, "transA", 0) == 0;
        let (Some(data), Some(name)) = (input(node, 0), input(node, 1)) else { return Ok(None) };
        let Some(weight) = constant(graph, node, 1).filter(|weight| weight.shape().len() == 2 && !weight.is_empty())
        else {
            return Ok(None);
        };
        let Some(values) = weight.as_slice::<f32>().filter(|_| plain && constant(graph, node, 0).is_none()) else {
            return Ok(None);
        };
        let transposed = gemm && int(node, "transB", 0) != 0;
        let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
        let (depth, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        let bias = match input(node, 2) {
            None => None,
            Some(bias) => match floats(graph, node, 2) {
                Some(values) if values.len() == outputs => Some(bias.to_string()),
                _ => return Ok(None),
            },
        };
        let at = |k: usize, n: usize| if transposed { values[n * depth + k] } else { values[k * outputs + n] };
        let scales: Vec<f32> = (0..outputs)
            .map(|n| match (0..depth).map(|k| at(k, n).abs()).fold(0f32, f32::max) {
                0.0 => 1.0,
                largest => (largest / 127.0).max(f32::MIN_POSITIVE),
            })
            .collect();
        let code = |k: usize, n: usize| (at(k, n) / scales[n]).round_ties_even().clamp(-127.0, 127.0) as i8;
        let codes: Vec<i8> = (0..depth * outputs).map(|i| code(i / outputs, i % outputs)).collect();
        let wide: Vec<f32> = (0..depth * outputs).map(|i| at(i / outputs, i % outputs)).collect();
        let noise = signal_to_noise(&wide, codes.iter().enumerate().map(|(i, &c)| f32::from(c) * scales[i % outputs]));

        let (data, name) = (data.to_string(), name.to_string());
        let [quantized, scale, zero] = match self.activations.get(&data) {
            Some(known) => known.clone(),
            None => {
                let outputs =
                    ["quantized", "scale", "zero_point"].map(|part| self.names.unique(&format!("{data}_{part}")));
                let name = format!("{data}_DynamicQuantizeLinear");
                self.push("DynamicQuantizeLinear", &name, vec![data.clone()], outputs.to_vec(), None);
                self.activations.insert(data, outputs.clone());
                outputs
            }
        };
        let codes = self.constant(&format!("{name}_quantized"), Tensor::from_vec(vec![depth, outputs], codes)?);
        let scales = self.constant(&format!("{name}_scale"), Tensor::from_vec(vec![outputs], scales)?);
        let base = &node.name;
        let sums = self.node("MatMulInteger", &format!("{base}_MatMulInteger"), vec![quantized, codes, zero], None);
        let to = Some(("to", i64::from(DataType::Float32.onnx())));
        let sums = self.node("Cast", &format!("{base}_Cast"), vec![sums], to);
        let factors = self.node("Mul", &format!("{base}_scales_Mul"), vec![scale, scales], None);
        let output = node.outputs[0].clone();
        match bias {
            None => self.push("Mul", &format!("{base}_Mul"), vec![sums, factors], vec![output], None),
            Some(bias) => {
                let product = self.node("Mul", &format!("{base}_Mul"), vec![sums, factors], None);
                self.push("Add", &format!("{base}_Add"), vec![product, bias], vec![output], None);
            }
        }
        Ok(Some(LayerReport {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            weight: name,
            elements: depth * outputs,
            precision: Precision::Dynamic,
            signal_to_noise: noise,
            reason: None,
        }))
    }

    /// Rows of a table in int8: the codes are gathered, and the scales of the same rows.
    fn gather(&mut self, graph: &Graph, links: &Links, node: &Node) -> Result<Option<LayerReport>> {
        let (Some(name), Some(table), Some(indices)) = (input(node, 0), constant(graph, node, 0), input(node, 1))
        else {
            return Ok(None);
        };
        let (Some(values), &[rows, width]) = (table.as_slice::<f32>(), table.shape()) else { return Ok(None) };
        // A table that is a weight as well would be stored twice.
        let alone = links.readers(name).iter().all(|&reader| graph.nodes.get(reader).is_none_or(|n| is(n, "Gather")));
        if int(node, "axis", 0) != 0 || values.len() < SMALLEST_TABLE || !alone || links.is_kept(name) {
            return Ok(None);
        }
        let scales: Vec<f32> = values
            .chunks_exact(width)
            .map(|row| match row.iter().fold(0f32, |most, value| most.max(value.abs())) {
                0.0 => 1.0,
                largest => (largest / 127.0).max(f32::MIN_POSITIVE),
            })
            .collect();
        let code =
            |(i, &value): (usize, &f32)| (value / scales[i / width]).round_ties_even().clamp(-127.0, 127.0) as i8;
        let codes: Vec<i8> = values.iter().enumerate().map(code).collect();
        let noise = signal_to_noise(values, codes.iter().enumerate().map(|(i, &c)| f32::from(c) * scales[i / width]));
        let (name, indices, base) = (name.to_string(), indices.to_string(), &node.name);
        let codes = self.constant(&format!("{name}_quantized"), Tensor::from_vec(vec![rows, width], codes)?);
        let scales = self.constant(&format!("{name}_scale"), Tensor::from_vec(vec![rows, 1], scales)?);
        let codes = self.node("Gather", &format!("{base}_codes"), vec![codes, indices.clone()], None);
        let scales = self.node("Gather", &format!("{base}_scales"), vec![scales, indices], None);
        let to = Some(("to", i64::from(DataType::Float32.onnx())));
        let codes = self.node("Cast", &format!("{base}_Cast"), vec![codes], to);
        self.push("Mul", &format!("{base}_Mul"), vec![codes, scales], vec![node.outputs[0].clone()], None);
        Ok(Some(LayerReport {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            weight: name,
            elements: rows * width,
            precision: Precision::Dynamic,
            signal_to_noise: noise,
            reason: None,
        }))
    }
}
