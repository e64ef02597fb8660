//! What a model file says of itself, without its weights being read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::proto::NodeProto;
use super::read::{data_type, decode, external_entry, read_value_info};
use super::source::Source;
use crate::error::Result;
use crate::graph::{Dim, ValueInfo, ValueType};
use crate::ops::Operator;

/// How often a model uses an operator, and whether Firebrand has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(any(feature = "cli", feature = "web"), derive(serde::Serialize))]
pub struct OperatorUse {
    pub name: String,
    /// The operator's domain, `""` for ONNX's own.
    pub domain: String,
    pub count: usize,
    pub supported: bool,
    /// Names of the nodes, where the operator is not supported.
    #[cfg_attr(any(feature = "cli", feature = "web"), serde(skip_serializing_if = "Vec::is_empty"))]
    pub nodes: Vec<String>,
}

/// An input or output as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(any(feature = "cli", feature = "web"), derive(serde::Serialize))]
pub struct IoInfo {
    pub name: String,
    /// ONNX's dtype in lower case, `seq(…)` around it for a sequence, `"unknown"` where it is
    /// not declared.
    pub dtype: String,
    /// Sizes, and names of those known at run time only (`"?"` without a name).
    pub shape: Vec<IoDim>,
    /// The declared type in full.
    #[cfg_attr(any(feature = "cli", feature = "web"), serde(skip))]
    pub ty: ValueType,
}

/// One dimension of an [`IoInfo`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(any(feature = "cli", feature = "web"), derive(serde::Serialize), serde(untagged))]
pub enum IoDim {
    Size(usize),
    Name(String),
}

impl From<&ValueInfo> for IoInfo {
    fn from(info: &ValueInfo) -> Self {
        fn parts(ty: &ValueType) -> (String, Vec<IoDim>) {
            match ty {
                ValueType::Tensor { dtype, shape } => {
                    let dim = |d: &Dim| match d {
                        Dim::Size(size) => IoDim::Size(*size),
                        Dim::Name(name) => IoDim::Name(name.clone()),
                    };
                    (dtype.name().to_string(), shape.iter().flatten().map(dim).collect())
                }
                ValueType::Sequence(inner) => (format!("seq({})", parts(inner).0), Vec::new()),
                ValueType::Optional(inner) => (format!("optional({})", parts(inner).0), Vec::new()),
                ValueType::Map(key, value) => (format!("map({key},{value})"), Vec::new()),
                ValueType::Unknown => ("unknown".to_string(), Vec::new()),
            }
        }
        let (dtype, shape) = parts(&info.ty);
        Self { name: info.name.clone(), dtype, shape, ty: info.ty.clone() }
    }
}

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(any(feature = "cli", feature = "web"), derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Inspection {
    pub ir_version: i64,
    pub producer: String,
    /// Opset version by domain.
    pub opsets: BTreeMap<String, i64>,
    pub inputs: Vec<IoInfo>,
    pub outputs: Vec<IoInfo>,
    /// By name; bodies of control flow are counted too.
    pub operators: Vec<OperatorUse>,
    pub node_count: usize,
    /// Number of weights.
    pub parameter_count: u64,
    /// Bytes of weights.
    pub weight_bytes: u64,
    /// Bytes of the model file itself.
    pub file_bytes: usize,
    /// Weight files beside the model, each once, in order of first use.
    pub external_files: Vec<String>,
}

/// Looks into an ONNX file; weight files beside it are not needed.
///
/// Errors: `EmptyFile`, `NotAModel`, `Truncated`, `InvalidModel`.
pub fn inspect(bytes: impl Into<Bytes>) -> Result<Inspection> {
    Inspection::read(&bytes.into())
}

impl Inspection {
    /// [`inspect`] from wherever the file is; its weights are not read.
    pub fn read(source: &dyn Source) -> Result<Self> {
        // Names and texts are shorter, and weights are not looked at.
        const LONGEST: usize = 1 << 12;
        let file_bytes = source.byte_len();
        let model = decode(source, LONGEST)?;
        let graph = model.graph.unwrap_or_default();
        let mut counts = BTreeMap::new();
        count_operators(&graph.node, &mut counts);
        // A call of a function is none of an operator; the function's nodes are.
        for function in &model.functions {
            count_operators(&function.node, &mut counts);
        }
        for function in &model.functions {
            counts.remove(&(domain_name(&function.domain).to_string(), function.name.clone()));
        }
        let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
        let weights: Vec<_> = graph.initializer.iter().chain(sparse).collect();
        let constants: BTreeSet<&str> = weights.iter().map(|t| t.name.as_str()).collect();
        let (mut parameter_count, mut weight_bytes) = (0u64, 0u64);
        let mut external_files: Vec<String> = Vec::new();
        for tensor in weights {
            let count = tensor.dims.iter().fold(1u64, |n, &d| n.saturating_mul(d.max(0) as u64));
            parameter_count = parameter_count.saturating_add(count);
            let size = data_type(tensor.data_type).map_or(1, |t| t.size()) as u64;
            weight_bytes = weight_bytes.saturating_add(count.saturating_mul(size));
            if let Some(location) = external_entry(tensor, "location")
                && !external_files.iter().any(|f| f == location)
            {
                external_files.push(location.to_string());
            }
        }
        let given = graph.input.iter().filter(|i| !constants.contains(i.name.as_str())).cloned().collect::<Vec<_>>();
        let io = |infos: Vec<super::proto::ValueInfoProto>| -> Vec<IoInfo> {
            let read = |info: super::proto::ValueInfoProto| {
                let name = info.name.clone();
                read_value_info(info).unwrap_or(ValueInfo { name, ty: ValueType::Unknown })
            };
            infos.into_iter().map(|info| IoInfo::from(&read(info))).collect()
        };
        Ok(Self {
            ir_version: model.ir_version.unwrap_or(0),
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_string(),
            opsets: model.opset_import.iter().map(|o| (o.domain.clone(), o.version)).collect(),
            inputs: io(given),
            outputs: io(graph.output),
            node_count: counts.values().map(Vec::len).sum(),
            operators: counts
                .into_iter()
                .map(|((domain, name), nodes)| {
                    let supported = Operator::is_known(&domain, &name);
                    let count = nodes.len();
                    OperatorUse { supported, name, domain, count, nodes: if supported { Vec::new() } else { nodes } }
                })
                .collect(),
            parameter_count,
            weight_bytes,
            file_bytes,
            external_files,
        })
    }
}

fn domain_name(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Names of the nodes by operator, those of bodies too.
fn count_operators(nodes: &[NodeProto], counts: &mut BTreeMap<(String, String), Vec<String>>) {
    for (index, node) in nodes.iter().enumerate() {
        let name = if node.name.is_empty() { format!("{}_{index}", node.op_type) } else { node.name.clone() };
        counts.entry((domain_name(&node.domain).to_string(), node.op_type.clone())).or_default().push(name);
        for attribute in &node.attribute {
            if let Some(body) = &attribute.g {
                count_operators(&body.node, counts);
            }
        }
    }
}
