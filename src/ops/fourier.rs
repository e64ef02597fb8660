//! What DFT and STFT share.

use super::Attributes;
use super::inputs::Inputs;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::fourier::{Complex, Transform};

/// The longest transform.
const MAX_LENGTH: i64 = 1 << 24;

/// Reads attribute `onesided`, 0 or 1.
pub fn onesided(attributes: &Attributes<'_>, default: bool) -> Result<bool> {
    attributes.flag("onesided", default)
}

/// Checks the length of a transform.
pub fn length(length: i64) -> Result<usize> {
    ensure!(length > 0, InvalidArgument, "a transform of length {length}; expected at least 1");
    ensure!(length <= MAX_LENGTH, LimitExceeded, "a transform of length {length}; at most {MAX_LENGTH} is possible");
    Ok(length as usize)
}

/// The one integer of input `index`, which may be a tensor of any rank.
pub fn scalar(inputs: &Inputs, index: usize) -> Result<Option<i64>> {
    let Some(tensor) = inputs.host(index)? else { return Ok(None) };
    ensure!(tensor.len() == 1, ShapeMismatch, "input {index}: expected one integer, got {:?}", tensor.shape());
    Ok(tensor.to_i64s()?.first().copied())
}

/// How values lie: real ones, or pairs.
pub struct Signal {
    values: Vec<f64>,
    /// Numbers of a value: 1 or 2.
    parts: usize,
}

impl Signal {
    /// Reads a tensor whose last dimension is `parts`.
    pub fn new(tensor: &Tensor, parts: usize) -> Result<Self> {
        Ok(Self { values: tensor.to_f64s()?, parts })
    }

    /// The value at a position, counted in values.
    pub fn at(&self, position: usize) -> Complex {
        let at = position * self.parts;
        [self.values[at], if self.parts == 2 { self.values[at + 1] } else { 0.0 }]
    }
}

/// One transform after another, each written beside or between the last ones.
pub struct Writer {
    transform: Transform,
    inverse: bool,
    work: Vec<Complex>,
    out: Vec<f64>,
}

impl Writer {
    /// For `count` numbers from transforms of `length`.
    pub fn new(length: usize, inverse: bool, count: usize) -> Self {
        Self { transform: Transform::new(length), inverse, work: vec![[0.0; 2]; length], out: vec![0.0; count] }
    }

    /// Transforms what `read` gives for each index, and writes the first `bins` values from value
    /// `first` on, `step` values apart; of real results only the real part.
    pub fn transform(&mut self, read: impl Fn(usize) -> Complex, bins: usize, first: usize, step: usize, real: bool) {
        self.work.iter_mut().enumerate().for_each(|(i, v)| *v = read(i));
        self.transform.run(&mut self.work, self.inverse);
        for (k, &[re, im]) in self.work.iter().take(bins).enumerate() {
            let at = first + k * step;
            if real {
                self.out[at] = re;
            } else {
                self.out[2 * at] = re;
                self.out[2 * at + 1] = im;
            }
        }
    }

    /// What was written.
    pub fn finish(self, dtype: DataType, shape: &[usize]) -> Result<Tensor> {
        Tensor::from_f64s(dtype, shape, self.out)
    }
}
