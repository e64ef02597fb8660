//! Scan: runs its body over the entries of tensors along an axis, carrying states, and joins
//! what the rounds give. Before opset 9 all of that once for every entry of a batch.

use super::body::{Body, Stack, entry};
use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};

/// Scan.
pub const OPERATOR: Operator = Operator {
    name: "Scan",
    inputs: 1..=4096,
    outputs: 1..=4096,
    attributes: &[
        "body",
        "directions",
        "num_scan_inputs",
        "scan_input_axes",
        "scan_input_directions",
        "scan_output_axes",
        "scan_output_directions",
    ],
    build,
    ..Operator::DEFAULT
};

struct Scan {
    body: Body,
    states: usize,
    scans: usize,
    outputs: usize,
    input_axes: Vec<i64>,
    input_backward: Vec<bool>,
    output_axes: Vec<i64>,
    output_backward: Vec<bool>,
    /// Before opset 9: input 0 is the sequences' lengths, and dimension 0 is a batch.
    batched: bool,
    types: std::sync::OnceLock<Vec<Type>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let body = Body::read(attributes, "body")?;
    let batched = attributes.opset < 9;
    let given = attributes.inputs() - usize::from(batched);
    let scans = match attributes.int("num_scan_inputs")? {
        Some(count) if (1..=given as i64).contains(&count) => count as usize,
        Some(count) => bail!(InvalidModel, "num_scan_inputs is {count} of {given} inputs"),
        None => bail!(InvalidModel, "attribute \"num_scan_inputs\" is missing"),
    };
    let (states, outputs) = (given - scans, attributes.outputs());
    ensure!(
        body.outputs() == outputs && outputs >= states,
        InvalidModel,
        "the body gives {} outputs for {states} states and {outputs} outputs of the node",
        body.outputs()
    );
    let list = |name: &str, count: usize| -> Result<Vec<i64>> {
        let values = attributes.ints(name)?.map_or_else(|| vec![0; count], <[i64]>::to_vec);
        ensure!(values.len() == count, InvalidModel, "{name} has {} entries, expected {count}", values.len());
        Ok(values)
    };
    let backward = |values: Vec<i64>| values.into_iter().map(|v| v != 0).collect::<Vec<_>>();
    let directions = if batched { "directions" } else { "scan_input_directions" };
    Ok(Box::new(Scan {
        states,
        scans,
        outputs,
        input_axes: list("scan_input_axes", scans)?,
        input_backward: backward(list(directions, scans)?),
        output_axes: list("scan_output_axes", outputs - states)?,
        output_backward: backward(list("scan_output_directions", outputs - states)?),
        batched,
        types: Default::default(),
        body,
    }))
}

impl Scan {
    /// Position of the first state among the inputs.
    fn first(&self) -> usize {
        usize::from(self.batched)
    }

    /// One run over sequences, all of one length.
    fn scan(
        &self,
        mut states: Vec<Value>,
        sequences: &[Value],
        captured: &[Option<Value>],
        inputs: &Inputs,
    ) -> Result<Vec<Value>> {
        let context = inputs.context();
        let mut length = None;
        let mut axes = Vec::with_capacity(sequences.len());
        for (index, (value, &axis)) in sequences.iter().zip(&self.input_axes).enumerate() {
            let Some(info) = value.info() else { bail!(InvalidModel, "scan input {index} is no tensor") };
            let axis = axis_of(axis, info.shape.len())?;
            let size = info.shape[axis];
            let known = *length.get_or_insert(size);
            ensure!(size == known, ShapeMismatch, "scan input {index} is {size} long, the first {known}");
            axes.push(axis);
        }
        let length = length.unwrap_or(0);
        let mut rounds: Vec<Vec<Value>> = vec![Vec::new(); self.outputs - self.states];
        for round in 0..length {
            context.check()?;
            let mut given = std::mem::take(&mut states);
            for ((value, &axis), &backward) in sequences.iter().zip(&axes).zip(&self.input_backward) {
                given.push(entry(value, axis, if backward { length - 1 - round } else { round })?);
            }
            let mut found = self.body.run(given, captured, context)?.into_iter();
            states = found.by_ref().take(self.states).collect();
            for (list, value) in rounds.iter_mut().zip(found) {
                list.push(value);
            }
        }
        let types = self.types.get().map_or(&[][..], Vec::as_slice);
        for (index, mut values) in rounds.into_iter().enumerate() {
            if self.output_backward[index] {
                values.reverse();
            }
            let mut stack = Stack::new();
            for value in values {
                stack.push(value, context)?;
            }
            let at = self.states + index;
            let Some(ty) = types.get(at) else { bail!(Internal, "Scan was not planned") };
            states.push(stack.finish(self.output_axes[index], (ty, self.body.declared_output(at)))?);
        }
        Ok(states)
    }
}

impl Op for Scan {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let end = self.first() + self.states + self.scans;
        let mut given = Vec::with_capacity(end);
        for index in self.first()..end {
            given.push(Type::Tensor(tensor_type(inputs, index, Dtypes::All)?));
        }
        let found = self.body.plan(&given, &inputs[end..])?;
        for (index, (before, after)) in given[..self.states].iter().zip(&found).enumerate() {
            ensure!(before == after, InvalidModel, "state {index} is {before}, the body makes it {after}");
        }
        for ty in &found {
            ensure!(matches!(ty, Type::Tensor(_)), InvalidModel, "the body gives {ty}, expected tensors");
        }
        let _ = self.types.set(found.clone());
        Ok(found)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        if self.batched {
            let batch = inputs.shape(1)?.first().copied();
            for index in 1..1 + self.states + self.scans {
                let shape = inputs.shape(index)?;
                let fits = !shape.is_empty() && shape.first().copied() == batch;
                ensure!(fits, ShapeMismatch, "input {index}: expected a batch of {batch:?}, got {shape:?}");
            }
            ensure!(!inputs.has(0), Unsupported, "sequence_lens is given: sequences of different lengths");
        }
        Ok(vec![None; self.outputs])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let end = self.first() + self.states + self.scans;
        let captured = inputs.take_from(end);
        let given: Vec<Value> = inputs.take_from(self.first()).into_iter().flatten().collect();
        let (states, sequences) = given.split_at(self.states.min(given.len()));
        if !self.batched {
            return self.scan(states.to_vec(), sequences, &captured, &inputs);
        }
        let batch = given.first().and_then(Value::info).map_or(0, |info| info.shape[0]);
        let mut stacks: Vec<Stack> = (0..self.outputs).map(|_| Stack::new()).collect();
        for b in 0..batch {
            let of = |values: &[Value]| values.iter().map(|v| entry(v, 0, b)).collect::<Result<Vec<_>>>();
            for (stack, value) in stacks.iter_mut().zip(self.scan(of(states)?, &of(sequences)?, &captured, &inputs)?) {
                stack.push(value, inputs.context())?;
            }
        }
        let types = self.types.get().map_or(&[][..], Vec::as_slice);
        stacks.into_iter().zip(types).map(|(stack, ty)| stack.finish(0, (ty, None))).collect()
    }
}
