//! Puts a graph together, node by node, for an importer.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Attribute, DataType, Dim, Graph, Node, Tensor, ValueInfo, ValueType};

/// The opset that importers write: the first with 4-bit integers and blocks in QuantizeLinear.
pub const OPSET: i64 = 21;

/// A graph in the making. Names are made unique; values are named after the nodes that make them.
pub struct Builder {
    graph: Graph,
    names: HashSet<String>,
    /// How often a name was asked for.
    asked: HashMap<String, usize>,
    missing: BTreeMap<String, Vec<String>>,
}

impl Builder {
    /// An empty graph of opset [`OPSET`].
    pub fn new(name: &str) -> Self {
        let opsets = HashMap::from([(String::new(), OPSET)]);
        let graph = Graph { name: name.to_string(), opsets, ..Graph::default() };
        Self { graph, names: HashSet::new(), asked: HashMap::new(), missing: BTreeMap::new() }
    }

    /// `wanted`, or with a number behind it where that is taken.
    pub fn unique(&mut self, wanted: &str) -> String {
        let wanted = if wanted.is_empty() { "value" } else { wanted };
        let count = self.asked.entry(wanted.to_string()).or_insert(0);
        loop {
            let name = if *count == 0 { wanted.to_string() } else { format!("{wanted}_{count}") };
            *count += 1;
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Declares an input; gives its name, which is `name` unless that is taken.
    pub fn input(&mut self, name: &str, dtype: DataType, shape: Vec<Dim>) -> String {
        let name = self.unique(name);
        self.graph.inputs.push(ValueInfo { name: name.clone(), ty: ValueType::Tensor { dtype, shape: Some(shape) } });
        name
    }

    /// As [`input`](Self::input), of whatever shape.
    pub fn input_of_any_shape(&mut self, name: &str, dtype: DataType) -> String {
        let name = self.unique(name);
        self.graph.inputs.push(ValueInfo { name: name.clone(), ty: ValueType::Tensor { dtype, shape: None } });
        name
    }

    /// Whether the first dimension of the first input is the caller's to choose.
    pub fn first_dim_is_free(&self) -> bool {
        let first = self.graph.inputs.first().map(|input| &input.ty);
        matches!(first, Some(ValueType::Tensor { shape: Some(shape), .. }) if matches!(shape.first(), Some(Dim::Name(_))))
    }

    /// An empty body of a node of this graph, whose names are none of this graph's; [`adopt`](Self::adopt) takes it.
    pub fn body(&self, name: &str) -> Self {
        Self { names: self.names.clone(), asked: self.asked.clone(), ..Self::new(name) }
    }

    /// The graph of a [`body`](Self::body); what is unsupported in it is so here.
    pub fn adopt(&mut self, body: Self) -> Graph {
        self.names.extend(body.names);
        self.asked.extend(body.asked);
        for (what, places) in body.missing {
            self.missing.entry(what).or_default().extend(places);
        }
        body.graph
    }

    /// Adds a constant; gives its name.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        let name = self.unique(name);
        self.graph.initializers.insert(name.clone(), tensor);
        name
    }

    /// A constant of shape `[values.len()]`, int64: axes, shapes, pads.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let tensor = Tensor::from_vec(vec![values.len()], values.to_vec()).expect("the shape is the length");
        self.constant(name, tensor)
    }

    /// A float32 scalar.
    pub fn scalar(&mut self, name: &str, value: f32) -> String {
        self.constant(name, Tensor::from_vec(vec![], vec![value]).expect("a scalar has one element"))
    }

    /// The constant that `name` is, where it is one.
    pub fn known(&self, name: &str) -> Option<&Tensor> {
        self.graph.initializers.get(name)
    }

    /// Adds a node of ONNX's own domain with one output; gives the output's name, which is the node's.
    pub fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> String {
        self.nodes(op_type, name, inputs, attributes, 1).remove(0)
    }

    /// As [`node`](Self::node), with `outputs` of them.
    pub fn nodes(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
        outputs: usize,
    ) -> Vec<String> {
        self.domain_nodes("", op_type, name, inputs, attributes, outputs)
    }

    /// As [`nodes`](Self::nodes), of another domain, at its version 1.
    pub fn domain_nodes(
        &mut self,
        domain: &str,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
        outputs: usize,
    ) -> Vec<String> {
        let first = self.unique(name);
        let mut names = vec![first.clone()];
        names.extend((1..outputs).map(|index| self.unique(&format!("{first}:{index}"))));
        self.graph.opsets.entry(domain.to_string()).or_insert(1);
        self.graph.nodes.push(Node {
            name: first,
            domain: domain.to_string(),
            op_type: op_type.to_string(),
            opset: self.graph.opset(domain),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: names.clone(),
            attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        });
        names
    }

    /// Declares `value` an output under `name`; an Identity gives it that name. `shape` is what is known of it.
    pub fn output(&mut self, name: &str, value: &str, dtype: DataType, shape: Option<Vec<Dim>>) -> String {
        let name = if name == value && !self.graph.outputs.iter().any(|o| o.name == name) {
            name.to_string()
        } else {
            self.node("Identity", name, &[value], vec![])
        };
        self.graph.outputs.push(ValueInfo { name: name.clone(), ty: ValueType::Tensor { dtype, shape } });
        name
    }

    /// Notes that the file has something (`what`: a layer's class, an operator's name) that cannot be imported, at
    /// `place`; [`finish`](Self::finish) then names all of it.
    pub fn unsupported(&mut self, what: &str, place: &str) {
        self.missing.entry(what.to_string()).or_default().push(place.to_string());
    }

    /// The graph.
    ///
    /// Errors: `UnsupportedOperator` naming everything that was noted as unsupported, with counts and places;
    /// `InvalidModel` where the graph contradicts itself.
    pub fn finish(self) -> Result<Graph> {
        if !self.missing.is_empty() {
            return Err(unsupported(&self.missing));
        }
        self.graph.topological_order()?;
        Ok(self.graph)
    }
}

/// The error that names everything unsupported, with places.
pub fn unsupported(missing: &BTreeMap<String, Vec<String>>) -> Error {
    let list = missing.iter().map(|(what, places)| {
        let shown = places.iter().take(5).map(|place| format!("\"{place}\"")).collect::<Vec<_>>().join(", ");
        let more = if places.len() > 5 { ", …" } else { "" };
        format!("{what} ({} {}: {shown}{more})", places.len(), if places.len() == 1 { "time" } else { "times" })
    });
    let list = list.collect::<Vec<_>>().join(", ");
    let all = missing.iter().map(|(what, places)| (what.clone(), places.clone())).collect();
    Error::new(ErrorKind::UnsupportedOperator, format!("not supported by the importer: {list}")).with_unsupported(all)
}
