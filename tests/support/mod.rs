//! What the integration tests share: small graphs, seeded numbers, stored tensors, comparisons.
#![allow(dead_code, reason = "every test binary uses a part of it")]

mod random;

use std::path::PathBuf;

use firebrand::graph::{Attribute, Dim, Graph, Node, ValueInfo, ValueType};
use firebrand::{DataType, Error, Feed, Model, Result, RunOptions, Session, SessionOptions, Tensor};
pub use random::Random;

/// The folder of models and data that set-up fills.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    base.unwrap_or_else(home).join("firebrand")
}

/// A file or folder of the cache. None when it is absent and FIREBRAND_SKIP_DATA allows that.
pub fn data(path: &str) -> Option<PathBuf> {
    let full = cache().join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(
        std::env::var_os("FIREBRAND_SKIP_DATA").is_some(),
        "{} is missing: run make test (or node scripts/setup.mjs models:all), or set FIREBRAND_SKIP_DATA to skip",
        full.display()
    );
    println!("skipped: {} is missing and FIREBRAND_SKIP_DATA is set", full.display());
    None
}

impl Random {
    pub fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let values = self.floats(shape.iter().product());
        f32s(shape, values)
    }
}

pub fn f32s(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::from_vec(shape.to_vec(), values).expect("as many values as the shape asks for")
}

pub fn i64s(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_vec(shape.to_vec(), values.to_vec()).expect("as many values as the shape asks for")
}

pub fn strings(shape: &[usize], values: &[&str]) -> Tensor {
    let values = values.iter().map(ToString::to_string).collect();
    Tensor::from_strings(shape.to_vec(), values).expect("as many values as the shape asks for")
}

pub fn bools(shape: &[usize], values: &[bool]) -> Tensor {
    let bytes = values.iter().map(|&v| u8::from(v)).collect();
    Tensor::from_bytes(DataType::Bool, shape.to_vec(), bytes).expect("as many values as the shape asks for")
}

/// Every index into `shape`, in row-major order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let longer = |all: Vec<Vec<usize>>, &size: &usize| {
        all.iter().flat_map(|index| (0..size).map(move |i| [&index[..], &[i]].concat())).collect()
    };
    shape.iter().fold(vec![Vec::new()], longer)
}

/// Where `index` lies in a row-major tensor of `shape`.
pub fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (size, i)| at * size + i)
}

/// A declared tensor; `"?"`-like names are sizes known at run time.
pub fn tensor_type(dtype: DataType, dims: &[&str]) -> ValueType {
    let dim = |d: &&str| d.parse().map_or_else(|_| Dim::Name(d.to_string()), Dim::Size);
    ValueType::Tensor { dtype, shape: Some(dims.iter().map(dim).collect()) }
}

/// A model, put together by hand.
#[derive(Default)]
pub struct Builder(Graph);

impl Builder {
    pub fn new(opset: i64) -> Self {
        let mut graph = Graph { name: "test".into(), ..Graph::default() };
        graph.opsets.insert(String::new(), opset);
        Self(graph)
    }

    pub fn input(mut self, name: &str, ty: ValueType) -> Self {
        self.0.inputs.push(ValueInfo { name: name.into(), ty });
        self
    }

    pub fn constant(mut self, name: &str, value: Tensor) -> Self {
        self.0.initializers.insert(name.into(), value);
        self
    }

    /// `op_type` may open with a domain: `com.microsoft.Gelu`.
    pub fn node(mut self, op_type: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) -> Self {
        let (domain, op_type) = op_type.rsplit_once('.').unwrap_or(("", op_type));
        self.0.opsets.entry(domain.to_string()).or_insert(1);
        self.0.nodes.push(Node {
            name: format!("{op_type}_{}", self.0.nodes.len()),
            domain: domain.into(),
            op_type: op_type.into(),
            opset: self.0.opset(domain),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: outputs.iter().map(ToString::to_string).collect(),
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        });
        self
    }

