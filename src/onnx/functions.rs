//! Functions that a model defines of its own nodes: each node that calls one is replaced by the
//! function's nodes.

use std::collections::HashMap;

use super::proto;
use super::read::{ExternalData, named, read_attribute, read_nodes, read_opsets};
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, Graph, Node};

/// Functions calling functions, at most; a function that calls itself never ends.
const MAX_CALL_DEPTH: usize = 64;

/// Nodes after all functions are in place, at most: a small file may describe very many.
const MAX_NODES: usize = 1 << 20;

struct Function {
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Node>,
    /// Attributes of a call, by name, that have a default.
    defaults: HashMap<String, Attribute>,
}

/// All functions of a model, by domain and name.
#[derive(Default)]
pub struct Functions(HashMap<(String, String), Function>);

impl Functions {
    /// Reads them.
    pub fn read(functions: Vec<proto::FunctionProto>, external: &ExternalData) -> Result<Self> {
        let mut read = HashMap::with_capacity(functions.len());
        for function in functions {
            let place = format!("function \"{}\"", function.name);
            ensure!(
                function.overload.is_empty(),
                Unsupported,
                "{place} has the overload \"{}\"; functions with one meaning are supported",
                function.overload
            );
            let opsets = read_opsets(&function.opset_import);
            let nodes = read_nodes(function.node, &opsets, external, 0).map_err(|e| named(e, &place))?;
            let mut defaults = HashMap::new();
            for attribute in function.attribute_proto {
                let name = attribute.name.clone();
                defaults.insert(name, read_attribute(attribute, &opsets, external, 0).map_err(|e| named(e, &place))?);
            }
            let key = (domain(&function.domain), function.name);
            let function = Function { inputs: function.input, outputs: function.output, nodes, defaults };
            ensure!(read.insert(key, function).is_none(), InvalidModel, "{place} is defined twice");
        }
        Ok(Self(read))
    }

    /// Puts the functions' nodes in the place of the nodes that call them, in bodies too.
    ///
    /// Errors: `InvalidModel` for a call that does not fit, `LimitExceeded` for functions that
    /// call each other without end or grow without measure.
    pub fn inline(&self, graph: Graph) -> Result<Graph> {
        if self.0.is_empty() {
            return Ok(graph);
        }
        Inliner { functions: &self.0, calls: 0, nodes: 0 }.graph(graph, 0)
    }
}

fn domain(name: &str) -> String {
    if name == "ai.onnx" { String::new() } else { name.to_string() }
}

struct Inliner<'a> {
    functions: &'a HashMap<(String, String), Function>,
    /// Calls so far; each names its values after its number.
    calls: usize,
    nodes: usize,
}

impl Inliner<'_> {
    fn graph(&mut self, mut graph: Graph, depth: usize) -> Result<Graph> {
        let nodes = std::mem::take(&mut graph.nodes);
        for node in nodes {
            self.node(node, depth, &mut graph.nodes)?;
        }
        Ok(graph)
    }

    fn node(&mut self, mut node: Node, depth: usize, out: &mut Vec<Node>) -> Result<()> {
        let Some(function) = self.functions.get(&(node.domain.clone(), node.op_type.clone())) else {
            self.nodes += 1;
            ensure!(self.nodes <= MAX_NODES, LimitExceeded, "the functions come to more than {MAX_NODES} nodes");
            for attribute in node.attributes.values_mut() {
                if let Attribute::Graph(body) = attribute {
                    *body = self.graph(std::mem::take(body), depth)?;
                }
            }
            out.push(node);
            return Ok(());
        };
        let call = |e: crate::error::Error| e.at_node(&node.name, &node.op_type);
        if depth >= MAX_CALL_DEPTH {
            bail!(LimitExceeded, "functions call each other more than {MAX_CALL_DEPTH} deep, at \"{}\"", node.op_type);
        }
        let fits = node.inputs.len() <= function.inputs.len() && node.outputs.len() <= function.outputs.len();
        if !fits {
            let (inputs, outputs) = (function.inputs.len(), function.outputs.len());
            let error = format!(
                "takes {inputs} inputs and gives {outputs} outputs, is called with {} and {}",
                node.inputs.len(),
                node.outputs.len()
            );
            return Err(call(crate::error::Error::new(crate::error::ErrorKind::InvalidModel, error)));
        }
        self.calls += 1;
        let prefix = format!("{}:{}/", node.name, self.calls);
        let mut names: HashMap<&str, String> = HashMap::new();
        for (index, name) in function.inputs.iter().enumerate() {
            names.insert(name, node.inputs.get(index).cloned().unwrap_or_default());
        }
        for (name, given) in function.outputs.iter().zip(&node.outputs) {
            if given.is_empty() {
                continue;
            }
            // An output that is an input needs a node of its own.
            if let Some(source) = names.get(name.as_str()) {
                out.push(Node {
                    name: format!("{prefix}{name}"),
                    domain: String::new(),
                    op_type: "Identity".to_string(),
                    opset: 16,
                    inputs: vec![source.clone()],
                    outputs: vec![given.clone()],
                    attributes: HashMap::new(),
                });
                continue;
            }
            names.insert(name, given.clone());
        }
        for inner in &function.nodes {
            let mut inner = inner.clone();
            inner.name = format!("{prefix}{}", inner.name);
            let rename = |name: &mut String| {
                if !name.is_empty() {
                    *name = names.get(name.as_str()).cloned().unwrap_or_else(|| format!("{prefix}{name}"));
                }
            };
            inner.inputs.iter_mut().for_each(rename);
            inner.outputs.iter_mut().for_each(rename);
            bind(&mut inner.attributes, function, &node, &names, &prefix);
            self.node(inner, depth + 1, out)?;
        }
        Ok(())
    }
}

/// Puts the call's attributes in the place of references to them, and renames the outer values
/// that bodies use.
fn bind(
    attributes: &mut HashMap<String, Attribute>,
    function: &Function,
    call: &Node,
    names: &HashMap<&str, String>,
    prefix: &str,
) {
    attributes.retain(|_, attribute| match attribute {
        Attribute::Reference(name) => {
            // A reference to what the call leaves out is itself left out.
            match call.attributes.get(name.as_str()).or_else(|| function.defaults.get(name.as_str())) {
                Some(value) => {
                    *attribute = value.clone();
                    true
                }
                None => false,
            }
        }
        Attribute::Graph(body) => {
            bind_body(body, function, call, names, prefix);
            true
        }
        _ => true,
    });
}

fn bind_body(body: &mut Graph, function: &Function, call: &Node, names: &HashMap<&str, String>, prefix: &str) {
    let outer: std::collections::HashSet<String> = body.captures().into_iter().collect();
    let rename = |name: &mut String| {
        if outer.contains(name.as_str()) {
            *name = names.get(name.as_str()).cloned().unwrap_or_else(|| format!("{prefix}{name}"));
        }
    };
    for node in &mut body.nodes {
        // A body inside sees this one's values too: those keep their names.
        let mut inner: HashMap<&str, String> = HashMap::new();
        let captured = node.captures();
        for name in &captured {
            let mut renamed = name.clone();
            rename(&mut renamed);
            inner.insert(name, renamed);
        }
        bind(&mut node.attributes, function, call, &inner, prefix);
        node.inputs.iter_mut().for_each(rename);
    }
    body.outputs.iter_mut().for_each(|output| rename(&mut output.name));
}
