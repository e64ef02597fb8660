//! Functions of float32 elements in place, in vectors: [`unary`] for all of [`UnaryOp`], rows of softmax, and what
//! is left of a normalization. Other element types have the plain loops of [`super::elementwise`].
//!
//! A function gives the same bits with every instruction set: a quantised network computes its tables with them, and
//! no product and sum are fused. Sums of rows are of as many parts as a vector has lanes.
//!
//! NaN is carried through, infinities and denormal numbers are what they are in float64, to the errors that the
//! tests state. A slice may be a row that a product has just finished, or a whole tensor.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::arch::{Kernel, Level, Simd, dispatch, dispatch_at};
use super::elementwise::UnaryOp;
use super::threads;

/// A vector with operators.
///
/// Only a [`Kernel`] makes one, of the instruction set that it is run with, so that the machine has it.
struct V<S: Simd>(S::F);

/// All bits of a lane, or none.
struct Mask<S: Simd>(S::I);

impl<S: Simd> Clone for V<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Simd> Copy for V<S> {}

macro_rules! operators {
    ($($trait:ident $name:ident),*) => {$(
        impl<S: Simd> $trait for V<S> {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: the machine has the set of a vector that there is.
                Self(unsafe { S::$name(self.0, other.0) })
            }
        }
        impl<S: Simd> $trait<f32> for V<S> {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: f32) -> Self {
                self.$name(Self::splat(other))
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl<S: Simd> Neg for V<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::neg(self.0) })
    }
}

impl<S: Simd> V<S> {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: only kernels come here, run by `dispatch`, which knows that the machine has the set.
        Self(unsafe { S::splat(value) })
    }

    /// `self * by + plus`, rounded twice on every machine.
    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        self * by + plus
    }

    /// `c[0] + c[1] * self + c[2] * self² + …`
    #[inline(always)]
    fn polynomial<const N: usize>(self, c: [f32; N]) -> Self {
        // Of the even powers and of the odd ones, which need not wait for one another.
        let square = self * self;
        let (mut sum, mut other) = (Self::splat(c[N - 1]), Self::splat(c[N - 2]));
        for i in 2..N {
            (sum, other) = (other, sum.mul_add(square, Self::splat(c[N - 1 - i])));
        }
        sum.mul_add(self, other)
    }

    /// The smaller; NaN stays.
    #[inline(always)]
    fn at_most(self, bound: f32) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::min(self.0, S::splat(bound)) })
    }

    /// The larger; NaN stays.
    #[inline(always)]
    fn at_least(self, bound: f32) -> Self {
        self.or_larger(Self::splat(bound))
    }

    /// The larger; `self` where it is NaN.
    #[inline(always)]
    fn or_larger(self, other: Self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::max(self.0, other.0) })
    }

    /// The nearest number between both; NaN stays.
    #[inline(always)]
    fn within(self, low: f32, high: f32) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::clamp(self.0, S::splat(low), S::splat(high)) })
    }

    /// The larger of it and 0, of a number.
    #[inline(always)]
    fn positive(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::max_number(self.0, S::splat(0.0)) })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::abs(self.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::sqrt(self.0) })
    }

    #[inline(always)]
    fn floor(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::floor(self.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: as of the operators.
        Self(unsafe { S::round(self.0) })
    }

    #[inline(always)]
    fn less(self, other: Self) -> Mask<S> {
        // SAFETY: as of the operators.
        Mask(unsafe { S::less(self.0, other.0) })
    }

    #[inline(always)]
    fn below(self, bound: f32) -> Mask<S> {
        self.less(Self::splat(bound))
    }

    #[inline(always)]
    fn above(self, bound: f32) -> Mask<S> {
        Self::splat(bound).less(self)
    }

    #[inline(always)]
    fn is_nan(self) -> Mask<S> {
        // SAFETY: as of the operators.
        Mask(unsafe { S::is_nan(self.0) })
    }

    /// The magnitude of `self` with the sign of `of`.
    #[inline(always)]
    fn with_sign(self, of: Self) -> Self {
        // SAFETY: as of the operators.
        unsafe { Self(S::from_bits(S::or(S::bits(self.abs().0), S::and(S::bits(of.0), S::splat_i32(i32::MIN))))) }
    }
}

impl<S: Simd> Mask<S> {
    #[inline(always)]
    fn pick(self, then: V<S>, otherwise: V<S>) -> V<S> {
        // SAFETY: the machine has the set of a mask that there is.
        V(unsafe { S::select(self.0, then.0, otherwise.0) })
    }

    #[inline(always)]
    fn choose(self, then: f32, otherwise: f32) -> V<S> {
        self.pick(V::splat(then), V::splat(otherwise))
    }
}