    pub fn output(mut self, name: &str) -> Self {
        self.0.outputs.push(ValueInfo { name: name.into(), ty: ValueType::Unknown });
        self
    }

    pub fn graph(self) -> Graph {
        self.0
    }

    pub fn model(self) -> Model {
        Model { graph: self.0, ir_version: 9, producer: "test".into(), metadata: Vec::new() }
    }

    pub fn load(self) -> Result<Session> {
        Session::load_blocking(self.model(), SessionOptions::default())
    }
}

/// One node on its own, its inputs given at run time; `op_type` as for [`Builder::node`].
pub struct Single<'a> {
    pub op_type: &'a str,
    pub opset: i64,
    pub attributes: Vec<(&'a str, Attribute)>,
    pub outputs: usize,
}

impl<'a> Single<'a> {
    pub fn new(op_type: &'a str, opset: i64) -> Self {
        Self { op_type, opset, attributes: Vec::new(), outputs: 1 }
    }

    pub fn int(self, name: &'a str, value: i64) -> Self {
        self.with(name, Attribute::Int(value))
    }

    pub fn ints(self, name: &'a str, values: &[usize]) -> Self {
        self.with(name, Attribute::Ints(values.iter().map(|&v| v as i64).collect()))
    }

    pub fn float(self, name: &'a str, value: f32) -> Self {
        self.with(name, Attribute::Float(value))
    }

    pub fn string(self, name: &'a str, value: &str) -> Self {
        self.with(name, Attribute::String(value.as_bytes().to_vec()))
    }

    pub fn with(mut self, name: &'a str, value: Attribute) -> Self {
        self.attributes.push((name, value));
        self
    }

    pub fn outputs(mut self, count: usize) -> Self {
        self.outputs = count;
        self
    }

    /// A session of it and what to give for its inputs, whose tensors are `constant` or given at run time.
    pub fn build(&self, inputs: &[Option<Feed>], constant: bool) -> Result<(Session, Vec<(String, Feed)>)> {
        let mut builder = Builder::new(self.opset);
        if self.op_type.starts_with("ai.onnx.ml.") {
            builder.0.opsets.insert("ai.onnx.ml".into(), self.opset);
        }
        let mut feeds = Vec::new();
        let names: Vec<String> =
            (0..inputs.len()).map(|i| if inputs[i].is_some() { format!("in{i}") } else { String::new() }).collect();
        for (name, feed) in names.iter().zip(inputs) {
            let Some(feed) = feed else { continue };
            let ty = match feed {
                Feed::Tensor(t) => ValueType::Tensor { dtype: t.dtype(), shape: None },
                Feed::Sequence(dtype, _) => {
                    ValueType::Sequence(Box::new(ValueType::Tensor { dtype: *dtype, shape: None }))
                }
                Feed::Absent | Feed::Maps { .. } => panic!("no node is built with {feed:?}"),
            };
            match feed {
                Feed::Tensor(t) if constant => builder = builder.constant(name, t.clone()),
                _ => {
                    builder = builder.input(name, ty);
                    feeds.push((name.clone(), feed.clone()));
                }
            }
        }
        let outputs: Vec<String> = (0..self.outputs).map(|i| format!("out{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let output_names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        builder = builder.node(self.op_type, &names, &output_names, &self.attributes);
        for output in &output_names {
            builder = builder.output(output);
        }
        Ok((builder.load()?, feeds))
    }

    /// Runs it on inputs given at run time; none is an input left out.
    pub fn feeds(&self, inputs: &[Option<Feed>]) -> Result<Vec<Feed>> {
        let (session, feeds) = self.build(inputs, false)?;
        let outputs = session.run_blocking(feeds, RunOptions::default())?;
        Ok(outputs.into_iter().map(|(_, feed)| feed).collect())
    }

    /// Runs it on tensors, as run-time inputs and again as constants; both must agree.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let inputs: Vec<Option<Feed>> = inputs.iter().map(|t| Some(Feed::Tensor(t.clone()))).collect();
        let at_run: Vec<Tensor> = self.feeds(&inputs)?.into_iter().map(into_tensor).collect();
        let (session, feeds) = self.build(&inputs, true)?;
        let at_load = session.run_blocking(feeds, RunOptions::default())?;
        for (a, (_, b)) in at_run.iter().zip(at_load) {
            if let Err(difference) = compare(a, &into_tensor(b), 0.0, 0.0) {
                panic!("{}: computed at load, the result differs: {difference}", self.op_type);
            }
        }
        Ok(at_run)
    }

    /// The one output.
    pub fn one(&self, inputs: &[Tensor]) -> Tensor {
        match self.run(inputs) {
            Ok(mut outputs) => outputs.remove(0),
            Err(error) => panic!("{error}"),
        }
    }

    /// The error that it must give.
    pub fn error(&self, inputs: &[Tensor]) -> Error {
        match self.run(inputs) {
            Ok(outputs) => panic!("{}: expected an error, got {outputs:?}", self.op_type),
            Err(error) => error,
        }
    }
}

pub fn into_tensor(feed: Feed) -> Tensor {
    match feed {
        Feed::Tensor(tensor) => tensor,
        other => panic!("expected a tensor, got {other:?}"),
    }
}

/// The elements as float64, which holds every type's but large 64-bit integers.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    macro_rules! try_types {
        ($($ty:ty => $f:expr),+) => { $(if let Some(v) = tensor.as_slice::<$ty>() { return v.iter().map($f).collect(); })+ };
    }
    try_types!(
        f32 => |&v| f64::from(v), f64 => |&v| v, half::f16 => |v| v.to_f64(), half::bf16 => |v| v.to_f64(),
        i8 => |&v| f64::from(v), i16 => |&v| f64::from(v), i32 => |&v| f64::from(v), i64 => |&v| v as f64,
        u8 => |&v| f64::from(v), u16 => |&v| f64::from(v), u32 => |&v| f64::from(v), u64 => |&v| v as f64
    );
    match tensor.dtype() {
        DataType::Bool => tensor.bytes().unwrap_or_default().iter().map(|&v| f64::from(v)).collect(),
        other => panic!("{other} is no number"),
    }
}

