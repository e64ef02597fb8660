//! A graph seen by who makes and who reads each value, for passes that change it.

use std::collections::{HashMap, HashSet};

use crate::graph::{Attribute, Graph, Node, Tensor};

/// Who makes and reads the values of a graph, as it was when this was made.
pub struct Links {
    producers: HashMap<String, usize>,
    readers: HashMap<String, Vec<usize>>,
    /// Values that callers get, or that bodies of nodes use: their names must stay.
    kept: HashSet<String>,
}

impl Links {
    /// Looks through `graph`.
    pub fn of(graph: &Graph) -> Self {
        let mut producers = HashMap::new();
        let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
        let mut kept: HashSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
        for (index, node) in graph.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                producers.insert(output.clone(), index);
            }
            for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                readers.entry(input.clone()).or_default().push(index);
            }
            for name in node.captures() {
                readers.entry(name.clone()).or_default().push(index);
                kept.insert(name);
            }
        }
        Self { producers, readers, kept }
    }

    /// The index of the node that makes `value`.
    pub fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// The indices of the nodes that read `value`, one for each time.
    pub fn readers(&self, value: &str) -> &[usize] {
        self.readers.get(value).map_or(&[], Vec::as_slice)
    }

    /// Whether the value's name must stay.
    pub fn is_kept(&self, value: &str) -> bool {
        self.kept.contains(value)
    }

    /// The only node that reads `value`, where nobody else wants it.
    pub fn only_reader(&self, value: &str) -> Option<usize> {
        match self.readers(value) {
            [only] if !self.is_kept(value) => Some(*only),
            _ => None,
        }
    }
}

/// Whether the node is ONNX's own operator `op_type`.
pub fn is(node: &Node, op_type: &str) -> bool {
    node.domain.is_empty() && node.op_type == op_type
}

/// An integer attribute.
pub fn int(node: &Node, name: &str, otherwise: i64) -> i64 {
    match node.attributes.get(name) {
        Some(Attribute::Int(value)) => *value,
        _ => otherwise,
    }
}

/// A float attribute.
pub fn float(node: &Node, name: &str, otherwise: f32) -> f32 {
    match node.attributes.get(name) {
        Some(Attribute::Float(value)) => *value,
        _ => otherwise,
    }
}

/// An attribute of integers.
pub fn ints<'a>(node: &'a Node, name: &str) -> Option<&'a [i64]> {
    match node.attributes.get(name) {
        Some(Attribute::Ints(values)) => Some(values),
        _ => None,
    }
}

/// An attribute of characters.
pub fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match node.attributes.get(name) {
        Some(Attribute::String(bytes)) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Input `index` of a node, where it is given.
pub fn input(node: &Node, index: usize) -> Option<&str> {
    node.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
}

/// The constant that input `index` of a node is.
pub fn constant<'a>(graph: &'a Graph, node: &Node, index: usize) -> Option<&'a Tensor> {
    graph.initializers.get(input(node, index)?)
}

/// The constant float32 elements that input `index` of a node is.
pub fn floats<'a>(graph: &'a Graph, node: &Node, index: usize) -> Option<&'a [f32]> {
    constant(graph, node, index)?.as_slice::<f32>()
}

/// The names of a graph, to make new ones.
pub struct Names(HashSet<String>);

impl Names {
    /// All that `graph` has, bodies aside: theirs may hide outer ones, which is no harm to a new one they do not use.
    pub fn of(graph: &Graph) -> Self {
        let mut names: HashSet<String> = graph.initializers.keys().cloned().collect();
        names.extend(graph.inputs.iter().map(|input| input.name.clone()));
        for node in &graph.nodes {
            names.insert(node.name.clone());
            names.extend(node.outputs.iter().cloned());
            for attribute in node.attributes.values() {
                if let Attribute::Graph(body) = attribute {
                    names.extend(Self::of(body).0);
                }
            }
        }
        Self(names)
    }

    /// `wanted`, or with a number behind it where that is taken.
    pub fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        for count in 1.. {
            if self.0.insert(name.clone()) {
                break;
            }
            name = format!("{wanted}_{count}");
        }
        name
    }
}

/// Makes all that reads `old` read `new`; bodies are left alone, whose values are kept.
pub fn redirect(graph: &mut Graph, old: &str, new: &str) {
    for node in &mut graph.nodes {
        for input in node.inputs.iter_mut().filter(|input| *input == old) {
            *input = new.to_string();
        }
    }
}

/// Drops what nothing needs: nodes whose outputs nobody reads, constants that no node has.
pub fn sweep(graph: &mut Graph) -> usize {
    let before = graph.nodes.len();
    let links = Links::of(graph);
    let mut needed = vec![false; graph.nodes.len()];
    let mut waiting: Vec<usize> = graph.outputs.iter().filter_map(|output| links.producer(&output.name)).collect();
    while let Some(index) = waiting.pop() {
        if std::mem::replace(&mut needed[index], true) {
            continue;
        }
        let node = &graph.nodes[index];
        let captures = node.captures();
        waiting.extend(node.inputs.iter().chain(&captures).filter_map(|name| links.producer(name)));
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        needed[index - 1]
    });
    let mut used: HashSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    for node in &graph.nodes {
        used.extend(node.inputs.iter().cloned());
        used.extend(node.captures());
    }
    graph.initializers.retain(|name, _| used.contains(name));
    before - graph.nodes.len()
}

/// Puts the nodes in an order in which they can be run.
pub fn sort(graph: &mut Graph) -> crate::Result<()> {
    let order = graph.topological_order()?;
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    graph.nodes = order.into_iter().filter_map(|index| nodes[index].take()).collect();
    Ok(())
}
