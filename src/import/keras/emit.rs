//! What layers are written into: the graph in the making, the weights, and for every value its shape as Keras has it
//! and how it lies in memory.
//!
//! Keras has channels last, ONNX' convolutions have them first. A value is turned only where a node needs it the other
//! way round, and stays so; so chains of convolutions, pools, norms and sums have no Transpose between them.

use std::collections::{BTreeSet, HashMap};

use super::array::Array;
use super::settings::Settings;
use super::weights::{Place, Weights};
use crate::error::{Error, ErrorKind};
use crate::graph::{Attribute, DataType, Dim, Tensor};
use crate::import::builder::Builder;

/// Why a layer gave no values.
pub enum Stop {
    /// It has no counterpart, for the reason given; others are still looked at.
    Refused(String),
    /// Weights of it are not in the file; their names are noted.
    Absent,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The result of a step that may stop.
pub type Step<T> = std::result::Result<T, Stop>;

/// Refuses what there is no counterpart for.
macro_rules! refuse {
    ($($reason:tt)+) => { return Err($crate::import::keras::emit::Stop::Refused(format!($($reason)+))) };
}
pub(super) use refuse;

/// Ends the import: the file contradicts itself.
macro_rules! invalid {
    ($($reason:tt)+) => {
        return Err($crate::import::keras::emit::Stop::Error($crate::Error::new(
            $crate::ErrorKind::InvalidModel,
            format!($($reason)+),
        )))
    };
}
pub(super) use invalid;

/// Who computes the model, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Keras2,
    Keras3,
    TensorFlowJs,
}

/// The size of each dimension, the batch first; none where it is not known.
pub type Shape = Vec<Option<usize>>;

/// A value of the graph.
#[derive(Debug, Clone)]
pub struct Value {
    pub name: String,
    /// The shape as Keras has it.
    pub shape: Shape,
    pub dtype: DataType,
    /// Whether the last dimension of `shape` lies behind the batch in the graph's value.
    pub first: bool,
    /// Whether Keras has a mask beside it, which says what steps count.
    pub masked: bool,
}

impl Value {
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The last size.
    pub fn channels(&self) -> Step<usize> {
        match self.shape.last() {
            Some(Some(size)) if self.rank() > 1 => Ok(*size),
            _ => refuse!("an unknown number of channels (shape {})", shown(&self.shape)),
        }
    }

    /// `axis` of Keras' shape, counted from the end where negative.
    pub fn axis(&self, axis: i64) -> Step<usize> {
        let rank = self.rank() as i64;
        let counted = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&counted) {
            invalid!("axis {axis} of a value of {rank} dimensions");
        }
        Ok(counted as usize)
    }

    /// Where `axis` of Keras' shape is in the graph's value.
    pub fn place(&self, axis: usize) -> usize {
        match self.first {
            false => axis,
            true if axis == 0 => 0,
            true if axis + 1 == self.rank() => 1,
            true => axis + 1,
        }
    }
}

/// A shape in words.
pub fn shown(shape: &[Option<usize>]) -> String {
    let sizes = shape.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string()));
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// A layer of the file.
pub struct Layer<'a> {
    pub class: &'a str,
    /// Its name, behind those of the models around it.
    pub path: String,
    pub settings: Settings<'a>,
    /// Where its weights are.
    pub place: Place,
}

/// The graph in the making.
pub struct Emitter {
    pub builder: Builder,
    pub weights: Weights,
    pub flavour: Flavour,
    pub notes: BTreeSet<String>,
    /// The names that Keras has for the outputs.
    pub outputs: Vec<String>,
    /// Weights that are not in the file.
    pub absent: Vec<String>,
    constants: HashMap<String, String>,
    turned: HashMap<String, String>,
    /// Layers that were written, against files that have one in another over and over.
    pub calls: usize,
    /// Elements that [`allow`](Self::allow) may still allow.
    left: usize,
}

/// Elements of all constants together that no weight of the file has: what a small file says may not fill memory.
const MOST_MADE: usize = 1 << 24;

impl Emitter {
    pub fn new(name: &str, weights: Weights, flavour: Flavour) -> Self {
        Self {
            builder: Builder::new(name),
            weights,
            flavour,
            notes: BTreeSet::new(),
            outputs: Vec::new(),
            absent: Vec::new(),
            constants: HashMap::new(),
            turned: HashMap::new(),
            calls: 0,
            left: MOST_MADE,
        }
    }

