//! What the operators with bodies share: a body is planned once, when the types of its inputs
//! are known, and run on the CPU, whatever the session's device.

use std::sync::OnceLock;

use super::inputs::{Context, Type, Value};
use super::{Attributes, axis_of};
use crate::backend::{Array, Cpu, Device, DeviceKind};
use crate::error::{Result, bail, ensure};
use crate::graph::{Graph, Tensor, ValueType};
use crate::runtime::Plan;

/// The body of a control-flow node.
pub struct Body {
    graph: Graph,
    /// Which of the node's captured values it uses, by name and position among them.
    captures: Vec<(String, usize)>,
    plan: OnceLock<Plan>,
}

impl Body {
    /// Reads the body in attribute `name`.
    pub fn read(attributes: &Attributes<'_>, name: &str) -> Result<Self> {
        let graph = attributes.graph(name)?.clone();
        let all = attributes.captures();
        let position = |name: String| match all.iter().position(|n| *n == name) {
            Some(at) => Ok((name, at)),
            None => bail!(Internal, "value \"{name}\" is not captured"),
        };
        let captures = graph.captures().into_iter().map(position).collect::<Result<_>>()?;
        Ok(Self { graph, captures, plan: OnceLock::new() })
    }

    /// How many outputs it has.
    pub fn outputs(&self) -> usize {
        self.graph.outputs.len()
    }

    /// Plans it for inputs of types `given`, next to the node's captured values; gives the types
    /// of its outputs.
    ///
    /// Errors: `InvalidModel` when it takes something else, and whatever planning finds.
    pub fn plan(&self, given: &[Type], captured: &[Option<Type>]) -> Result<Vec<Type>> {
        let mut graph = self.graph.clone();
        ensure!(
            graph.inputs.len() == given.len(),
            InvalidModel,
            "the body \"{}\" takes {} inputs, expected {}",
            graph.name,
            graph.inputs.len(),
            given.len()
        );
        for (info, ty) in graph.inputs.iter_mut().zip(given) {
            let ty = ty.declared();
            let fits = info.ty.accepts(&ty) || ty.accepts(&info.ty);
            ensure!(fits, InvalidModel, "the body's input \"{}\": expected {}, got {ty}", info.name, info.ty);
            info.ty = ty;
        }
        for (name, at) in &self.captures {
            let Some(Some(ty)) = captured.get(*at) else { bail!(Internal, "value \"{name}\" has no type") };
            graph.inputs.push(crate::graph::ValueInfo { name: name.clone(), ty: ty.declared() });
        }
        let plan = Plan::new(graph, DeviceKind::Cpu)?;
        let types = plan.output_types.clone();
        let _ = self.plan.set(plan);
        Ok(types)
    }

    /// Runs it once.
    pub fn run(&self, given: Vec<Value>, captured: &[Option<Value>], context: &Context) -> Result<Vec<Value>> {
        let Some(plan) = self.plan.get() else { bail!(Internal, "a body was not planned") };
        let mut inputs = given;
        for (name, at) in &self.captures {
            match captured.get(*at) {
                Some(Some(value)) => inputs.push(value.clone()),
                _ => bail!(Internal, "value \"{name}\" was not computed"),
            }
        }
        plan.run(inputs, context)
    }

    /// The declared type of output `index`.
    pub fn declared_output(&self, index: usize) -> Option<&ValueType> {
        self.graph.outputs.get(index).map(|info| &info.ty)
    }
}

/// The type that holds values of both, where there is one.
pub fn common(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Type::Optional(inner), other) | (other, Type::Optional(inner)) => {
            let inner = if let Type::Optional(other) = other { common(inner, other) } else { common(inner, other) };
            inner.map(|inner| if matches!(inner, Type::Optional(_)) { inner } else { Type::Optional(Box::new(inner)) })
        }
        _ => None,
    }
}

