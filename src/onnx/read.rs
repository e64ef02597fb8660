//! Reads a model and its external data.

use std::collections::{HashMap, HashSet};

use bytes::{Buf, Bytes};
use prost::Message;

use super::functions::Functions;
use super::proto::{self, ModelProto};
use super::source::{Reader, Source};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{Attribute, DataType, Dim, Graph, Node, Tensor, ValueInfo, ValueType};

/// Weight files that a model refers to, by the location it names.
pub type ExternalData = HashMap<String, Bytes>;

/// Control-flow bodies inside bodies, at most; deeper files are hostile.
const MAX_GRAPH_DEPTH: usize = 16;

/// A model as its file has it.
#[derive(Debug, Clone)]
pub struct Model {
    /// The graph to run.
    pub graph: Graph,
    /// The version of ONNX's file format.
    pub ir_version: i64,
    /// The program that wrote the file, with its version.
    pub producer: String,
    /// Key and value pairs that the file carries.
    pub metadata: Vec<(String, String)>,
}

impl Model {
    /// Reads an ONNX file. `external` holds the weight files it refers to (see
    /// [`inspect`](super::inspect)).
    ///
    /// Errors: `EmptyFile`, `NotAModel`, `Truncated`, `InvalidModel`, `MissingExternalData`,
    /// `Unsupported`, `LimitExceeded`.
    pub fn from_onnx(bytes: impl Into<Bytes>, external: &ExternalData) -> Result<Self> {
        Self::read(&bytes.into(), external)
    }

    /// [`from_onnx`](Self::from_onnx) from wherever the file is; of its weights, each is copied
    /// once.
    pub fn read(source: &dyn Source, external: &ExternalData) -> Result<Self> {
        let model = decode(source, usize::MAX)?;
        let opsets = read_opsets(&model.opset_import);
        let functions = Functions::read(model.functions, external)?;
        let graph = model.graph.expect("decode refuses a model without a graph");
        Ok(Self {
            graph: functions.inline(read_graph(graph, &opsets, external, 0)?)?,
            ir_version: model.ir_version.unwrap_or(0),
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_string(),
            metadata: model.metadata_props.into_iter().map(|p| (p.key, p.value)).collect(),
        })
    }
}

pub(super) fn read_opsets(imports: &[proto::OperatorSetIdProto]) -> HashMap<String, i64> {
    let domain = |name: &str| if name == "ai.onnx" { String::new() } else { name.to_string() };
    imports.iter().map(|import| (domain(&import.domain), import.version)).collect()
}

/// Decodes a model; byte strings longer than `longest`, weights above all, are left out.
pub(super) fn decode(source: &dyn Source, longest: usize) -> Result<ModelProto> {
    let length = source.byte_len();
    match scan(source)? {
        Scan::Whole => {}
        Scan::CutShort { field_end } => bail!(
            Truncated,
            "a part of the model reaches to byte {field_end}, the file ends at {length}: the download is probably cut short"
        ),
    }
    let model = ModelProto::decode(Reader::without_more_than(source, longest))
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("the file is not valid ONNX: {error}")))?;
    ensure!(
        model.graph.is_some() && !model.opset_import.is_empty(),
        Truncated,
        "the file ({length} bytes) has no {}: the download is probably cut short",
        if model.graph.is_none() { "graph" } else { "opset" }
    );
    Ok(model)
}

/// What files open with that are often taken for models by mistake.
const STRANGERS: [(&[u8], &str); 9] = [
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file (a WebP picture, or sound)"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive, to be unpacked first"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF", "an HDF5 file, to be converted first"),
    (b"\x93NUMPY", "a NumPy array"),
];

enum Scan {
    Whole,
    CutShort { field_end: u64 },
}