    /// Adds a node; gives its output's name.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> String {
        self.builder.node(op, name, inputs, attributes)
    }

    /// A node of one input whose output has the input's shape, dtype and place in memory.
    pub fn same(&mut self, op: &str, name: &str, value: &Value, attributes: Vec<(&str, Attribute)>) -> Value {
        let output = self.node(op, name, &[&value.name], attributes);
        Value { name: output, ..value.clone() }
    }

    /// A node of a value and a scalar.
    pub fn with_scalar(&mut self, op: &str, name: &str, value: &Value, scalar: f64) -> Value {
        let scalar = self.scalar(scalar as f32);
        let output = self.node(op, name, &[&value.name, &scalar], vec![]);
        Value { name: output, ..value.clone() }
    }

    /// The float32 scalar; equal ones are one constant.
    pub fn scalar(&mut self, value: f32) -> String {
        let key = format!("\0scalar {:08x}", value.to_bits());
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = self.builder.scalar(&format!("{value:?}"), value);
        self.constants.insert(key, name.clone());
        name
    }

    /// A list of int64; equal ones are one constant.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let key = format!("\0ints {values:?}");
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let text = values.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let name = self.builder.ints(&format!("[{text}]"), values);
        self.constants.insert(key, name.clone());
        name
    }

    /// The constant `key`, made the first time that it is asked for.
    pub fn constant(&mut self, key: &str, make: impl FnOnce(&mut Self) -> Step<Tensor>) -> Step<String> {
        if let Some(name) = self.constants.get(key) {
            return Ok(name.clone());
        }
        let tensor = make(self)?;
        let name = self.builder.constant(key.trim_start_matches('\0'), tensor);
        self.constants.insert(key.to_string(), name.clone());
        Ok(name)
    }

    /// Says that constants of `shape` are about to be made which no weight of the file has.
    pub fn allow(&mut self, shape: &[usize]) -> Step<()> {
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        match count.and_then(|count| self.left.checked_sub(count)) {
            Some(left) => self.left = left,
            None => refuse!("sizes {shape:?}: more than {MOST_MADE} numbers that are not in the file"),
        }
        Ok(())
    }

    /// `value` for every element of a vector.
    pub fn filled(&mut self, length: usize, value: f32) -> Step<Array> {
        self.allow(&[length])?;
        Ok(Array { shape: vec![length], data: vec![value; length] })
    }

    /// A weight of `layer`, of the given shape; `index` is its place among the layer's weights.
    pub fn weight(&mut self, layer: &Layer<'_>, name: &str, index: usize, shape: &[usize]) -> Step<Array> {
        self.weight_in(&layer.place, &layer.path, name, index, shape)
    }

    /// As [`weight`](Self::weight), of a part of a layer.
    pub fn weight_in(&mut self, place: &Place, path: &str, name: &str, index: usize, shape: &[usize]) -> Step<Array> {
        let Some(array) = self.weights.get(place, name, index)? else {
            self.absent.push(format!("{path}/{name}"));
            return Err(Stop::Absent);
        };
        if array.shape != shape {
            invalid!("weight \"{path}/{name}\": expected the shape {shape:?}, got {:?}", array.shape);
        }
        Ok(array)
    }

    /// The value with channels first in memory; of fewer than three dimensions, as it is.
    pub fn first(&mut self, value: &Value) -> Value {
        let rank = value.rank() as i64;
        if value.first || rank < 3 {
            return value.clone();
        }
        let order = std::iter::once(0).chain([rank - 1]).chain(1..rank - 1).collect();
        self.turn(value, order, true)
    }

    /// The value with its memory as Keras' shape says.
    pub fn last(&mut self, value: &Value) -> Value {
        let rank = value.rank() as i64;
        if !value.first {
            return value.clone();
        }
        let order = std::iter::once(0).chain(2..rank).chain([1]).collect();
        self.turn(value, order, false)
    }

    fn turn(&mut self, value: &Value, order: Vec<i64>, first: bool) -> Value {
        if let Some(name) = self.turned.get(&value.name) {
            return Value { name: name.clone(), first, ..value.clone() };
        }
        let end = if first { "first" } else { "last" };
        let name = format!("{}/channels_{end}", value.name);
        let name = self.node("Transpose", &name, &[&value.name], vec![("perm", Attribute::Ints(order))]);
        self.turned.insert(value.name.clone(), name.clone());
        self.turned.insert(name.clone(), value.name.clone());
        Value { name, first, ..value.clone() }
    }

    /// The value in `dtype`.
    pub fn cast(&mut self, value: &Value, dtype: DataType) -> Value {
        if value.dtype == dtype {
            return value.clone();
        }
        let name = format!("{}/{dtype}", value.name);
        let to = Attribute::Int(i64::from(dtype.onnx()));
        let name = self.node("Cast", &name, &[&value.name], vec![("to", to)]);
        Value { name, dtype, ..value.clone() }
    }

    /// The value in float32, in which every layer computes.
    pub fn float(&mut self, value: &Value) -> Value {
        self.cast(value, DataType::Float32)
    }

    /// Reshapes to `target`, whose 0 is the input's size there and whose one −1 is the rest; `shape` is the result's.
    pub fn reshape(&mut self, name: &str, value: &Value, target: &[i64], shape: Shape) -> Value {
        let value = self.last(value);
        let target = self.ints(target);
        let name = self.node("Reshape", name, &[&value.name, &target], vec![]);
        Value { name, shape, first: false, ..value }
    }

    /// Transposes Keras' dimensions into the order `order`.
    pub fn transpose(&mut self, name: &str, value: &Value, order: &[usize]) -> Value {
        let perm: Vec<i64> = order.iter().map(|&axis| value.place(axis) as i64).collect();
        let shape: Shape = order.iter().map(|&axis| value.shape[axis]).collect();
        if perm.iter().enumerate().all(|(axis, &from)| axis as i64 == from) {
            return Value { shape, first: false, ..value.clone() };
        }
        let name = self.node("Transpose", name, &[&value.name], vec![("perm", Attribute::Ints(perm))]);
        Value { name, shape, first: false, ..value.clone() }
    }

    /// A node of an op that reduces `axes` of Keras' dimensions, which is given them as an input.
    pub fn reduce(&mut self, op: &str, name: &str, value: &Value, axes: &[usize], keep: bool) -> Value {
        // Where axes go, what is left must lie in Keras' order.
        let kept: Vec<usize> =
            (0..value.rank()).filter(|axis| !axes.contains(axis)).map(|axis| value.place(axis)).collect();
        let value = if keep || kept.is_sorted() { value.clone() } else { self.last(value) };
        let mut places: Vec<i64> = axes.iter().map(|&axis| value.place(axis) as i64).collect();
        places.sort_unstable();
        let places = self.ints(&places);
        let keepdims = Attribute::Int(i64::from(keep));
        let name = self.node(op, name, &[&value.name, &places], vec![("keepdims", keepdims)]);
        let sizes = value.shape.iter().enumerate();
        let shape: Shape = match keep {
            true => sizes.map(|(axis, size)| if axes.contains(&axis) { Some(1) } else { *size }).collect(),
            false => sizes.filter(|(axis, _)| !axes.contains(axis)).map(|(_, size)| *size).collect(),
        };
        Value { name, shape, first: value.first && keep, ..value }
    }

    /// A sum, product or the like of two values as Keras broadcasts them.
    pub fn binary(&mut self, op: &str, name: &str, a: &Value, b: &Value, dtype: DataType) -> Step<Value> {
        let (a, b) = self.aligned(a, b);
        let shape = broadcast(&a.shape, &b.shape)?;
        let output = self.node(op, name, &[&a.name, &b.name], vec![]);
        let first = if a.rank() >= b.rank() { a.first } else { b.first };
        Ok(Value { name: output, shape, dtype, first, masked: a.masked || b.masked })
    }

    /// Both in one order of memory, in which broadcasting means what it does in Keras.
    pub fn aligned(&mut self, a: &Value, b: &Value) -> (Value, Value) {
        if a.first == b.first && a.rank() == b.rank() {
            return (a.clone(), b.clone());
        }
        // A scalar goes with everything.
        if a.rank() == 0 || b.rank() == 0 {
            return (a.clone(), b.clone());
        }
        if a.rank() == b.rank() { (self.first(a), self.first(b)) } else { (self.last(a), self.last(b)) }
    }

    /// A constant of a shape that lies in Keras' order along the last dimensions of `like`, as a value to go with it.
    pub fn along(&mut self, key: &str, like: &Value, array: Array) -> Step<String> {
        let (key, array) = match like.first {
            true => {
                let rank = like.rank();
                let mut shape = vec![1; rank.saturating_sub(array.shape.len())];
                shape.extend(&array.shape);
                let array = array.reshaped(shape)?;
                let order: Vec<usize> = std::iter::once(0).chain([rank - 1]).chain(1..rank - 1).collect();
                (format!("{key}:first{rank}"), array.permuted(&order))
            }
            false => (key.to_string(), array),
        };
        self.constant(&key, |_| Ok(array.tensor()?))
    }

    /// The shape as the graph declares it; `name` is the input's whose unknown sizes these are.
    pub fn dims(shape: &[Option<usize>], name: Option<&str>) -> Vec<Dim> {
        let dim = |(axis, size): (usize, &Option<usize>)| match (size, name) {
            (Some(size), _) => Dim::Size(*size),
            (None, _) if axis == 0 => Dim::Name("N".to_string()),
            (None, Some(name)) => Dim::Name(format!("{name}_{axis}")),
            (None, None) => Dim::Name("?".to_string()),
        };
        shape.iter().enumerate().map(dim).collect()
    }

    /// The error that names every weight that is not there.
    pub fn missing_weights(&self) -> Option<Error> {
        if self.absent.is_empty() {
            return None;
        }
        let shown: Vec<String> = self.absent.iter().take(20).map(|name| format!("\"{name}\"")).collect();
        let more = if self.absent.len() > 20 { ", …" } else { "" };
        let text = format!("{} weights are not in the file: {}{more}", self.absent.len(), shown.join(", "));
        Some(Error::new(ErrorKind::InvalidModel, text))
    }
}

/// The shape of what broadcasts two.
pub fn broadcast(a: &[Option<usize>], b: &[Option<usize>]) -> Step<Shape> {
    let rank = a.len().max(b.len());
    let size = |shape: &[Option<usize>], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => Some(1),
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        shape.push(match (size(a, axis), size(b, axis)) {
            (Some(1), other) | (other, Some(1)) => other,
            (Some(x), Some(y)) if x == y => Some(x),
            (Some(_), Some(_)) => invalid!("shapes {} and {} do not go together", shown(a), shown(b)),
            (Some(x), None) | (None, Some(x)) => Some(x),
            (None, None) => None,
        });
    }
    Ok(shape)
}