/// Above 2^23 a float32 has no fraction: adding this rounds, and leaves the integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `2 ^ n`, for `n` from -126 to 127; 0 for -127.
#[inline(always)]
fn power_of_two<S: Simd>(n: S::I) -> V<S> {
    // SAFETY: as of the operators of `V`.
    V(unsafe { S::from_bits(S::shl::<23>(S::add_i32(n, S::splat_i32(127)))) })
}

/// `n` and `r`, at most half of `ln 2`, such that `x = n * ln 2 + r`; then `e ^ r - 1`.
#[inline(always)]
fn split<S: Simd>(x: V<S>) -> (S::I, V<S>) {
    let t = x.mul_add(V::splat(std::f32::consts::LOG2_E), V::splat(ROUND));
    let n = t - ROUND;
    // ln 2 in two parts, the first of so few bits that its product is exact.
    let r = n.mul_add(V::splat(-0.693_359_4), x);
    let r = n.mul_add(V::splat(2.121_944_4e-4), r);
    // (e ^ r - 1 - r) / r², fitted.
    let q = r.polynomial([0.5, 0.166_665_15, 0.041_668_408, 0.008_369_349, 0.001_381_540_2]);
    // SAFETY: as of the operators of `V`.
    let n = unsafe { S::sub_i32(S::bits(t.0), S::splat_i32(ROUND.to_bits() as i32)) };
    (n, (r * r).mul_add(q, r))
}

#[inline(always)]
fn exp<S: Simd>(x: V<S>) -> V<S> {
    // Beyond these it is 0, or infinite.
    let (n, r) = split(x.within(-104.0, 89.0));
    // In two steps, so that the result may be denormal, or as large as can be.
    // SAFETY: as of the operators of `V`.
    let (half, rest) = unsafe {
        let half = S::shr::<1>(n);
        (half, S::sub_i32(n, half))
    };
    (r + 1.0) * power_of_two(half) * power_of_two(rest)
}

/// `e ^ x` for `x` that is not positive; 0 below -87.7.
#[inline(always)]
fn exp_down<S: Simd>(x: V<S>) -> V<S> {
    // The power of two of -88 is the one that is 0.
    let (n, r) = split(x.at_least(-88.0));
    (r + 1.0) * power_of_two(n)
}

/// `e ^ x - 1` for `x` that is not positive.
#[inline(always)]
fn exp_m1<S: Simd>(x: V<S>) -> V<S> {
    let (n, r) = split(x.at_least(-32.0));
    let power = power_of_two(n);
    r.mul_add(power, power - 1.0)
}

#[inline(always)]
fn ln<S: Simd>(x: V<S>) -> V<S> {
    const ROOT: i32 = 0x3F35_04F3;
    let denormal = x.below(f32::MIN_POSITIVE);
    let exponent = x.below(f32::MIN_POSITIVE).choose(-23.0, 0.0);
    let normal = denormal.pick(x * 8_388_608.0, x);
    // SAFETY: as of the operators of `V`.
    let (f, exponent) = unsafe {
        // A power of two, and a factor from the root of one half to that of two.
        let above = S::sub_i32(S::bits(normal.0), S::splat_i32(ROOT));
        let factor = S::add_i32(S::and(above, S::splat_i32(0x007F_FFFF)), S::splat_i32(ROOT));
        (V::<S>(S::from_bits(factor)) - 1.0, exponent + V(S::to_f32(S::shr::<23>(above))))
    };
    // (ln(1 + f) - f + f² / 2) / f³, fitted.
    let q = f.polynomial([
        0.333_333_1,
        -0.249_999_87,
        0.200_021_52,
        -0.166_691_97,
        0.142_199_17,
        -0.123_857_97,
        0.118_660_33,
        -0.117_796_78,
        0.069_179_89,
    ]);
    let square = f * f;
    let low = exponent.mul_add(V::splat(-2.121_944_4e-4), (square * f) * q - square * 0.5);
    let y = exponent.mul_add(V::splat(0.693_359_4), f + low);
    let y = x.below(f32::from_bits(1)).pick(x.below(0.0).choose(f32::NAN, f32::NEG_INFINITY), y);
    // Infinity and NaN stay.
    x.below(f32::INFINITY).pick(y, x)
}

/// `ln(1 + x)` for `x` from 0 to 1.
#[inline(always)]
fn ln_1p<S: Simd>(x: V<S>) -> V<S> {
    let u = x + 1.0;
    // What rounding took from `u`.
    ln(u) + (x - (u - 1.0)) / u
}

#[inline(always)]
fn logistic<S: Simd>(x: V<S>) -> V<S> {
    let e = exp(-x.abs());
    x.below(0.0).pick(e, V::splat(1.0)) / (e + 1.0)
}

#[inline(always)]
fn tangent<S: Simd>(x: V<S>) -> V<S> {
    let e = exp_m1(x.abs() * -2.0);
    (e / (e + 2.0)).with_sign(x)
}