/// Walks the outermost protobuf fields, to tell a model cut short from something else.
fn scan(source: &dyn Source) -> Result<Scan> {
    let length = source.byte_len();
    ensure!(length > 0, EmptyFile, "the model file is empty (0 bytes)");
    let mut rest = Reader::new(source);
    let bytes = rest.chunk();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if text.starts_with(b"<") {
        bail!(
            NotAModel,
            "this is an HTML or XML page, not a model: the server probably answered with a page instead of the file; check the address"
        );
    }
    if text.starts_with(b"{") || text.starts_with(b"version https://git-lfs") {
        bail!(NotAModel, "this is text (JSON or a Git LFS pointer), not an ONNX model; fetch the file itself");
    }
    if let Some((_, what)) = STRANGERS.iter().find(|(opening, _)| bytes.starts_with(opening)) {
        bail!(NotAModel, "this is {what}, not an ONNX model");
    }
    while rest.has_remaining() {
        let at = rest.position();
        let left = rest.remaining();
        let not_a_model = || {
            Error::new(
                ErrorKind::NotAModel,
                format!("the bytes are not an ONNX model (no protobuf field at byte {at})"),
            )
        };
        let cut = |end: u64| Ok(Scan::CutShort { field_end: end });
        let Some(tag) = varint(&mut rest) else {
            return if left < 10 && at > 0 { cut(length as u64 + 1) } else { Err(not_a_model()) };
        };
        // ModelProto's fields: two are numbers, the rest texts and messages.
        let known = match tag >> 3 {
            1 | 5 => tag & 7 == 0,
            2..=4 | 6..=8 | 14 | 20 | 25 | 26 => tag & 7 == 2,
            _ => false,
        };
        if !known {
            return Err(not_a_model());
        }
        let skip = match tag & 7 {
            0 => match varint(&mut rest) {
                Some(_) => 0,
                None => return cut(length as u64 + 1),
            },
            2 => match varint(&mut rest) {
                Some(skip) => skip,
                None => return cut(length as u64 + 1),
            },
            _ => return Err(not_a_model()),
        };
        let start = rest.position() as u64;
        if skip > rest.remaining() as u64 {
            return if skip > 1 << 40 { Err(not_a_model()) } else { cut(start + skip) };
        }
        rest.advance(skip as usize);
    }
    Ok(Scan::Whole)
}

