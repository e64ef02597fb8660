//! Computes what depends on constants alone, on the CPU, with the very operators that would compute it in a run.

use std::collections::HashMap;

use super::PassReport;
use super::rewrite::{self, sweep};
use crate::backend::DeviceKind;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Graph, Tensor};
use crate::ops::{Operator, Value};
use crate::runtime::{Step, fold as fold_step};

/// Folds constants in `graph`. A constant that would become large (over 1 MiB, and over what it is computed from) is
/// left to the run; DequantizeLinear is left, because it says how a weight is quantised; so is what draws random
/// numbers or has a body.
///
/// Errors: those of the nodes, at their nodes.
pub fn fold(graph: &mut Graph) -> Result<PassReport> {
    let mut report = PassReport::new("fold");
    for index in graph.topological_order()? {
        let node = &graph.nodes[index];
        let known = node.inputs.iter().all(|name| name.is_empty() || graph.initializers.contains_key(name));
        let has_body = node.attributes.values().any(|attribute| matches!(attribute, Attribute::Graph(_)));
        if !known || has_body || node.op_type == "DequantizeLinear" {
            continue;
        }
        // An operator of a newer version, or of somebody else's domain, is not ours to compute.
        let Some(operator) = Operator::find(&node.domain, &node.op_type) else { continue };
        let place = |error: Error| error.at_node(&node.name, &node.op_type);
        let op = operator.prepare(node).map_err(place)?;
        let slots = |names: &[String], first: usize| -> Vec<Option<usize>> {
            names.iter().enumerate().map(|(at, name)| (!name.is_empty()).then_some(first + at)).collect()
        };
        let step = Step {
            name: node.name.clone(),
            op_type: node.op_type.clone(),
            op,
            inputs: slots(&node.inputs, 0),
            outputs: slots(&node.outputs, node.inputs.len()),
            parameters: operator.parameters,
            moves: operator.moves,
            device: DeviceKind::Cpu,
            last_uses: Vec::new(),
        };
        let given = node.inputs.iter().enumerate().filter_map(|(at, name)| Some((at, graph.initializers.get(name)?)));
        let mut values: HashMap<usize, Value> = given.map(|(at, tensor)| (at, Value::from(tensor.clone()))).collect();
        if !fold_step(&step, &mut values)? {
            continue;
        }
        let results = node.outputs.iter().zip(&step.outputs);
        let results = results.filter_map(|(name, slot)| Some((name.clone(), values.remove(&(*slot)?)?)));
        let Some(tensors) = results.map(|(name, value)| tensor(value).map(|t| (name, t))).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        report.count(format!("{} computed", node.op_type));
        let outputs = std::mem::take(&mut graph.nodes[index].outputs);
        debug_assert_eq!(outputs.iter().filter(|name| !name.is_empty()).count(), tensors.len());
        graph.initializers.extend(tensors);
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
    name_outputs(graph);
    sweep(graph);
    Ok(report)
}

/// A tensor that a file can hold.
fn tensor(value: Value) -> Option<Tensor> {
    match value {
        Value::Tensor(_) | Value::Host(_) => value.into_host().ok(),
        _ => None,
    }
}

/// An output of the graph that became a constant is made by an Identity: runtimes do not expect anything else.
fn name_outputs(graph: &mut Graph) {
    let constant: Vec<String> = graph
        .outputs
        .iter()
        .map(|output| output.name.clone())
        .filter(|name| graph.initializers.contains_key(name))
        .collect();
    for name in constant {
        let Some(tensor) = graph.initializers.remove(&name) else { continue };
        let inner = rewrite::Names::of(graph).unique(&format!("{name}/constant"));
        rewrite::redirect(graph, &name, &inner);
        let opset = graph.opset("");
        graph.initializers.insert(inner.clone(), tensor);
        graph.nodes.push(crate::graph::Node {
            name: name.clone(),
            domain: String::new(),
            op_type: "Identity".to_string(),
            opset,
            inputs: vec![inner],
            outputs: vec![name],
            attributes: HashMap::new(),
        });
    }
}
