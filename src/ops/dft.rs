//! DFT: `X[k] = sum of x[j] exp(-2πi jk / n)` along an axis, or its inverse. Complex numbers are a last dimension of 2.

use super::fourier::{self, Signal, Writer};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::real::same_floats;
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// DFT.
pub const OPERATOR: Operator = Operator {
    name: "DFT",
    inputs: 1..=3,
    attributes: &["axis", "inverse", "onesided"],
    parameters: &[1, 2],
    build,
    ..Operator::DEFAULT
};

struct Dft {
    /// The attribute; from opset 20 on it is an input.
    axis: i64,
    inverse: bool,
    onesided: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let axis = attributes.int("axis")?;
    let is_input = attributes.opset >= 20;
    ensure!(!is_input || axis.is_none(), InvalidModel, "attribute \"axis\" is an input from opset 20 on");
    ensure!(is_input || attributes.inputs() < 3, InvalidModel, "before opset 20 the axis is an attribute");
    Ok(Box::new(Dft {
        axis: axis.unwrap_or(if is_input { -2 } else { 1 }),
        inverse: attributes.flag("inverse", false)?,
        onesided: fourier::onesided(attributes, false)?,
    }))
}

/// What is computed.
struct Plan {
    axis: usize,
    length: usize,
    bins: usize,
    /// Numbers of an output value.
    parts: usize,
}

impl Dft {
    fn plan(&self, inputs: &Inputs) -> Result<Plan> {
        let shape = inputs.shape(0)?;
        ensure!(
            shape.len() >= 2 && matches!(shape[shape.len() - 1], 1 | 2),
            ShapeMismatch,
            "expected [signal…, 1] or [signal…, 2], got {shape:?}"
        );
        let axis = axis_of(fourier::scalar(inputs, 2)?.unwrap_or(self.axis), shape.len())?;
        ensure!(axis + 1 < shape.len(), ShapeMismatch, "axis {axis} of {shape:?} holds real and imaginary parts");
        let complex = shape[shape.len() - 1] == 2;
        if self.onesided {
            ensure!(
                complex == self.inverse,
                InvalidArgument,
                "onesided = 1 takes real input, or complex for the inverse; got {shape:?}"
            );
        }
        let halved = self.onesided && self.inverse;
        let given = fourier::scalar(inputs, 1)?;
        let own = if halved { (shape[axis] as i64).saturating_sub(1).saturating_mul(2) } else { shape[axis] as i64 };
        let length = fourier::length(given.unwrap_or(own))?;
        let bins = if self.onesided && !self.inverse { length / 2 + 1 } else { length };
        Ok(Plan { axis, length, bins, parts: if halved { 1 } else { 2 } })
    }
}