fn varint(rest: &mut Reader<'_>) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..10 {
        let byte = *rest.chunk().first()?;
        rest.advance(1);
        value |= u64::from(byte & 0x7f).checked_shl(7 * i).unwrap_or(0);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn read_graph(
    graph: proto::GraphProto,
    opsets: &HashMap<String, i64>,
    external: &ExternalData,
    depth: usize,
) -> Result<Graph> {
    ensure!(depth < MAX_GRAPH_DEPTH, LimitExceeded, "graphs are nested more than {MAX_GRAPH_DEPTH} deep");
    let mut initializers = HashMap::with_capacity(graph.initializer.len());
    let mut add = |name: String, value: Result<Tensor>| {
        let value = value.map_err(|e| named(e, &format!("initializer \"{name}\"")))?;
        ensure!(!initializers.contains_key(&name), InvalidModel, "two initializers are named \"{name}\"");
        initializers.insert(name, value);
        Ok(())
    };
    for tensor in graph.initializer {
        add(tensor.name.clone(), read_tensor(tensor, external))?;
    }
    for sparse in graph.sparse_initializer {
        let name = sparse.values.as_ref().map(|v| v.name.clone()).unwrap_or_default();
        add(name, read_sparse(sparse, external))?;
    }
    let nodes = read_nodes(graph.node, opsets, external, depth)?;
    let mut inputs = Vec::new();
    for info in graph.input {
        if !initializers.contains_key(&info.name) {
            inputs.push(read_value_info(info)?);
        }
    }
    let outputs = graph.output.into_iter().map(read_value_info).collect::<Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    for value in inputs.iter().chain(&outputs) {
        ensure!(!value.name.is_empty(), InvalidModel, "an input or output has no name");
    }
    for input in &inputs {
        ensure!(seen.insert(&input.name), InvalidModel, "two inputs are named \"{}\"", input.name);
    }
    Ok(Graph { name: graph.name, nodes, inputs, outputs, initializers, opsets: opsets.clone() })
}

pub(super) fn read_nodes(
    nodes: Vec<proto::NodeProto>,
    opsets: &HashMap<String, i64>,
    external: &ExternalData,
    depth: usize,
) -> Result<Vec<Node>> {
    let mut read = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.into_iter().enumerate() {
        let name = if node.name.is_empty() { format!("{}_{index}", node.op_type) } else { node.name };
        let domain = if node.domain == "ai.onnx" { String::new() } else { node.domain };
        let opset = opsets.get(&domain).copied().unwrap_or(1);
        let mut attributes = HashMap::with_capacity(node.attribute.len());
        for attribute in node.attribute {
            let attribute_name = attribute.name.clone();
            let value = read_attribute(attribute, opsets, external, depth)
                .map_err(|e| named(e, &format!("attribute \"{attribute_name}\"")).at_node(&name, &node.op_type))?;
            attributes.insert(attribute_name, value);
        }
        let op_type = node.op_type;
        read.push(Node { name, domain, op_type, opset, inputs: node.input, outputs: node.output, attributes });
    }
    Ok(read)
}

pub(super) fn named(error: Error, place: &str) -> Error {
    let mut renamed = Error::new(error.kind(), format!("{place}: {}", error.message()));
    if let Some(file) = error.file() {
        renamed = renamed.in_file(file);
    }
    if let (Some(node), Some(operator)) = (error.node(), error.operator()) {
        renamed = renamed.at_node(node, operator);
    }
    renamed
}

pub(super) fn read_attribute(
    attribute: proto::AttributeProto,
    opsets: &HashMap<String, i64>,
    external: &ExternalData,
    depth: usize,
) -> Result<Attribute> {
    if !attribute.ref_attr_name.is_empty() {
        return Ok(Attribute::Reference(attribute.ref_attr_name));
    }
    // Files of the first IR versions carry no type: the field that is there tells.
    Ok(match attribute.r#type {
        1 => Attribute::Float(attribute.f.unwrap_or(0.0)),
        2 => Attribute::Int(attribute.i.unwrap_or(0)),
        3 => Attribute::String(attribute.s.unwrap_or_default().to_vec()),
        4 => match attribute.t {
            Some(tensor) => Attribute::Tensor(read_tensor(tensor, external)?),
            None => bail!(InvalidModel, "a tensor is announced and missing"),
        },
        5 => match attribute.g {
            Some(graph) => Attribute::Graph(read_graph(graph, opsets, external, depth + 1)?),
            None => bail!(InvalidModel, "a graph is announced and missing"),
        },
        6 => Attribute::Floats(attribute.floats),
        7 => Attribute::Ints(attribute.ints),
        8 => Attribute::Strings(attribute.strings.iter().map(|s| s.to_vec()).collect()),
        9 => Attribute::Other("tensors"),
        10 => Attribute::Other("graphs"),
        11 => match attribute.sparse_tensor {
            Some(sparse) => Attribute::Tensor(read_sparse(sparse, external)?),
            None => bail!(InvalidModel, "a sparse tensor is announced and missing"),
        },
        12 => Attribute::Other("sparse_tensors"),
        13 => match attribute.tp {
            Some(ty) => Attribute::Type(read_type(ty, 0)?),
            None => bail!(InvalidModel, "a type is announced and missing"),
        },
        14 => Attribute::Other("type_protos"),
        0 if attribute.f.is_some() => Attribute::Float(attribute.f.unwrap_or(0.0)),
        0 if attribute.i.is_some() => Attribute::Int(attribute.i.unwrap_or(0)),
        0 if attribute.s.is_some() => Attribute::String(attribute.s.unwrap_or_default().to_vec()),
        0 if !attribute.floats.is_empty() => Attribute::Floats(attribute.floats),
        0 if !attribute.strings.is_empty() => {
            Attribute::Strings(attribute.strings.iter().map(|s| s.to_vec()).collect())
        }
        0 => Attribute::Ints(attribute.ints),
        other => bail!(InvalidModel, "its type {other} is none of ONNX's"),
    })
}

pub(super) fn read_value_info(info: proto::ValueInfoProto) -> Result<ValueInfo> {
    let ty = match info.r#type {
        Some(ty) => read_type(ty, 0).map_err(|e| named(e, &format!("value \"{}\"", info.name)))?,
        None => ValueType::Unknown,
    };
    Ok(ValueInfo { name: info.name, ty })
}

