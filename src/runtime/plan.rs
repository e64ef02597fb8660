//! The order of the nodes, where each runs, what is known before any run, and when each value
//! is used for the last time.

use std::collections::{BTreeMap, HashMap};

use super::profile::NodeProfile;
use crate::backend::{Array, Cpu, Device, DeviceKind};
use crate::error::{Error, ErrorKind, Result, bail};
use crate::graph::{Attribute, DataType, Graph, Node, Tensor, ValueInfo, ValueType};
use crate::lower::{Draft, Finished, Item, lower};
use crate::ops::{Context, Info, Inputs, NEWEST_OPSET, Op, Operator, Type, Value};

/// A constant is computed at load unless that would make it larger than this and than its
/// inputs: weights that a few bytes describe are made at each run instead of kept.
const FOLDED_BYTES: usize = 1 << 20;

/// A node, ready to run.
pub struct Step {
    pub name: String,
    pub op_type: String,
    pub op: Box<dyn Op>,
    /// Slots of the inputs; `None` is one left out.
    pub inputs: Vec<Option<usize>>,
    /// Slots of the outputs; `None` is one that nobody wants.
    pub outputs: Vec<Option<usize>>,
    /// Inputs that are read on the host.
    pub parameters: &'static [usize],
    pub device: DeviceKind,
    /// Whether the operator only moves elements.
    pub moves: bool,
    /// Slots that no later step reads, nor the caller.
    pub last_uses: Vec<usize>,
}

impl Step {
    fn place(&self, error: Error) -> Error {
        error.at_node(&self.name, &self.op_type)
    }
}

/// What became of a node of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct NodeFate {
    pub name: String,
    pub op_type: String,
    #[cfg_attr(feature = "cli", serde(flatten))]
    pub fate: Fate,
    /// Why, where that is worth a word: why a quantised node stays float, for instance.
    #[cfg_attr(feature = "cli", serde(skip_serializing_if = "Option::is_none"))]
    pub note: Option<String>,
}

/// Whether and how a node of the model runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize))]
#[cfg_attr(feature = "cli", serde(tag = "fate", rename_all = "lowercase", rename_all_fields = "camelCase"))]
pub enum Fate {
    /// It runs, as the operator `as_op`: its own, or the one that took its place.
    Runs { as_op: String, device: DeviceKind },
    /// Its outputs were computed at load.
    Folded,
    /// It is computed as part of the node `into`.
    Fused { into: String },
    /// Nothing needs it.
    Removed,
}

/// What is done to a graph at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphOptimizationLevel {
    /// Nodes run as they are written; what depends on constants alone is computed at load.
    Disabled,
    /// Nodes are fused, weights packed, and quantised regions computed in integers.
    #[default]
    All,
}

impl GraphOptimizationLevel {
    /// The levels' names, which are those of ONNX Runtime.
    pub const NAMES: [&str; 2] = ["disabled", "all"];

