//! What the fuzz targets share: tensors, attributes and graphs from a fuzzer's bytes, and a way to
//! run a model that must end; a limit to memory.

pub mod imported;
pub mod json;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use firebrand::graph::{Attribute, Dim, Graph, Node, ValueInfo, ValueType};
use firebrand::ops::{OPERATORS, Operator, Type};
use firebrand::{DataType, ErrorKind, Feed, Model, RunOptions, Session, SessionOptions, Tensor};

/// Asking for more memory than this at once or in all is a defect: inputs are of kilobytes. libFuzzer has a limit of its
/// own, which needs a sanitizer.
const MOST_MEMORY: usize = 1 << 28;

#[global_allocator]
static MEMORY: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MOST_MEMORY);

/// The largest tensor that a node may make.
const MAX_TENSOR_BYTES: usize = 1 << 20;

/// A run is ended by its caller after this; only loops may take as long.
const PATIENCE: Duration = Duration::from_millis(500);

/// A flag that ends the run that starts now, when it takes too long.
fn terminate() -> Arc<AtomicBool> {
    static STATE: OnceLock<(Arc<AtomicBool>, Arc<AtomicU64>, Instant)> = OnceLock::new();
    let (flag, started, epoch) = STATE.get_or_init(|| {
        let (flag, started, epoch) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Instant::now());
        let (watched, since) = (flag.clone(), started.clone());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(PATIENCE / 10);
                let elapsed = epoch.elapsed().as_millis() as u64;
                if elapsed.saturating_sub(since.load(Ordering::Relaxed)) > PATIENCE.as_millis() as u64 {
                    watched.store(true, Ordering::Relaxed);
                }
            }
        });
        (flag, started, epoch)
    });
    started.store(epoch.elapsed().as_millis() as u64, Ordering::Relaxed);
    flag.store(false, Ordering::Relaxed);
    flag.clone()
}

/// Loads and runs; every answer but a defect is a good one.
pub fn run(model: Model, feeds: Vec<(String, Feed)>) {
    let session = Session::load_blocking(
        model,
        SessionOptions { max_tensor_bytes: MAX_TENSOR_BYTES, ..SessionOptions::default() },
    );
    let session = match session {
        Ok(session) => session,
        Err(error) => return assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
    };
    let options = RunOptions { terminate: Some(terminate()), ..RunOptions::default() };
    match session.run_blocking(feeds, options) {
        Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
        Ok(found) => {
            for (info, (name, feed)) in session.outputs().zip(&found) {
                if let (ValueType::Tensor { dtype, .. }, Feed::Tensor(tensor)) = (&info.ty, feed) {
                    assert_eq!(*dtype, tensor.dtype(), "output {name}");
                }
            }
        }
    }
}

/// Zeros for what a model declares, sizes known at run time being `free`.
pub fn zeros(ty: &ValueType, free: usize) -> Option<Feed> {
    match ty {
        ValueType::Tensor { dtype, shape } => {
            let size = |d: &Dim| if let Dim::Size(size) = d { *size } else { free };
            let shape: Vec<usize> = shape.iter().flatten().map(size).collect();
            let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n < 1 << 16)?;
            let tensor = match dtype {
                DataType::String => Tensor::from_strings(shape, vec![String::new(); count]),
                _ => Tensor::from_bytes(*dtype, shape, vec![0; count * dtype.size()]),
            };
            tensor.ok().map(Feed::Tensor)
        }
        ValueType::Sequence(inner) => match &**inner {
            ValueType::Tensor { dtype, .. } => Some(Feed::Sequence(*dtype, Vec::new())),
            _ => None,
        },
        ValueType::Optional(_) => Some(Feed::Absent),
        _ => None,
    }
}

const DTYPES: &[DataType] = &[
    DataType::Float32,
    DataType::Float32,
    DataType::Float32,
    DataType::Int64,
    DataType::Int64,
    DataType::Int32,
    DataType::Uint8,
    DataType::Int8,
    DataType::Bool,
    DataType::Float64,
    DataType::Float16,
    DataType::BFloat16,
    DataType::Int16,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::String,
    DataType::Float8E4M3FN,
    DataType::Float8E5M2FNUZ,
    DataType::Int4,
    DataType::Uint4,
];

