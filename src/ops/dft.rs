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
