//! Element-wise arithmetic on 8-bit codes: `real = (code - zero point) * scale`, computed in float32
//! in the very order that DequantizeLinear, the operator and QuantizeLinear have.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use super::arch::{Kernel, Simd, dispatch};
use super::elementwise::BinaryOp;
use super::threads;

/// Codes from which on arithmetic of them is worth a thread.
const GRAIN: usize = 16 << 10;

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
    assert!(a.len() == y.len() && b.len() == y.len(), "pairs");
    threads::each_slice(y, 64, a.len() / GRAIN, |from, y| {
        let (a, b) = (&a[from..][..y.len()], &b[from..][..y.len()]);
        dispatch(Binary { codes, a, b, y });
    });
}

/// The number that each code stands for.
pub fn dequantize(reading: Reading, x: &[u8], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "as many numbers as codes");
    threads::each_slice(y, 64, x.len() / GRAIN, |from, y| {
        dispatch(Dequantize { reading, x: &x[from..][..y.len()], y });
    });
}

/// The code of each number.
pub fn quantize(writing: Writing, x: &[f32], y: &mut [u8]) {
    assert_eq!(x.len(), y.len(), "as many codes as numbers");
    threads::each_slice(y, 64, x.len() / GRAIN, |from, y| {
        dispatch(Quantize { writing, x: &x[from..][..y.len()], y });
    });
}

/// The smallest and the largest number; NaN is passed over, and 0 is among them.
pub fn range(x: &[f32]) -> (f32, f32) {
    dispatch(Range { x })
}

/// [`Reading::real`] of `LANES` codes.
///
/// # Safety
/// As of [`Simd`]'s methods.
#[inline(always)]
unsafe fn reals<S: Simd>(reading: Reading, x: *const u8) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        let units = S::sub_i32(S::load_u8_i32(x), S::splat_i32(i32::from(reading.zero)));
        S::mul(S::to_f32(units), S::splat(reading.scale))
    }
}

/// [`Writing::code`] of twice `LANES` numbers.
///
/// # Safety
/// As of [`Simd`]'s methods.
#[inline(always)]
unsafe fn write_pair<S: Simd>(writing: Writing, v: [S::F; 2], y: *mut u8) {
    let zero = i32::from(writing.zero);
    // SAFETY: the caller's.
    unsafe {
        let low = S::splat((i32::from(writing.min) - zero) as f32);
        // As `Simd::to_i32`; what is too large for it stays too large, so a bound above may wait for bytes.
        let (magic, shift) = (S::splat(12_582_912.0), S::splat_i32(0x4B40_0000 - zero + S::BIAS));
        macro_rules! units {
            ($v:expr) => {{
                let units = S::div($v, S::splat(writing.scale));
                let units = S::select(S::is_nan(units), low, S::max_number(units, low));
                S::sub_i32(S::bits(S::add(units, magic)), shift)
            }};
        }
        let most = S::splat_i32(i32::from_ne_bytes([writing.max; 4]));
        S::store2_biased(y, [units!(v[0]), units!(v[1])], most);
    }
}

struct Binary<'a> {
    codes: &'a BinaryCodes,
    a: &'a [u8],
    b: &'a [u8],
    y: &'a mut [u8],
}

impl Kernel for Binary<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { codes, a, b, y } = self;
        let BinaryCodes { op, a: read_a, b: read_b, writing } = *codes;
        let whole = y.len() - y.len() % (2 * S::LANES);
        macro_rules! pairs {
            ($op:ident) => {{
                let mut at = 0;
                while at < whole {
                    // SAFETY: `at` and twice `LANES` is at most the length of all three.
                    unsafe {
                        let (a, b) = (a.as_ptr().add(at), b.as_ptr().add(at));
                        let left = S::$op(reals::<S>(read_a, a), reals::<S>(read_b, b));
                        let right = S::$op(reals::<S>(read_a, a.add(S::LANES)), reals::<S>(read_b, b.add(S::LANES)));
                        write_pair::<S>(writing, [left, right], y.as_mut_ptr().add(at));
                    }
                    at += 2 * S::LANES;
                }
            }};
        }
        match op {
            BinaryOp::Sub => pairs!(sub),
            BinaryOp::Mul => pairs!(mul),
            _ => pairs!(add),
        }
        for i in whole..y.len() {
            let (left, right) = (read_a.real(a[i]), read_b.real(b[i]));
            y[i] = writing.code(match op {
                BinaryOp::Sub => left - right,
                BinaryOp::Mul => left * right,
                _ => left + right,
            });
        }
    }
}

struct Dequantize<'a> {
    reading: Reading,
    x: &'a [u8],
    y: &'a mut [f32],
}

impl Kernel for Dequantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { reading, x, y } = self;
        let whole = y.len() - y.len() % S::LANES;
        let mut at = 0;
        while at < whole {
            // SAFETY: `at + LANES` is at most the length of both.
            unsafe { S::store(y.as_mut_ptr().add(at), reals::<S>(reading, x.as_ptr().add(at))) };
            at += S::LANES;
        }
        for i in whole..y.len() {
            y[i] = reading.real(x[i]);
        }
    }
}