/// Words that attributes of some operator understand.
const WORDS: &[&str] = &[
    "",
    "NOTSET",
    "VALID",
    "SAME_UPPER",
    "SAME_LOWER",
    "constant",
    "edge",
    "reflect",
    "wrap",
    "nearest",
    "linear",
    "cubic",
    "bilinear",
    "bicubic",
    "zeros",
    "border",
    "reflection",
    "half_pixel",
    "half_pixel_symmetric",
    "align_corners",
    "asymmetric",
    "pytorch_half_pixel",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
    "round_prefer_floor",
    "round_prefer_ceil",
    "floor",
    "ceil",
    "stretch",
    "not_larger",
    "not_smaller",
    "none",
    "add",
    "mul",
    "max",
    "min",
    "sum",
    "mean",
    "avg",
    "forward",
    "reverse",
    "bidirectional",
    "Relu",
    "Tanh",
    "Sigmoid",
    "LeakyRelu",
    "HardSigmoid",
    "Affine",
    "ScaledTanh",
    "tanh",
    "DCR",
    "CRD",
    "ij,jk->ik",
    "...ii->...i",
    "ij->ji",
    "bij,bjk",
    "i,i->",
    "RIGHT",
    "LEFT",
    "NONE",
    "LOWER",
    "UPPER",
    "TF",
    "IDF",
    "TFIDF",
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "LEAF",
    "SOFTMAX",
    "LOGISTIC",
    "SOFTMAX_ZERO",
    "PROBIT",
    "SUM",
    "AVERAGE",
    "MIN",
    "MAX",
    "LINEAR",
    "POLY",
    "RBF",
    "SIGMOID",
    "MAX",
    "L1",
    "L2",
    "[a-z]+",
    "a(b|c)*d",
    " ",
];

fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok([0, 1, 1, 2, 2, 3, 3, 4, 5, 8][u.choose_index(10)?])
}

fn shape(u: &mut Unstructured<'_>) -> Result<Vec<usize>> {
    let rank = [0, 1, 1, 2, 2, 3, 3, 4, 4, 5][u.choose_index(10)?];
    (0..rank).map(|_| size(u)).collect()
}

fn int(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u.choose_index(8)? {
        0..=4 => u.int_in_range(-2..=4)?,
        5 => u.int_in_range(-16..=64)?,
        6 => [i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX), 1 << 20, -1 << 20][u.choose_index(6)?],
        _ => u.arbitrary()?,
    })
}

fn float(u: &mut Unstructured<'_>) -> Result<f32> {
    Ok(match u.choose_index(6)? {
        0..=2 => u.int_in_range(-8i8..=8)? as f32 / 2.0,
        3 => [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-40]
            [u.choose_index(8)?],
        4 => u.int_in_range(0u16..=1000)? as f32 / 1000.0,
        _ => f32::from_bits(u.arbitrary()?),
    })
}

fn word(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(7, 8)? {
        Ok((*u.choose(WORDS)?).to_string())
    } else {
        Ok(u.arbitrary::<&str>()?.chars().take(12).collect())
    }
}

/// A tensor of `dtype` and `shape` with telling elements.
fn tensor_of(u: &mut Unstructured<'_>, dtype: DataType, shape: Vec<usize>) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let shape = if count > 4096 { vec![2, 3] } else { shape };
    let count: usize = shape.iter().product();
    if dtype == DataType::String {
        let strings = (0..count).map(|_| word(u)).collect::<Result<_>>()?;
        return Tensor::from_strings(shape, strings).map_err(|_| arbitrary::Error::IncorrectFormat);
    }
    // A few elements, repeated: bytes are better spent on the graph.
    let pattern = u.int_in_range(1..=8)?;
    let mut bytes = Vec::with_capacity(count * dtype.size());
    for _ in 0..pattern.min(count) {
        let whole = int(u)?;
        match dtype {
            DataType::Float32 => bytes.extend(float(u)?.to_le_bytes()),
            DataType::Float64 => bytes.extend(f64::from(float(u)?).to_le_bytes()),
            DataType::Bool => bytes.push((whole & 1) as u8),
            _ => bytes.extend(&whole.to_le_bytes()[..dtype.size()]),
        }
    }
    let whole = bytes.len();
    let bytes: Vec<u8> = (0..count * dtype.size()).map(|i| bytes[i % whole.max(1)]).collect();
    Tensor::from_bytes(dtype, shape, bytes).map_err(|_| arbitrary::Error::IncorrectFormat)
}

