//! A node's attributes, read by name and type.

use super::Inputs;
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, Graph, Node, Tensor, ValueType};

/// The largest size that an attribute may hold, of a kernel for instance.
const MAX_SIZE: i64 = 1 << 24;

/// The attributes of one node, and the opset it follows.
pub struct Attributes<'a> {
    node: &'a Node,
    /// The version of the operator's domain that the model imports.
    pub opset: i64,
}

/// A list of integers, from an attribute or an input.
pub struct IntsParameter {
    own: Option<Vec<i64>>,
    input: usize,
}

impl IntsParameter {
    /// The integers, where they are given.
    pub fn get(&self, inputs: &Inputs) -> Result<Option<Vec<i64>>> {
        if self.own.is_some() { Ok(self.own.clone()) } else { inputs.ints(self.input) }
    }
}

impl<'a> Attributes<'a> {
    /// The attributes of `node`.
    pub fn new(node: &'a Node) -> Self {
        Self { node, opset: node.opset }
    }

    /// Names of the outer values that the node's bodies use; their values are the inputs after
    /// the declared ones.
    pub fn captures(&self) -> Vec<String> {
        self.node.captures()
    }

    /// A body of control flow, which must be there.
    pub fn graph(&self, name: &str) -> Result<&'a Graph> {
        match self.get(name) {
            Some(Attribute::Graph(v)) => Ok(v),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a graph"),
            None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
        }
    }

    /// A type.
    pub fn value_type(&self, name: &str) -> Result<Option<&'a ValueType>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Type(v)) => Ok(Some(v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a type"),
        }
    }

    /// A number that the names of the node and its first output make (FNV-1a).
    pub fn identity(&self) -> u32 {
        let names = self.node.name.bytes().chain([0]).chain(self.node.outputs.iter().take(1).flat_map(|n| n.bytes()));
        names.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// How many outputs the node has.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// How many inputs the node has.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    /// Whether the node has input `index`.
    pub fn has_input(&self, index: usize) -> bool {
        self.node.inputs.get(index).is_some_and(|i| !i.is_empty())
    }

    /// Whether the attribute is given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.get(name)
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Int(v)) => Ok(Some(*v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not an integer"),
        }
    }

    /// An integer that means true unless it is 0.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name)?.map_or(default, |v| v != 0))
    }

    /// How many there are of something: an integer from 1 on.
    pub fn count(&self, name: &str, default: usize) -> Result<usize> {
        let Some(count) = self.int(name)? else { return Ok(default) };
        ensure!(
            (1..=MAX_SIZE).contains(&count),
            InvalidModel,
            "attribute \"{name}\": expected 1 to {MAX_SIZE}, got {count}"
        );
        Ok(count as usize)
    }

    /// A float.
    pub fn float(&self, name: &str) -> Result<Option<f32>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Float(v)) => Ok(Some(*v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a float"),
        }
    }

    /// A string.
    pub fn string(&self, name: &str) -> Result<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::String(v)) => match std::str::from_utf8(v) {
                Ok(text) => Ok(Some(text)),
                Err(_) => bail!(InvalidModel, "attribute \"{name}\" is not UTF-8"),
            },
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a string"),
        }
    }

    /// A string out of `allowed`; the first is the default.
    pub fn choice(&self, name: &str, allowed: &[&'static str]) -> Result<&'static str> {
        let Some(value) = self.string(name)? else { return Ok(allowed[0]) };
        match allowed.iter().find(|a| **a == value) {
            Some(found) => Ok(found),
            None => bail!(Unsupported, "attribute \"{name}\": expected one of {}, got \"{value}\"", allowed.join(", ")),
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a list of integers"),
        }
    }

    /// Refuses the attribute where the model's opset is before `opset`, with which it came.
    pub fn since(&self, opset: i64, name: &str) -> Result<()> {
        ensure!(
            self.opset >= opset || !self.has(name),
            InvalidModel,
            "attribute \"{name}\" came with opset {opset}, the model uses {}",
            self.opset
        );
        Ok(())
    }

    /// A list of integers that is an attribute in opsets before `opset` and input `input` from
    /// then on.
    pub fn ints_until(&self, opset: i64, name: &str, input: usize) -> Result<IntsParameter> {
        if self.opset < opset {
            ensure!(
                !self.has_input(input),
                InvalidModel,
                "input {input} came with opset {opset}, the model uses {}: it is attribute \"{name}\" there",
                self.opset
            );
        } else {
            ensure!(
                !self.has(name),
                InvalidModel,
                "attribute \"{name}\" is input {input} from opset {opset} on, the model uses {}",
                self.opset
            );
        }
        Ok(IntsParameter { own: self.ints(name)?.map(<[i64]>::to_vec), input })
    }

    /// A list of sizes: integers from `least` on.
    pub fn sizes(&self, name: &str, least: i64) -> Result<Option<Vec<usize>>> {
        let Some(values) = self.ints(name)? else { return Ok(None) };
        for &v in values {
            ensure!(
                (least..=MAX_SIZE).contains(&v),
                InvalidModel,
                "attribute \"{name}\": {values:?} holds {v}, expected {least} to {MAX_SIZE}"
            );
        }
        Ok(Some(values.iter().map(|&v| v as usize).collect()))
    }

    /// A list of floats.
    pub fn floats(&self, name: &str) -> Result<Option<&'a [f32]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a list of floats"),
        }
    }

    /// A list of strings; bytes that are not UTF-8 are replaced.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<String>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Strings(v)) => {
                Ok(Some(v.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()))
            }
            // An empty list cannot be told from an empty list of another type in old files.
            Some(Attribute::Ints(v)) if v.is_empty() => Ok(Some(Vec::new())),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a list of strings"),
        }
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<Option<&'a Tensor>> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(v)) => Ok(Some(v)),
            Some(_) => bail!(InvalidModel, "attribute \"{name}\" is not a tensor"),
        }
    }
}
