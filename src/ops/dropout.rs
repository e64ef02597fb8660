//! Dropout: the input unchanged, and a mask that keeps everything; in training, what a random
//! mask keeps, times `1 / (1 - ratio)`.

use super::inputs::{Info, Inputs, Type, Value};
use super::random::Source;
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{BinaryOp, Device, cast, tensor_of};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// Dropout.
pub const OPERATOR: Operator = Operator {
    name: "Dropout",
    inputs: 1..=3,
    outputs: 1..=2,
    attributes: &["consumed_inputs", "is_test", "ratio", "seed"],
    parameters: &[1, 2],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct Dropout {
    mask: bool,
    mask_dtype: Option<DataType>,
    may_train: bool,
    source: Source,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let trains = attributes.opset < 7 && !attributes.flag("is_test", false)?;
    ensure!(!trains, Unsupported, "is_test = 0: export the model for inference");
    Ok(Box::new(Dropout {
        mask: attributes.outputs() > 1,
        // The mask became bool with opset 10.
        mask_dtype: (attributes.opset >= 10).then_some(DataType::Bool),
        may_train: attributes.inputs() > 2,
        source: Source::new(attributes, attributes.int("seed")?),
    }))
}

impl Dropout {
    /// The share of elements that are dropped, 0 but in training.
    fn ratio(&self, inputs: &Inputs) -> Result<f64> {
        if inputs.number(2)?.unwrap_or(0.0) == 0.0 {
            return Ok(0.0);
        }
        let ratio = inputs.number(1)?.unwrap_or(0.5);
        ensure!((0.0..1.0).contains(&ratio), InvalidArgument, "ratio is {ratio}; expected from 0 to 1, 1 left out");
        Ok(ratio)
    }
}

impl Op for Dropout {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        ensure!(dtype.is_float() || dtype.is_float8(), Unsupported, "input 0: expected a float, got {dtype}");
        Ok(vec![Type::Tensor(dtype), Type::Tensor(self.mask_dtype.unwrap_or(dtype))])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        self.ratio(inputs)?;
        let info = Info { dtype: inputs.dtype(0)?, shape: inputs.shape(0)?.to_vec() };
        let mask = Info { dtype: self.mask_dtype.unwrap_or(info.dtype), shape: info.shape.clone() };
        Ok(vec![Some(info), Some(mask)])
    }

    fn is_pure(&self) -> bool {
        !self.may_train || self.source.is_seeded()
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = inputs.shape(0)?.to_vec();
        let ratio = self.ratio(&inputs)?;
        let dtype = inputs.dtype(0)?;
        let mut x = inputs.take(0)?;
        let mut kept = vec![1u8; if self.mask || ratio > 0.0 { shape.iter().product() } else { 0 }];
        if ratio > 0.0 {
            let mut generator = self.source.generator();
            kept.iter_mut().for_each(|kept| *kept = u8::from(generator.uniform() >= ratio));
            let scale = |&kept: &u8| f64::from(kept) / (1.0 - ratio);
            let factors: Vec<f64> = kept.iter().map(scale).collect();
            x = match x {
                Value::Tensor(x) => {
                    let factors = device.to_device(cast(&tensor_of(DataType::Float64, &shape, factors), dtype)?)?;
                    device.binary(BinaryOp::Mul, x, factors, &shape)?.into()
                }
                other => {
                    let products = other.into_host()?.to_f64s()?.into_iter().zip(factors).map(|(x, f)| x * f).collect();
                    Tensor::from_f64s(dtype, &shape, products)?.into()
                }
            };
        }
        if !self.mask {
            return Ok(vec![x]);
        }
        let mask = match self.mask_dtype.unwrap_or(dtype) {
            DataType::Bool => tensor_of(DataType::Bool, &shape, kept).into(),
            dtype => Tensor::from_f64s(dtype, &shape, kept.into_iter().map(f64::from).collect())?.into(),
        };
        Ok(vec![x, mask])
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, bools, f32s, numbers};

    #[test]
    fn training_drops_as_numpy_and_scales() {
        let run = |ratio: f32, training: bool| -> Vec<Tensor> {
            let inputs = [f32s(&[4], vec![1.0, 2.0, 3.0, f32::NAN]), f32s(&[], vec![ratio]), bools(&[], &[training])];
            Single::new("Dropout", 22).int("seed", 0).outputs(2).run(&inputs).expect("it runs")
        };
        // numpy.random.RandomState(0).uniform(size=4): 0.549, 0.715, 0.603, 0.545.
        let outputs = run(0.6, true);
        let y = numbers(&outputs[0]);
        assert!(y[0] == 0.0 && (y[1] - 5.0).abs() < 1e-5 && (y[2] - 7.5).abs() < 1e-5 && y[3].is_nan(), "{y:?}");
        assert_eq!(outputs[1].bytes(), Some(&[0, 1, 1, 0][..]));
        for outputs in [run(0.6, false), run(0.0, true)] {
            assert_eq!((&numbers(&outputs[0])[..3], outputs[1].bytes()), (&[1.0, 2.0, 3.0][..], Some(&[1; 4][..])));
        }
        let x = Tensor::from_f64s(DataType::Float8E5M2, &[2], vec![1.0, 2.0]).expect("two");
        let y = Single::new("Dropout", 22).int("seed", 0).one(&[x, f32s(&[], vec![0.6]), bools(&[], &[true])]);
        assert_eq!(y.to_f64s().expect("numbers"), [0.0, 5.0]);
        let x = Tensor::from_f64s(DataType::Float8E5M2, &[2], vec![1.0, 2.0]).expect("two");
        let mask = Single::new("Dropout", 9).outputs(2).run(&[x]).expect("it runs").remove(1);
        assert_eq!((mask.dtype(), mask.to_f64s().expect("numbers")), (DataType::Float8E5M2, vec![1.0, 1.0]));
        let inputs = [f32s(&[1], vec![1.0]), f32s(&[], vec![1.0]), bools(&[], &[true])];
        assert_eq!(Single::new("Dropout", 22).error(&inputs).kind(), ErrorKind::InvalidArgument);
    }
}