fn list<T>(u: &mut Unstructured<'_>, each: fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = [0, 1, 2, 2, 3, 4, 4, 6, 8][u.choose_index(9)?];
    (0..count).map(|_| each(u)).collect()
}

fn bytes_of(word: String) -> Vec<u8> {
    word.into_bytes()
}

fn attribute(u: &mut Unstructured<'_>, name: &str, depth: usize) -> Result<Attribute> {
    if matches!(name, "body" | "then_branch" | "else_branch") && u.ratio(15, 16)? {
        return Ok(Attribute::Graph(graph(u, depth + 1)?.0));
    }
    Ok(match u.choose_index(9)? {
        0 | 1 => Attribute::Int(int(u)?),
        2 => Attribute::Float(float(u)?),
        3 => Attribute::String(bytes_of(word(u)?)),
        4 | 5 => Attribute::Ints(list(u, int)?),
        6 => Attribute::Floats(list(u, float)?),
        7 => Attribute::Strings(list(u, |u| word(u).map(bytes_of))?),
        _ => {
            let (dtype, shape) = (*u.choose(DTYPES)?, shape(u)?);
            Attribute::Tensor(tensor_of(u, dtype, shape)?)
        }
    })
}

/// Values that later nodes may take.
struct Pool {
    names: Vec<String>,
    /// Of what is known.
    types: HashMap<String, Type>,
    graph: Graph,
    feeds: Vec<(String, Feed)>,
}

impl Pool {
    fn new() -> Self {
        Self { names: Vec::new(), types: HashMap::new(), graph: Graph::default(), feeds: Vec::new() }
    }

    fn is_tensor(&self, name: &str) -> bool {
        self.graph.initializers.contains_key(name) || self.feeds.iter().any(|(n, _)| n == name)
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let fed = self.feeds.iter().find_map(|(n, feed)| match feed {
            Feed::Tensor(tensor) if n == name => Some(tensor),
            _ => None,
        });
        fed.or_else(|| self.graph.initializers.get(name)).map(|tensor| tensor.shape().to_vec())
    }

    /// Puts another tensor in the place of one.
    fn replace(&mut self, name: &str, tensor: Tensor) {
        self.types.insert(name.to_string(), Type::Tensor(tensor.dtype()));
        if let Some(info) = self.graph.inputs.iter_mut().find(|info| info.name == name) {
            info.ty = ValueType::Tensor { dtype: tensor.dtype(), shape: None };
        }
        match self.feeds.iter_mut().find(|(n, _)| n == name) {
            Some((_, feed)) => *feed = Feed::Tensor(tensor),
            None => drop(self.graph.initializers.insert(name.to_string(), tensor)),
        }
    }

    fn tensor(&mut self, u: &mut Unstructured<'_>, dtype: DataType, may_feed: bool) -> Result<String> {
        let shape = shape(u)?;
        let tensor = tensor_of(u, dtype, shape)?;
        let name = format!("v{}", self.names.len());
        self.types.insert(name.clone(), Type::Tensor(dtype));
        if may_feed && u.ratio(2, 3)? {
            let ty = ValueType::Tensor { dtype: tensor.dtype(), shape: None };
            self.graph.inputs.push(ValueInfo { name: name.clone(), ty });
            self.feeds.push((name.clone(), Feed::Tensor(tensor)));
        } else {
            self.graph.initializers.insert(name.clone(), tensor);
        }
        self.names.push(name.clone());
        Ok(name)
    }
}