/// Entry `index` along `axis`, without that dimension.
pub fn entry(value: &Value, axis: usize, index: usize) -> Result<Value> {
    let Some(info) = value.info() else { bail!(InvalidModel, "expected a tensor, got {}", value.describe()) };
    let shape = info.shape;
    let without = [&shape[..axis], &shape[axis + 1..]].concat();
    match value {
        Value::Tensor(array) => {
            let mut starts = vec![0; shape.len()];
            starts[axis] = index;
            let mut kept = shape.clone();
            kept[axis] = 1;
            let part = Cpu.slice(array.clone(), &starts, &vec![1; shape.len()], &kept)?;
            Cpu.reshape(part, &without).map(Value::Tensor)
        }
        _ => {
            let positions = Tensor::from_vec(shape.clone(), (0..shape.iter().product::<usize>() as i64).collect())?;
            let chosen = entry(&Value::from(positions), axis, index)?.into_host()?.to_i64s()?;
            let chosen: Vec<usize> = chosen.into_iter().map(|p| p as usize).collect();
            value.clone().into_host()?.take(&without, &chosen).map(Value::Host)
        }
    }
}

/// Collects the tensors that a body gives in each round, and joins them along a new axis.
pub struct Stack {
    tensors: Vec<Tensor>,
    bytes: usize,
}

impl Stack {
    pub fn new() -> Self {
        Self { tensors: Vec::new(), bytes: 0 }
    }

    /// Adds a round's tensor, which must be shaped like the first.
    pub fn push(&mut self, value: Value, context: &Context) -> Result<()> {
        let tensor = value.into_host()?;
        if let Some(first) = self.tensors.first() {
            ensure!(
                first.shape() == tensor.shape(),
                ShapeMismatch,
                "a round of the body gave {:?}, the first {:?}: they cannot be joined",
                tensor.shape(),
                first.shape()
            );
        }
        self.bytes = self.bytes.saturating_add(tensor.byte_len());
        let limit = context.max_tensor_bytes;
        ensure!(self.bytes <= limit, LimitExceeded, "the rounds gave {} bytes, over the limit of {limit}", self.bytes);
        self.tensors.push(tensor);
        Ok(())
    }

    /// All of them, along the new dimension `axis`; without any, an empty tensor of `otherwise`.
    pub fn finish(self, axis: i64, otherwise: (&Type, Option<&ValueType>)) -> Result<Value> {
        let Some(first) = self.tensors.first() else {
            let Type::Tensor(dtype) = otherwise.0 else {
                bail!(InvalidModel, "a scan output is {}, expected a tensor", otherwise.0)
            };
            let mut shape: Vec<usize> = match otherwise.1 {
                Some(ValueType::Tensor { shape: Some(dims), .. }) => {
                    let size = |d: &crate::graph::Dim| if let crate::graph::Dim::Size(s) = d { *s } else { 0 };
                    dims.iter().map(size).collect()
                }
                _ => Vec::new(),
            };
            let axis = axis_of(axis, shape.len() + 1)?;
            shape.insert(axis, 0);
            return match dtype {
                crate::graph::DataType::String => Tensor::from_strings(shape, Vec::new()).map(Value::from),
                dtype => Tensor::from_bytes(*dtype, shape, Vec::new()).map(Value::from),
            };
        };
        let inner = first.shape().to_vec();
        let axis = axis_of(axis, inner.len() + 1)?;
        let stacked = [&[self.tensors.len()], &inner[..]].concat();
        let joined = Tensor::joined(&self.tensors)?.reshaped(&stacked)?;
        if axis == 0 {
            return Ok(Value::from(joined));
        }
        let mut perm: Vec<usize> = (1..stacked.len()).collect();
        perm.insert(axis, 0);
        match Value::from(joined) {
            Value::Tensor(Array::Cpu(tensor)) => Cpu.transpose(Array::Cpu(tensor), &perm).map(Value::Tensor),
            other => bail!(Unsupported, "{} joined along axis {axis}; along 0 is supported", other.describe()),
        }
    }
}
