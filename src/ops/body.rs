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
        let plan = Plan::new(graph, DeviceKind::Cpu, Default::default())?;
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
                // Nothing is known of the tensor but that it has the axis.
                _ => vec![0; axis.max(0) as usize],
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use crate::graph::{Attribute, DataType, Graph, ValueType};
    use crate::support::{Builder, bools, f32s, i64s, into_tensor, tensor_type};
    use crate::{Error, ErrorKind, Feed, RunOptions, Session, Tensor};

    fn float(dims: &[&str]) -> ValueType {
        tensor_type(DataType::Float32, dims)
    }

    fn run(session: &Session, inputs: &[(&str, Tensor)]) -> Result<Vec<Feed>, Error> {
        let feeds = inputs.iter().map(|(name, tensor)| (name.to_string(), Feed::Tensor(tensor.clone())));
        let outputs = session.run_blocking(feeds.collect::<Vec<_>>(), RunOptions::default())?;
        Ok(outputs.into_iter().map(|(_, feed)| feed).collect())
    }

    fn values(feed: &Feed) -> Vec<f32> {
        into_tensor(feed.clone()).as_slice::<f32>().expect("float32").to_vec()
    }

    /// A body that gives `x` of the outer graph, once more through `op_type`.
    fn branch(op_type: &str) -> Graph {
        Builder::new(16).node(op_type, &["x"], &["out"], &[]).output("out").graph()
    }

    #[test]
    fn if_runs_one_branch_on_outer_values() {
        let branches =
            [("then_branch", Attribute::Graph(branch("Neg"))), ("else_branch", Attribute::Graph(branch("Abs")))];
        let session = Builder::new(16)
            .input("cond", tensor_type(DataType::Bool, &[]))
            .input("x", float(&["n"]))
            .node("If", &["cond"], &["y"], &branches)
            .output("y")
            .load()
            .expect("a sound model");
        for (cond, expected) in [(true, [2.0, -3.0]), (false, [2.0, 3.0])] {
            let inputs = [("cond", bools(&[], &[cond])), ("x", f32s(&[2], vec![-2.0, 3.0]))];
            assert_eq!(values(&run(&session, &inputs).expect("runs")[0]), expected);
        }
    }

    #[test]
    fn a_body_is_run_each_time_though_all_it_takes_is_known() {
        let shape = [("shape", Attribute::Ints(vec![8]))];
        let random = Builder::new(16).node("RandomNormal", &[], &["out"], &shape).output("out").graph();
        let branches = [("then_branch", Attribute::Graph(random.clone())), ("else_branch", Attribute::Graph(random))];
        let session = Builder::new(16)
            .constant("cond", bools(&[], &[true]))
            .node("If", &["cond"], &["y"], &branches)
            .output("y")
            .load()
            .expect("a sound model");
        let draw = || values(&run(&session, &[]).expect("runs")[0]);
        assert_ne!(draw(), draw());
    }

    #[test]
    fn branches_of_different_types_are_refused_at_load() {
        let shape = Builder::new(16).node("Shape", &["x"], &["out"], &[]).output("out").graph();
        let branches = [("then_branch", Attribute::Graph(branch("Neg"))), ("else_branch", Attribute::Graph(shape))];
        let error = Builder::new(16)
            .input("cond", tensor_type(DataType::Bool, &[]))
            .input("x", float(&["n"]))
            .node("If", &["cond"], &["y"], &branches)
            .output("y")
            .load()
            .err()
            .expect("float32 and int64");
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        assert!(error.message().contains("float32 in then_branch, int64 in else_branch"), "{error}");
    }

    /// Doubles `x` in every round and gives each round's result; goes on while below `limit`.
    fn doubling() -> Graph {
        Builder::new(16)
            .input("round", tensor_type(DataType::Int64, &[]))
            .input("go_on", tensor_type(DataType::Bool, &[]))
            .input("before", float(&["n"]))
            .node("Add", &["before", "before"], &["after"], &[])
            .node("ReduceMax", &["after"], &["largest"], &[("keepdims", Attribute::Int(0))])
            .node("Less", &["largest", "limit"], &["more"], &[])
            .node("Identity", &["after"], &["each"], &[])
            .output("more")
            .output("after")
            .output("each")
            .graph()
    }

    fn looping(rounds: &str, condition: &str) -> Session {
        Builder::new(16)
            .input("rounds", tensor_type(DataType::Int64, &[]))
            .input("condition", tensor_type(DataType::Bool, &[]))
            .input("x", float(&["n"]))
            .input("limit", float(&[]))
            .node("Loop", &[rounds, condition, "x"], &["last", "all"], &[("body", Attribute::Graph(doubling()))])
            .output("last")
            .output("all")
            .load()
            .expect("a sound model")
    }

    fn loop_inputs(rounds: i64, condition: bool, limit: f32) -> [(&'static str, Tensor); 4] {
        [
            ("rounds", i64s(&[], &[rounds])),
            ("condition", bools(&[], &[condition])),
            ("x", f32s(&[2], vec![1.0, 3.0])),
            ("limit", f32s(&[], vec![limit])),
        ]
    }

    #[test]
    fn loop_ends_by_its_count_or_by_its_condition() {
        let session = looping("rounds", "condition");
        for (rounds, limit, count) in [(2, 1e9, 2), (100, 20.0, 3), (0, 1e9, 0), (-5, 1e9, 0)] {
            let outputs = run(&session, &loop_inputs(rounds, true, limit)).expect("runs");
            let factor = 2f32.powi(count);
            assert_eq!(values(&outputs[0]), [factor, 3.0 * factor]);
            let all = into_tensor(outputs[1].clone());
            assert_eq!(all.shape()[0], count as usize);
            let expected: Vec<f32> = (1..=count).flat_map(|r| [2f32.powi(r), 3.0 * 2f32.powi(r)]).collect();
            assert_eq!(all.as_slice::<f32>(), Some(&expected[..]));
        }
        let outputs = run(&session, &loop_inputs(5, false, 1e9)).expect("runs");
        assert_eq!(values(&outputs[0]), [1.0, 3.0]);
    }

    #[test]
    fn a_loop_without_end_is_ended_by_its_caller() {
        let body = Builder::new(16)
            .input("round", tensor_type(DataType::Int64, &[]))
            .input("go_on", tensor_type(DataType::Bool, &[]))
            .input("before", float(&["n"]))
            .node("Identity", &["go_on"], &["more"], &[])
            .node("Neg", &["before"], &["after"], &[])
            .output("more")
            .output("after")
            .graph();
        let session = Builder::new(16)
            .input("x", float(&["n"]))
            .node("Loop", &["", "", "x"], &["last"], &[("body", Attribute::Graph(body))])
            .output("last")
            .load()
            .expect("a sound model");
        let terminate = Arc::new(AtomicBool::new(false));
        let setter = terminate.clone();
        let ender = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            setter.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let options = RunOptions { terminate: Some(terminate), ..RunOptions::default() };
        let feed = [("x".to_string(), Feed::Tensor(f32s(&[1], vec![1.0])))];
        let error = session.run_blocking(feed, options).expect_err("the loop has no end of its own");
        ender.join().expect("no panic");
        assert_eq!(error.kind(), ErrorKind::Aborted);
    }

    #[test]
    fn scan_walks_any_axis_in_both_directions() {
        let body = Builder::new(16)
            .input("sum", float(&["k"]))
            .input("part", float(&["k"]))
            .node("Add", &["sum", "part"], &["next"], &[])
            .node("Identity", &["next"], &["each"], &[])
            .output("next")
            .output("each")
            .graph();
        let attributes = [
            ("body", Attribute::Graph(body)),
            ("num_scan_inputs", Attribute::Int(1)),
            ("scan_input_axes", Attribute::Ints(vec![-1])),
            ("scan_input_directions", Attribute::Ints(vec![1])),
            ("scan_output_axes", Attribute::Ints(vec![1])),
            ("scan_output_directions", Attribute::Ints(vec![1])),
        ];
        let session = Builder::new(16)
            .input("start", float(&["k"]))
            .input("x", float(&["k", "n"]))
            .node("Scan", &["start", "x"], &["total", "sums"], &attributes)
            .output("total")
            .output("sums")
            .load()
            .expect("a sound model");
        let inputs = [("start", f32s(&[2], vec![0.0, 10.0])), ("x", f32s(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))];
        let outputs = run(&session, &inputs).expect("runs");
        assert_eq!(values(&outputs[0]), [6.0, 25.0]);
        // Backward over the columns, and stored backward: suffix sums.
        assert_eq!(values(&outputs[1]), [6.0, 5.0, 3.0, 25.0, 21.0, 16.0]);
        let empty = [("start", f32s(&[2], vec![0.0, 10.0])), ("x", f32s(&[2, 0], vec![]))];
        assert_eq!(values(&run(&session, &empty).expect("runs")[0]), [0.0, 10.0]);
    }

    #[test]
    fn operators_that_are_missing_in_bodies_are_named() {
        let body = Builder::new(16).node("Missing", &["x"], &["out"], &[]).output("out").graph();
        let branches = [("then_branch", Attribute::Graph(body)), ("else_branch", Attribute::Graph(branch("Abs")))];
        let error = Builder::new(16)
            .input("cond", tensor_type(DataType::Bool, &[]))
            .input("x", float(&["n"]))
            .node("If", &["cond"], &["y"], &branches)
            .output("y")
            .load()
            .err()
            .expect("an operator is missing");
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
        assert!(error.message().contains("Missing (1 node: \"Missing_0\")"), "{error}");
    }
}