/// A node of `operator` whose inputs are new tensors or, where `reuse`, earlier values.
fn node(u: &mut Unstructured<'_>, operator: &Operator, pool: &mut Pool, reuse: bool, depth: usize) -> Result<()> {
    let most = (*operator.inputs.end()).min(operator.inputs.start() + 4).min(12);
    let count = u.int_in_range(*operator.inputs.start()..=most)?;
    let main = *u.choose(DTYPES)?;
    let mut inputs = Vec::with_capacity(count);
    for index in 0..count {
        inputs.push(if index > 0 && u.ratio(1, 8)? {
            String::new()
        } else if reuse && !pool.names.is_empty() && u.ratio(3, 4)? {
            u.choose(&pool.names)?.clone()
        } else {
            let dtype = match (operator.parameters.contains(&index), u.choose_index(8)?) {
                (true, 0..=5) => DataType::Int64,
                (_, 6) => *u.choose(DTYPES)?,
                _ => main,
            };
            pool.tensor(u, dtype, depth == 0)?
        });
    }
    let outputs =
        u.int_in_range(*operator.outputs.start()..=(*operator.outputs.end()).min(operator.outputs.start() + 3))?;
    let outputs: Vec<String> = (0..outputs).map(|i| format!("n{depth}_{}_{i}", pool.graph.nodes.len())).collect();
    let mut attributes = HashMap::new();
    for name in operator.attributes {
        if u.ratio(1, 2)? {
            attributes.insert((*name).to_string(), attribute(u, name, depth)?);
        }
    }
    let opset = if operator.domain.is_empty() { u.int_in_range(6..=23)? } else { u.int_in_range(1..=5)? };
    let mut node = Node {
        name: format!("node{}", pool.graph.nodes.len()),
        domain: operator.domain.to_string(),
        op_type: operator.name.to_string(),
        opset,
        inputs,
        outputs,
        attributes,
    };
    // Most nodes shall get to run; the others show that any is refused with an error.
    if u.ratio(15, 16)? {
        if let Some(types) = mend(u, operator, &mut node, pool, depth)? {
            pool.types.extend(node.outputs.iter().cloned().zip(types));
        }
        fit(u, operator, &node, pool)?;
    }
    pool.names.extend(node.outputs.iter().cloned());
    pool.graph.nodes.push(node);
    Ok(())
}

/// Changes attributes and dtypes for as long as the operator refuses them, by what it says of
/// them; gives the types of the outputs where it has no more to say.
fn mend(
    u: &mut Unstructured<'_>,
    operator: &Operator,
    node: &mut Node,
    pool: &mut Pool,
    depth: usize,
) -> Result<Option<Vec<Type>>> {
    for _ in 0..12 {
        let types: Vec<Option<Type>> = node.inputs.iter().map(|name| pool.types.get(name).cloned()).collect();
        let known = node.inputs.iter().zip(&types).all(|(name, ty)| name.is_empty() || ty.is_some());
        let refused = match operator.prepare(node) {
            Err(error) => error.to_string(),
            Ok(op) if known => match op.types(&types) {
                Err(error) => error.to_string(),
                Ok(types) => return Ok(Some(types)),
            },
            Ok(_) => return Ok(None),
        };
        if let Some((_, rest)) = refused.split_once("attribute \"")
            && let Some((name, said)) = rest.split_once('"')
        {
            let new = if said.contains("not an integer") {
                Attribute::Int(int(u)?)
            } else if said.contains("not a float") {
                Attribute::Float(float(u)?)
            } else if said.contains("not a string") {
                Attribute::String(bytes_of(word(u)?))
            } else if said.contains("list of integers") {
                Attribute::Ints(list(u, int)?)
            } else if said.contains("list of floats") {
                Attribute::Floats(list(u, float)?)
            } else if said.contains("list of strings") {
                Attribute::Strings(list(u, |u| word(u).map(bytes_of))?)
            } else if said.contains("not a tensor") {
                let (dtype, shape) = (*u.choose(DTYPES)?, shape(u)?);
                Attribute::Tensor(tensor_of(u, dtype, shape)?)
            } else if let Some((_, choices)) = said.split_once("expected one of ") {
                let choices = choices.split(", got").next().unwrap_or_default();
                let choices: Vec<&str> = choices.split(", ").collect();
                Attribute::String(u.choose(&choices)?.as_bytes().to_vec())
            } else if said.contains("missing") {
                attribute(u, name, depth)?
            } else if node.attributes.remove(name).is_some() {
                continue;
            } else {
                return Ok(None);
            };
            node.attributes.insert(name.to_string(), new);
            continue;
        }
        let Some((index, said)) = refused.split_once("input ").and_then(|(_, rest)| rest.split_once([':', ' '])) else {
            return Ok(None);
        };
        let Some(name) = index.parse::<usize>().ok().and_then(|index| node.inputs.get_mut(index)) else {
            return Ok(None);
        };
        let expected = said.split("got").next().unwrap_or_default();
        let named = |dtype: &DataType| expected.split([' ', ',']).any(|word| word == dtype.name());
        let mut dtypes: Vec<DataType> = DTYPES.iter().copied().filter(named).collect();
        if dtypes.is_empty() {
            dtypes = vec![DataType::Float32, DataType::Float64, DataType::Int64, DataType::Int32];
        }
        let dtype = *u.choose(&dtypes)?;
        match pool.shape(name) {
            Some(shape) => {
                let tensor = tensor_of(u, dtype, shape)?;
                pool.replace(name, tensor);
            }
            None => *name = pool.tensor(u, dtype, depth == 0)?,
        }
    }
    Ok(None)
}

