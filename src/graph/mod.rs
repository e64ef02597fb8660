//! A model as a graph: nodes in any order, the values between them, and the constant tensors.
//! It mirrors ONNX; what a node means is the business of [`crate::ops`].

mod dtype;
pub(crate) mod float8;
mod numbers;
mod tensor;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

pub use dtype::DataType;
pub use tensor::{Data, Element, Tensor};
pub(crate) use tensor::{MAX_RANK, element_count};

use crate::error::{Result, bail};

/// One dimension of a declared shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Size(usize),
    /// A size known at run time only; equal names are equal sizes, `"?"` has no name.
    Name(String),
}

/// What a value is declared to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// A tensor; no shape means that any is allowed.
    Tensor { dtype: DataType, shape: Option<Vec<Dim>> },
    /// A sequence of values of one type.
    Sequence(Box<ValueType>),
    /// A value that may be absent.
    Optional(Box<ValueType>),
    /// A map from keys (int64 or string) to numbers.
    Map(DataType, DataType),
    /// Not declared.
    Unknown,
}

impl ValueType {
    /// Whether a value of type `other` may be given for this one, shapes left aside.
    pub fn accepts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tensor { dtype: a, .. }, Self::Tensor { dtype: b, .. }) => a == b,
            (Self::Sequence(a), Self::Sequence(b)) | (Self::Optional(a), Self::Optional(b)) => a.accepts(b),
            (Self::Optional(a), b) => a.accepts(b),
            (Self::Unknown, _) => true,
            (a, b) => a == b,
        }
    }
}

impl std::fmt::Display for ValueType {
    /// In words: `float32 [N, 3, 224, 224]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tensor { dtype, shape: None } => write!(f, "{dtype} of any shape"),
            Self::Tensor { dtype, shape: Some(shape) } => {
                let dims = shape.iter().map(|d| match d {
                    Dim::Size(size) => size.to_string(),
                    Dim::Name(name) => name.clone(),
                });
                write!(f, "{dtype} [{}]", dims.collect::<Vec<_>>().join(", "))
            }
            Self::Sequence(inner) => write!(f, "a sequence of {inner}"),
            Self::Optional(inner) => write!(f, "an optional {inner}"),
            Self::Map(key, value) => write!(f, "a map from {key} to {value}"),
            Self::Unknown => f.write_str("of unknown type"),
        }
    }
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// The name, unique in its graph.
    pub name: String,
    /// The declared type.
    pub ty: ValueType,
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    String(Vec<u8>),
    Tensor(Tensor),
    Graph(Graph),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<Vec<u8>>),
    /// A type, of an optional for instance.
    Type(ValueType),
    /// In a function's body: the attribute of that name of the node that calls the function.
    Reference(String),
    /// A kind of attribute that no supported operator has; its name is kept for the error.
    Other(&'static str),
}

/// An operation of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node's name; one is made up where the file has none, so that errors can point to it.
    pub name: String,
    /// The operator's domain, `""` for ONNX's own.
    pub domain: String,
    /// The operator's name.
    pub op_type: String,
    /// The version of the domain's operators that it follows.
    pub opset: i64,
    /// Names of the inputs; `""` is an optional input left out.
    pub inputs: Vec<String>,
    /// Names of the outputs; `""` is an optional output left out.
    pub outputs: Vec<String>,
    /// The attributes by name.
    pub attributes: HashMap<String, Attribute>,
}

/// A model, or the body of a control-flow node.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The graph's name.
    pub name: String,
    /// The operations, in any order.
    pub nodes: Vec<Node>,
    /// What a caller must give; initializers with a default are not among them.
    pub inputs: Vec<ValueInfo>,
    /// What a caller gets.
    pub outputs: Vec<ValueInfo>,
    /// The constant tensors by name.
    pub initializers: HashMap<String, Tensor>,
    /// Opset version by domain.
    pub opsets: HashMap<String, i64>,
}