fn read_type(ty: proto::TypeProto, depth: usize) -> Result<ValueType> {
    ensure!(depth < MAX_GRAPH_DEPTH, LimitExceeded, "types are nested more than {MAX_GRAPH_DEPTH} deep");
    let element = |inner: Box<proto::ElementType>| match inner.elem_type {
        Some(ty) => read_type(*ty, depth + 1),
        None => Ok(ValueType::Unknown),
    };
    Ok(match ty.value {
        Some(proto::TypeValue::Tensor(tensor)) => {
            let shape = tensor.shape.map(|shape| shape.dim.into_iter().map(read_dim).collect());
            ValueType::Tensor { dtype: data_type(tensor.elem_type)?, shape }
        }
        Some(proto::TypeValue::Sequence(inner)) => ValueType::Sequence(Box::new(element(inner)?)),
        Some(proto::TypeValue::Optional(inner)) => ValueType::Optional(Box::new(element(inner)?)),
        Some(proto::TypeValue::Map(map)) => match map.value_type.map(|ty| read_type(*ty, depth + 1)).transpose()? {
            Some(ValueType::Tensor { dtype, .. }) => ValueType::Map(data_type(map.key_type)?, dtype),
            _ => bail!(Unsupported, "maps to anything but numbers are not supported"),
        },
        Some(proto::TypeValue::SparseTensor(_)) => bail!(Unsupported, "sparse tensors are not supported"),
        None => ValueType::Unknown,
    })
}

fn read_dim(dim: proto::Dimension) -> Dim {
    match dim.value {
        // Exporters write 0 and -1 for sizes that they do not know.
        Some(proto::DimensionValue::Size(size)) if size > 0 => Dim::Size(size as usize),
        Some(proto::DimensionValue::Name(name)) if !name.is_empty() => Dim::Name(name),
        _ => Dim::Name("?".to_string()),
    }
}

pub(super) fn data_type(number: i32) -> Result<DataType> {
    DataType::from_onnx(number).ok_or_else(|| {
        let name = match number {
            0 => "undefined",
            14 => "complex64",
            15 => "complex128",
            23 => "float4e2m1",
            _ => return Error::new(ErrorKind::InvalidModel, format!("element type {number} is none of ONNX's")),
        };
        Error::new(ErrorKind::Unsupported, format!("tensors of {name} are not supported"))
    })
}

pub(super) fn external_entry<'a>(tensor: &'a proto::TensorProto, key: &str) -> Option<&'a str> {
    // 1 is TensorProto.DataLocation.EXTERNAL.
    (tensor.data_location == 1)
        .then(|| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str()))
        .flatten()
}

fn read_shape(dims: &[i64]) -> Result<Vec<usize>> {
    let mut shape = Vec::with_capacity(dims.len());
    for &dim in dims {
        ensure!(dim >= 0, InvalidModel, "a dimension is negative: {dims:?}");
        shape.push(
            usize::try_from(dim)
                .map_err(|_| Error::new(ErrorKind::LimitExceeded, format!("dimension {dim} is too large")))?,
        );
    }
    Ok(shape)
}

/// Reads a constant tensor, also from a stored test case.
pub(crate) fn read_tensor(mut tensor: proto::TensorProto, external: &ExternalData) -> Result<Tensor> {
    let dtype = data_type(tensor.data_type)?;
    let shape = read_shape(&tensor.dims)?;
    let count = crate::graph::element_count(&shape)?;
    let invalid = |e: Error| Error::new(ErrorKind::InvalidModel, e.message());

    if dtype == DataType::String {
        let strings = tensor.string_data.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect();
        return Tensor::from_strings(shape, strings).map_err(invalid);
    }
    if tensor.data_location == 1 {
        let expected = if dtype.is_4_bit() { count.div_ceil(2) } else { count * dtype.size() };
        let bytes = external_bytes(&tensor, expected, external)?;
        return Tensor::from_packed(dtype, shape, bytes.to_vec()).map_err(invalid);
    }
    if let Some(raw) = tensor.raw_data.take() {
        return Tensor::from_packed(dtype, shape, raw.into()).map_err(invalid);
    }
    let t = &tensor;
    match dtype {
        DataType::Float32 => Tensor::from_vec(shape, tensor.float_data),
        DataType::Float64 => Tensor::from_vec(shape, tensor.double_data),
        DataType::Int64 => Tensor::from_vec(shape, tensor.int64_data),
        DataType::Int32 => Tensor::from_vec(shape, tensor.int32_data),
        DataType::Uint64 => Tensor::from_vec(shape, tensor.uint64_data),
        DataType::Uint32 => Tensor::from_vec(shape, t.uint64_data.iter().map(|&v| v as u32).collect()),
        DataType::Int16 => Tensor::from_vec(shape, t.int32_data.iter().map(|&v| v as i16).collect()),
        DataType::Uint16 => Tensor::from_vec(shape, t.int32_data.iter().map(|&v| v as u16).collect()),
        DataType::Int8 => Tensor::from_vec(shape, t.int32_data.iter().map(|&v| v as i8).collect()),
        DataType::Uint8 => Tensor::from_vec(shape, t.int32_data.iter().map(|&v| v as u8).collect()),
        DataType::Bool => Tensor::from_bytes(dtype, shape, t.int32_data.iter().map(|&v| (v != 0) as u8).collect()),
        DataType::Float16 => {
            Tensor::from_vec(shape, t.int32_data.iter().map(|&v| half::f16::from_bits(v as u16)).collect())
        }
        DataType::BFloat16 => {
            Tensor::from_vec(shape, t.int32_data.iter().map(|&v| half::bf16::from_bits(v as u16)).collect())
        }
        DataType::Float8E4M3FN
        | DataType::Float8E4M3FNUZ
        | DataType::Float8E5M2
        | DataType::Float8E5M2FNUZ
        | DataType::Int4
        | DataType::Uint4 => Tensor::from_packed(dtype, shape, t.int32_data.iter().map(|&v| v as u8).collect()),
        DataType::String => unreachable!("strings were read above"),
    }
    .map_err(invalid)
}

