//! Element-wise arithmetic on 8-bit codes: `real = (code - zero point) * scale`, computed in float32
//! in the very order that DequantizeLinear, the operator and QuantizeLinear have.

use super::elementwise::BinaryOp;

/// How codes are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub scale: f32,
    pub zero: u8,
}

/// How codes are written: rounded to nearest, ties to even, then kept within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writing {
    pub scale: f32,
    pub zero: u8,
    pub min: u8,
    pub max: u8,
}

impl Reading {
    /// The number that `code` stands for.
    #[inline(always)]
    pub fn real(self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.zero)) * self.scale
    }
}

impl Writing {
    /// The code of `real`; that of NaN is the smallest.
    #[inline(always)]
    pub fn code(self, real: f32) -> u8 {
        let code = (real / self.scale).round_ties_even() + f32::from(self.zero);
        code.max(f32::from(self.min)).min(f32::from(self.max)) as u8
    }
}

/// A sum, difference or product of codes.
#[derive(Debug, Clone, Copy)]
pub struct BinaryCodes {
    pub op: BinaryOp,
    pub a: Reading,
    pub b: Reading,
    pub writing: Writing,
}

/// `y = op(a, b)` for each pair of codes.
pub fn binary(codes: &BinaryCodes, a: &[u8], b: &[u8], y: &mut [u8]) {
    let each = |y: &mut [u8], f: fn(f32, f32) -> f32| {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = codes.writing.code(f(codes.a.real(a), codes.b.real(b)));
        }
    };
    match codes.op {
        BinaryOp::Sub => each(y, |a, b| a - b),
        BinaryOp::Mul => each(y, |a, b| a * b),
        _ => each(y, |a, b| a + b),
    }
}

/// The mean of every channel over `positions` positions, channels last: `x` `[N, positions, channels]`.
pub fn global_average(x: &[u8], channels: usize, positions: usize, reading: Reading, writing: Writing, y: &mut [u8]) {
    let zero = i64::from(reading.zero) * positions as i64;
    for (image, y) in x.chunks_exact(channels * positions).zip(y.chunks_exact_mut(channels)) {
        let mut sums = vec![0u32; channels];
        for pixel in image.chunks_exact(channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += u32::from(v));
        }
        for (y, sum) in y.iter_mut().zip(sums) {
            let mean = (i64::from(sum) - zero) as f64 / positions as f64 * f64::from(reading.scale);
            *y = writing.code(mean as f32);
        }
    }
}
