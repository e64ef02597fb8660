//! What the optimisers share: inputs `R`, `T`, then all variables, all gradients, and one or two
//! states of each variable; outputs all new variables and all new states. Formulas: ONNX,
//! ai.onnx.preview.training version 1, computed in float64.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// One element's variable, gradient and states.
pub struct Element {
    pub x: f64,
    pub g: f64,
    pub states: [f64; 2],
}

/// Given `R` and `T`, changes a variable and its states in place.
pub type Step = Box<dyn Fn(f64, f64, &mut Element) + Send + Sync>;

struct Optimizer {
    step: Step,
    states: usize,
}

/// An optimiser.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator {
        name,
        domain: "ai.onnx.preview.training",
        inputs: 3..=4096,
        outputs: 1..=4096,
        attributes,
        build,
        ..Operator::DEFAULT
    }
}

/// `step` on every element, with one or two `states`.
pub fn op(attributes: &Attributes<'_>, states: usize, step: Step) -> Result<Box<dyn Op>> {
    let (inputs, outputs) = (attributes.inputs() - 2, attributes.outputs());
    let variables = inputs / (states + 2);
    let fits = inputs == variables * (states + 2) && outputs == variables * (states + 1);
    ensure!(fits, InvalidModel, "{inputs} tensors and {outputs} outputs are no whole number of variables");
    Ok(Box::new(Optimizer { step, states }))
}

impl Optimizer {
    /// Inputs of the new variables and states: all but the gradients.
    fn kept(&self, inputs: usize) -> impl Iterator<Item = usize> + use<> {
        let variables = inputs.saturating_sub(2) / (self.states + 2);
        (2..2 + variables).chain(2 + 2 * variables..inputs)
    }
}

impl Op for Optimizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        for index in 2..inputs.len() {
            tensor_type(inputs, index, Dtypes::Float)?;
        }
        self.kept(inputs.len()).map(|index| Ok(Type::Tensor(tensor_type(inputs, index, Dtypes::Float)?))).collect()
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let variables = (inputs.count() - 2) / (self.states + 2);
        for index in 2 + variables..inputs.count() {
            let variable = 2 + (index - 2) % variables;
            let (expected, got) = (inputs.shape(variable)?, inputs.shape(index)?);
            ensure!(
                expected == got,
                ShapeMismatch,
                "input {index}: expected {expected:?} as input {variable}, got {got:?}"
            );
        }
        for (index, name) in ["R", "T"].into_iter().enumerate() {
            let count: usize = inputs.shape(index)?.iter().product();
            ensure!(count == 1, ShapeMismatch, "{name}: expected a scalar, got {:?}", inputs.shape(index)?);
        }
        let info = |index| Ok(Some(Info { dtype: inputs.dtype(index)?, shape: inputs.shape(index)?.to_vec() }));
        self.kept(inputs.count()).map(info).collect()
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let numbers = |index: usize| match inputs.host(index)? {
            Some(tensor) => tensor.to_f64s(),
            None => bail!(InvalidModel, "input {index} is missing"),
        };
        let (rate, time) = (numbers(0)?, numbers(1)?);
        let (rate, time) = (rate.first().copied().unwrap_or_default(), time.first().copied().unwrap_or_default());
        let variables = (inputs.count() - 2) / (self.states + 2);
        let mut results = vec![Vec::new(); outputs.len()];
        for variable in 0..variables {
            let mut x = numbers(2 + variable)?;
            let g = numbers(2 + variables + variable)?;
            let state = |i: usize| numbers(2 + (2 + i) * variables + variable);
            let mut states = (0..self.states).map(state).collect::<Result<Vec<_>>>()?;
            for (i, (x, &g)) in x.iter_mut().zip(&g).enumerate() {
                let mut element = Element { x: *x, g, states: [0.0; 2] };
                states.iter().zip(&mut element.states).for_each(|(all, one)| *one = all[i]);
                (self.step)(rate, time, &mut element);
                states.iter_mut().zip(element.states).for_each(|(all, one)| all[i] = one);
                *x = element.x;
            }
            for (i, values) in std::iter::once(x).chain(states).enumerate() {
                results[i * variables + variable] = values;
            }
        }
        let value = |(values, info): (Vec<f64>, &Option<Info>)| match info {
            Some(info) => Ok(Tensor::from_f64s(info.dtype, &info.shape, values)?.into()),
            None => bail!(Internal, "an output was not inferred"),
        };
        results.into_iter().zip(outputs).map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, f32s, i64s, numbers};

    #[test]
    fn variables_of_different_shapes_and_dtypes_keep_theirs() {
        let wide = |v: f64| Tensor::from_vec(vec![1], vec![v]).expect("one");
        let inputs = [
            f32s(&[], vec![0.5]),
            i64s(&[], &[0]),
            f32s(&[2], vec![1.0, 2.0]),
            wide(4.0),
            f32s(&[2], vec![1.0, 0.0]),
            wide(2.0),
            f32s(&[2], vec![0.0, 1.0]),
            wide(1.0),
        ];
        let node = |mode| {
            let node = Single::new("ai.onnx.preview.training.Momentum", 22).float("alpha", 0.5).float("beta", 9.0);
            node.float("norm_coefficient", 0.0).string("mode", mode).outputs(4)
        };
        let outputs = node("standard").run(&inputs).expect("it runs");
        assert_eq!(outputs[1].dtype(), DataType::Float64);
        let values: Vec<Vec<f64>> = outputs.iter().map(numbers).collect();
        assert_eq!(values, [vec![0.5, 1.75], vec![2.75], vec![1.0, 0.5], vec![2.5]]);
        let outputs = node("nesterov").run(&inputs).expect("it runs");
        assert_eq!((numbers(&outputs[0]), numbers(&outputs[1])), (vec![0.25, 1.875], vec![2.375]));

        assert_eq!(node("other").error(&inputs).kind(), ErrorKind::Unsupported);
        assert_eq!(node("standard").error(&inputs[..7]).kind(), ErrorKind::InvalidModel);
        let mut wrong = inputs.clone();
        wrong[4] = f32s(&[3], vec![0.0; 3]);
        assert_eq!(node("standard").error(&wrong).kind(), ErrorKind::ShapeMismatch);
    }
}
