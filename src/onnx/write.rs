//! Writes a model as an ONNX file, the same bytes for the same model.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::proto::{self, ModelProto};
use super::read::Model;
use crate::error::{Error, Result, ensure};
use crate::graph::{Attribute, DataType, Dim, Graph, Node, Tensor, ValueInfo, ValueType};

/// Where weights go that are not in the model's file.
#[derive(Debug, Clone)]
pub struct ExternalFile {
    /// Its name, relative to the model's file.
    pub location: String,
    /// What it holds: tensors one after another, each at a multiple of 64 bytes.
    pub bytes: Vec<u8>,
}

/// What each tensor outside of the file starts at a multiple of.
const ALIGNMENT: usize = 64;

/// Smaller tensors stay in the model's file: shapes and scalars are needed to understand the graph.
const SMALLEST_OUTSIDE: usize = 1024;

impl Model {
    /// The file, weights inside. Equal models give equal bytes: nodes in an order in which they can be run,
    /// initializers and attributes by name.
    ///
    /// Errors: `InvalidModel` where the graph contradicts itself, `Unsupported` for what ONNX cannot say: nodes of
    /// one domain at different opsets, or a file over protobuf's 2 GiB.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        self.write(&mut Placed::default())
    }

    /// The file without its larger weights, and those in files of at most `largest` bytes each, or of one tensor.
    /// `name` makes a file's name of its bytes; files that get the same name are one. Where one tensor becomes larger
    /// or smaller, most other files stay as they were.
    ///
    /// Errors: as [`to_onnx`](Self::to_onnx).
    pub fn to_onnx_with_external(
        &self,
        largest: usize,
        name: impl Fn(&[u8]) -> String,
    ) -> Result<(Vec<u8>, Vec<ExternalFile>)> {
        let mut files: Vec<Vec<u8>> = Vec::new();
        let mut places = Vec::new();
        let mut names: Vec<&String> = self.graph.initializers.keys().collect();
        names.sort_unstable();
        for tensor_name in names {
            let tensor = &self.graph.initializers[tensor_name];
            let Some(bytes) = packed(tensor) else { continue };
            if bytes.len() < SMALLEST_OUTSIDE {
                continue;
            }
            let start = files.last().map_or(0, |file| file.len().next_multiple_of(ALIGNMENT));
            let is_full = start + bytes.len() > largest || start >= largest / 4 && opens_file(tensor_name);
            if files.is_empty() || start > 0 && is_full {
                files.push(Vec::new());
            }
            let index = files.len() - 1;
            let file = &mut files[index];
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            places.push((tensor_name.clone(), index, file.len(), bytes.len()));
            file.extend_from_slice(&bytes);
        }
        let mut files: Vec<ExternalFile> =
            files.into_iter().map(|bytes| ExternalFile { location: name(&bytes), bytes }).collect();
        let places = places.into_iter().map(|(tensor, index, offset, length)| {
            let location = files[index].location.clone();
            (tensor, Place { location, offset, length })
        });
        let model = self.write(&mut Placed(places.collect()))?;
        let mut known = HashSet::new();
        files.retain(|file| known.insert(file.location.clone()));
        Ok((model, files))
    }

    fn write(&self, outside: &mut Placed) -> Result<Vec<u8>> {
        let mut opsets: Vec<_> = self.graph.opsets.iter().collect();
        opsets.sort_unstable();
        let producer = self.producer.rsplit_once(' ').unwrap_or((&self.producer, ""));
        let model = ModelProto {
            ir_version: Some(ir_version(self.ir_version, &self.graph)),
            producer_name: producer.0.to_string(),
            producer_version: producer.1.to_string(),
            graph: Some(write_graph(&self.graph, &self.graph.opsets, outside, false)?),
            opset_import: opsets
                .into_iter()
                .map(|(domain, &version)| proto::OperatorSetIdProto { domain: domain.clone(), version })
                .collect(),
            metadata_props: self
                .metadata
                .iter()
                .map(|(key, value)| proto::StringStringEntryProto { key: key.clone(), value: value.clone() })
                .collect(),
            functions: Vec::new(),
        };
        // Readers take a message's length for a signed 32-bit number.
        ensure!(
            model.encoded_len() < i32::MAX as usize,
            Unsupported,
            "the model takes {} bytes, more than the 2 GiB of an ONNX file: write its weights to files of their own",
            model.encoded_len()
        );
        Ok(model.encode_to_vec())
    }
}

