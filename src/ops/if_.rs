//! If: runs one of two bodies.

use super::body::{Body, common};
use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// If.
pub const OPERATOR: Operator = Operator {
    name: "If",
    outputs: 1..=4096,
    attributes: &["else_branch", "then_branch"],
    parameters: &[0],
    build,
    ..Operator::DEFAULT
};

struct If {
    then: Body,
    otherwise: Body,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let (then, otherwise) = (Body::read(attributes, "then_branch")?, Body::read(attributes, "else_branch")?);
    let outputs = attributes.outputs();
    ensure!(
        then.outputs() == outputs && otherwise.outputs() == outputs,
        InvalidModel,
        "then_branch gives {} outputs, else_branch {}; the node has {outputs}",
        then.outputs(),
        otherwise.outputs()
    );
    Ok(Box::new(If { then, otherwise, outputs }))
}

impl Op for If {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Bool))?;
        let (then, otherwise) = (self.then.plan(&[], &inputs[1..])?, self.otherwise.plan(&[], &inputs[1..])?);
        let pairs = then.iter().zip(&otherwise).enumerate();
        pairs
            .map(|(index, (a, b))| match common(a, b) {
                Some(ty) => Ok(ty),
                None => bail!(InvalidModel, "output {index} is {a} in then_branch, {b} in else_branch"),
            })
            .collect()
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        ensure!(shape.iter().product::<usize>() == 1, ShapeMismatch, "cond: expected one element, got {shape:?}");
        Ok(vec![None; self.outputs])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let body = if inputs.take_host(0)?.to_i64s()? == [0] { &self.otherwise } else { &self.then };
        let captured = inputs.take_from(1);
        body.run(Vec::new(), &captured, inputs.context())
    }
}
