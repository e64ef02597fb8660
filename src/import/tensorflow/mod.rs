//! TensorFlow's operators as ONNX's: what the importers of TFLite and of TensorFlow.js share.
//!
//! TensorFlow has channels last, ONNX's convolutions and pools have them first. A value exists in either order,
//! made when it is asked for: convolutions ask for channels first and give it, and what works on elements keeps the
//! order of its inputs, so that transposes stay at the borders of such regions. Shapes and axes are TensorFlow's.
//!
//! A quantised value exists as codes and as the numbers that they stand for: operators compute on the numbers, with
//! DequantizeLinear before and QuantizeLinear behind, which lowering turns into integer arithmetic.

mod arrays;
mod neural;

use std::collections::HashSet;
use std::rc::Rc;

pub use arrays::StridedSlice;
pub use neural::{Activation, Padding, Resize, Window};

use super::builder::Builder;
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType, Dim, Tensor, element_count};

/// What is known of a shape; none where not even the rank is.
pub type Shape = Option<Vec<Option<usize>>>;

/// A value of a [`Writer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(usize);

/// Where the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As TensorFlow has them, and what has none.
    Last,
    /// Dimension 1.
    First,
}

/// `real = (code - zero) * scale`, for the tensor or for each index of `axis`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    pub scales: Vec<f32>,
    pub zeros: Vec<i64>,
    pub axis: usize,
}

#[derive(Debug, Clone)]
struct Value {
    name: String,
    dtype: DataType,
    shape: Shape,
    constant: Option<Tensor>,
    quantization: Option<Rc<Quantization>>,
    /// The names it has, by [`Order`]: as stored, and as numbers where what is stored are codes.
    stored: [Option<String>; 2],
    real: [Option<String>; 2],
}

/// Writes nodes into a graph.
pub struct Writer {
    pub builder: Builder,
    values: Vec<Value>,
    /// Names of the graph's outputs, which no node within may take.
    reserved: HashSet<String>,
}

/// Attributes, shorter.
pub fn int(name: &'static str, value: i64) -> (&'static str, Attribute) {
    (name, Attribute::Int(value))
}

pub fn ints(name: &'static str, values: Vec<i64>) -> (&'static str, Attribute) {
    (name, Attribute::Ints(values))
}

pub fn float(name: &'static str, value: f32) -> (&'static str, Attribute) {
    (name, Attribute::Float(value))
}

pub fn text(name: &'static str, value: &str) -> (&'static str, Attribute) {
    (name, Attribute::String(value.as_bytes().to_vec()))
}

/// The permutation from channels last to channels first.
pub fn to_first(rank: usize) -> Vec<usize> {
    [0, rank - 1].into_iter().chain(1..rank - 1).collect()
}

fn to_last(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).collect()
}

/// The elements in the order of `permutation`'s dimensions.
pub fn permuted(tensor: &Tensor, permutation: &[usize]) -> Result<Tensor> {
    let shape = tensor.shape();
    let mut seen = vec![false; shape.len()];
    let fits = permutation.len() == shape.len()
        && permutation.iter().all(|&axis| seen.get_mut(axis).is_some_and(|seen| !std::mem::replace(seen, true)));
    ensure!(fits, InvalidModel, "a tensor of shape {shape:?} cannot be transposed by {permutation:?}");
    let Some(bytes) = tensor.bytes() else { bail!(Unsupported, "strings as weights") };
    let size = tensor.dtype().size();
    let mut strides = vec![size; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let target: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<usize> = permutation.iter().map(|&axis| strides[axis]).collect();
    let mut moved = Vec::with_capacity(bytes.len());
    let mut index = vec![0; target.len()];
    let mut at = 0;
    for _ in 0..tensor.len() {
        moved.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..target.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < target[axis] {
                break;
            }
            at -= strides[axis] * target[axis];
            index[axis] = 0;
        }
    }
    Tensor::from_bytes(tensor.dtype(), target, moved)
}

/// The same elements under another shape.
pub fn reshaped(tensor: &Tensor, shape: Vec<usize>) -> Result<Tensor> {
    let Some(bytes) = tensor.bytes() else { bail!(Unsupported, "strings as weights") };
    Tensor::from_bytes(tensor.dtype(), shape, bytes.to_vec())
}

