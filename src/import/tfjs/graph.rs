//! TensorFlow.js' graph models: TensorFlow's nodes in JSON, with the weights of the `Const` ones beside.
//!
//! Inputs and outputs are those of the model's signature, or else all placeholders, and all nodes that no other uses;
//! they are named after their nodes, as TensorFlow.js does. As there, 64-bit integers are of 32 bits.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value as Json;

use super::operators;
use super::shards;
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Dim, Graph, MAX_RANK, Tensor};
use crate::import::Beside;
use crate::import::builder::Builder;
use crate::import::tensorflow::{Id, Order, Shape, Writer, dims};

/// Whether the bytes are a `model.json` with a graph in it.
pub fn is_graph_model(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let has = |word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
    let named = || has("\"graph-model\"") || has("\"node\"") && !has("\"model_config\"");
    text.starts_with(b"{") && has("\"modelTopology\"") && named()
}

/// A node, and where its inputs come from: nodes and their outputs.
pub struct Node<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub inputs: Vec<(usize, usize)>,
    pub attributes: Attributes<'a>,
}

/// A node's attributes; absent ones have TensorFlow's defaults.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a Json);

/// A number, which protobuf's JSON has as text where it is of 64 bits.
fn integer(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The bytes of base64, as text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0u32, 0);
    for c in text.bytes().filter(|&c| c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The type of TensorFlow's name or number for it.
fn dtype(value: &Json) -> Option<DataType> {
    Some(match (value.as_str(), value.as_i64()) {
        (Some("DT_FLOAT"), _) | (_, Some(1)) => DataType::Float32,
        (Some("DT_INT32" | "DT_INT64"), _) | (_, Some(3 | 9)) => DataType::Int32,
        (Some("DT_BOOL"), _) | (_, Some(10)) => DataType::Bool,
        _ => return None,
    })
}

/// The shape in a TensorShape.
fn shape(value: &Json) -> Result<Shape> {
    if value.is_null() || value["unknownRank"].as_bool() == Some(true) {
        return Ok(None);
    }
    let dims = value["dim"].as_array().map_or(&[][..], |dims| dims);
    ensure!(dims.len() <= MAX_RANK, LimitExceeded, "a shape of {} dimensions", dims.len());
    Ok(Some(dims.iter().map(|dim| usize::try_from(integer(&dim["size"])?).ok()).collect()))
}

impl<'a> Attributes<'a> {
    pub fn int(&self, name: &str, default: i64) -> i64 {
        integer(&self.0[name]["i"]).unwrap_or(default)
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.0[name]["b"].as_bool().unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.0[name]["f"].as_f64().map_or(default, |value| value as f32)
    }

    pub fn text(&self, name: &str) -> Option<String> {
        decoded(self.0[name]["s"].as_str()?)
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0[name]["list"]["s"].as_array().map_or(&[][..], |list| list);
        list.iter().filter_map(|text| decoded(text.as_str()?)).collect()
    }

    pub fn ints(&self, name: &str) -> Vec<i64> {
        let list = self.0[name]["list"]["i"].as_array().map_or(&[][..], |list| list);
        list.iter().filter_map(integer).collect()
    }

    /// Errors: `UnsupportedOperator` for a type that TensorFlow.js has not.
    pub fn dtype(&self, name: &str) -> Result<DataType> {
        match dtype(&self.0[name]["type"]) {
            Some(dtype) => Ok(dtype),
            None => bail!(UnsupportedOperator, "of type {}", self.0[name]["type"]),
        }
    }
}

/// Reads a graph model; its shards are read through `beside`.
///
/// Errors: `NotAModel`, `InvalidModel`, `Truncated`, `Unsupported`, `UnsupportedOperator` with every operator that has no
/// counterpart, and those of `beside`.
pub fn read(bytes: &[u8], beside: &dyn Beside) -> Result<Graph> {
    let json: Json = match serde_json::from_slice(bytes) {
        Ok(json) => json,
        Err(error) if error.is_eof() => bail!(Truncated, "the JSON ends early: {error}; is the file cut short?"),
        Err(error) => bail!(NotAModel, "expected a model.json, got no JSON: {error}"),
    };
    let Some(list) = json["modelTopology"]["node"].as_array() else {
        bail!(InvalidModel, "the model.json has no \"modelTopology\" with a list of nodes")
    };
    let weights = match &json["weightsManifest"] {
        Json::Null => BTreeMap::new(),
        manifest => shards::read(manifest, beside)?.into_iter().collect(),
    };
    let nodes = nodes(list)?;
    let signature = [&json["signature"], &json["userDefinedMetadata"]["signature"]];
    let signature = signature.into_iter().find(|signature| signature.is_object());
    let outputs = outputs(&nodes, signature)?;
    let reserved: HashSet<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
    let mut importer = Importer {
        writer: Writer::new(Builder::new("main"), reserved),
        values: vec![Vec::new(); nodes.len()],
        weights,
        missing: false,
    };
    // Inputs in the signature's order, where it has one.
    for name in names(signature, "inputs") {
        let (name, _) = split(&name);
        if let Some(at) = nodes.iter().position(|node| node.name == name && node.op.starts_with("Placeholder")) {
            importer.step(&nodes, at)?;
        }
    }
    for at in order(&nodes, &outputs)? {
        importer.step(&nodes, at)?;
    }
    let has_batch = importer.writer.builder.first_dim_is_free();
    for (name, (node, output)) in outputs {
        let Some(&id) = importer.values[node].get(output) else { continue };
        if importer.missing {
            break;
        }
        let w = &mut importer.writer;
        let stored = w.stored(id, Order::Last)?;
        let shape = w.shape(id).as_ref().map(|shape| {
            let dim = |(axis, size): (usize, &Option<usize>)| match (size, axis) {
                (Some(size), _) => Dim::Size(*size),
                (None, 0) if has_batch => Dim::Name("N".to_string()),
                (None, _) => Dim::Name("?".to_string()),
            };
            shape.iter().enumerate().map(dim).collect()
        });
        let dtype = w.dtype(id);
        w.builder.output(&name, &stored, dtype, shape);
    }
    importer.writer.builder.finish()
}

/// A reference to a node's output: its name and number.
fn split(reference: &str) -> (&str, usize) {
    match reference.rsplit_once(':').map(|(name, output)| (name, output.parse())) {
        Some((name, Ok(output))) => (name, output),
        _ => (reference, 0),
    }
}

fn nodes(list: &[Json]) -> Result<Vec<Node<'_>>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, node) in list.iter().enumerate() {
        let Some(name) = node["name"].as_str() else { bail!(InvalidModel, "node {at} has no name") };
        ensure!(places.insert(name, at).is_none(), InvalidModel, "there are two nodes \"{name}\"");
    }
    let one = |node: &'_ Json| {
        let name = node["name"].as_str().unwrap_or_default();
        let mut inputs = Vec::new();
        for input in node["input"].as_array().into_iter().flatten() {
            let Some(input) = input.as_str() else {
                bail!(InvalidModel, "node \"{name}\" has an input without a name")
            };
            // What must merely run before has nothing to give.
            if input.starts_with('^') {
                continue;
            }
            let (from, output) = split(input);
            match places.get(from) {
                Some(&from) => inputs.push((from, output)),
                None => bail!(InvalidModel, "node \"{name}\" takes \"{input}\", which no node makes"),
            }
        }
        Ok(inputs)
    };
    let mut nodes = Vec::with_capacity(list.len());
    for node in list {
        let (name, op) = (node["name"].as_str().unwrap_or_default(), node["op"].as_str().unwrap_or_default());
        nodes.push(Node { name, op, inputs: one(node)?, attributes: Attributes(&node["attr"]) });
    }
    Ok(nodes)
}