#[inline(always)]
fn erf<S: Simd>(x: V<S>) -> V<S> {
    // A rational function of x².
    let square = x * x;
    let above = square.polynomial([
        -1.609_603_3e-2,
        -2.954_6e-3,
        -7.349_906e-4,
        -5.692_506_4e-5,
        -2.101_024e-6,
        2.770_681_4e-8,
        -2.726_142_3e-10,
    ]);
    let below = square.polynomial([-1.426_473_9e-2, -7.373_329e-3, -1.682_827e-3, -2.133_740_6e-4, -1.456_607_2e-5]);
    // From here on 1 is nearest.
    x.abs().above(3.92).pick(V::splat(1.0).with_sign(x), x * (above / below))
}

/// `x * (1 + erf(x / √2)) / 2`, which is `max(x, 0) - |x| * tail`: no difference of 1 and almost 1 is taken, so that
/// little of a negative `x` is lost.
#[inline(always)]
fn error_linear<S: Simd>(x: V<S>) -> V<S> {
    // From here on there is nothing left of the tail.
    let size = x.abs().at_most(8.0);
    // The logarithm, to base 2, of `(1 - erf(size / √2)) / 2`; fitted up to 6.2, and below that for what follows.
    let log = size.polynomial([
        -0.999_999_7,
        -1.151_118_3,
        -0.459_112_9,
        -0.052_756_22,
        0.007_402_108_5,
        -3.669_44e-4,
        -1.051_129_2e-4,
        2.659_317_4e-5,
        -2.589_373e-6,
        9.748_327e-8,
    ]);
    // NaN comes with the size.
    x.positive() - size * small_power(log)
}

/// `2 ^ x` for `x` from -126 to 0.
#[inline(always)]
#[allow(clippy::approx_constant, reason = "it is fitted")]
fn small_power<S: Simd>(x: V<S>) -> V<S> {
    let t = x + ROUND;
    let rest = x - (t - ROUND);
    let power = rest.polynomial([1.0, 0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_514, 0.001_326_473]);
    // The integer in the low bits of `t` goes to where the exponent is; what was above them is shifted out.
    // SAFETY: as of the operators of `V`.
    V(unsafe { S::from_bits(S::add_i32(S::bits(power.0), S::shl::<23>(S::bits(t.0)))) })
}

/// A function of every element.
trait Function: Copy {
    fn of<S: Simd>(self, x: V<S>) -> V<S>;
}

/// [`Function`] of every element of a slice, in place.
struct Map<'a, F>(&'a mut [f32], F);

impl<F: Function> Kernel for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        map_all::<S, F>(self.0, self.1);
    }
}

/// [`Map`].
// On WebAssembly a function of its own: engines optimise whole functions, and replace them between calls.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
fn map_all<S: Simd, F: Function>(data: &mut [f32], f: F) {
    let mut chunks = data.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        // SAFETY: a chunk is `LANES` long.
        unsafe { S::store(chunk.as_mut_ptr(), f.of(V::<S>(S::load(chunk.as_ptr()))).0) };
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        // SAFETY: only as many elements as there are.
        unsafe {
            let v = f.of(V::<S>(S::load_part(rest.as_ptr(), rest.len())));
            S::store_part(rest.as_mut_ptr(), v.0, rest.len());
        }
    }
}

/// Runs a function that is written as one of vectors; `$(name: value),*` are its parameters.
macro_rules! map {
    ($level:expr, $data:expr, [$($parameter:ident: $value:expr),*], |$x:ident| $result:expr) => {{
        #[derive(Clone, Copy)]
        struct This { $($parameter: f32),* }
        impl Function for This {
            #[inline(always)]
            fn of<S: Simd>(self, $x: V<S>) -> V<S> {
                let Self { $($parameter),* } = self;
                $result
            }
        }
        dispatch_at($level, Map($data, This { $($parameter: $value),* }))
    }};
}

/// Elements from which on a function of them is worth a thread.
pub(super) const GRAIN: usize = 8 << 10;

/// Applies `op` in place.
pub fn unary(op: UnaryOp, data: &mut [f32]) {
    let grains = data.len() / GRAIN;
    threads::each_slice(data, 16, grains, |_, part| unary_at(Level::best(), op, part));
}

macro_rules! activations {
    ($($name:ident = $op:ident;)*) => {$(
        /// The function of that name, in place.
        pub fn $name(row: &mut [f32]) {
            unary(UnaryOp::$op, row);
        }
    )*};
}
// What follows a product most often, to be handed to it.
activations! {
    gelu = Gelu;
    gelu_tanh = GeluTanh;
    hard_swish = HardSwish;
    sigmoid = Sigmoid;
    tanh = Tanh;
}

/// `x * sigmoid(x)` in place.
pub fn silu(row: &mut [f32]) {
    silu_at(Level::best(), row);
}