/// The integers of a constant.
fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor.dtype() {
        DataType::Int32 => Some(tensor.as_slice::<i32>()?.iter().map(|&v| v.into()).collect()),
        DataType::Int64 => Some(tensor.as_slice::<i64>()?.to_vec()),
        DataType::Int16 => Some(tensor.as_slice::<i16>()?.iter().map(|&v| v.into()).collect()),
        DataType::Int8 => Some(tensor.as_slice::<i8>()?.iter().map(|&v| v.into()).collect()),
        DataType::Uint8 => Some(tensor.as_slice::<u8>()?.iter().map(|&v| v.into()).collect()),
        _ => None,
    }
}

/// The shape that values of these shapes have together.
pub fn broadcast(shapes: &[Shape]) -> Shape {
    let shapes = shapes.iter().map(|s| s.as_ref()).collect::<Option<Vec<_>>>()?;
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let dim = |axis: usize| {
        let sizes: Vec<Option<usize>> =
            shapes.iter().filter_map(|s| (axis + s.len()).checked_sub(rank).map(|at| s[at])).collect();
        // What is not 1 decides, and a size that is known does before one that is not.
        let known = sizes.iter().flatten().find(|&&size| size != 1).copied();
        known.or(if sizes.contains(&None) { None } else { Some(1) })
    };
    Some((0..rank).map(dim).collect())
}

/// Declared dimensions: unknown ones are named `N` where they come first, else after the value.
pub fn dims(name: &str, shape: &Shape) -> Option<Vec<Dim>> {
    let named = |(axis, size): (usize, &Option<usize>)| match (size, axis) {
        (Some(size), _) => Dim::Size(*size),
        (None, 0) => Dim::Name("N".to_string()),
        (None, _) => Dim::Name(format!("{name}_{axis}")),
    };
    Some(shape.as_ref()?.iter().enumerate().map(named).collect())
}

impl Writer {
    /// Writes into `builder`; no node within takes a name of `reserved`.
    pub fn new(builder: Builder, reserved: HashSet<String>) -> Self {
        Self { builder, values: Vec::new(), reserved }
    }

    fn push(&mut self, value: Value) -> Id {
        self.values.push(value);
        Id(self.values.len() - 1)
    }

    /// The name that a node or constant for `name` gets.
    fn free(&self, name: &str) -> String {
        match self.reserved.contains(name) {
            true => format!("{name}/value"),
            false => name.to_string(),
        }
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// A value that exists under `stored`: an input, or a value around this body.
    pub fn given(&mut self, stored: String, dtype: DataType, shape: Shape, codes: Option<Rc<Quantization>>) -> Id {
        let name = stored.clone();
        let stored = [Some(stored), None];
        self.push(Value { name, dtype, shape, constant: None, quantization: codes, stored, real: [None, None] })
    }

    /// A constant; it is written when something uses it.
    pub fn constant(&mut self, name: &str, tensor: Tensor, codes: Option<Rc<Quantization>>) -> Id {
        let shape = Some(tensor.shape().iter().map(|&size| Some(size)).collect());
        self.push(Value {
            name: name.to_string(),
            dtype: tensor.dtype(),
            shape,
            constant: Some(tensor),
            quantization: codes,
            stored: [None, None],
            real: [None, None],
        })
    }

    /// A float32 scalar.
    pub fn scalar(&mut self, name: &str, value: f32) -> Result<Id> {
        Ok(self.constant(name, Tensor::from_vec(vec![], vec![value])?, None))
    }

    /// An int64 constant of one dimension.
    pub fn longs(&mut self, name: &str, values: &[i64]) -> Result<Id> {
        Ok(self.constant(name, Tensor::from_vec(vec![values.len()], values.to_vec())?, None))
    }

    /// The type of what is stored.
    pub fn dtype(&self, id: Id) -> DataType {
        self.values[id.0].dtype
    }

    /// The type that operators compute with.
    pub fn real_dtype(&self, id: Id) -> DataType {
        match self.values[id.0].quantization {
            Some(_) => DataType::Float32,
            None => self.dtype(id),
        }
    }

    pub fn shape(&self, id: Id) -> &Shape {
        &self.values[id.0].shape
    }

    /// What the file says that the shape is.
    pub fn set_shape(&mut self, id: Id, shape: Shape) {
        self.values[id.0].shape = shape;
    }

    pub fn quantization(&self, id: Id) -> Option<Rc<Quantization>> {
        self.values[id.0].quantization.clone()
    }

    /// The number of dimensions.
    ///
    /// Errors: `Unsupported` where it is not known.
    pub fn rank(&self, id: Id) -> Result<usize> {
        let value = &self.values[id.0];
        match &value.shape {
            Some(shape) => Ok(shape.len()),
            None => bail!(Unsupported, "the rank of \"{}\" is known at run time only", value.name),
        }
    }

    /// The size of dimension `axis`, where it is known.
    pub fn size(&self, id: Id, axis: usize) -> Option<usize> {
        *self.shape(id).as_ref()?.get(axis)?
    }

    /// All sizes, where they are known.
    pub fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.shape(id).as_ref()?.iter().copied().collect()
    }