/// Whether a tensor of that name begins a file of its own accord, so that files get in step again behind a tensor that
/// changed its size: one name in four (FNV-1a).
fn opens_file(name: &str) -> bool {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 32).is_multiple_of(4)
}

/// The first version of the file format that knows the opset, and no earlier one than the model had: versions
/// of ONNX's releases.
fn ir_version(before: i64, graph: &Graph) -> i64 {
    let needed = match graph.opset("") {
        ..=8 => 4,
        9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        _ => 11,
    };
    needed.max(before)
}

/// Where a tensor's bytes are.
struct Place {
    location: String,
    offset: usize,
    length: usize,
}

/// The tensors of the outermost graph whose bytes are elsewhere.
#[derive(Default)]
struct Placed(HashMap<String, Place>);

/// The bytes of a tensor as files have them; none for strings.
fn packed(tensor: &Tensor) -> Option<Bytes> {
    let bytes = tensor.bytes()?;
    Some(match tensor.dtype().is_4_bit() {
        true => bytes.chunks(2).map(|pair| pair[0] & 15 | pair.get(1).map_or(0, |high| high << 4)).collect(),
        false => Bytes::copy_from_slice(bytes),
    })
}

fn write_graph(
    graph: &Graph,
    opsets: &HashMap<String, i64>,
    outside: &mut Placed,
    body: bool,
) -> Result<proto::GraphProto> {
    let order = match body {
        true => graph.topological_order_of_body()?,
        false => graph.topological_order()?,
    };
    let node = order.iter().map(|&index| write_node(&graph.nodes[index], opsets)).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<&String> = graph.initializers.keys().collect();
    names.sort_unstable();
    let initializer = names.into_iter().map(|name| {
        let place = outside.0.remove(name);
        write_tensor(name, &graph.initializers[name], place)
    });
    Ok(proto::GraphProto {
        node,
        // A graph without a name is none for ONNX's checker.
        name: if graph.name.is_empty() { "graph".to_string() } else { graph.name.clone() },
        initializer: initializer.collect(),
        input: graph.inputs.iter().map(write_value_info).collect(),
        output: graph.outputs.iter().map(write_value_info).collect(),
        sparse_initializer: Vec::new(),
    })
}

