//! What the losses share: minus the logarithm of the probability of the right class.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::Tensor;

/// A loss: `[N, C, …]`, the right classes `[N, …]`, and a weight of each class `[C]`.
pub const fn operator(
    name: &'static str,
    outputs: std::ops::RangeInclusive<usize>,
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator { name, inputs: 2..=3, outputs, attributes: &["ignore_index", "reduction"], build, ..Operator::DEFAULT }
}

struct Loss {
    reduction: &'static str,
    ignored: Option<i64>,
    /// Whether the scores are not yet logarithms of probabilities.
    softmax: bool,
    outputs: usize,
}

/// Reads the attributes; `softmax` makes logarithms of probabilities from the scores first.
pub fn op(attributes: &Attributes<'_>, softmax: bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(Loss {
        reduction: attributes.choice("reduction", &["mean", "sum", "none"])?,
        ignored: attributes.int("ignore_index")?,
        softmax,
        outputs: attributes.outputs(),
    }))
}

impl Op for Loss {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Index)?;
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype); self.outputs])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, target, dtype) = (inputs.shape(0)?, inputs.shape(1)?, inputs.dtype(0)?);
        ensure!(x.len() >= 2, ShapeMismatch, "expected scores [N, C, …], got {x:?}");
        let expected = [&x[..1], &x[2..]].concat();
        ensure!(target == expected, ShapeMismatch, "expected classes {expected:?} for scores {x:?}, got {target:?}");
        if inputs.has(2) {
            let weight = inputs.shape(2)?;
            ensure!(weight == [x[1]], ShapeMismatch, "expected {} weights for scores {x:?}, got {weight:?}", x[1]);
        }
        let loss = if self.reduction == "none" { target.to_vec() } else { vec![] };
        let infos = [Some(Info { dtype, shape: loss }), Some(Info { dtype, shape: x.to_vec() })];
        Ok(infos.into_iter().take(self.outputs).collect())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (x, target, weight) = (inputs.take_host(0)?, inputs.take_host(1)?, inputs.host(2)?);
        let (dtype, shape) = (x.dtype(), x.shape());
        let (classes, inner) = (shape[1], shape[2..].iter().product::<usize>());
        let mut scores = x.to_f64s()?;
        if self.softmax {
            crate::kernels::reduce::softmax(&mut scores, shape, 1, true);
        }
        let weight = weight.map(|w| w.to_f64s()).transpose()?;
        let (mut losses, mut total) = (Vec::with_capacity(target.len()), 0.0);
        for (i, class) in target.to_i64s()?.into_iter().enumerate() {
            if Some(class) == self.ignored {
                losses.push(0.0);
                continue;
            }
            let known = (0..classes as i64).contains(&class);
            ensure!(known, InvalidArgument, "class {class} at {i}: expected one of {classes}, from 0 on");
            let class = class as usize;
            let by = weight.as_ref().map_or(1.0, |w| w[class]);
            losses.push(-scores[(i / inner * classes + class) * inner + i % inner] * by);
            total += by;
        }
        let loss = match self.reduction {
            "none" => Tensor::from_f64s(dtype, target.shape(), losses)?,
            "sum" => Tensor::from_f64s(dtype, &[], vec![losses.iter().sum()])?,
            _ => Tensor::from_f64s(dtype, &[], vec![losses.iter().sum::<f64>() / total])?,
        };
        let mut values = vec![loss.into()];
        if self.outputs > 1 {
            values.push(Tensor::from_f64s(dtype, shape, scores)?.into());
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Single, f32s, i64s, numbers};

    #[test]
    fn ignored_classes_and_weights() {
        let x = f32s(&[3, 2], vec![-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
        let (classes, weight) = (i64s(&[3], &[0, 1, -100]), f32s(&[2], vec![1.0, 3.0]));
        let loss = |reduction: &str| {
            let node =
                Single::new("NegativeLogLikelihoodLoss", 13).int("ignore_index", -100).string("reduction", reduction);
            (
                numbers(&node.one(&[x.clone(), classes.clone()])),
                numbers(&node.one(&[x.clone(), classes.clone(), weight.clone()])),
            )
        };
        assert_eq!(loss("none"), (vec![1.0, 4.0, 0.0], vec![1.0, 12.0, 0.0]));
        assert_eq!(loss("sum"), (vec![5.0], vec![13.0]));
        assert_eq!(loss("mean"), (vec![2.5], vec![3.25]));
    }

    #[test]
    fn nothing_has_no_mean_and_large_scores_do_not_overflow() {
        let node = Single::new("NegativeLogLikelihoodLoss", 13);
        assert!(numbers(&node.one(&[f32s(&[0, 2], vec![]), i64s(&[0], &[])]))[0].is_nan());
        let x = f32s(&[1, 2], vec![1000.0, 0.0]);
        let outputs =
            Single::new("SoftmaxCrossEntropyLoss", 13).outputs(2).run(&[x, i64s(&[1], &[1])]).expect("it runs");
        assert_eq!((numbers(&outputs[0]), numbers(&outputs[1])), (vec![1000.0], vec![0.0, -1000.0]));
    }

    #[test]
    fn wrong_classes_and_shapes_are_refused() {
        let error = |x: &[usize], target: &[usize], class: i64| {
            let (x_count, count) = (x.iter().product(), target.iter().product());
            let inputs = [f32s(x, vec![0.0; x_count]), i64s(target, &vec![class; count])];
            Single::new("SoftmaxCrossEntropyLoss", 13).error(&inputs).kind()
        };
        assert_eq!(error(&[2, 3], &[2], 3), ErrorKind::InvalidArgument);
        assert_eq!(error(&[2, 3], &[2], -1), ErrorKind::InvalidArgument);
        assert_eq!(error(&[2, 3], &[3], 0), ErrorKind::ShapeMismatch);
        assert_eq!(error(&[2], &[2], 0), ErrorKind::ShapeMismatch);
    }
}
