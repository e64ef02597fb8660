//! A graph between its nodes and a plan: items in any order, the constants, who makes and who uses
//! each value.

use std::collections::HashMap;

use crate::backend::{DeviceKind, tensor_of};
use crate::error::{Result, bail};
use crate::graph::{Attribute, DataType, Node, Tensor};
use crate::ops::{Op, Operator, Type, Value};
use crate::runtime::{Fate, NodeFate, Step, fold};

/// A step, and the nodes it stands for.
pub struct Item {
    /// The node that it was, or the operator that it has become, with attributes that passes read.
    pub node: Node,
    pub step: Step,
    /// Places of the model's nodes in [`Draft::fates`] that it computes.
    pub covers: Vec<usize>,
}

impl Item {
    /// Whether it is still a node of ONNX's operator `op_type`.
    pub fn is(&self, op_type: &str) -> bool {
        self.node.domain.is_empty() && self.node.op_type == op_type
    }

    /// The slot of input `index`.
    pub fn input(&self, index: usize) -> Option<usize> {
        self.step.inputs.get(index).copied().flatten()
    }

    /// The slot of the first output.
    pub fn output(&self) -> Option<usize> {
        self.step.outputs.first().copied().flatten()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.node.attributes.get(name) {
            Some(Attribute::Float(value)) => Some(*value),
            _ => None,
        }
    }
}

/// What several items are as one: the name of the first, the outputs of the last, the nodes of all.
struct Joined {
    name: String,
    inputs: Vec<usize>,
    outputs: Vec<Option<usize>>,
    covers: Vec<usize>,
}

/// What a plan is made of.
pub struct Finished {
    pub steps: Vec<Step>,
    pub constants: HashMap<usize, Value>,
    /// How many slots there are.
    pub slots: usize,
    /// What became of the model's nodes.
    pub fates: Vec<NodeFate>,
}

/// See the module.
pub struct Draft {
    items: Vec<Option<Item>>,
    /// Values known at load, by slot.
    pub constants: HashMap<usize, Value>,
    types: Vec<Option<Type>>,
    /// Item that makes a slot.
    makers: Vec<Option<usize>>,
    /// Items that use a slot, once for each use.
    users: Vec<Vec<usize>>,
    /// Slots that a caller may ask for.
    wanted: Vec<usize>,
    /// What became of the model's nodes.
    pub fates: Vec<NodeFate>,
}

impl Draft {
    /// The domain of operators that are no node's.
    pub const DOMAIN: &str = "firebrand";

    /// A draft of `items`, whose values have `types`; `wanted` are the slots of the outputs.
    pub fn new(
        items: Vec<Item>,
        constants: HashMap<usize, Value>,
        types: Vec<Option<Type>>,
        wanted: Vec<usize>,
        fates: Vec<NodeFate>,
    ) -> Self {
        let slots = types.len();
        let (makers, users) = (vec![None; slots], vec![Vec::new(); slots]);
        let mut draft = Self { items: Vec::new(), constants, types, makers, users, wanted, fates };
        items.into_iter().for_each(|item| draft.put(item));
        draft
    }