struct Quantize<'a> {
    writing: Writing,
    x: &'a [f32],
    y: &'a mut [u8],
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { writing, x, y } = self;
        let whole = y.len() - y.len() % (2 * S::LANES);
        let mut at = 0;
        while at < whole {
            // SAFETY: `at` and twice `LANES` is at most the length of both.
            unsafe {
                let x = x.as_ptr().add(at);
                write_pair::<S>(writing, [S::load(x), S::load(x.add(S::LANES))], y.as_mut_ptr().add(at));
            }
            at += 2 * S::LANES;
        }
        for i in whole..y.len() {
            y[i] = writing.code(x[i]);
        }
    }
}

struct Range<'a> {
    x: &'a [f32],
}

impl Kernel for Range<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self) -> (f32, f32) {
        let whole = self.x.len() - self.x.len() % (2 * S::LANES);
        let (mut lows, mut highs) = ([0f32; 32], [0f32; 32]);
        // SAFETY: `at` and twice `LANES` is at most the length; no set has more than 16 lanes.
        unsafe {
            let zero = S::splat(0.0);
            // Two of each, which need not wait for one another.
            let ([mut low, mut other_low], [mut high, mut other_high]) = ([zero; 2], [zero; 2]);
            let mut at = 0;
            while at < whole {
                let v = S::load(self.x.as_ptr().add(at));
                let other = S::load(self.x.as_ptr().add(at + S::LANES));
                let (v, other) = (S::select(S::is_nan(v), zero, v), S::select(S::is_nan(other), zero, other));
                (low, high) = (S::min_number(low, v), S::max_number(high, v));
                (other_low, other_high) = (S::min_number(other_low, other), S::max_number(other_high, other));
                at += 2 * S::LANES;
            }
            S::store(lows.as_mut_ptr(), low);
            S::store(lows.as_mut_ptr().add(16), other_low);
            S::store(highs.as_mut_ptr(), high);
            S::store(highs.as_mut_ptr().add(16), other_high);
        }
        let last = &self.x[whole..];
        let low = lows.iter().chain(last).fold(0f32, |low, &v| if v < low { v } else { low });
        (low, highs.iter().chain(last).fold(0f32, |high, &v| if v > high { v } else { high }))
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

// A WebAssembly build runs them too: see `oracle`.
#[cfg(any(test, feature = "oracle"))]
pub mod tests {
    use super::super::arch::{Level, dispatch_at};
    use super::*;
    use crate::random::Random;

    fn some(random: &mut Random, zero: u8) -> (Reading, Writing) {
        let scale = random.float().abs() + 0.01;
        let (min, max) = (random.within(0, 100) as u8, random.within(150, 255) as u8);
        (Reading { scale, zero }, Writing { scale: random.float().abs() + 0.01, zero: zero ^ 0x55, min, max })
    }

    #[cfg_attr(test, test)]
    pub fn every_instruction_set_gives_the_codes_of_one_at_a_time() {
        let mut random = Random::new(1);
        for count in (0..70).chain([256]) {
            let mut bytes = || (0..count).map(|_| random.within(0, 255) as u8).collect::<Vec<_>>();
            let (a, b) = (bytes(), bytes());
            let ((read_a, writing), (read_b, _)) = (some(&mut random, 128), some(&mut random, 3));
            let mut x: Vec<f32> = (0..count).map(|_| random.float() * 200.0).collect();
            let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-40, f32::MAX];
            x.iter_mut().skip(3).step_by(7).zip(odd).for_each(|(x, odd)| *x = odd);
            for level in Level::available() {
                for (op, f) in [
                    (BinaryOp::Add, (|a, b| a + b) as fn(f32, f32) -> f32),
                    (BinaryOp::Sub, |a, b| a - b),
                    (BinaryOp::Mul, |a, b| a * b),
                ] {
                    let (codes, mut y) = (BinaryCodes { op, a: read_a, b: read_b, writing }, vec![0; count]);
                    dispatch_at(level, Binary { codes: &codes, a: &a, b: &b, y: &mut y });
                    let each = |i| writing.code(f(read_a.real(a[i]), read_b.real(b[i])));
                    assert_eq!(y, (0..count).map(each).collect::<Vec<_>>(), "{level:?} {op:?}");
                }
                let mut reals = vec![0.0; count];
                dispatch_at(level, Dequantize { reading: read_a, x: &a, y: &mut reals });
                assert_eq!(reals, a.iter().map(|&code| read_a.real(code)).collect::<Vec<_>>(), "{level:?}");
                let mut codes = vec![0; count];
                dispatch_at(level, Quantize { writing, x: &x, y: &mut codes });
                assert_eq!(codes, x.iter().map(|&x| writing.code(x)).collect::<Vec<_>>(), "{level:?}");
                let expected = (x.iter().copied().fold(0.0, f32::min), x.iter().copied().fold(0.0, f32::max));
                assert_eq!(dispatch_at(level, Range { x: &x }), expected, "{level:?}");
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn a_mean_of_codes_is_the_code_of_the_mean() {
        let (reading, writing) = (Reading { scale: 0.5, zero: 10 }, Writing { scale: 0.25, zero: 3, min: 0, max: 255 });
        let x = [10, 20, 12, 30, 14, 41];
        let mut y = [0; 2];
        global_average(&x, 2, 3, reading, writing, &mut y);
        // Means of 2 and 20⅓ units of ½.
        assert_eq!(y, [3 + 4, 3 + 41]);
    }
}
