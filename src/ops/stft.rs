//! STFT: the DFT of every frame of a signal, each multiplied by a window.

use super::fourier::{self, Signal, Writer};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::real::same_floats;
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{Tensor, element_count};

/// STFT.
pub const OPERATOR: Operator = Operator {
    name: "STFT",
    inputs: 2..=4,
    attributes: &["onesided"],
    parameters: &[1, 2, 3],
    build,
    ..Operator::DEFAULT
};

struct Stft {
    onesided: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Stft { onesided: fourier::onesided(attributes, true)? }))
}

/// What is computed.
struct Plan {
    step: usize,
    length: usize,
    frames: usize,
    bins: usize,
    /// Numbers of an input value.
    parts: usize,
}

impl Stft {
    fn plan(&self, inputs: &Inputs) -> Result<Plan> {
        let shape = inputs.shape(0)?;
        let parts = if shape.len() == 2 { 1 } else { shape.last().copied().unwrap_or(0) };
        ensure!(
            matches!(shape.len(), 2 | 3) && matches!(parts, 1 | 2),
            ShapeMismatch,
            "expected [batch, length, 1] or [batch, length, 2], got {shape:?}"
        );
        ensure!(!self.onesided || parts == 1, InvalidArgument, "onesided = 1 takes real input, got {shape:?}");
        let step = fourier::scalar(inputs, 1)?.unwrap_or(0);
        ensure!(step > 0, InvalidArgument, "frame_step is {step}; expected at least 1");
        let window = if inputs.has(2) {
            let window = inputs.shape(2)?;
            ensure!(window.len() == 1, ShapeMismatch, "the window: expected one dimension, got {window:?}");
            Some(window[0])
        } else {
            None
        };
        let own = window.unwrap_or(shape[1]) as i64;
        let length = fourier::length(fourier::scalar(inputs, 3)?.unwrap_or(own))?;
        ensure!(window.is_none_or(|w| w == length), ShapeMismatch, "a window of {own} for frames of {length}");
        ensure!(length <= shape[1], ShapeMismatch, "a frame of {length} is longer than the signal {shape:?}");
        let frames = 1 + (shape[1] - length) / usize::try_from(step).unwrap_or(usize::MAX);
        let bins = if self.onesided { length / 2 + 1 } else { length };
        Ok(Plan { step: step as usize, length, frames, bins, parts })
    }
}

impl Op for Stft {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        optional_type(inputs, 3, Dtypes::Index)?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[2])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let plan = self.plan(inputs)?;
        one(inputs.dtype(0)?, [inputs.shape(0)?[0], plan.frames, plan.bins, 2])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let Plan { step, length, frames, bins, parts } = self.plan(&inputs)?;
        let window = inputs.host(2)?.map(|w| w.to_f64s()).transpose()?;
        let x = inputs.take_host(0)?;
        let shape = shape_of(outputs, 0)?;
        if x.is_empty() {
            return output(Tensor::from_f64s(x.dtype(), shape, Vec::new())?);
        }
        let signal = Signal::new(&x, parts)?;
        let mut writer = Writer::new(length, false, element_count(shape)?);
        for batch in 0..shape[0] {
            for frame in 0..frames {
                let first = batch * x.shape()[1] + frame * step;
                let read = |j: usize| {
                    let [re, im] = signal.at(first + j);
                    let by = window.as_ref().map_or(1.0, |w| w[j]);
                    [re * by, im * by]
                };
                writer.transform(read, bins, (batch * frames + frame) * bins, 1, false);
            }
        }
        output(writer.finish(x.dtype(), shape)?)
    }
}
