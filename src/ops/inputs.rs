//! What flows between nodes, and a node's view of what it is given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn_flex::FlexTensor;

use crate::backend::Array;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, ValueType};

/// The type of a value, known at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A tensor of numbers, bools or strings.
    Tensor(DataType),
    /// A sequence of tensors.
    Sequence(DataType),
    /// A value that may be absent.
    Optional(Box<Type>),
    /// A sequence of maps from keys (int64 or string) to numbers.
    Maps(DataType, DataType),
}

impl Type {
    /// As a model declares it, of any shape.
    pub fn declared(&self) -> ValueType {
        let tensor = |dtype: &DataType| ValueType::Tensor { dtype: *dtype, shape: None };
        match self {
            Self::Tensor(dtype) => tensor(dtype),
            Self::Sequence(dtype) => ValueType::Sequence(Box::new(tensor(dtype))),
            Self::Optional(inner) => ValueType::Optional(Box::new(inner.declared())),
            Self::Maps(key, value) => ValueType::Sequence(Box::new(ValueType::Map(*key, *value))),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor(dtype) => write!(f, "{dtype}"),
            Self::Sequence(dtype) => write!(f, "a sequence of {dtype}"),
            Self::Optional(inner) => write!(f, "an optional {inner}"),
            Self::Maps(key, value) => write!(f, "a sequence of maps from {key} to {value}"),
        }
    }
}

/// Dtype and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    pub dtype: DataType,
    pub shape: Vec<usize>,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

/// A value between nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Value {
    /// Numbers or bools.
    Tensor(Array),
    /// Strings, float8 and 4-bit integers: always on the host.
    Host(Tensor),
    /// Tensors of one dtype.
    Sequence(DataType, Vec<Value>),
    /// An optional that is absent; one that is there is the value itself.
    Absent(Type),
    /// Maps, as the keys `[C]` that all have, and each one's numbers `[N, C]`.
    Maps(Tensor, Tensor),
}

impl Value {
    /// Dtype and shape; none of what is no tensor.
    pub fn info(&self) -> Option<Info> {
        match self {
            Self::Tensor(array) => Some(Info { dtype: array.dtype(), shape: array.shape().to_vec() }),
            Self::Host(tensor) => Some(Info { dtype: tensor.dtype(), shape: tensor.shape().to_vec() }),
            Self::Sequence(..) | Self::Absent(_) | Self::Maps(..) => None,
        }
    }

    /// What it is, for an error.
    pub fn describe(&self) -> String {
        match (self, self.info()) {
            (_, Some(info)) => info.to_string(),
            (Self::Sequence(dtype, values), _) => format!("a sequence of {} {dtype} tensors", values.len()),
            (Self::Absent(ty), _) => format!("an absent {ty}"),
            (Self::Maps(keys, values), _) => {
                format!("a sequence of maps from {} to {}", keys.dtype(), values.dtype())
            }
            _ => String::new(),
        }
    }

    /// Bytes that it holds.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Tensor(array) => array.shape().iter().product::<usize>() * array.dtype().size(),
            Self::Host(tensor) => tensor.byte_len(),
            Self::Sequence(_, values) => values.iter().map(Self::byte_len).sum(),
            Self::Absent(_) => 0,
            Self::Maps(keys, values) => keys.byte_len() + values.byte_len(),
        }
    }

    /// The elements on the host, row-major; an error for what is no tensor.
    pub fn into_host(self) -> Result<Tensor> {
        match self {
            Self::Tensor(array) => Ok(Tensor::from_flex(array.into_cpu()?)),
            Self::Host(tensor) => Ok(tensor),
            other => bail!(InvalidModel, "expected a tensor, got {}", other.describe()),
        }
    }

    /// The elements that the value, or the tensors of a sequence, hold the positions of; see
    /// [`Inputs::positions`].
    ///
    /// Errors: `LimitExceeded` when strings of a tensor take more than the context's limit.
    pub fn found_in(self, elements: &Tensor, context: &Context) -> Result<Self> {
        if let Self::Sequence(_, values) = self {
            let found = values.into_iter().map(|value| value.found_in(elements, context)).collect::<Result<_>>()?;
            return Ok(Self::Sequence(elements.dtype(), found));
        }
        let positions = self.into_host()?;
        let at: Vec<usize> = positions.to_i64s()?.into_iter().map(|p| p as usize).collect();
        if let Some(strings) = elements.strings() {
            context.check_strings(at.iter().filter_map(|&p| strings.get(p)).map(String::len))?;
        }
        elements.take(positions.shape(), &at).map(Self::from)
    }

    /// The value of a host tensor on the CPU.
    pub fn from_tensor(tensor: &Tensor) -> Self {
        match tensor.to_flex() {
            Some(flex) => Self::Tensor(Array::Cpu(flex)),
            None => Self::Host(tensor.clone()),
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::from_tensor(&tensor)
    }
}