/// The most bytes that a sparse tensor may take as a dense one: a few bytes of a file can ask for
/// any size.
const MAX_DENSE: usize = 1 << 30;

/// Reads a sparse tensor as a dense one: zeros, and `values` where `indices` point to, which are
/// row-major positions or one row of indices for each value, in ascending order.
fn read_sparse(sparse: proto::SparseTensorProto, external: &ExternalData) -> Result<Tensor> {
    let (Some(values), Some(indices)) = (sparse.values, sparse.indices) else {
        bail!(InvalidModel, "a sparse tensor without values or indices")
    };
    let (values, indices) = (read_tensor(values, external)?, read_tensor(indices, external)?);
    let shape = read_shape(&sparse.dims)?;
    let rank = shape.len();
    let count = crate::graph::element_count(&shape)?;
    let element = values.dtype().size().max(size_of::<String>() * usize::from(values.strings().is_some()));
    ensure!(
        count.saturating_mul(element) <= MAX_DENSE,
        LimitExceeded,
        "a sparse tensor of shape {shape:?}: at most {MAX_DENSE} bytes are possible as a dense one"
    );
    let stored = values.len();
    let linear = indices.shape() == [stored];
    ensure!(
        values.shape() == [stored] && (linear || indices.shape() == [stored, rank]),
        InvalidModel,
        "a sparse tensor of shape {shape:?}: expected {stored} values and indices [{stored}] or [{stored}, {rank}], got {:?} and {:?}",
        values.shape(),
        indices.shape()
    );
    let Some(indices) = indices.as_slice::<i64>() else {
        bail!(InvalidModel, "a sparse tensor's indices: expected int64, got {}", indices.dtype())
    };
    let sizes = if linear { vec![count] } else { shape.clone() };
    let mut positions = Vec::with_capacity(stored);
    for i in 0..stored {
        let mut at = 0;
        for (d, &size) in sizes.iter().enumerate() {
            let index = indices[i * sizes.len() + d];
            ensure!(
                (0..size as i64).contains(&index),
                InvalidModel,
                "a sparse tensor of shape {shape:?}: index {index} is outside"
            );
            at = at * size + index as usize;
        }
        ensure!(
            positions.last().is_none_or(|&last| last < at),
            InvalidModel,
            "a sparse tensor of shape {shape:?}: the indices are not in ascending order"
        );
        positions.push(at);
    }
    let zeros = match values.dtype() {
        DataType::String => Tensor::from_strings(shape, vec![String::new(); count]),
        dtype => Tensor::from_bytes(dtype, shape, vec![0; count * dtype.size()]),
    };
    zeros?.with_runs(1, &positions, &values)
}

