//! Weights of 16 bits: half the file, computed with in float32.

use half::f16;

use super::super::rewrite::{Links, Names, redirect, sort};
use super::{LayerReport, Precision, signal_to_noise};
use crate::error::{Result, ensure};
use crate::graph::{Attribute, DataType, Graph, Node, Tensor};

/// Smaller constants gain nothing.
const SMALLEST: usize = 256;

/// Stores float32 constants as float16, each followed by a Cast to float32.
///
/// Errors: `InvalidArgument` where a weight is out of float16's range, all of them named.
pub fn to_float16(graph: &mut Graph) -> Result<Vec<LayerReport>> {
    let links = Links::of(graph);
    let mut names: Vec<String> = graph.initializers.keys().cloned().collect();
    names.sort_unstable();
    let mut taken = Names::of(graph);
    let (mut reports, mut over) = (Vec::new(), Vec::new());
    for name in names {
        let tensor = &graph.initializers[&name];
        let Some(values) = tensor.as_slice::<f32>().filter(|values| values.len() >= SMALLEST) else { continue };
        let Some(&reader) = links.readers(&name).first() else { continue };
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if std::iter::zip(values, &halves).any(|(value, half)| value.is_finite() && !half.is_finite()) {
            over.push(format!("\"{name}\""));
            continue;
        }
        reports.push(LayerReport {
            node: graph.nodes[reader].name.clone(),
            op_type: graph.nodes[reader].op_type.clone(),
            weight: name.clone(),
            elements: values.len(),
            precision: Precision::Float16,
            signal_to_noise: signal_to_noise(values, halves.iter().map(|half| half.to_f32())),
            reason: None,
        });
        let halves = Tensor::from_vec(tensor.shape().to_vec(), halves)?;
        let (stored, node, output) = (
            taken.unique(&format!("{name}_float16")),
            taken.unique(&format!("{name}_Cast")),
            taken.unique(&format!("{name}_float32")),
        );
        // A body knows the weight by its name, which the Cast then gives.
        let output = if links.is_kept(&name) { name.clone() } else { output };
        if output != name {
            redirect(graph, &name, &output);
        }
        graph.initializers.remove(&name);
        graph.initializers.insert(stored.clone(), halves);
        let opset = graph.opset("");
        graph.nodes.push(Node {
            name: node,
            domain: String::new(),
            op_type: "Cast".to_string(),
            opset,
            inputs: vec![stored],
            outputs: vec![output],
            attributes: [("to".to_string(), Attribute::Int(i64::from(DataType::Float32.onnx())))].into(),
        });
    }
    ensure!(
        over.is_empty(),
        InvalidArgument,
        "weights are over 65504, the most that float16 can hold: {}; keep float32, or quantise to int8",
        over.join(", ")
    );
    sort(graph)?;
    Ok(reports)
}