fn silu_at(level: Level, row: &mut [f32]) {
    map!(level, row, [], |x| x * logistic(x));
}

fn unary_at(level: Level, op: UnaryOp, data: &mut [f32]) {
    match op {
        UnaryOp::Abs => map!(level, data, [], |x| x.abs()),
        UnaryOp::Ceil => map!(level, data, [], |x| -(-x).floor()),
        UnaryOp::Celu { alpha } => map!(level, data, [alpha: alpha], |x| {
            let y = x / alpha;
            let e = y.below(0.0).pick(exp_m1(y), exp(y) - 1.0);
            x.is_nan().pick(x, x.at_least(0.0) + (e * alpha).at_most(0.0))
        }),
        UnaryOp::Clip { min, max } => {
            // A bound that is no number is none.
            let bound = |v: f64, none| if v.is_nan() { none } else { v as f32 };
            let (min, max) = (bound(min, f32::NEG_INFINITY), bound(max, f32::INFINITY));
            map!(level, data, [min: min, max: max], |x| x.within(min, max));
        }
        UnaryOp::Cos => data.iter_mut().for_each(|x| *x = x.cos()),
        UnaryOp::Elu { alpha } => map!(level, data, [alpha: alpha], |x| x.below(0.0).pick(exp_m1(x) * alpha, x)),
        UnaryOp::Erf => map!(level, data, [], |x| erf(x)),
        UnaryOp::Exp => map!(level, data, [], |x| exp(x)),
        UnaryOp::Floor => map!(level, data, [], |x| x.floor()),
        UnaryOp::Gelu => map!(level, data, [], |x| error_linear(x)),
        // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
        UnaryOp::GeluTanh => map!(level, data, [], |x| {
            let u = (x * x * 0.044_715 + 1.0) * x * 0.797_884_6;
            x / (exp(u * -2.0) + 1.0)
        }),
        UnaryOp::HardSigmoid { alpha, beta } => map!(level, data, [alpha: alpha, beta: beta], |x| {
            (x * alpha + beta).within(0.0, 1.0)
        }),
        UnaryOp::HardSwish => map!(level, data, [], |x| x * (x * (1.0 / 6.0) + 0.5).within(0.0, 1.0)),
        UnaryOp::LeakyRelu { alpha } => map!(level, data, [alpha: alpha], |x| x.below(0.0).pick(x * alpha, x)),
        UnaryOp::Log => map!(level, data, [], |x| ln(x)),
        // tanh(ln(1 + e)) is (e² + 2 e) / (e² + 2 e + 2), and 1 from 20 on.
        UnaryOp::Mish => map!(level, data, [], |x| {
            let e = exp(x.at_most(20.0));
            let w = e * (e + 2.0);
            x * (w / (w + 2.0))
        }),
        UnaryOp::Neg => map!(level, data, [], |x| -x),
        UnaryOp::Reciprocal => map!(level, data, [], |x| V::splat(1.0) / x),
        UnaryOp::Relu => map!(level, data, [], |x| x.at_least(0.0)),
        UnaryOp::Round => map!(level, data, [], |x| x.round()),
        UnaryOp::Selu { alpha, gamma } => map!(level, data, [alpha: alpha, gamma: gamma], |x| {
            x.below(0.0).pick(exp_m1(x) * alpha, x) * gamma
        }),
        UnaryOp::Shrink { bias, lambd } => map!(level, data, [bias: bias, lambd: lambd], |x| {
            let otherwise = x.is_nan().pick(x, V::splat(0.0));
            x.below(-lambd).pick(x + bias, x.above(lambd).pick(x - bias, otherwise))
        }),
        UnaryOp::Sigmoid => map!(level, data, [], |x| logistic(x)),
        UnaryOp::Sign => {
            map!(level, data, [], |x| x.above(0.0).pick(V::splat(1.0), x.below(0.0).pick(V::splat(-1.0), x)))
        }
        UnaryOp::Sin => data.iter_mut().for_each(|x| *x = x.sin()),
        UnaryOp::Softplus => map!(level, data, [], |x| x.at_least(0.0) + ln_1p(exp(-x.abs()))),
        UnaryOp::Softsign => map!(level, data, [], |x| x / (x.abs() + 1.0)),
        UnaryOp::Sqrt => map!(level, data, [], |x| x.sqrt()),
        UnaryOp::Tanh => map!(level, data, [], |x| tangent(x)),
        UnaryOp::ThresholdedRelu { alpha } => map!(level, data, [alpha: alpha], |x| {
            x.above(alpha).pick(x, x.is_nan().pick(x, V::splat(0.0)))
        }),
    }
}

/// Elements that are added in float32 before float64 takes their sum.
const BLOCK: usize = 1024;

/// The largest of a row's elements and `floor`, and the sum of `e ^ (x - largest)` of them all; the row's
/// exponentials in their places where they are to be `kept`. A row of nothing but -∞ and NaN stays as it is.
struct Exponentials<'a> {
    row: &'a mut [f32],
    floor: f32,
    kept: bool,
}