    /// `axis` counted from the front.
    ///
    /// Errors: `InvalidModel` where there is none.
    pub fn axis(&self, id: Id, axis: i64) -> Result<usize> {
        let rank = self.rank(id)?;
        let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        match from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank) {
            Some(axis) => Ok(axis),
            None => bail!(InvalidModel, "axis {axis} of a value of {rank} dimensions"),
        }
    }

    /// The constant that it is.
    pub fn known(&self, id: Id) -> Option<&Tensor> {
        self.values[id.0].constant.as_ref()
    }

    /// The integers of the constant that it is.
    pub fn known_ints(&self, id: Id) -> Option<Vec<i64>> {
        integers(self.known(id)?)
    }

    /// As [`known_ints`](Self::known_ints); `what` says in the error what must be constant.
    pub fn need_ints(&self, id: Id, what: &str) -> Result<Vec<i64>> {
        match self.known_ints(id) {
            Some(ints) => Ok(ints),
            None => bail!(UnsupportedOperator, "with {what} known at run time only"),
        }
    }

    /// As [`need_ints`](Self::need_ints), of one element.
    pub fn need_int(&self, id: Id, what: &str) -> Result<i64> {
        match self.need_ints(id, what)?[..] {
            [value] => Ok(value),
            ref all => bail!(InvalidModel, "expected one integer as {what}, got {}", all.len()),
        }
    }

    /// Whether it is there with channels first only.
    pub fn prefers_first(&self, id: Id) -> bool {
        matches!(self.values[id.0], Value { stored: [None, Some(_)], constant: None, .. })
    }

    /// The order that an operator on elements works in.
    pub fn order(&self, id: Id) -> Order {
        if self.prefers_first(id) { Order::First } else { Order::Last }
    }

    /// Its name as it is stored: codes, where it is quantised.
    pub fn stored(&mut self, id: Id, order: Order) -> Result<String> {
        let value = &self.values[id.0];
        // Less than three dimensions have no channels to move.
        let order = if order == Order::First && self.rank(id)? < 3 { Order::Last } else { order };
        if let Some(name) = &value.stored[order as usize] {
            return Ok(name.clone());
        }
        let made = if let Some(tensor) = value.constant.clone() {
            let (tensor, name) = (self.ordered(&tensor, order)?, self.free(&self.values[id.0].name));
            self.builder.constant(&name, tensor)
        } else {
            let rank = self.rank(id)?;
            let (other, permutation) = match order {
                Order::Last => (Order::First, to_last(rank)),
                Order::First => (Order::Last, to_first(rank)),
            };
            let Some(from) = value.stored[other as usize].clone() else {
                bail!(Internal, "value \"{}\" was never made", value.name)
            };
            let name = self.free(&format!("{}/transposed", value.name));
            let permutation = permutation.into_iter().map(|axis| axis as i64).collect();
            self.builder.node("Transpose", &name, &[&from], vec![ints("perm", permutation)])
        };
        self.values[id.0].stored[order as usize] = Some(made.clone());
        Ok(made)
    }

    fn ordered(&self, tensor: &Tensor, order: Order) -> Result<Tensor> {
        match order {
            Order::Last => Ok(tensor.clone()),
            Order::First => permuted(tensor, &to_first(tensor.shape().len())),
        }
    }

    /// Its name as numbers.
    pub fn real(&mut self, id: Id, order: Order) -> Result<String> {
        let Some(quantization) = self.quantization(id) else { return self.stored(id, order) };
        if let Some(name) = &self.values[id.0].real[order as usize] {
            return Ok(name.clone());
        }
        let codes = self.stored(id, order)?;
        let axis = match order {
            Order::Last => quantization.axis,
            Order::First => self.axis_in(id, quantization.axis, order)?,
        };
        let name = self.values[id.0].name.clone();
        let dtype = self.dtype(id);
        let made = self.dequantised(&name, &codes, dtype, &quantization, axis)?;
        self.values[id.0].real[order as usize] = Some(made.clone());
        Ok(made)
    }

    /// Channels last, as numbers.
    pub fn last(&mut self, id: Id) -> Result<String> {
        self.real(id, Order::Last)
    }

    /// Where `axis` is in `order`.
    pub fn axis_in(&self, id: Id, axis: usize, order: Order) -> Result<usize> {
        let rank = self.rank(id)?;
        Ok(match order {
            Order::First if rank >= 3 => to_first(rank).iter().position(|&from| from == axis).unwrap_or(axis),
            _ => axis,
        })
    }

    fn dequantised(
        &mut self,
        name: &str,
        codes: &str,
        dtype: DataType,
        quantization: &Quantization,
        axis: usize,
    ) -> Result<String> {
        let (scales, zeros) = self.parameters(name, dtype, quantization)?;
        let name = self.free(&format!("{name}/real"));
        let mut inputs = vec![codes, &scales];
        inputs.extend(zeros.as_deref());
        let attributes = if quantization.scales.len() > 1 { vec![int("axis", axis as i64)] } else { vec![] };
        Ok(self.builder.node("DequantizeLinear", &name, &inputs, attributes))
    }

    /// Scales and zero points as constants; zero points that are all 0 are left out where int32 codes demand it.
    fn parameters(&mut self, name: &str, dtype: DataType, q: &Quantization) -> Result<(String, Option<String>)> {
        let shape = if q.scales.len() == 1 { vec![] } else { vec![q.scales.len()] };
        let scales = Tensor::from_vec(shape.clone(), q.scales.clone())?;
        let zeros = match dtype {
            DataType::Int32 => {
                ensure!(q.zeros.iter().all(|&z| z == 0), Unsupported, "int32 codes of \"{name}\" with a zero point");
                None
            }
            dtype => {
                let in_range = |low: i64, high: i64| q.zeros.iter().all(|z| (low..=high).contains(z));
                let (low, high) = match dtype {
                    DataType::Int8 => (-128, 127),
                    DataType::Uint8 => (0, 255),
                    DataType::Int16 => (-32768, 32767),
                    DataType::Uint16 => (0, 65535),
                    DataType::Int4 => (-8, 7),
                    _ => bail!(UnsupportedOperator, "with quantised values of {dtype}"),
                };
                ensure!(in_range(low, high), InvalidModel, "zero points of \"{name}\" are not in {low}..={high}");
                let bytes = q.zeros.iter().flat_map(|z| z.to_le_bytes().into_iter().take(dtype.size())).collect();
                Some(Tensor::from_bytes(dtype, shape, bytes)?)
            }
        };
        let scales = self.builder.constant(&format!("{name}/scale"), scales);
        Ok((scales, zeros.map(|zeros| self.builder.constant(&format!("{name}/zero"), zeros))))
    }

    /// Says that what is stored are codes.
    pub fn set_quantization(&mut self, id: Id, codes: Option<Rc<Quantization>>) {
        self.values[id.0].quantization = codes;
    }

    /// `id` quantised to codes of `dtype`, with one scale.
    pub fn quantised(&mut self, id: Id, name: &str, dtype: DataType, q: Rc<Quantization>) -> Result<Id> {
        ensure!(q.scales.len() == 1, UnsupportedOperator, "with a scale per channel of an activation");
        let order = self.order(id);
        let from = self.real(id, order)?;
        let (scale, zero) = self.parameters(name, dtype, &q)?;
        let Some(zero) = zero else { bail!(UnsupportedOperator, "with quantised activations of {dtype}") };
        let shape = self.shape(id).clone();
        let made = self.emit("QuantizeLinear", name, &[&from, &scale, &zero], vec![], dtype, shape, order);
        self.values[made.0].quantization = Some(q);
        Ok(made)
    }

    /// The numbers of `id` as a value of its own, which is not quantised.
    pub fn dequantise(&mut self, id: Id) -> Result<Id> {
        let order = self.order(id);
        let name = self.real(id, order)?;
        let (dtype, shape) = (self.real_dtype(id), self.shape(id).clone());
        let mut stored = [None, None];
        stored[order as usize] = Some(name.clone());
        Ok(self.push(Value { name, dtype, shape, constant: None, quantization: None, stored, real: [None, None] }))
    }

    /// Adds a node whose output is in `order`.
    #[allow(clippy::too_many_arguments, reason = "a node has that many parts")]
    pub fn emit(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
        dtype: DataType,
        shape: Shape,
        order: Order,
    ) -> Id {
        self.emit_all(op_type, name, inputs, attributes, vec![(dtype, shape)], order).remove(0)
    }

    /// As [`emit`](Self::emit), with several outputs.
    pub fn emit_all(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
        outputs: Vec<(DataType, Shape)>,
        order: Order,
    ) -> Vec<Id> {
        let name = self.free(name);
        let names = self.builder.nodes(op_type, &name, inputs, attributes, outputs.len());
        names.into_iter().zip(outputs).map(|(made, (dtype, shape))| self.made(made, dtype, shape, order)).collect()
    }

    /// The value that a node gives under `name`, in `order`.
    pub fn made(&mut self, name: String, dtype: DataType, shape: Shape, order: Order) -> Id {
        let has_channels = shape.as_ref().is_some_and(|shape| shape.len() >= 3);
        let order = if has_channels { order } else { Order::Last };
        let mut stored = [None, None];
        stored[order as usize] = Some(name.clone());
        self.push(Value { name, dtype, shape, constant: None, quantization: None, stored, real: [None, None] })
    }

    /// Its name as int64, of one dimension: a shape, axes, sizes.
    pub fn as_longs(&mut self, id: Id) -> Result<String> {
        if let Some(values) = self.known_ints(id) {
            let name = self.free(&self.values[id.0].name);
            return Ok(self.builder.ints(&name, &values));
        }
        let mut name = self.cast_name(id, DataType::Int64)?;
        if self.rank(id)? == 0 {
            let shape = self.builder.ints(&format!("{name}/shape"), &[1]);
            name = self.builder.node("Reshape", &format!("{name}/flat"), &[&name, &shape], vec![]);
        }
        Ok(name)
    }

    /// Its name as `dtype`, channels last.
    pub fn cast_name(&mut self, id: Id, dtype: DataType) -> Result<String> {
        let name = self.last(id)?;
        if self.real_dtype(id) == dtype {
            return Ok(name);
        }
        Ok(self.builder.node("Cast", &format!("{name}/{dtype}"), &[&name], vec![int("to", dtype.onnx().into())]))
    }

    /// An operator on elements: inputs broadcast, and the order of those that have channels first is kept.
    pub fn elementwise(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[Id],
        attributes: Vec<(&str, Attribute)>,
        dtype: DataType,
    ) -> Result<Id> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id).clone()).collect();
        let shape = broadcast(&shapes);
        let rank = shape.as_ref().map(Vec::len);
        let first = |&id: &Id| self.prefers_first(id) && self.shape(id).as_ref().map(Vec::len) == rank;
        let order = if rank.is_some() && inputs.iter().any(first) { Order::First } else { Order::Last };
        let mut names = Vec::with_capacity(inputs.len());
        for &id in inputs {
            names.push(match (order, rank) {
                (Order::First, Some(rank)) => self.operand(id, rank)?,
                _ => self.last(id)?,
            });
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self.emit(op_type, name, &names, attributes, dtype, shape, order))
    }

    /// The name of an operand beside others of `rank` dimensions with channels first.
    fn operand(&mut self, id: Id, rank: usize) -> Result<String> {
        let own = self.rank(id)?;
        if own == rank {
            return self.real(id, Order::First);
        }
        if own == 0 || self.sizes(id).is_some_and(|s| s.iter().all(|&size| size == 1)) {
            return self.last(id);
        }
        let missing = rank.saturating_sub(own);
        let value = self.values[id.0].clone();
        let wider = if let Some(tensor) = &value.constant {
            let shape = [vec![1; missing], tensor.shape().to_vec()].concat();
            let tensor = reshaped(tensor, shape)?;
            let codes = value.quantization.map(|q| Rc::new(Quantization { axis: q.axis + missing, ..(*q).clone() }));
            self.constant(&value.name, tensor, codes)
        } else {
            let axes: Vec<i64> = (0..missing as i64).collect();
            self.expand_dims(&format!("{}/wider", value.name), id, &axes)?
        };
        self.real(wider, Order::First)
    }

    /// A depthwise weight `[height, width, channels, multiplier]` as `[channels * multiplier, 1, height, width]`: its name,
    /// and that shape with the multiplier behind.
    pub fn depthwise_weight(&mut self, id: Id) -> Result<(String, Vec<usize>)> {
        let Some(sizes) = self.sizes(id).filter(|sizes| sizes.len() == 4) else {
            bail!(UnsupportedOperator, "with weights of a shape known at run time only")
        };
        let Some(outputs) = sizes[2].checked_mul(sizes[3]) else {
            bail!(LimitExceeded, "a weight of shape {sizes:?} is larger than memory")
        };
        let shape = vec![outputs, 1, sizes[0], sizes[1]];
        let value = self.values[id.0].clone();
        let name = match &value.constant {
            Some(tensor) => {
                let tensor = reshaped(&permuted(tensor, &[2, 3, 0, 1])?, shape.clone())?;
                let moved = self.constant(&value.name, tensor, None);
                self.last(moved)?
            }
            None => {
                let moved = self.transpose(&format!("{}/moved", value.name), id, &[2, 3, 0, 1])?;
                let to: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
                let moved = self.reshape(&format!("{}/merged", value.name), moved, &to)?;
                self.last(moved)?
            }
        };
        Ok((name, [shape, vec![sizes[3]]].concat()))
    }

    /// A weight in the order of `permutation`'s dimensions, as numbers: its name and shape.
    pub fn weight(&mut self, id: Id, permutation: &[usize]) -> Result<(String, Vec<usize>)> {
        let Some(sizes) = self.sizes(id) else {
            bail!(UnsupportedOperator, "with weights of a shape known at run time only")
        };
        ensure!(
            sizes.len() == permutation.len(),
            InvalidModel,
            "weights of shape {sizes:?} have not {} dimensions",
            permutation.len()
        );
        let shape: Vec<usize> = permutation.iter().map(|&axis| sizes[axis]).collect();
        element_count(&shape)?;
        let value = self.values[id.0].clone();
        if let Some(tensor) = &value.constant {
            let tensor = permuted(tensor, permutation)?;
            let codes = value.quantization.map(|q| {
                let axis = permutation.iter().position(|&axis| axis == q.axis).unwrap_or(0);
                Rc::new(Quantization { axis, ..(*q).clone() })
            });
            let moved = self.constant(&value.name, tensor, codes);
            return Ok((self.last(moved)?, shape));
        }
        let name = self.last(id)?;
        if permutation.iter().enumerate().all(|(to, &from)| to == from) {
            return Ok((name, shape));
        }
        let permutation = permutation.iter().map(|&axis| axis as i64).collect();
        let name = self.builder.node("Transpose", &format!("{name}/weight"), &[&name], vec![ints("perm", permutation)]);
        Ok((name, shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_moves_elements() {
        let tensor = Tensor::from_vec(vec![2, 3], vec![1i32, 2, 3, 4, 5, 6]).expect("six elements");
        let moved = permuted(&tensor, &[1, 0]).expect("a permutation");
        assert_eq!((moved.shape(), moved.as_slice::<i32>()), (&[3, 2][..], Some(&[1, 4, 2, 5, 3, 6][..])));
        assert!(permuted(&tensor, &[0, 0]).is_err());
    }

    #[test]
    fn shapes_broadcast() {
        let shape = |s: &[i64]| Some(s.iter().map(|&s| usize::try_from(s).ok()).collect::<Vec<_>>());
        assert_eq!(broadcast(&[shape(&[-1, 3]), shape(&[4, 1, 1])]), shape(&[4, -1, 3]));
        assert_eq!(broadcast(&[None, shape(&[1])]), None);
    }
}
