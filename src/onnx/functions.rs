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
const MAX_NODES: usize = 1 << 17;

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
        let prefix = format!("{}:", self.calls);
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
                    name: format!("{}/{name}", node.name),
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
            inner.name = format!("{}/{}", node.name, inner.name);
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

#[cfg(test)]
mod tests {
    use prost::Message;

    use crate::onnx::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
    use crate::onnx::proto::{TensorType, TypeProto, TypeValue, ValueInfoProto};
    use crate::support::{f32s, into_tensor};
    use crate::{ErrorKind, Feed, Model, RunOptions, Session, SessionOptions};

    fn node(domain: &str, op_type: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            input: input.iter().map(ToString::to_string).collect(),
            output: output.iter().map(ToString::to_string).collect(),
            name: String::new(),
            op_type: op_type.into(),
            attribute,
            domain: domain.into(),
            overload: String::new(),
        }
    }

    fn float(name: &str, f: f32) -> AttributeProto {
        AttributeProto { name: name.into(), f: Some(f), r#type: 1, ..Default::default() }
    }

    fn reference(name: &str, to: &str) -> AttributeProto {
        AttributeProto { name: name.into(), ref_attr_name: to.into(), r#type: 1, ..Default::default() }
    }

    fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
        OperatorSetIdProto { domain: domain.into(), version }
    }

    fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: name.into(),
            domain: "my".into(),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: nodes,
            opset_import: vec![opset("", 16), opset("my", 1)],
            ..Default::default()
        }
    }

    fn value(name: &str) -> ValueInfoProto {
        let tensor = TensorType { elem_type: 1, shape: None };
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { value: Some(TypeValue::Tensor(tensor)) }) }
    }

    fn model(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> crate::Result<Session> {
        let graph = GraphProto { node: nodes, input: vec![value("x")], output: vec![value("y")], ..Default::default() };
        let opset_import = vec![opset("", 18), opset("my", 1)];
        let model =
            ModelProto { ir_version: Some(9), graph: Some(graph), opset_import, functions, ..Default::default() };
        Session::load_blocking(Model::from_onnx(model.encode_to_vec(), &Default::default())?, SessionOptions::default())
    }

    fn answer(session: &Session, x: &[f32]) -> Vec<f32> {
        let feed = [("x".to_string(), Feed::Tensor(f32s(&[x.len()], x.to_vec())))];
        let mut outputs = session.run_blocking(feed, RunOptions::default()).expect("runs");
        into_tensor(outputs.remove(0).1).as_slice::<f32>().expect("float32").to_vec()
    }

    #[test]
    fn attributes_come_from_the_call_or_from_the_default() {
        let mut leaky =
            function("Leaky", vec![node("", "LeakyRelu", &["a"], &["b"], vec![reference("alpha", "slope")])]);
        leaky.attribute_proto = vec![float("slope", 0.5)];
        let calls = vec![
            node("my", "Leaky", &["x"], &["m"], vec![float("slope", 0.25)]),
            node("my", "Leaky", &["m"], &["y"], vec![]),
        ];
        let session = model(calls.clone(), vec![leaky.clone()]).expect("a sound model");
        assert_eq!(answer(&session, &[-8.0, 8.0]), [-1.0, 8.0]);
        // Without a default, what the call leaves out is the operator's own default.
        leaky.attribute_proto.clear();
        let session = model(calls, vec![leaky]).expect("a sound model");
        assert_eq!(answer(&session, &[-8.0, 8.0]), [-0.02, 8.0]);
    }

    #[test]
    fn functions_call_functions_and_names_do_not_clash() {
        let inner =
            function("Inner", vec![node("", "Neg", &["a"], &["t"], vec![]), node("", "Abs", &["t"], &["b"], vec![])]);
        let outer = function(
            "Outer",
            vec![node("my", "Inner", &["a"], &["t"], vec![]), node("", "Add", &["t", "a"], &["b"], vec![])],
        );
        let calls = vec![node("my", "Outer", &["x"], &["t"], vec![]), node("my", "Outer", &["t"], &["y"], vec![])];
        let session = model(calls, vec![inner, outer]).expect("a sound model");
        assert_eq!(answer(&session, &[-2.0, 3.0]), [0.0, 12.0]);
    }

    #[test]
    fn bodies_inside_functions_see_the_functions_values() {
        let branch = |op_type: &str| GraphProto {
            node: vec![node("", op_type, &["a"], &["r"], vec![])],
            output: vec![value("r")],
            ..Default::default()
        };
        let graph = |name: &str, g| AttributeProto { name: name.into(), g: Some(g), r#type: 5, ..Default::default() };
        let bodies = vec![graph("then_branch", branch("Neg")), graph("else_branch", branch("Abs"))];
        let nodes = vec![
            node(
                "",
                "ReduceSum",
                &["a"],
                &["s"],
                vec![AttributeProto { name: "keepdims".into(), i: Some(0), r#type: 2, ..Default::default() }],
            ),
            node(
                "",
                "Cast",
                &["s"],
                &["c"],
                vec![AttributeProto { name: "to".into(), i: Some(9), r#type: 2, ..Default::default() }],
            ),
            node("", "If", &["c"], &["b"], bodies),
        ];
        let session =
            model(vec![node("my", "F", &["x"], &["y"], vec![])], vec![function("F", nodes)]).expect("a sound model");
        assert_eq!(answer(&session, &[-1.0, 2.0]), [1.0, -2.0]);
        assert_eq!(answer(&session, &[-2.0, 2.0]), [2.0, 2.0]);
    }

    #[test]
    fn a_function_that_calls_itself_is_refused() {
        let endless = function("Endless", vec![node("my", "Endless", &["a"], &["b"], vec![])]);
        let error = model(vec![node("my", "Endless", &["x"], &["y"], vec![])], vec![endless]).err().expect("endless");
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        // Twice in each of many: the number of nodes doubles with every level.
        let mut functions = vec![function("F0", vec![node("", "Neg", &["a"], &["b"], vec![])])];
        for level in 1..40 {
            let below = format!("F{}", level - 1);
            let nodes = vec![node("my", &below, &["a"], &["t"], vec![]), node("my", &below, &["t"], &["b"], vec![])];
            functions.push(function(&format!("F{level}"), nodes));
        }
        let error = model(vec![node("my", "F39", &["x"], &["y"], vec![])], functions).err().expect("2^39 nodes");
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn a_call_that_does_not_fit_is_refused() {
        let f = function("F", vec![node("", "Neg", &["a"], &["b"], vec![])]);
        let error = model(vec![node("my", "F", &["x", "x"], &["y"], vec![])], vec![f]).err().expect("two inputs");
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        assert!(error.message().contains("takes 1 inputs and gives 1 outputs, is called with 2 and 1"), "{error}");
    }
}