impl From<FlexTensor> for Value {
    fn from(tensor: FlexTensor) -> Self {
        Self::Tensor(Array::Cpu(tensor))
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Tensor(array)
    }
}

/// What holds for all nodes of a run.
#[derive(Debug, Clone)]
pub struct Context {
    /// The largest tensor that a node may make, in bytes.
    pub max_tensor_bytes: usize,
    /// Ends the run where it becomes true.
    pub terminate: Option<Arc<AtomicBool>>,
}

impl Default for Context {
    fn default() -> Self {
        let max_tensor_bytes = if cfg!(target_pointer_width = "32") { 1 << 30 } else { 1 << 33 };
        Self { max_tensor_bytes, terminate: None }
    }
}

impl Context {
    /// Errors: `Aborted` where the caller wants no more.
    pub fn check(&self) -> Result<()> {
        let ended = self.terminate.as_ref().is_some_and(|t| t.load(Ordering::Relaxed));
        ensure!(!ended, Aborted, "the run was ended by its caller");
        Ok(())
    }

    /// Errors: `LimitExceeded` where a tensor of strings of these lengths is too large.
    pub fn check_strings(&self, lengths: impl Iterator<Item = usize>) -> Result<()> {
        let bytes = lengths.fold(0usize, |sum, length| sum.saturating_add(size_of::<String>().saturating_add(length)));
        let limit = self.max_tensor_bytes;
        ensure!(bytes <= limit, LimitExceeded, "the output's strings take {bytes} bytes, over the limit of {limit}");
        Ok(())
    }
}

/// The inputs of one node in one run. `None` is an optional input left out.
pub struct Inputs(Vec<Option<Value>>, Context);

impl Inputs {
    /// Inputs in the node's order.
    pub fn new(values: Vec<Option<Value>>, context: Context) -> Self {
        Self(values, context)
    }

    /// What holds for the whole run.
    pub fn context(&self) -> &Context {
        &self.1
    }

    /// Takes all inputs from `index` on out.
    pub fn take_from(&mut self, index: usize) -> Vec<Option<Value>> {
        self.0.iter_mut().skip(index).map(Option::take).collect()
    }