    /// The level of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "disabled" => Some(Self::Disabled),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// How a graph is run.
pub struct Plan {
    pub steps: Vec<Step>,
    /// Number of values that a run holds at most.
    pub slots: usize,
    /// Values known at load, by slot.
    pub constants: HashMap<usize, Value>,
    pub inputs: Vec<(ValueInfo, usize)>,
    pub outputs: Vec<(ValueInfo, usize)>,
    pub output_types: Vec<Type>,
    /// Every node of the model and what became of it, in the order of the steps.
    pub fates: Vec<NodeFate>,
}

impl Plan {
    /// Plans `graph` for `device`.
    ///
    /// Errors: `UnsupportedOperator` with all of them at once, `InvalidModel`, `Unsupported`.
    pub fn new(mut graph: Graph, device: DeviceKind, level: GraphOptimizationLevel) -> Result<Self> {
        refuse_unsupported(&graph)?;
        let order = graph.topological_order()?;

        let mut slot_of: HashMap<String, usize> = HashMap::new();
        let mut types: Vec<Option<Type>> = Vec::new();
        let mut constants: HashMap<usize, Value> = HashMap::new();
        let mut slot = |name: &str, types: &mut Vec<Option<Type>>| {
            *slot_of.entry(name.to_string()).or_insert_with(|| {
                types.push(None);
                types.len() - 1
            })
        };
        for (name, tensor) in std::mem::take(&mut graph.initializers) {
            let at = slot(&name, &mut types);
            types[at] = Some(Type::Tensor(tensor.dtype()));
            constants.insert(at, Value::from(tensor));
        }
        let mut inputs = Vec::with_capacity(graph.inputs.len());
        for info in &graph.inputs {
            let at = slot(&info.name, &mut types);
            types[at] = Some(declared_type(&info.name, &info.ty)?);
            inputs.push((info.clone(), at));
        }

        // How many nodes, of those that are not computed here, use a value.
        let mut uses: HashMap<String, usize> = HashMap::new();
        for name in graph.outputs.iter().map(|info| &info.name) {
            *uses.entry(name.clone()).or_default() += 1;
        }
        for node in &graph.nodes {
            for name in node.inputs.iter().chain(&node.captures()) {
                *uses.entry(name.clone()).or_default() += 1;
            }
        }

        // Lowering wants to see how weights are quantised; it computes what is left of that.
        let lowers = device == DeviceKind::Cpu && level == GraphOptimizationLevel::All;
        let mut items = Vec::with_capacity(order.len());
        let mut fates = Vec::with_capacity(order.len());
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
        for index in order {
            let Some(node) = nodes[index].take() else { bail!(Internal, "a node is ordered twice") };
            let Some(operator) = Operator::find(&node.domain, &node.op_type) else {
                bail!(Internal, "operator {} went missing", node.op_type)
            };
            let op = operator.prepare(&node)?;
            let captures = node.captures();
            let in_slots: Vec<Option<usize>> =
                node.inputs.iter().chain(&captures).map(|n| (!n.is_empty()).then(|| slot(n, &mut types))).collect();
            let out_slots: Vec<Option<usize>> =
                node.outputs.iter().map(|n| (!n.is_empty()).then(|| slot(n, &mut types))).collect();
            let in_types: Vec<Option<Type>> = in_slots.iter().map(|s| s.and_then(|s| types[s].clone())).collect();
            let place = |e: Error| e.at_node(&node.name, &node.op_type);
            let out_types = op.types(&in_types).map_err(place)?;
            for (at, ty) in out_slots.iter().zip(out_types) {
                if let Some(at) = at {
                    types[*at] = Some(ty);
                }
            }
            let data = in_types.iter().enumerate().filter(|(i, ty)| ty.is_some() && !operator.parameters.contains(i));
            let mut float32 = data.map(|(_, ty)| *ty == Some(Type::Tensor(DataType::Float32))).peekable();
            let on_gpu =
                operator.webgpu && node.outputs.len() == 1 && float32.peek().is_some() && float32.all(|yes| yes);
            let step = Step {
                name: node.name.clone(),
                op_type: node.op_type.clone(),
                op,
                inputs: in_slots,
                outputs: out_slots,
                parameters: operator.parameters,
                moves: operator.moves,
                device: if on_gpu { device } else { DeviceKind::Cpu },
                last_uses: Vec::new(),
            };
            // A body may draw random numbers, or never end.
            let has_body = node.attributes.values().any(|a| matches!(a, Attribute::Graph(_)));
            let waits = has_body || lowers && step.op_type == "DequantizeLinear";
            let runs = waits || !fold(&step, &mut constants)?;
            let fate =
                if runs { Fate::Runs { as_op: step.op_type.clone(), device: step.device } } else { Fate::Folded };
            fates.push(NodeFate { name: step.name.clone(), op_type: node.op_type.clone(), fate, note: None });
            if !runs {
                for (name, slot) in node.inputs.iter().chain(&captures).zip(&step.inputs) {
                    let Some(left) = uses.get_mut(name) else { continue };
                    *left -= 1;
                    if let (0, Some(slot)) = (*left, slot) {
                        constants.remove(slot);
                    }
                }
            } else {
                items.push(Item { node, step, covers: vec![fates.len() - 1] });
            }
        }

        let mut outputs = Vec::with_capacity(graph.outputs.len());
        let mut output_types = Vec::with_capacity(graph.outputs.len());
        for info in &graph.outputs {
            let at = slot(&info.name, &mut types);
            let mut info = info.clone();
            match &types[at] {
                Some(found) => {
                    complete_type(&mut info, found)?;
                    output_types.push(found.clone());
                }
                None => bail!(InvalidModel, "output \"{}\" is made by no node", info.name),
            }
            outputs.push((info, at));
        }
        drop(graph);
        let wanted = outputs.iter().map(|(_, slot)| *slot).collect();
        let mut draft = Draft::new(items, constants, types, wanted, fates);
        if lowers {
            lower(&mut draft)?;
        }
        let Finished { steps, constants, slots, fates } = draft.finish()?;
        let mut plan = Self { steps, slots, constants, inputs, outputs, output_types, fates };
        plan.find_last_uses();
        Ok(plan)
    }