impl Kernel for Exponentials<'_> {
    type Output = (f32, f64);

    #[inline(always)]
    fn run<S: Simd>(self) -> (f32, f64) {
        let Self { row, floor, kept } = self;
        // SAFETY: `dispatch` knows that the machine has the set; chunks are `LANES` long, and of what is left only
        // as many elements are read and written as there are.
        unsafe {
            let mut tops = S::splat(floor);
            let mut top = floor;
            let mut chunks = row.chunks_exact(S::LANES);
            for chunk in &mut chunks {
                // Whatever becomes of it where there is NaN, the sum is NaN.
                tops = S::max_number(tops, S::load(chunk.as_ptr()));
            }
            let mut lanes = [f32::NEG_INFINITY; 16];
            S::store(lanes.as_mut_ptr(), tops);
            for &v in lanes[..S::LANES].iter().chain(chunks.remainder()) {
                top = if v > top { v } else { top };
            }
            if top == f32::NEG_INFINITY {
                return (top, 0.0);
            }
            let mut total = if floor == f32::NEG_INFINITY { 0.0 } else { f64::from((floor - top).exp()) };
            for block in row.chunks_mut(BLOCK) {
                let mut sums = S::splat(0.0);
                let mut chunks = block.chunks_exact_mut(S::LANES);
                for chunk in &mut chunks {
                    let e = exp_down(V::<S>(S::load(chunk.as_ptr())) - top).0;
                    if kept {
                        S::store(chunk.as_mut_ptr(), e);
                    }
                    sums = S::add(sums, e);
                }
                let rest = chunks.into_remainder();
                if !rest.is_empty() {
                    let e = exp_down(V::<S>(S::load_part(rest.as_ptr(), rest.len())) - top).0;
                    let mut lanes = [0f32; 16];
                    S::store(lanes.as_mut_ptr(), e);
                    for &e in &lanes[..rest.len()] {
                        total += f64::from(e);
                    }
                    if kept {
                        S::store_part(rest.as_mut_ptr(), e, rest.len());
                    }
                }
                total += f64::from(S::sum(sums));
            }
            (top, total)
        }
    }
}

/// Softmax of a row, or its logarithm, in place.
// Of its own where size counts: it is long, and has several callers.
#[cfg_attr(target_family = "wasm", inline(never))]
pub fn softmax(row: &mut [f32], log: bool) {
    softmax_at(Level::best(), row, log);
}

fn softmax_at(level: Level, row: &mut [f32], log: bool) {
    let (top, sum) = dispatch_at(level, Exponentials { row, floor: f32::NEG_INFINITY, kept: !log });
    if top == f32::NEG_INFINITY {
        row.fill(f32::NAN);
    } else if log {
        map!(level, row, [top: top, log: sum.ln() as f32], |x| (x - top) - log);
    } else {
        map!(level, row, [factor: (1.0 / sum) as f32], |x| x * factor);
    }
}

/// Softmax of a row, and of one more element that is left out of the result. Where everything is -∞, the result is 0.
pub fn softmax_masked(row: &mut [f32], more: Option<f32>) {
    let level = Level::best();
    let floor = more.unwrap_or(f32::NEG_INFINITY);
    let (top, sum) = dispatch_at(level, Exponentials { row, floor, kept: true });
    if top == f32::NEG_INFINITY {
        let value = if row.iter().any(|v| v.is_nan()) { f32::NAN } else { 0.0 };
        row.fill(value);
    } else {
        map!(level, row, [factor: (1.0 / sum) as f32], |x| x * factor);
    }
}

/// Softmax of every column of `[size, columns]`, or its logarithm.
struct Columns<'a> {
    x: &'a mut [f32],
    columns: usize,
    log: bool,
}

impl Kernel for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { x, columns, log } = self;
        for first in (0..columns).step_by(S::LANES) {
            let count = (columns - first).min(S::LANES);
            // SAFETY: `dispatch` knows that the machine has the set; a row is `columns` long, and of it only `count`
            // elements from `first` on are read and written.
            unsafe {
                let mut top = V::<S>::splat(f32::NEG_INFINITY);
                for row in x.chunks_exact(columns) {
                    top = top.or_larger(V(S::load_part(row[first..].as_ptr(), count)));
                }
                let mut sum = V::<S>::splat(0.0);
                for row in x.chunks_exact_mut(columns) {
                    let at = row[first..].as_mut_ptr();
                    let below = V::<S>(S::load_part(at, count)) - top;
                    let e = exp_down(below);
                    sum = sum + e;
                    S::store_part(at, if log { below.0 } else { e.0 }, count);
                }
                let (factor, log_sum) = (V::splat(1.0) / sum, ln(sum));
                for row in x.chunks_exact_mut(columns) {
                    let at = row[first..].as_mut_ptr();
                    let v = V::<S>(S::load_part(at, count));
                    S::store_part(at, if log { (v - log_sum).0 } else { (v * factor).0 }, count);
                }
            }
        }
    }
}