/// Whether every element of `got` is within `absolute + relative * |expected|`; integers, bools
/// and strings must be equal, NaN equals NaN. Gives the largest difference.
pub fn compare(got: &Tensor, expected: &Tensor, relative: f64, absolute: f64) -> std::result::Result<f64, String> {
    if got.dtype() != expected.dtype() || got.shape() != expected.shape() {
        return Err(format!("expected {expected:?}, got {got:?}"));
    }
    if !got.dtype().is_float() {
        let same = got.bytes() == expected.bytes() && got.strings() == expected.strings();
        return if same {
            Ok(0.0)
        } else {
            Err(format!("{got:?}: the elements differ{}", first_difference(got, expected)))
        };
    }
    let mut largest = 0f64;
    for (i, (g, e)) in numbers(got).into_iter().zip(numbers(expected)).enumerate() {
        if g == e || (g.is_nan() && e.is_nan()) {
            continue;
        }
        let difference = (g - e).abs();
        largest = largest.max(difference);
        // A NaN difference fails too.
        if !matches!(
            difference.partial_cmp(&(absolute + relative * e.abs())),
            Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        ) {
            return Err(format!("{got:?} at {i}: expected {e}, got {g}"));
        }
    }
    Ok(largest)
}

fn first_difference(got: &Tensor, expected: &Tensor) -> String {
    if let (Some(g), Some(e)) = (got.strings(), expected.strings()) {
        return format!(": expected {e:?}, got {g:?}");
    }
    let pairs = numbers(got).into_iter().zip(numbers(expected));
    pairs
        .enumerate()
        .find(|(_, (g, e))| g != e)
        .map_or_else(String::new, |(i, (g, e))| format!(" at {i}: expected {e}, got {g}"))
}