fn write_node(node: &Node, opsets: &HashMap<String, i64>) -> Result<proto::NodeProto> {
    let imported = opsets.get(&node.domain).copied().unwrap_or(1);
    ensure!(
        node.opset == imported,
        Unsupported,
        "node \"{}\" ({}) is of opset {}, the model of opset {imported}: a file has one for each domain",
        node.name,
        node.op_type,
        node.opset
    );
    let mut names: Vec<&String> = node.attributes.keys().collect();
    names.sort_unstable();
    let attribute = names
        .into_iter()
        .map(|name| {
            write_attribute(name, &node.attributes[name], opsets)
                .map_err(|error: Error| error.at_node(&node.name, &node.op_type))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(proto::NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        attribute,
        domain: node.domain.clone(),
        overload: String::new(),
    })
}

fn write_attribute(name: &str, value: &Attribute, opsets: &HashMap<String, i64>) -> Result<proto::AttributeProto> {
    let named = proto::AttributeProto { name: name.to_string(), ..Default::default() };
    let strings = |strings: &[Vec<u8>]| strings.iter().map(|s| Bytes::copy_from_slice(s)).collect();
    // The numbers are AttributeProto.AttributeType's.
    Ok(match value {
        Attribute::Float(f) => proto::AttributeProto { r#type: 1, f: Some(*f), ..named },
        Attribute::Int(i) => proto::AttributeProto { r#type: 2, i: Some(*i), ..named },
        Attribute::String(s) => proto::AttributeProto { r#type: 3, s: Some(Bytes::copy_from_slice(s)), ..named },
        Attribute::Tensor(t) => proto::AttributeProto { r#type: 4, t: Some(write_tensor("", t, None)), ..named },
        Attribute::Graph(g) => {
            let g = write_graph(g, opsets, &mut Placed::default(), true)?;
            proto::AttributeProto { r#type: 5, g: Some(g), ..named }
        }
        Attribute::Floats(floats) => proto::AttributeProto { r#type: 6, floats: floats.clone(), ..named },
        Attribute::Ints(ints) => proto::AttributeProto { r#type: 7, ints: ints.clone(), ..named },
        Attribute::Strings(s) => proto::AttributeProto { r#type: 8, strings: strings(s), ..named },
        Attribute::Type(ty) => proto::AttributeProto { r#type: 13, tp: Some(write_type(ty)), ..named },
        Attribute::Reference(_) | Attribute::Other(_) => {
            crate::error::bail!(Unsupported, "attribute \"{name}\" is of a kind that is not written")
        }
    })
}

fn write_tensor(name: &str, tensor: &Tensor, place: Option<Place>) -> proto::TensorProto {
    let mut written = proto::TensorProto {
        name: name.to_string(),
        dims: tensor.shape().iter().map(|&size| size as i64).collect(),
        data_type: tensor.dtype().onnx(),
        ..Default::default()
    };
    match (tensor.strings(), place) {
        (Some(strings), _) => {
            written.string_data = strings.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
        }
        (None, Some(Place { location, offset, length })) => {
            let entry = |key: &str, value: String| proto::StringStringEntryProto { key: key.to_string(), value };
            // 1 is TensorProto.DataLocation.EXTERNAL.
            written.data_location = 1;
            written.external_data = vec![
                entry("location", location),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ];
        }
        (None, None) => written.raw_data = packed(tensor),
    }
    written
}

fn write_value_info(info: &ValueInfo) -> proto::ValueInfoProto {
    let r#type = (info.ty != ValueType::Unknown).then(|| write_type(&info.ty));
    proto::ValueInfoProto { name: info.name.clone(), r#type }
}

fn write_type(ty: &ValueType) -> proto::TypeProto {
    let element = |inner: &ValueType| {
        let elem_type = (*inner != ValueType::Unknown).then(|| Box::new(write_type(inner)));
        Box::new(proto::ElementType { elem_type })
    };
    let tensor = |dtype: DataType, shape: Option<&[Dim]>| proto::TensorType {
        elem_type: dtype.onnx(),
        shape: shape.map(|dims| proto::TensorShapeProto { dim: dims.iter().map(write_dim).collect() }),
    };
    let value = match ty {
        ValueType::Tensor { dtype, shape } => Some(proto::TypeValue::Tensor(tensor(*dtype, shape.as_deref()))),
        ValueType::Sequence(inner) => Some(proto::TypeValue::Sequence(element(inner))),
        ValueType::Optional(inner) => Some(proto::TypeValue::Optional(element(inner))),
        ValueType::Map(key, value) => Some(proto::TypeValue::Map(Box::new(proto::MapType {
            key_type: key.onnx(),
            value_type: Some(Box::new(proto::TypeProto {
                value: Some(proto::TypeValue::Tensor(tensor(*value, Some(&[])))),
            })),
        }))),
        ValueType::Unknown => None,
    };
    proto::TypeProto { value }
}

fn write_dim(dim: &Dim) -> proto::Dimension {
    let value = match dim {
        Dim::Size(size) => Some(proto::DimensionValue::Size(*size as i64)),
        // The name that reading gives to what has none.
        Dim::Name(name) if name == "?" => None,
        Dim::Name(name) => Some(proto::DimensionValue::Name(name.clone())),
    };
    proto::Dimension { value }
}