/// The tensors that a signature names.
fn names(signature: Option<&Json>, key: &str) -> Vec<String> {
    let entries = signature.and_then(|signature| signature[key].as_object());
    entries.into_iter().flatten().filter_map(|(_, tensor)| Some(tensor["name"].as_str()?.to_string())).collect()
}

/// The outputs by their names, and where they come from.
fn outputs(nodes: &[Node<'_>], signature: Option<&Json>) -> Result<Vec<(String, (usize, usize))>> {
    let named = names(signature, "outputs");
    if named.is_empty() {
        let used: HashSet<usize> = nodes.iter().flat_map(|node| node.inputs.iter().map(|input| input.0)).collect();
        let last = |at: &usize| !used.contains(at) && !matches!(nodes[*at].op, "Const" | "Placeholder" | "NoOp");
        return Ok((0..nodes.len()).filter(last).map(|at| (nodes[at].name.to_string(), (at, 0))).collect());
    }
    let find = |reference: &String| {
        let (name, output) = split(reference);
        match nodes.iter().position(|node| node.name == name) {
            Some(at) if output == 0 => Ok((name.to_string(), (at, 0))),
            Some(at) => Ok((reference.clone(), (at, output))),
            None => bail!(InvalidModel, "the output \"{reference}\" is made by no node"),
        }
    };
    named.iter().map(find).collect()
}

/// The nodes that the outputs need, each after its inputs.
fn order(nodes: &[Node<'_>], outputs: &[(String, (usize, usize))]) -> Result<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; nodes.len()];
    let mut ordered = Vec::new();
    for (_, (output, _)) in outputs {
        let mut stack = vec![(*output, 0)];
        while let Some((at, next)) = stack.pop() {
            if next == 0 {
                match states[at] {
                    State::Done => continue,
                    State::Open => {
                        bail!(InvalidModel, "node \"{}\" waits for its own result: there is a cycle", nodes[at].name)
                    }
                    State::New => states[at] = State::Open,
                }
            }
            match nodes[at].inputs.get(next) {
                Some(&(from, _)) => {
                    stack.push((at, next + 1));
                    if states[from] != State::Done {
                        stack.push((from, 0));
                    }
                }
                None => {
                    states[at] = State::Done;
                    ordered.push(at);
                }
            }
        }
    }
    Ok(ordered)
}

struct Importer {
    writer: Writer,
    /// What each node gave; nothing before it was written.
    values: Vec<Vec<Id>>,
    weights: BTreeMap<String, Tensor>,
    missing: bool,
}

impl Importer {
    fn step(&mut self, nodes: &[Node<'_>], at: usize) -> Result<()> {
        if !self.values[at].is_empty() {
            return Ok(());
        }
        let node = &nodes[at];
        let inputs = node.inputs.iter().map(|&(from, output)| match self.values[from].get(output) {
            Some(&id) => Ok(id),
            None => bail!(InvalidModel, "output {output} of node \"{}\" is wanted, which it has not", nodes[from].name),
        });
        let inputs = inputs.collect::<Result<Vec<Id>>>();
        let written = match (node.op, inputs) {
            ("Placeholder", _) => self.placeholder(node).map(|id| vec![id]),
            ("Const", _) => self.constant(node).map(|id| vec![id]),
            (_, Ok(inputs)) => operators::write(&mut self.writer, node, &inputs),
            (_, Err(error)) => Err(error),
        };
        let values = match written {
            Err(error) if error.kind() == ErrorKind::UnsupportedOperator || self.missing => {
                self.skip(node, &error);
                let count = usize::try_from(node.attributes.int("num_split", 1)).unwrap_or(1).clamp(1, 64).max(8);
                let made_up = || self.writer.given("missing".to_string(), DataType::Float32, None, None);
                std::iter::repeat_with(made_up).take(count).collect()
            }
            written => written.map_err(|error| error.at_node(node.name, node.op))?,
        };
        self.values[at] = values;
        Ok(())
    }

    fn skip(&mut self, node: &Node<'_>, error: &Error) {
        if error.kind() == ErrorKind::UnsupportedOperator {
            let why = error.message();
            let what = if why.is_empty() { node.op.to_string() } else { format!("{} {why}", node.op) };
            self.writer.builder.unsupported(&what, node.name);
        }
        self.missing = true;
    }

    fn placeholder(&mut self, node: &Node<'_>) -> Result<Id> {
        let dtype = node.attributes.dtype("dtype")?;
        let shape = shape(&node.attributes.0["shape"]["shape"])?;
        let name = match dims(node.name, &shape) {
            Some(dims) => self.writer.builder.input(node.name, dtype, dims),
            None => self.writer.builder.input_of_any_shape(node.name, dtype),
        };
        Ok(self.writer.given(name, dtype, shape, None))
    }

    fn constant(&mut self, node: &Node<'_>) -> Result<Id> {
        let Some(tensor) = self.weights.get(node.name) else {
            bail!(InvalidModel, "the constant \"{}\" is not among the weights", node.name)
        };
        Ok(self.writer.constant(node.name, tensor.clone(), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_base64() {
        assert_eq!(decoded("U0FNRQ==").as_deref(), Some("SAME"));
        assert_eq!(decoded("VkFMSUQ=").as_deref(), Some("VALID"));
        assert_eq!(decoded("!"), None);
    }

    #[test]
    fn references_have_an_output() {
        assert_eq!((split("a/b:2"), split("a"), split("a:b")), (("a/b", 2), ("a", 0), ("a:b", 0)));
    }
}