    fn find_last_uses(&mut self) {
        let mut seen: Vec<bool> = vec![false; self.slots];
        for (_, slot) in &self.outputs {
            seen[*slot] = true;
        }
        for step in self.steps.iter_mut().rev() {
            for slot in step.inputs.iter().chain(&step.outputs).flatten() {
                if !std::mem::replace(&mut seen[*slot], true) {
                    step.last_uses.push(*slot);
                }
            }
        }
        let used: Vec<bool> = {
            let mut used = vec![false; self.slots];
            self.steps.iter().flat_map(|s| s.inputs.iter().flatten()).for_each(|&s| used[s] = true);
            self.outputs.iter().for_each(|(_, s)| used[*s] = true);
            used
        };
        self.constants.retain(|slot, _| used[*slot]);
    }

    /// Runs every step on the CPU, as a body of control flow; `given` are the inputs' values.
    pub fn run(&self, given: Vec<Value>, context: &Context) -> Result<Vec<Value>> {
        let mut values: Vec<Option<Value>> = vec![None; self.slots];
        for ((_, slot), value) in self.inputs.iter().zip(given) {
            values[*slot] = Some(value);
        }
        for step in &self.steps {
            context.check()?;
            let mut inputs = Vec::with_capacity(step.inputs.len());
            for (index, slot) in step.inputs.iter().enumerate() {
                let last = |slot| step.last_uses.contains(slot) && !step.inputs[index + 1..].contains(&Some(*slot));
                inputs.push(match slot {
                    None => None,
                    Some(slot) => match self.constants.get(slot) {
                        Some(constant) => Some(constant.clone()),
                        None if last(slot) => values[*slot].take(),
                        None => values[*slot].clone(),
                    },
                });
            }
            let outputs = execute(step, &Cpu, Inputs::new(inputs, context.clone()), None)?;
            for (slot, value) in step.outputs.iter().zip(outputs) {
                if let Some(slot) = slot {
                    values[*slot] = Some(value);
                }
            }
            for slot in &step.last_uses {
                values[*slot] = None;
            }
        }
        let found = |(info, slot): &(ValueInfo, usize)| match self.constants.get(slot).or(values[*slot].as_ref()) {
            Some(value) => Ok(value.clone()),
            None => bail!(Internal, "output \"{}\" was not computed", info.name),
        };
        self.outputs.iter().map(found).collect()
    }

    /// Bytes of constants, those that nodes hold among them.
    pub fn weight_bytes(&self) -> usize {
        let own: usize = self.steps.iter().map(|step| step.op.weight_bytes()).sum();
        own + self.constants.values().map(Value::byte_len).sum::<usize>()
    }

