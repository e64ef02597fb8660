//! Loop: runs its body while a condition holds, at most a number of times, and joins what the
//! rounds give.

use super::body::{Body, Stack, common};
use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::{Device, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// Loop.
pub const OPERATOR: Operator = Operator {
    name: "Loop",
    inputs: 2..=4096,
    outputs: 1..=4096,
    attributes: &["body"],
    parameters: &[0, 1],
    build,
    ..Operator::DEFAULT
};

struct Loop {
    body: Body,
    /// How many values are carried from round to round.
    carried: usize,
    outputs: usize,
    scan_types: std::sync::OnceLock<Vec<Type>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let body = Body::read(attributes, "body")?;
    let (carried, outputs) = (attributes.inputs() - 2, attributes.outputs());
    ensure!(
        body.outputs() == outputs + 1 && outputs >= carried,
        InvalidModel,
        "the body gives {} outputs for {carried} carried values and {outputs} outputs of the node; expected {}",
        body.outputs(),
        outputs + 1
    );
    Ok(Box::new(Loop { body, carried, outputs, scan_types: Default::default() }))
}

impl Op for Loop {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 0, Dtypes::Index)?;
        optional_type(inputs, 1, Dtypes::Only(DataType::Bool))?;
        let mut given = vec![Type::Tensor(DataType::Int64), Type::Tensor(DataType::Bool)];
        for (index, ty) in inputs.iter().enumerate().skip(2).take(self.carried) {
            match ty {
                Some(ty) => given.push(ty.clone()),
                None => bail!(InvalidModel, "input {index} is missing"),
            }
        }
        let found = self.body.plan(&given, &inputs[2 + self.carried..])?;
        ensure!(
            found[0] == Type::Tensor(DataType::Bool),
            InvalidModel,
            "the body's condition is {}, expected bool",
            found[0]
        );
        for (index, (before, after)) in given[2..].iter().zip(&found[1..]).enumerate() {
            ensure!(
                common(before, after).as_ref() == Some(before),
                InvalidModel,
                "carried value {index} is {before}, the body makes it {after}"
            );
        }
        let scans = found[1 + self.carried..].to_vec();
        for ty in &scans {
            ensure!(matches!(ty, Type::Tensor(_)), InvalidModel, "a scan output is {ty}, expected a tensor");
        }
        let _ = self.scan_types.set(scans);
        Ok(found[1..].to_vec())
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        for index in 0..2 {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                let one = shape.iter().product::<usize>() == 1;
                ensure!(one, ShapeMismatch, "input {index}: expected one element, got {shape:?}");
            }
        }
        Ok(vec![None; self.outputs])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let first = |index: usize, inputs: &Inputs| -> Result<Option<i64>> {
            match inputs.host(index)? {
                Some(tensor) => Ok(tensor.to_i64s()?.first().copied()),
                None => Ok(None),
            }
        };
        let rounds = first(0, &inputs)?.unwrap_or(i64::MAX);
        let mut go_on = first(1, &inputs)? != Some(0);
        let captured = inputs.take_from(2 + self.carried);
        let mut carried: Vec<Value> = inputs.take_from(2).into_iter().flatten().collect();
        let context = inputs.context().clone();
        let mut stacks: Vec<Stack> = (self.carried..self.outputs).map(|_| Stack::new()).collect();
        let mut round = 0;
        while round < rounds && go_on {
            context.check()?;
            let mut given = vec![
                Value::from(tensor_of(DataType::Int64, &[], vec![round])),
                Value::from(tensor_of(DataType::Bool, &[], vec![1u8])),
            ];
            given.append(&mut carried);
            let mut found = self.body.run(given, &captured, &context)?.into_iter();
            let Some(condition) = found.next() else { bail!(Internal, "the body gave nothing") };
            go_on = condition.into_host()?.to_i64s()?.first().is_some_and(|&c| c != 0);
            carried = found.by_ref().take(self.carried).collect();
            for (stack, value) in stacks.iter_mut().zip(found) {
                stack.push(value, &context)?;
            }
            round += 1;
        }
        let scan_types = self.scan_types.get().map_or(&[][..], Vec::as_slice);
        for (index, (stack, ty)) in stacks.into_iter().zip(scan_types).enumerate() {
            carried.push(stack.finish(0, (ty, self.body.declared_output(1 + self.carried + index)))?);
        }
        Ok(carried)
    }
}