/// Softmax of every column of `[size, columns]`, or its logarithm, in place.
pub fn softmax_columns(x: &mut [f32], columns: usize, log: bool) {
    dispatch(Columns { x, columns, log });
}

/// The sum of a row's elements less `from`, or of their squares.
struct Sum<'a> {
    row: &'a [f32],
    from: f32,
    squared: bool,
}

impl Kernel for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let Self { row, from, squared } = self;
        let mut total = 0.0;
        for block in row.chunks(BLOCK) {
            let mut chunks = block.chunks_exact(S::LANES);
            let mut sums = V::<S>::splat(0.0);
            for chunk in &mut chunks {
                // SAFETY: a chunk is `LANES` long.
                let v = V::<S>(unsafe { S::load(chunk.as_ptr()) }) - from;
                sums = if squared { v.mul_add(v, sums) } else { sums + v };
            }
            // SAFETY: `dispatch` knows that the machine has the set.
            total += f64::from(unsafe { S::sum(sums.0) });
            for &v in chunks.remainder() {
                let v = v - from;
                total += f64::from(if squared { v * v } else { v });
            }
        }
        total
    }
}

/// The mean (0 unless `centred`), and `1 / sqrt(mean of squared distances from it + epsilon)`.
pub fn moments(row: &[f32], epsilon: f64, centred: bool) -> (f32, f32) {
    let count = row.len() as f64;
    let sum = |from: f32, squared: bool| dispatch(Sum { row, from, squared }) / count;
    let mean = if centred { sum(0.0, false) as f32 } else { 0.0 };
    (mean, (1.0 / (sum(mean, true) + epsilon).sqrt()) as f32)
}

/// `(x - mean) * deviation * scale + bias`, with one scale and one bias for each element.
struct Scale<'a> {
    row: &'a mut [f32],
    mean: f32,
    deviation: f32,
    scale: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { row, mean, deviation, scale, bias } = self;
        for (i, chunk) in row.chunks_mut(S::LANES).enumerate() {
            let (at, count) = (i * S::LANES, chunk.len());
            // SAFETY: `dispatch` knows that the machine has the set; only as many elements as there are in the chunk,
            // and from `at` on in the others, are read and written.
            unsafe {
                let part = |of: &[f32]| of[at..][..count].as_ptr();
                let mut v = (V::<S>(S::load_part(chunk.as_ptr(), count)) - mean) * deviation;
                if let Some(scale) = scale {
                    v = v * V(S::load_part(part(scale), count));
                }
                if let Some(bias) = bias {
                    v = v + V(S::load_part(part(bias), count));
                }
                S::store_part(chunk.as_mut_ptr(), v.0, count);
            }
        }
    }
}

/// What is left of [`moments`] to do: `(x - mean) * deviation * scale + bias`, with one scale and one bias for each
/// of the row's elements.
pub fn scale_elements(row: &mut [f32], (mean, deviation): (f32, f32), scale: Option<&[f32]>, bias: Option<&[f32]>) {
    dispatch(Scale { row, mean, deviation, scale, bias });
}

// A WebAssembly build runs them too: see `oracle`.
#[cfg(any(test, feature = "oracle"))]
pub mod tests {
    use super::*;
    use crate::random::Random;