    /// Which steps are needed for the outputs in `wanted` slots.
    pub fn needed(&self, wanted: &[usize]) -> Vec<bool> {
        let mut needed_slot = vec![false; self.slots];
        wanted.iter().for_each(|&s| needed_slot[s] = true);
        let mut needed = vec![false; self.steps.len()];
        for (i, step) in self.steps.iter().enumerate().rev() {
            if step.outputs.iter().flatten().any(|&s| needed_slot[s]) {
                needed[i] = true;
                step.inputs.iter().flatten().for_each(|&s| needed_slot[s] = true);
            }
        }
        needed
    }
}

/// Checks a step, runs it, and checks what came out against what was promised; says what it read,
/// computed and wrote where that is asked for.
pub fn execute(
    step: &Step,
    device: &dyn Device,
    inputs: Inputs,
    profile: Option<&mut NodeProfile>,
) -> Result<Vec<Value>> {
    let limit = inputs.context().max_tensor_bytes;
    let ready = Ready::new(step, inputs)?;
    for info in ready.infos.iter().flatten() {
        let bytes = ready.byte_len(info)?;
        if bytes > limit {
            let error = format!("the output {info} is over the limit of {limit} bytes");
            return Err(step.place(Error::new(ErrorKind::LimitExceeded, error)));
        }
    }
    let Some(profile) = profile else { return ready.run(device) };
    let inputs = (0..ready.inputs.count()).filter_map(|i| ready.inputs.value(i).ok());
    profile.bytes_read = inputs.map(|value| value.byte_len() as u64).sum::<u64>() + step.op.weight_bytes() as u64;
    profile.multiply_adds = step.op.multiply_adds(&ready.inputs, &ready.infos).map_err(|e| step.place(e))?;
    let outputs = ready.run(device)?;
    profile.bytes_written = outputs.iter().map(|value| value.byte_len() as u64).sum();
    profile.outputs = outputs.iter().map(Value::info).collect();
    Ok(outputs)
}

/// A step whose inputs were checked.
struct Ready<'a> {
    step: &'a Step,
    inputs: Inputs,
    infos: Vec<Option<Info>>,
    /// What the inputs hold the positions of, where they hold positions.
    elements: Option<Tensor>,
}

impl<'a> Ready<'a> {
    fn new(step: &'a Step, mut inputs: Inputs) -> Result<Self> {
        let elements = if step.moves { inputs.positions(step.parameters).map_err(|e| step.place(e))? } else { None };
        match step.op.infer(&inputs) {
            Ok(infos) => Ok(Self { step, inputs, infos, elements }),
            Err(e) => {
                let given = (0..inputs.count()).filter_map(|i| inputs.value(i).ok()).map(Value::describe);
                let given = given.collect::<Vec<_>>().join(", ");
                Err(step.place(Error::new(e.kind(), format!("{} (inputs: {given})", e.message()))))
            }
        }
    }

    /// Bytes of the output `info`.
    fn byte_len(&self, info: &Info) -> Result<usize> {
        let strings = self.elements.as_ref().map_or(info.dtype, Tensor::dtype) == DataType::String;
        // The characters come on top.
        let element = if strings { size_of::<String>() } else { info.dtype.size() };
        let bytes = crate::graph::element_count(&info.shape).map(|n| n.saturating_mul(element));
        bytes.map_err(|e| self.step.place(e))
    }

    fn run(self, device: &dyn Device) -> Result<Vec<Value>> {
        let Self { step, inputs, infos, elements } = self;
        let context = inputs.context().clone();
        let values = step.op.run(device, inputs, &infos).map_err(|e| step.place(e))?;
        for (value, info) in values.iter().zip(&infos) {
            if let Some(info) = info
                && value.info().as_ref() != Some(info)
            {
                let error = format!("promised {info}, gave {}", value.describe());
                return Err(step.place(Error::new(ErrorKind::Internal, error)));
            }
        }
        let Some(elements) = elements else { return Ok(values) };
        values.into_iter().map(|v| v.found_in(&elements, &context)).collect::<Result<_>>().map_err(|e| step.place(e))
    }
}

