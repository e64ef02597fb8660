//! SequenceMap: runs its body on the tensors of sequences, position by position.

use super::body::Body;
use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Op, Operator};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// SequenceMap.
pub const OPERATOR: Operator = Operator {
    name: "SequenceMap",
    inputs: 1..=4096,
    outputs: 1..=4096,
    attributes: &["body"],
    build,
    ..Operator::DEFAULT
};

struct SequenceMap {
    body: Body,
    inputs: usize,
    outputs: usize,
    dtypes: std::sync::OnceLock<Vec<DataType>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let body = Body::read(attributes, "body")?;
    let (inputs, outputs) = (attributes.inputs(), attributes.outputs());
    ensure!(
        body.outputs() == outputs,
        InvalidModel,
        "the body gives {} outputs, the node has {outputs}",
        body.outputs()
    );
    Ok(Box::new(SequenceMap { body, inputs, outputs, dtypes: Default::default() }))
}

impl Op for SequenceMap {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let mut given = Vec::with_capacity(self.inputs);
        for (index, ty) in inputs[..self.inputs].iter().enumerate() {
            given.push(match ty {
                Some(Type::Sequence(dtype)) => Type::Tensor(*dtype),
                Some(Type::Tensor(dtype)) if index > 0 => Type::Tensor(*dtype),
                Some(other) => bail!(InvalidModel, "input {index}: expected a sequence, got {other}"),
                None => bail!(InvalidModel, "input {index} is missing"),
            });
        }
        let found = self.body.plan(&given, &inputs[self.inputs..])?;
        let dtype = |ty: &Type| match ty {
            Type::Tensor(dtype) => Ok(*dtype),
            other => bail!(InvalidModel, "the body gives {other}, expected tensors"),
        };
        let dtypes = found.iter().map(dtype).collect::<Result<Vec<_>>>()?;
        let types = dtypes.iter().map(|dtype| Type::Sequence(*dtype)).collect();
        let _ = self.dtypes.set(dtypes);
        Ok(types)
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut length = None;
        for index in 0..self.inputs {
            if let Value::Sequence(_, values) = inputs.value(index)? {
                let known = *length.get_or_insert(values.len());
                ensure!(
                    values.len() == known,
                    ShapeMismatch,
                    "input {index} is a sequence of {}, the first of {known}",
                    values.len()
                );
            }
        }
        Ok(vec![None; self.outputs])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let captured = inputs.take_from(self.inputs);
        let given: Vec<Value> = inputs.take_from(0).into_iter().flatten().collect();
        let length = match given.first() {
            Some(Value::Sequence(_, values)) => values.len(),
            _ => bail!(Internal, "input 0 is no sequence"),
        };
        let mut lists: Vec<Vec<Value>> = vec![Vec::with_capacity(length); self.outputs];
        for at in 0..length {
            inputs.context().check()?;
            let each = given.iter().map(|value| match value {
                Value::Sequence(_, values) => values[at].clone(),
                tensor => tensor.clone(),
            });
            let found = self.body.run(each.collect(), &captured, inputs.context())?;
            lists.iter_mut().zip(found).for_each(|(list, value)| list.push(value));
        }
        let dtypes = self.dtypes.get().map_or(&[][..], Vec::as_slice);
        Ok(lists.into_iter().zip(dtypes).map(|(list, dtype)| Value::Sequence(*dtype, list)).collect())
    }
}