    /// Places of all items; those put in later are not among them.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.items.len()
    }

    /// The item at `place`, unless it was taken.
    pub fn item(&self, place: usize) -> Option<&Item> {
        self.items.get(place).and_then(Option::as_ref)
    }

    /// The item that makes `slot`, with its place.
    pub fn maker(&self, slot: usize) -> Option<(usize, &Item)> {
        let place = self.makers[slot]?;
        Some((place, self.item(place)?))
    }

    /// The maker of input `index` of `item`.
    pub fn maker_of(&self, item: &Item, index: usize) -> Option<(usize, &Item)> {
        self.maker(item.input(index)?)
    }

    /// Places of the items that use `slot`, once for each use.
    pub fn users(&self, slot: usize) -> &[usize] {
        &self.users[slot]
    }

    /// Whether a caller may ask for `slot`.
    pub fn is_wanted(&self, slot: usize) -> bool {
        self.wanted.contains(&slot)
    }

    /// The one item that uses `slot`, if there is no other use.
    pub fn only_user(&self, slot: usize) -> Option<(usize, &Item)> {
        match self.users[slot][..] {
            [place] if !self.is_wanted(slot) => Some((place, self.item(place)?)),
            _ => None,
        }
    }

    /// The dtype of the tensor in `slot`.
    pub fn dtype(&self, slot: usize) -> Option<DataType> {
        match self.types[slot] {
            Some(Type::Tensor(dtype)) => Some(dtype),
            _ => None,
        }
    }

    /// The constant in `slot`, as a host tensor.
    pub fn constant(&self, slot: Option<usize>) -> Option<Tensor> {
        self.constants.get(&slot?)?.clone().into_host().ok()
    }

    /// The float32 elements and the shape of the constant in `slot`.
    pub fn floats(&self, slot: Option<usize>) -> Option<(Vec<f32>, Vec<usize>)> {
        let tensor = self.constant(slot)?;
        Some((tensor.as_slice::<f32>()?.to_vec(), tensor.shape().to_vec()))
    }

    /// The one float32 of the constant in `slot`.
    pub fn scalar(&self, slot: Option<usize>) -> Option<f32> {
        match self.floats(slot)?.0[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// A new slot for a tensor of `dtype`.
    pub fn slot(&mut self, dtype: DataType) -> usize {
        self.types.push(Some(Type::Tensor(dtype)));
        self.makers.push(None);
        self.users.push(Vec::new());
        self.types.len() - 1
    }

    /// A slot with a new constant.
    pub fn add_floats(&mut self, shape: &[usize], values: Vec<f32>) -> usize {
        let slot = self.slot(DataType::Float32);
        self.constants.insert(slot, Value::from(tensor_of(DataType::Float32, shape, values)));
        slot
    }

    /// A slot with a new constant.
    pub fn add_constant(&mut self, dtype: DataType, value: Value) -> usize {
        let slot = self.slot(dtype);
        self.constants.insert(slot, value);
        slot
    }

    /// Takes the item at `place` out; its outputs have no maker until an item is put in.
    pub fn take(&mut self, place: usize) -> Result<Item> {
        let Some(item) = self.items[place].take() else { bail!(Internal, "an item was taken twice") };
        for slot in item.step.inputs.iter().flatten() {
            if let Some(at) = self.users[*slot].iter().position(|&p| p == place) {
                self.users[*slot].swap_remove(at);
            }
        }
        for slot in item.step.outputs.iter().flatten() {
            self.makers[*slot] = None;
        }
        Ok(item)
    }

    /// Puts an item in.
    pub fn put(&mut self, item: Item) {
        let place = self.items.len();
        for slot in item.step.inputs.iter().flatten() {
            self.users[*slot].push(place);
        }
        for slot in item.step.outputs.iter().flatten() {
            self.makers[*slot] = Some(place);
        }
        self.items.push(Some(item));
    }

    /// Takes out the items at `places`, of which there is one at least.
    fn take_all(&mut self, places: &[usize]) -> Result<Joined> {
        let mut joined = Joined { name: String::new(), inputs: Vec::new(), outputs: Vec::new(), covers: Vec::new() };
        for (n, &place) in places.iter().enumerate() {
            let item = self.take(place)?;
            if n == 0 {
                joined.name = item.step.name;
            }
            joined.inputs.extend(item.step.inputs.into_iter().flatten());
            joined.outputs = item.step.outputs;
            joined.covers.extend(item.covers);
        }
        Ok(joined)
    }

    /// Puts in one item named `op_type` in the place of those at `places`, the first of which gives
    /// its name. It makes what the last of them made.
    pub fn replace(
        &mut self,
        places: &[usize],
        op_type: &'static str,
        op: Box<dyn Op>,
        inputs: Vec<Option<usize>>,
    ) -> Result<()> {
        let Joined { name, inputs: before, outputs, covers } = self.take_all(places)?;
        self.put(Self::made(name, op_type, op, inputs, outputs, covers));
        self.release(before)
    }

    /// An item for an operator that is no node's.
    pub fn made(
        name: String,
        op_type: &'static str,
        op: Box<dyn Op>,
        inputs: Vec<Option<usize>>,
        outputs: Vec<Option<usize>>,
        covers: Vec<usize>,
    ) -> Item {
        let node = Node {
            name: name.clone(),
            domain: Self::DOMAIN.to_string(),
            op_type: op_type.to_string(),
            opset: 1,
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: HashMap::new(),
        };
        let step = Step {
            name,
            op_type: op_type.to_string(),
            op,
            inputs,
            outputs,
            parameters: &[],
            device: DeviceKind::Cpu,
            moves: false,
            last_uses: Vec::new(),
        };
        Item { node, step, covers }
    }

    /// Puts in a node of ONNX's operator `op_type` in the place of those at `places`, as
    /// [`replace`](Self::replace) does.
    pub fn replace_by_node(
        &mut self,
        places: &[usize],
        op_type: &str,
        opset: i64,
        attributes: &[(&str, Attribute)],
        inputs: Vec<Option<usize>>,
    ) -> Result<()> {
        let Some(operator) = Operator::find("", op_type) else { bail!(Internal, "there is no operator {op_type}") };
        let Joined { name, inputs: before, outputs, covers } = self.take_all(places)?;
        let item = Self::node(operator, name, opset, attributes, inputs, outputs, covers)?;
        self.put(item);
        self.release(before)
    }

    /// An item for a node of `operator`.
    fn node(
        operator: &'static Operator,
        name: String,
        opset: i64,
        attributes: &[(&str, Attribute)],
        inputs: Vec<Option<usize>>,
        outputs: Vec<Option<usize>>,
        covers: Vec<usize>,
    ) -> Result<Item> {
        let names =
            |slots: &[Option<usize>]| slots.iter().map(|s| s.map_or(String::new(), |s| s.to_string())).collect();
        let node = Node {
            name: name.clone(),
            domain: operator.domain.to_string(),
            op_type: operator.name.to_string(),
            opset,
            inputs: names(&inputs),
            outputs: names(&outputs),
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        };
        let step = Step {
            name,
            op_type: operator.name.to_string(),
            op: operator.prepare(&node)?,
            inputs,
            outputs,
            parameters: operator.parameters,
            device: DeviceKind::Cpu,
            moves: operator.moves,
            last_uses: Vec::new(),
        };
        Ok(Item { node, step, covers })
    }

    /// Puts in a node of ONNX's operator `op_type` that makes `output`.
    #[allow(clippy::too_many_arguments)]
    pub fn put_node(
        &mut self,
        name: &str,
        op_type: &str,
        opset: i64,
        attributes: &[(&str, Attribute)],
        inputs: Vec<Option<usize>>,
        output: usize,
        covers: Vec<usize>,
    ) -> Result<()> {
        let Some(operator) = Operator::find("", op_type) else { bail!(Internal, "there is no operator {op_type}") };
        let item = Self::node(operator, name.to_string(), opset, attributes, inputs, vec![Some(output)], covers)?;
        self.put(item);
        Ok(())
    }

    /// Lets every user of `slot` use `other` instead. False where a caller may ask for `slot`.
    pub fn redirect(&mut self, slot: usize, other: usize) -> bool {
        if self.is_wanted(slot) {
            return false;
        }
        for place in std::mem::take(&mut self.users[slot]) {
            if let Some(item) = &mut self.items[place] {
                for input in item.step.inputs.iter_mut().filter(|input| **input == Some(slot)) {
                    *input = Some(other);
                }
            }
            self.users[other].push(place);
        }
        true
    }

    /// Removes the item at `place`, whose work nobody needs.
    pub fn remove(&mut self, place: usize) -> Result<()> {
        let item = self.take(place)?;
        let known = item.step.inputs.iter().flatten().all(|slot| self.constants.contains_key(slot));
        let fate = if known { Fate::Folded } else { Fate::Removed };
        item.covers.iter().for_each(|&c| self.fates[c].fate = fate.clone());
        self.release(item.step.inputs.into_iter().flatten().collect())
    }

    /// Drops those of the slots' constants that nothing uses any more, and what made the others: so weights and their
    /// packed form are both in memory for one item at a time.
    pub fn release(&mut self, slots: Vec<usize>) -> Result<()> {
        for slot in slots {
            if !self.is_unused(slot) {
                continue;
            }
            self.constants.remove(&slot);
            if let Some((place, item)) = self.maker(slot)
                && item.step.outputs.iter().flatten().all(|&output| self.is_unused(output))
            {
                self.remove(place)?;
            }
        }
        Ok(())
    }

    fn is_unused(&self, slot: usize) -> bool {
        self.users[slot].is_empty() && !self.is_wanted(slot)
    }

    /// Says of the nodes of the item at `place` why they are what they are.
    pub fn note(&mut self, place: usize, why: &str) {
        let Some(item) = self.items.get(place).and_then(Option::as_ref) else { return };
        item.covers.iter().for_each(|&node| self.fates[node].note = Some(why.to_string()));
    }

    /// Computes what depends on constants alone.
    pub fn fold(&mut self) -> Result<()> {
        // Every pass over the items may make the inputs of others known.
        loop {
            let mut any = false;
            for place in self.places() {
                let Some(item) = &self.items[place] else { continue };
                let has_body = item.node.attributes.values().any(|a| matches!(a, Attribute::Graph(_)));
                if has_body || !fold(&item.step, &mut self.constants)? {
                    continue;
                }
                let item = self.take(place)?;
                item.covers.iter().for_each(|&c| self.fates[c].fate = Fate::Folded);
                self.release(item.step.inputs.into_iter().flatten().collect())?;
                any = true;
            }
            if !any {
                return Ok(());
            }
        }
    }

    /// Removes what leads to no output.
    pub fn drop_unused(&mut self) {
        for place in self.places() {
            let unused = |item: &Item| item.step.outputs.iter().flatten().all(|&slot| self.is_unused(slot));
            if self.item(place).is_some_and(unused) {
                // It is there: it was just looked at.
                let _ = self.remove(place);
            }
        }
    }

    /// Orders the steps so that every input is made before it is used.
    pub fn finish(mut self) -> Result<Finished> {
        let mut waiting: Vec<usize> = self
            .items
            .iter()
            .map(|item| match item {
                Some(item) => item.step.inputs.iter().flatten().filter(|s| self.makers[**s].is_some()).count(),
                None => usize::MAX,
            })
            .collect();
        let mut ready: std::collections::BTreeSet<(usize, usize)> = Default::default();
        // In the model's order where that is free.
        let rank = |item: &Option<Item>| item.as_ref().map_or(0, |i| i.covers.iter().copied().max().unwrap_or(0));
        let ranks: Vec<usize> = self.items.iter().map(rank).collect();
        ready.extend(waiting.iter().enumerate().filter(|(_, w)| **w == 0).map(|(place, _)| (ranks[place], place)));
        let mut steps = Vec::new();
        let count = self.items.iter().flatten().count();
        while let Some((_, place)) = ready.pop_first() {
            let Some(item) = self.items[place].take() else { continue };
            for slot in item.step.outputs.iter().flatten() {
                for &user in &self.users[*slot] {
                    waiting[user] -= 1;
                    if waiting[user] == 0 {
                        ready.insert((ranks[user], user));
                    }
                }
            }
            for (n, &c) in item.covers.iter().enumerate() {
                self.fates[c].fate = match n {
                    0 => Fate::Runs { as_op: item.step.op_type.clone(), device: item.step.device },
                    _ => Fate::Fused { into: item.step.name.clone() },
                };
            }
            steps.push(item.step);
        }
        if steps.len() != count {
            bail!(Internal, "lowering made a cycle");
        }
        Ok(Finished { steps, constants: self.constants, slots: self.types.len(), fates: self.fates })
    }
}