/// Computes a step at load where all its inputs are known. Whether it was.
pub fn fold(step: &Step, constants: &mut HashMap<usize, Value>) -> Result<bool> {
    let known = step.inputs.iter().flatten().all(|slot| constants.contains_key(slot));
    if !known || !step.op.is_pure() {
        return Ok(false);
    }
    let inputs: Vec<Option<Value>> =
        step.inputs.iter().map(|slot| slot.and_then(|s| constants.get(&s).cloned())).collect();
    let before: usize = inputs.iter().flatten().map(Value::byte_len).sum();
    let ready = Ready::new(step, Inputs::new(inputs, Context::default()))?;
    let after = ready.infos.iter().flatten().map(|info| ready.byte_len(info)).sum::<Result<usize>>()?;
    if after > FOLDED_BYTES && after > before && !step.inputs.is_empty() {
        return Ok(false);
    }
    // A view of a constant would keep the constant alive; its own bytes are smaller.
    let own = |value: Value| match value {
        Value::Tensor(Array::Cpu(tensor)) => Value::from(crate::backend::contiguous(tensor)),
        other => other,
    };
    for (slot, value) in step.outputs.iter().zip(ready.run(&Cpu)?) {
        if let Some(slot) = slot {
            constants.insert(*slot, own(value));
        }
    }
    Ok(true)
}

/// Names of nodes by their operator's domain and name.
type Missing<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

fn refuse_unsupported(graph: &Graph) -> Result<()> {
    let mut missing: Missing<'_> = BTreeMap::new();
    find_unsupported(graph, &mut missing)?;
    if missing.is_empty() {
        return Ok(());
    }
    // What another build has is worth no word next to what none has.
    if missing.keys().any(|(domain, name)| !Operator::is_known(domain, name)) {
        missing.retain(|(domain, name), _| !Operator::is_known(domain, name));
    }
    let list: Vec<String> = missing
        .iter()
        .map(|((domain, name), nodes)| {
            let name = if domain.is_empty() { name.to_string() } else { format!("{domain}.{name}") };
            let named = nodes.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
            format!("{name} ({} {}: {named})", nodes.len(), if nodes.len() == 1 { "node" } else { "nodes" })
        })
        .collect();
    bail!(UnsupportedOperator, "unsupported operators: {}", list.join(", "))
}

/// Collects the nodes whose operator is missing, in bodies too, and checks opsets.
fn find_unsupported<'a>(graph: &'a Graph, missing: &mut Missing<'a>) -> Result<()> {
    for node in &graph.nodes {
        if Operator::find(&node.domain, &node.op_type).is_none() {
            missing.entry((&node.domain, &node.op_type)).or_default().push(&node.name);
        }
        let opset = node.opset;
        if node.domain.is_empty() && opset > NEWEST_OPSET {
            bail!(
                Unsupported,
                "the model uses opset {opset}; up to {NEWEST_OPSET} is supported: export it with an older opset"
            );
        }
        if node.domain.is_empty() && opset < 1 {
            bail!(InvalidModel, "the model uses opset {opset}; the first is 1");
        }
        for attribute in node.attributes.values() {
            if let Attribute::Graph(body) = attribute {
                find_unsupported(body, missing)?;
            }
        }
    }
    Ok(())
}

/// The type of `name`, which is declared `ty`.
pub fn declared_type(name: &str, ty: &ValueType) -> Result<Type> {
    match ty {
        ValueType::Tensor { dtype, .. } => Ok(Type::Tensor(*dtype)),
        ValueType::Sequence(inner) => match &**inner {
            ValueType::Tensor { dtype, .. } => Ok(Type::Sequence(*dtype)),
            _ => bail!(Unsupported, "\"{name}\" is {ty}; sequences of tensors are supported"),
        },
        ValueType::Optional(inner) => Ok(Type::Optional(Box::new(declared_type(name, inner)?))),
        ValueType::Map(..) => bail!(Unsupported, "\"{name}\" is {ty}; maps are supported as outputs of ZipMap"),
        ValueType::Unknown => bail!(InvalidModel, "\"{name}\" has no declared type"),
    }
}

/// Fills in what an output's declaration leaves out, and refuses one that is wrong.
fn complete_type(info: &mut ValueInfo, found: &Type) -> Result<()> {
    let computed = found.declared();
    if !info.ty.accepts(&computed) {
        bail!(InvalidModel, "output \"{}\" is declared {}, the graph computes {found}", info.name, info.ty);
    }
    if info.ty == ValueType::Unknown {
        info.ty = computed;
    }
    Ok(())
}