impl Node {
    /// Names of the outer values that the node's bodies use, each once, sorted.
    pub fn captures(&self) -> Vec<String> {
        let bodies = self.attributes.values().filter_map(|a| if let Attribute::Graph(g) = a { Some(g) } else { None });
        let names: BTreeSet<String> = bodies.flat_map(Graph::captures).collect();
        names.into_iter().collect()
    }

    /// Names of all values that the node needs, those of its bodies too.
    fn needs(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let inputs = self.inputs.iter().filter(|i| !i.is_empty()).map(|i| Cow::Borrowed(i.as_str()));
        inputs.chain(self.captures().into_iter().map(Cow::Owned))
    }
}

impl Graph {
    /// Names of the outer values that it uses, as a body; each once, sorted.
    pub fn captures(&self) -> Vec<String> {
        let mut made: HashSet<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
        made.extend(self.initializers.keys().map(String::as_str));
        made.extend(self.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str));
        let used = self.nodes.iter().flat_map(Node::needs);
        let used = used.chain(self.outputs.iter().map(|o| Cow::Borrowed(o.name.as_str())));
        let outer: BTreeSet<String> = used.filter(|n| !made.contains(n.as_ref())).map(Cow::into_owned).collect();
        outer.into_iter().collect()
    }

    /// The opset version of `domain`; 1 where the model does not import it.
    pub fn opset(&self, domain: &str) -> i64 {
        self.opsets.get(domain).copied().unwrap_or(1)
    }

    /// Bytes of all constant tensors.
    pub fn weight_bytes(&self) -> usize {
        self.initializers.values().map(Tensor::byte_len).sum()
    }

    /// Indices of the nodes in an order in which every input is made before it is used.
    ///
    /// Errors: `InvalidModel` for a value that nothing makes, that two nodes make, or a cycle.
    pub fn topological_order(&self) -> Result<Vec<usize>> {
        self.order(&[])
    }

    /// [`topological_order`](Self::topological_order) of a body, which may use outer values.
    #[cfg(feature = "convert")]
    pub(crate) fn topological_order_of_body(&self) -> Result<Vec<usize>> {
        self.order(&self.captures())
    }

    fn order(&self, outer: &[String]) -> Result<Vec<usize>> {
        let mut producer: HashMap<&str, usize> = HashMap::new();
        let mut given: HashSet<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
        given.extend(outer.iter().map(String::as_str));
        given.extend(self.initializers.keys().map(String::as_str));
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                if given.contains(output.as_str()) || producer.insert(output, index).is_some() {
                    bail!(
                        InvalidModel,
                        "value \"{output}\" is made twice, the second time by node \"{}\" ({})",
                        node.name,
                        node.op_type
                    );
                }
            }
        }
        let mut waiting = vec![0usize; self.nodes.len()];
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.needs() {
                if let Some(&from) = producer.get(input.as_ref()) {
                    waiting[index] += 1;
                    users[from].push(index);
                } else if !given.contains(input.as_ref()) {
                    bail!(
                        InvalidModel,
                        "node \"{}\" ({}) takes value \"{input}\", which nothing makes",
                        node.name,
                        node.op_type
                    );
                }
            }
        }
        let mut ready: std::collections::BTreeSet<usize> = (0..self.nodes.len()).filter(|&i| waiting[i] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for &user in &users[index] {
                waiting[user] -= 1;
                if waiting[user] == 0 {
                    ready.insert(user);
                }
            }
        }
        if let Some(stuck) = (0..self.nodes.len()).find(|&i| waiting[i] > 0) {
            let node = &self.nodes[stuck];
            bail!(
                InvalidModel,
                "node \"{}\" ({}) waits for its own result: the graph has a cycle",
                node.name,
                node.op_type
            );
        }
        for output in &self.outputs {
            if !producer.contains_key(output.name.as_str()) && !given.contains(output.name.as_str()) {
                bail!(InvalidModel, "output \"{}\" is made by no node", output.name);
            }
        }
        Ok(order)
    }
}