impl Op for Dft {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Index)?;
        optional_type(inputs, 2, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let plan = self.plan(inputs)?;
        let mut shape = inputs.shape(0)?.to_vec();
        shape[plan.axis] = plan.bins;
        if let Some(last) = shape.last_mut() {
            *last = plan.parts;
        }
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let Plan { axis, length, bins, parts } = self.plan(&inputs)?;
        let x = inputs.take_host(0)?;
        let from = x.shape();
        let shape = shape_of(outputs, 0)?;
        let rank = from.len();
        let (size, inner) = (from[axis], from[axis + 1..rank - 1].iter().product::<usize>());
        let outer: usize = from[..axis].iter().product();
        if outer * inner == 0 {
            return output(crate::graph::Tensor::from_f64s(x.dtype(), shape, Vec::new())?);
        }
        let signal = Signal::new(&x, from[rank - 1])?;
        let mut writer = Writer::new(length, self.inverse, crate::graph::element_count(shape)?);
        let halved = parts == 1;
        for o in 0..outer {
            for i in 0..inner {
                let first = o * size * inner + i;
                let given = |j: usize| if j < size { signal.at(first + j * inner) } else { [0.0; 2] };
                // Half of a real signal's transform tells the other half: its mirrored conjugate.
                let mirrored = |j: usize| {
                    if !halved {
                        return given(j);
                    }
                    match (j, length - j) {
                        (0, _) => [given(0)[0], 0.0],
                        (j, k) if j == k => [given(j)[0], 0.0],
                        (j, k) if j < k => given(j),
                        (_, k) => [given(k)[0], -given(k)[1]],
                    }
                };
                writer.transform(mirrored, bins, o * bins * inner + i, inner, halved);
            }
        }
        output(writer.finish(x.dtype(), shape)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, i64s, numbers};

    #[test]
    fn every_axis_and_length_gives_the_sum() {
        let mut random = Random::new(9);
        for (axis, length) in [(0, 3), (1, 5), (1, 2), (1, 40), (-2, 4), (-3, 7)] {
            let shape = [3, 5, 4, 2];
            let at = if axis < 0 { axis + 4 } else { axis } as usize;
            let (inner, size) = (shape[at + 1..3].iter().product::<usize>(), shape[at]);
            let x = random.tensor(&shape);
            let values = numbers(&x);
            let y = Single::new("DFT", 20).one(&[x, i64s(&[], &[length]), i64s(&[], &[axis])]);
            let n = length as usize;
            let mut expected_shape = shape;
            expected_shape[at] = n;
            assert_eq!(y.shape(), expected_shape);
            for (position, got) in numbers(&y).chunks_exact(2).enumerate() {
                let (outer, k, i) = (position / inner / n, position / inner % n, position % inner);
                let (mut re, mut im) = (0.0, 0.0);
                for j in 0..n.min(size) {
                    let from = 2 * ((outer * size + j) * inner + i);
                    let (sin, cos) = (-2.0 * std::f64::consts::PI * (j * k % n) as f64 / n as f64).sin_cos();
                    re += values[from] * cos - values[from + 1] * sin;
                    im += values[from] * sin + values[from + 1] * cos;
                }
                assert!((got[0] - re).abs() < 1e-5 && (got[1] - im).abs() < 1e-5, "axis {axis}, length {length}");
            }
        }
    }

    #[test]
    fn what_cannot_be_transformed_is_refused() {
        let x = |shape: &[usize]| f32s(shape, vec![1.0; shape.iter().product()]);
        let kind = |node: Single<'_>, inputs: &[crate::Tensor]| node.error(inputs).kind();
        assert_eq!(kind(Single::new("DFT", 20), &[x(&[2, 3])]), ErrorKind::ShapeMismatch);
        assert_eq!(kind(Single::new("DFT", 17).int("axis", 2), &[x(&[1, 3, 2])]), ErrorKind::ShapeMismatch);
        assert_eq!(kind(Single::new("DFT", 20).int("axis", 1), &[x(&[1, 3, 2])]), ErrorKind::InvalidModel);
        assert_eq!(kind(Single::new("DFT", 20).int("onesided", 1), &[x(&[1, 3, 2])]), ErrorKind::InvalidArgument);
        for (length, expected) in [
            (0, ErrorKind::InvalidArgument),
            (i64::MIN, ErrorKind::InvalidArgument),
            (i64::MAX, ErrorKind::LimitExceeded),
        ] {
            assert_eq!(kind(Single::new("DFT", 20), &[x(&[1, 3, 1]), i64s(&[], &[length])]), expected);
        }
        let stft = |step: i64, length: i64| {
            kind(Single::new("STFT", 17), &[x(&[1, 8, 1]), i64s(&[], &[step]), x(&[4]), i64s(&[], &[length])])
        };
        assert_eq!(stft(0, 4), ErrorKind::InvalidArgument);
        assert_eq!(stft(1, 5), ErrorKind::ShapeMismatch);
        assert_eq!(stft(1, 0), ErrorKind::InvalidArgument);
        assert_eq!(kind(Single::new("STFT", 17), &[x(&[1, 3, 1]), i64s(&[], &[1]), x(&[4])]), ErrorKind::ShapeMismatch);
        assert_eq!(kind(Single::new("HannWindow", 17), &[i64s(&[], &[-1])]), ErrorKind::InvalidArgument);
        assert_eq!(kind(Single::new("HannWindow", 17), &[i64s(&[], &[i64::MAX])]), ErrorKind::LimitExceeded);
        assert_eq!(
            kind(Single::new("HannWindow", 17).int("output_datatype", 8), &[i64s(&[], &[4])]),
            ErrorKind::InvalidModel
        );
        assert_eq!(Single::new("DFT", 20).one(&[x(&[0, 3, 1])]).shape(), [0, 3, 2]);
    }
}