fn external_bytes(tensor: &proto::TensorProto, expected: usize, external: &ExternalData) -> Result<Bytes> {
    let Some(location) = external_entry(tensor, "location") else {
        bail!(InvalidModel, "external data without a location");
    };
    let unsafe_path = location.starts_with(['/', '\\'])
        || location.split(['/', '\\']).any(|part| part == "..")
        || location.contains(':');
    ensure!(!unsafe_path, InvalidModel, "external data must lie beside the model, not at \"{location}\"");
    let number = |key: &str| -> Result<Option<usize>> {
        external_entry(tensor, key)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::new(ErrorKind::InvalidModel, format!("external data's {key} \"{text}\" is not a size"))
                })
            })
            .transpose()
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(expected);
    let Some(file) = external.get(location) else {
        return Err(Error::new(
            ErrorKind::MissingExternalData,
            "the model keeps weights in this file, and it was not given: put it beside the model, or pass it as external data",
        )
        .in_file(location));
    };
    let end = offset.saturating_add(length);
    if end > file.len() {
        return Err(Error::new(
            ErrorKind::Truncated,
            format!("spans bytes {offset}–{end}, the file ends at {}: the download is probably cut short", file.len()),
        )
        .in_file(location));
    }
    Ok(file.slice(offset..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{compare, f32s};

    fn values(shape: &[i64], v: &[f32]) -> proto::TensorProto {
        proto::TensorProto {
            name: "w".into(),
            dims: shape.to_vec(),
            data_type: 1,
            float_data: v.to_vec(),
            ..Default::default()
        }
    }

    fn indices(shape: &[i64], v: &[i64]) -> proto::TensorProto {
        proto::TensorProto { dims: shape.to_vec(), data_type: 7, int64_data: v.to_vec(), ..Default::default() }
    }

    fn dense(dims: &[i64], values: proto::TensorProto, indices: proto::TensorProto) -> Result<Tensor> {
        let sparse = proto::SparseTensorProto { values: Some(values), indices: Some(indices), dims: dims.to_vec() };
        let attribute = proto::AttributeProto {
            name: "sparse_value".into(),
            r#type: 11,
            sparse_tensor: Some(sparse.clone()),
            ..Default::default()
        };
        let node = proto::NodeProto {
            op_type: "Constant".into(),
            output: vec!["y".into()],
            attribute: vec![attribute],
            ..Default::default()
        };
        let graph = proto::GraphProto { node: vec![node], sparse_initializer: vec![sparse], ..Default::default() };
        let import = proto::OperatorSetIdProto { domain: String::new(), version: 13 };
        let model = ModelProto { graph: Some(graph), opset_import: vec![import], ..Default::default() };
        let mut graph = Model::from_onnx(model.encode_to_vec(), &ExternalData::new())?.graph;
        let initializer = graph.initializers.remove("w").expect("it was read");
        let Some(Attribute::Tensor(constant)) = graph.nodes[0].attributes.get("sparse_value") else {
            panic!("expected a tensor, got {:?}", graph.nodes[0])
        };
        compare(constant, &initializer, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
        Ok(initializer)
    }

    #[test]
    fn sparse_tensors_become_dense() {
        let expected = f32s(&[2, 3], vec![0.0, 5.0, 0.0, 0.0, 0.0, 7.0]);
        for at in [indices(&[2], &[1, 5]), indices(&[2, 2], &[0, 1, 1, 2])] {
            let got = dense(&[2, 3], values(&[2], &[5.0, 7.0]), at).expect("it fits");
            compare(&got, &expected, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
        }
        let none = dense(&[2, 2], values(&[0], &[]), indices(&[0, 2], &[])).expect("it fits");
        compare(&none, &f32s(&[2, 2], vec![0.0; 4]), 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn sparse_tensors_that_make_no_sense_are_refused() {
        let two = || values(&[2], &[5.0, 7.0]);
        for (dims, at, text, kind) in [
            (&[2, 3][..], indices(&[2], &[1, 6]), "index 6 is outside", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[2], &[-1, 1]), "index -1 is outside", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[2, 2], &[0, 0, 0, 3]), "index 3 is outside", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[2], &[1, 1]), "ascending", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[2, 2], &[1, 0, 0, 2]), "ascending", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[3], &[0, 1, 2]), "expected 2 values", ErrorKind::InvalidModel),
            (&[2, 3], indices(&[2, 3], &[0; 6]), "expected 2 values", ErrorKind::InvalidModel),
            (&[-1], indices(&[2], &[0, 1]), "negative", ErrorKind::InvalidModel),
            (&[1 << 20, 1 << 20], indices(&[2], &[0, 1]), "at most", ErrorKind::LimitExceeded),
            (&[1 << 40, 1 << 40], indices(&[2], &[0, 1]), "larger than memory", ErrorKind::LimitExceeded),
        ] {
            let error = dense(dims, two(), at).expect_err(text);
            assert_eq!((error.kind(), error.message().contains(text)), (kind, true), "{error}");
        }
    }
}