    /// How many there are, absent ones included.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether input `index` is there.
    pub fn has(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Some(_)))
    }

    /// Input `index`, which must be there.
    pub fn value(&self, index: usize) -> Result<&Value> {
        match self.0.get(index) {
            Some(Some(value)) => Ok(value),
            _ => bail!(InvalidModel, "input {index} is missing"),
        }
    }

    /// Takes input `index` out, which must be there.
    pub fn take(&mut self, index: usize) -> Result<Value> {
        match self.0.get_mut(index).and_then(Option::take) {
            Some(value) => Ok(value),
            None => bail!(InvalidModel, "input {index} is missing"),
        }
    }

    /// Puts positions, counted over all of them, in the place of every host tensor that is no
    /// parameter, and gives their elements; nothing where there are none.
    pub fn positions(&mut self, parameters: &[usize]) -> Result<Option<Tensor>> {
        let (mut tensors, mut next) = (Vec::new(), 0);
        for (index, value) in self.0.iter_mut().enumerate() {
            if let Some(Value::Host(tensor)) = value
                && !parameters.contains(&index)
            {
                let end = next + tensor.len() as i64;
                let positions = Tensor::from_vec(tensor.shape().to_vec(), (next..end).collect())?;
                next = end;
                tensors.push(std::mem::replace(tensor, positions.clone()));
                *value = Some(Value::from(positions));
            }
        }
        if tensors.is_empty() { Ok(None) } else { Tensor::joined(&tensors).map(Some) }
    }

    /// Takes a numeric tensor out.
    pub fn array(&mut self, index: usize) -> Result<Array> {
        match self.take(index)? {
            Value::Tensor(array) => Ok(array),
            other => bail!(InvalidModel, "input {index}: expected a tensor of numbers, got {}", other.describe()),
        }
    }

    /// Takes a numeric tensor out where it is there.
    pub fn optional_array(&mut self, index: usize) -> Result<Option<Array>> {
        if self.has(index) { self.array(index).map(Some) } else { Ok(None) }
    }

    /// Takes a numeric tensor on the CPU out.
    pub fn cpu(&mut self, index: usize) -> Result<FlexTensor> {
        self.array(index)?.into_cpu()
    }

    /// The shape of tensor `index`.
    pub fn shape(&self, index: usize) -> Result<&[usize]> {
        match self.value(index)? {
            Value::Tensor(array) => Ok(array.shape()),
            Value::Host(tensor) => Ok(tensor.shape()),
            other => bail!(InvalidModel, "input {index}: expected a tensor, got {}", other.describe()),
        }
    }

    /// The dtype of tensor `index`, or of the sequence's tensors.
    pub fn dtype(&self, index: usize) -> Result<DataType> {
        match self.value(index)? {
            Value::Sequence(dtype, _) => Ok(*dtype),
            value => match value.info() {
                Some(info) => Ok(info.dtype),
                None => bail!(InvalidModel, "input {index}: expected a tensor, got {}", value.describe()),
            },
        }
    }

    /// The host tensor of input `index`, where it is there; a node on the CPU may ask for any
    /// input, one on another device for parameters only.
    pub fn host(&self, index: usize) -> Result<Option<Tensor>> {
        if self.has(index) { self.value(index)?.clone().into_host().map(Some) } else { Ok(None) }
    }

    /// Takes tensor `index` out, on the host.
    pub fn take_host(&mut self, index: usize) -> Result<Tensor> {
        self.take(index)?.into_host()
    }

    /// The integers of parameter `index` (int32 or int64, at most one dimension).
    pub fn ints(&self, index: usize) -> Result<Option<Vec<i64>>> {
        let Some(tensor) = self.host(index)? else { return Ok(None) };
        ensure!(
            tensor.shape().len() <= 1,
            ShapeMismatch,
            "input {index}: expected one dimension, got {:?}",
            tensor.shape()
        );
        if let Some(values) = tensor.as_slice::<i64>() {
            return Ok(Some(values.to_vec()));
        }
        match tensor.as_slice::<i32>() {
            Some(values) => Ok(Some(values.iter().map(|&v| i64::from(v)).collect())),
            None => bail!(InvalidModel, "input {index}: expected int64, got {}", tensor.dtype()),
        }
    }

    /// The one integer of parameter `index`.
    pub fn int(&self, index: usize) -> Result<Option<i64>> {
        match self.ints(index)?.as_deref() {
            None => Ok(None),
            Some([one]) => Ok(Some(*one)),
            Some(many) => bail!(ShapeMismatch, "input {index}: expected one integer, got {}", many.len()),
        }
    }

    /// The one number of parameter `index`, of any numeric dtype or bool. A 64-bit integer that
    /// float64 would round is refused.
    pub fn number(&self, index: usize) -> Result<Option<f64>> {
        let Some(tensor) = self.host(index)? else { return Ok(None) };
        ensure!(tensor.len() == 1, ShapeMismatch, "input {index}: expected one element, got {:?}", tensor.shape());
        let Some(flex) = tensor.to_flex() else {
            bail!(InvalidModel, "input {index}: expected a number, got a string")
        };
        let wide = crate::backend::cast(&flex, DataType::Float64)?;
        if matches!(tensor.dtype(), DataType::Int64 | DataType::Uint64) {
            let back = Tensor::from_flex(crate::backend::cast(&wide, tensor.dtype())?);
            ensure!(
                back.bytes() == tensor.bytes(),
                Unsupported,
                "input {index}: an {} beyond 2^53 that float64 would round",
                tensor.dtype()
            );
        }
        Ok(Tensor::from_flex(wide).as_slice::<f64>().map(|v| v[0]))
    }
}

/// The infos of a node with one output.
pub fn one(dtype: DataType, shape: impl Into<Vec<usize>>) -> Result<Vec<Option<Info>>> {
    Ok(vec![Some(Info { dtype, shape: shape.into() })])
}

/// The values of a node with one output.
pub fn output(value: impl Into<Value>) -> Result<Vec<Value>> {
    Ok(vec![value.into()])
}

/// The shape that `infer` found for output `index`.
pub fn shape_of(outputs: &[Option<Info>], index: usize) -> Result<&[usize]> {
    match outputs.get(index) {
        Some(Some(info)) => Ok(&info.shape),
        _ => bail!(Internal, "output {index} was not inferred"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn number(value: i64) -> Result<Option<f64>> {
        let tensor = Tensor::from_vec(vec![], vec![value]).expect("one element");
        Inputs::new(vec![Some(Value::from_tensor(&tensor))], Context::default()).number(0)
    }

    #[test]
    fn integers_are_exact_or_refused() {
        for exact in [0, -7, 1 << 53, i64::MIN, i64::MAX] {
            assert_eq!(number(exact).expect("exact"), Some(exact as f64));
        }
        let error = number((1 << 53) + 1).expect_err("float64 would round it");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