    /// Numbers of every magnitude, both signs, and all that is special.
    fn numbers() -> Vec<f32> {
        let mut random = Random::new(17);
        let mut all = vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN];
        all.extend([f32::MIN_POSITIVE, -f32::MIN_POSITIVE, f32::from_bits(1), -f32::from_bits(1)]);
        for edge in [0.5f32, 1.0, 2.5, 4.0, 9.1, 20.0, 87.3, 88.7, 88.73, 89.0, 103.2, 104.0, 150.0] {
            all.extend([edge, -edge, edge.next_up(), -edge.next_up(), edge.next_down()]);
        }
        all.extend((0..20_000).map(|_| f32::from_bits(random.bits() as u32)).filter(|v| !v.is_nan()));
        all.extend((0..20_000).map(|_| random.float() * 12.0));
        all.extend((0..20_000).map(|_| random.float() * 110.0));
        all.extend((0..5_000).map(|_| random.float() * 0.01));
        all
    }

    /// The distance of `got` from `exact` in units of the last place of a float32 that is as large.
    fn ulps(got: f32, exact: f64) -> f64 {
        let near = exact as f32;
        if got == near || (got.is_nan() && exact.is_nan()) {
            return 0.0;
        }
        if !got.is_finite() || !near.is_finite() {
            return f64::INFINITY;
        }
        let unit = f64::from(f32::from_bits(near.abs().to_bits().max(0x0080_0000)).next_up())
            - f64::from(f32::from_bits(near.abs().to_bits().max(0x0080_0000)));
        (f64::from(got) - exact).abs() / unit
    }

    type Exact64 = fn(f64) -> f64;

    /// The functions in float64, what they are off by in units of the last place, and besides that.
    fn functions() -> Vec<(UnaryOp, Exact64, f64, f64)> {
        fn sigmoid(x: f64) -> f64 {
            1.0 / (1.0 + (-x).exp())
        }
        fn softplus(x: f64) -> f64 {
            x.max(0.0) + (-x.abs()).exp().ln_1p()
        }
        fn gelu(x: f64) -> f64 {
            // Of -∞ its limit.
            if x == f64::NEG_INFINITY { 0.0 } else { 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) }
        }
        vec![
            (UnaryOp::Exp, f64::exp, 2.0, 0.0),
            (UnaryOp::Log, f64::ln, 2.0, 0.0),
            (UnaryOp::Sigmoid, sigmoid, 3.0, 0.0),
            (UnaryOp::Tanh, f64::tanh, 3.0, 0.0),
            (UnaryOp::Erf, libm::erf, 8.0, 0.0),
            (UnaryOp::Gelu, gelu, 8.0, 8e-8),
            (
                UnaryOp::GeluTanh,
                |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
                8.0,
                1e-6,
            ),
            (UnaryOp::Elu { alpha: 1.5 }, |x| if x < 0.0 { 1.5 * x.exp_m1() } else { x }, 3.0, 0.0),
            (
                UnaryOp::Celu { alpha: 0.5 },
                |x| if x.is_nan() { x } else { x.max(0.0) + (0.5 * (x / 0.5).exp_m1()).min(0.0) },
                4.0,
                0.0,
            ),
            (UnaryOp::Softplus, softplus, 4.0, 0.0),
            (
                UnaryOp::Mish,
                |x| x * (if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }).tanh(),
                6.0,
                1e-37,
            ),
        ]
    }

    #[cfg_attr(test, test)]
    pub fn functions_are_those_of_float64() {
        let numbers = numbers();
        for level in Level::available() {
            for (op, exact, tolerance, besides) in functions() {
                let mut got = numbers.clone();
                unary_at(level, op, &mut got);
                let mut worst = (0.0, 0.0);
                for (&x, &y) in numbers.iter().zip(&got) {
                    let exact = exact(f64::from(x));
                    if (f64::from(y) - exact).abs() <= besides {
                        continue;
                    }
                    let off = ulps(y, exact);
                    if off > worst.0 {
                        worst = (off, x);
                    }
                }
                println!("{level:?} {op:?}: {worst:?}");
                assert!(worst.0 <= tolerance, "{level:?} {op:?} is off by {} ulp at {:e}", worst.0, worst.1);
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn every_instruction_set_gives_the_same_bits() {
        let numbers = numbers();
        let levels = Level::available();
        for (op, ..) in functions() {
            let outputs = levels.iter().map(|&level| {
                let mut got = numbers.clone();
                unary_at(level, op, &mut got);
                got.into_iter().map(|v| if v.is_nan() { 0x7FC0_0000 } else { v.to_bits() }).collect::<Vec<_>>()
            });
            let outputs: Vec<Vec<u32>> = outputs.collect();
            assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "{op:?} at {levels:?}");
        }
    }

    #[cfg_attr(test, test)]
    pub fn little_of_a_negative_gelu_is_lost() {
        for level in Level::available() {
            let numbers: Vec<f32> = (0..6000).map(|i| -6.0 + i as f32 * 1e-3).collect();
            let mut got = numbers.clone();
            unary_at(level, UnaryOp::Gelu, &mut got);
            for (x, y) in numbers.into_iter().map(f64::from).zip(got) {
                let exact = 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
                let off = (f64::from(y) / exact - 1.0).abs();
                assert!(off <= 2e-5, "{level:?} gelu of {x}: expected {exact:e}, got {y:e}");
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn silu_is_that_of_float64() {
        for level in Level::available() {
            let mut got = numbers();
            silu_at(level, &mut got);
            for (x, y) in numbers().into_iter().zip(got) {
                let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp());
                let same = (f64::from(y) - exact).abs() <= 4e-7 * exact.abs() + 1e-37;
                assert!(same || ulps(y, exact) == 0.0, "{level:?} silu of {x:e}: expected {exact:e}, got {y:e}");
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn simple_functions_are_exact() {
        let numbers = numbers();
        let round = |x: f32| x.round_ties_even();
        let clip = UnaryOp::Clip { min: -2.0, max: 3.0 };
        let free = UnaryOp::Clip { min: f64::NAN, max: f64::NAN };
        type Exact = fn(f32) -> f32;
        let functions: Vec<(UnaryOp, Exact)> = vec![
            (UnaryOp::Abs, f32::abs),
            (UnaryOp::Neg, |x| -x),
            (UnaryOp::Ceil, f32::ceil),
            (UnaryOp::Floor, f32::floor),
            (UnaryOp::Round, round),
            (UnaryOp::Sqrt, f32::sqrt),
            (UnaryOp::Reciprocal, |x| 1.0 / x),
            (UnaryOp::Relu, |x| if x < 0.0 { 0.0 } else { x }),
            (UnaryOp::LeakyRelu { alpha: 0.25 }, |x| if x < 0.0 { 0.25 * x } else { x }),
            (UnaryOp::ThresholdedRelu { alpha: 1.0 }, |x| if x <= 1.0 { 0.0 } else { x }),
            (UnaryOp::Sign, |x| {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    x
                }
            }),
            (UnaryOp::Softsign, |x| x / (1.0 + x.abs())),
            (clip, |x| x.clamp(-2.0, 3.0)),
            (free, |x| x),
            (UnaryOp::HardSigmoid { alpha: 0.25, beta: 0.5 }, |x| (0.25 * x + 0.5).clamp(0.0, 1.0)),
            (UnaryOp::Shrink { bias: 0.5, lambd: 1.0 }, |x| {
                if x < -1.0 {
                    x + 0.5
                } else if x > 1.0 {
                    x - 0.5
                } else if x.is_nan() {
                    x
                } else {
                    0.0
                }
            }),
        ];
        for level in Level::available() {
            for &(op, exact) in &functions {
                // Every number of elements that a vector leaves over.
                for length in (0..40).chain([numbers.len()]) {
                    let mut got = numbers[..length].to_vec();
                    unary_at(level, op, &mut got);
                    for (&x, &y) in numbers.iter().zip(&got) {
                        let exact = exact(x);
                        let same = y == exact || (y.is_nan() && exact.is_nan());
                        assert!(same, "{level:?} {op:?} of {x:e}: expected {exact:e}, got {y:e}");
                    }
                }
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn softmax_is_that_of_float64() {
        let mut random = Random::new(2);
        for level in Level::available() {
            for length in (1..40).chain([1000, 5000]) {
                let x: Vec<f32> = (0..length).map(|_| random.float() * 30.0 + 1000.0).collect();
                let top = f64::from(x.iter().copied().fold(f32::MIN, f32::max));
                let sum: f64 = x.iter().map(|&v| (f64::from(v) - top).exp()).sum();
                for (log, besides) in [(false, 1e-12), (true, 3e-7)] {
                    let mut got = x.clone();
                    softmax_at(level, &mut got, log);
                    let mut columns = x.iter().flat_map(|&v| [v, 0.0, v, 1.0, v, v]).collect::<Vec<_>>();
                    dispatch_at(level, Columns { x: &mut columns, columns: 6, log });
                    for (i, &v) in x.iter().enumerate() {
                        let below = f64::from(v) - top;
                        let exact = if log { below - sum.ln() } else { below.exp() / sum };
                        for got in [got[i], columns[i * 6], columns[i * 6 + 2], columns[i * 6 + 5]] {
                            let off = (f64::from(got) - exact).abs();
                            assert!(off <= 3e-6 * exact.abs() + besides, "{level:?} {length} {log}: {exact}, {got}");
                        }
                    }
                }
            }
        }
    }

    #[cfg_attr(test, test)]
    pub fn softmax_of_what_is_no_number() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let of = |row: &[f32], log| {
            let mut row = row.to_vec();
            softmax(&mut row, log);
            row
        };
        for row in [&[nan, 1.0, 2.0][..], &[-inf, -inf], &[inf, 1.0], &[1.0, nan], &[-inf, nan]] {
            for log in [false, true] {
                assert!(of(row, log).iter().all(|v| v.is_nan()), "{row:?}");
                let mut columns = row.to_vec();
                softmax_columns(&mut columns, 1, log);
                assert!(columns.iter().all(|v| v.is_nan()), "{row:?}");
            }
        }
        assert_eq!(of(&[-inf, 0.0, -inf], false), [0.0, 1.0, 0.0]);
        assert_eq!(of(&[-inf, 0.0], true), [-inf, 0.0]);
        let masked = |row: &[f32], more| {
            let mut row = row.to_vec();
            softmax_masked(&mut row, more);
            row
        };
        assert_eq!(masked(&[-inf, -inf], None), [0.0, 0.0]);
        assert_eq!(masked(&[-inf, -inf], Some(1.0)), [0.0, 0.0]);
        assert_eq!(masked(&[2.0, 2.0], Some(2.0)), [1.0 / 3.0, 1.0 / 3.0]);
        assert!(masked(&[-inf, nan], None).iter().all(|v| v.is_nan()));
    }
}