/// Gives inputs the shape of the first, or one that goes with it.
fn fit(u: &mut Unstructured<'_>, operator: &Operator, node: &Node, pool: &mut Pool) -> Result<()> {
    let Some(first) = node.inputs.first().and_then(|name| pool.shape(name)) else { return Ok(()) };
    for (index, name) in node.inputs.iter().enumerate().skip(1) {
        let (true, Some(Type::Tensor(dtype))) = (pool.is_tensor(name), pool.types.get(name).cloned()) else { continue };
        let shape = match u.choose_index(8)? {
            0..=2 => continue,
            3 if operator.parameters.contains(&index) => vec![first.len()],
            3 => first.clone(),
            4 => first.get(1).copied().into_iter().collect(),
            5 => Vec::new(),
            6 => first[u.choose_index(first.len() + 1)?..].to_vec(),
            _ => first.iter().rev().copied().collect(),
        };
        let tensor = tensor_of(u, dtype, shape)?;
        pool.replace(name, tensor);
    }
    Ok(())
}

fn finish(u: &mut Unstructured<'_>, mut pool: Pool) -> Result<(Graph, Vec<(String, Feed)>)> {
    let count = u.int_in_range(1..=3)?;
    for _ in 0..count.min(pool.names.len()) {
        // The latest values depend on the most nodes.
        let at = pool.names.len() - 1 - u.choose_index(pool.names.len().min(4))?;
        let name = pool.names[at].clone();
        if pool.graph.outputs.iter().all(|o| o.name != name) {
            pool.graph.outputs.push(ValueInfo { name, ty: ValueType::Unknown });
        }
    }
    Ok((pool.graph, pool.feeds))
}

/// One node on its own.
pub fn single(u: &mut Unstructured<'_>) -> Result<(Graph, Vec<(String, Feed)>)> {
    let operator = u.choose(OPERATORS)?;
    let mut pool = Pool::new();
    node(u, operator, &mut pool, false, 0)?;
    let outputs = pool.graph.nodes[0].outputs.clone();
    pool.graph.outputs = outputs.into_iter().map(|name| ValueInfo { name, ty: ValueType::Unknown }).collect();
    Ok((pool.graph, pool.feeds))
}

/// A small graph; at `depth` above 0 a body, whose inputs are of unknown type.
pub fn graph(u: &mut Unstructured<'_>, depth: usize) -> Result<(Graph, Vec<(String, Feed)>)> {
    let mut pool = Pool::new();
    if depth > 0 {
        for index in 0..u.int_in_range(0..=4)? {
            let name = format!("b{depth}_{index}");
            pool.graph.inputs.push(ValueInfo { name: name.clone(), ty: ValueType::Unknown });
            pool.names.push(name);
        }
        // Values of the graph outside.
        if u.ratio(1, 2)? {
            pool.names.push("v0".to_string());
        }
    }
    let nodes = if depth > 2 { 1 } else { u.int_in_range(1..=6)? };
    for _ in 0..nodes {
        let operator = u.choose(OPERATORS)?;
        if depth <= 2 || !operator.attributes.iter().any(|a| matches!(*a, "body" | "then_branch")) {
            node(u, operator, &mut pool, true, depth)?;
        }
    }
    finish(u, pool)
}

/// A model around a graph.
pub fn model(graph: Graph) -> Model {
    Model { graph, ir_version: 10, producer: String::new(), metadata: Vec::new() }
}
