//! Element by element: unary functions, and binary ones with NumPy broadcasting.
//!
//! NaN is carried through everywhere, `Max`, `Min`, `Relu` and `Clip` included.

use num_traits::{Float, WrappingAdd, WrappingMul, WrappingSub};

use super::layout::{Strided, for_each_row, merge};
use super::real::Real;

/// A function of one element. Formulas: ONNX operator specifications, opset 22.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnaryOp {
    Abs,
    Ceil,
    Celu { alpha: f32 },
    Clip { min: f64, max: f64 },
    Cos,
    Elu { alpha: f32 },
    Erf,
    Exp,
    Floor,
    Gelu,
    GeluTanh,
    HardSigmoid { alpha: f32, beta: f32 },
    HardSwish,
    LeakyRelu { alpha: f32 },
    Log,
    Mish,
    Neg,
    Reciprocal,
    Relu,
    Round,
    Selu { alpha: f32, gamma: f32 },
    Shrink { bias: f32, lambd: f32 },
    Sigmoid,
    Sign,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    Tanh,
    ThresholdedRelu { alpha: f32 },
}

/// A function of two elements of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    /// `x` where it is not negative, else `x * slope`.
    PRelu,
}

/// A comparison of two elements of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// Rounds half to even, as ONNX and IEEE 754 do.
fn round_half_even<T: Float>(x: T) -> T {
    let rounded = x.round();
    let two = T::one() + T::one();
    if (x - x.trunc()).abs() == T::one() / two { (x / two).round() * two } else { rounded }
}

/// The error function, to float precision.
pub trait Erf {
    fn erf(self) -> Self;
}

impl Erf for f32 {
    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Erf for f64 {
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// Applies `op` in place.
pub fn unary<T: Real>(op: UnaryOp, data: &mut [T]) {
    if let Some(data) = T::f32s_mut(data) {
        return super::vector::unary(op, data);
    }
    let c = |v: f64| T::from(v).expect("every f64 has a nearest float");
    let f = |v: f32| c(f64::from(v));
    let (zero, one) = (T::zero(), T::one());
    macro_rules! each {
        (|$x:ident| $e:expr) => {
            for v in data.iter_mut() {
                let $x = *v;
                *v = $e;
            }
        };
    }
    match op {
        UnaryOp::Abs => each!(|x| x.abs()),
        UnaryOp::Ceil => each!(|x| x.ceil()),
        UnaryOp::Celu { alpha } => {
            let alpha = f(alpha);
            each!(|x| if x.is_nan() { x } else { x.max(zero) + (alpha * (x / alpha).exp_m1()).min(zero) })
        }
        UnaryOp::Clip { min, max } => {
            let (min, max) = (c(min), c(max));
            // A comparison with NaN is false, so NaN stays.
            each!(|x| {
                let x = if x < min { min } else { x };
                if x > max { max } else { x }
            })
        }
        UnaryOp::Cos => each!(|x| x.cos()),
        UnaryOp::Elu { alpha } => {
            let alpha = f(alpha);
            each!(|x| if x < zero { alpha * x.exp_m1() } else { x })
        }
        UnaryOp::Erf => each!(|x| x.erf()),
        UnaryOp::Exp => each!(|x| x.exp()),
        UnaryOp::Floor => each!(|x| x.floor()),
        UnaryOp::Gelu => {
            let (half, root) = (c(0.5), c(std::f64::consts::FRAC_1_SQRT_2));
            each!(|x| half * x * (one + (x * root).erf()))
        }
        UnaryOp::GeluTanh => {
            let (half, scale, cubic) = (c(0.5), c((2.0 / std::f64::consts::PI).sqrt()), c(0.044715));
            each!(|x| half * x * (one + (scale * (x + cubic * x * x * x)).tanh()))
        }
        UnaryOp::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f(alpha), f(beta));
            each!(|x| {
                let y = alpha * x + beta;
                let y = if y < zero { zero } else { y };
                if y > one { one } else { y }
            })
        }
        UnaryOp::HardSwish => {
            let (sixth, half) = (c(1.0 / 6.0), c(0.5));
            each!(|x| {
                let y = sixth * x + half;
                let y = if y < zero { zero } else { y };
                x * if y > one { one } else { y }
            })
        }
        UnaryOp::LeakyRelu { alpha } => {
            let alpha = f(alpha);
            each!(|x| if x < zero { alpha * x } else { x })
        }
        UnaryOp::Log => each!(|x| x.ln()),
        UnaryOp::Mish => {
            each!(|x| x * (if x > zero { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }).tanh())
        }
        UnaryOp::Neg => each!(|x| -x),
        UnaryOp::Reciprocal => each!(|x| x.recip()),
        UnaryOp::Relu => each!(|x| if x < zero { zero } else { x }),
        UnaryOp::Round => each!(|x| round_half_even(x)),
        UnaryOp::Selu { alpha, gamma } => {
            let (alpha, gamma) = (f(alpha), f(gamma));
            each!(|x| gamma * if x < zero { alpha * x.exp_m1() } else { x })
        }
        UnaryOp::Shrink { bias, lambd } => {
            let (bias, lambd) = (f(bias), f(lambd));
            each!(|x| if x < -lambd {
                x + bias
            } else if x > lambd {
                x - bias
            } else if x.is_nan() {
                x
            } else {
                zero
            })
        }
        // Both sides are exact where the other overflows.
        UnaryOp::Sigmoid => each!(|x| if x < zero {
            let e = x.exp();
            e / (one + e)
        } else {
            one / (one + (-x).exp())
        }),
        UnaryOp::Sign => each!(|x| if x > zero {
            one
        } else if x < zero {
            -one
        } else {
            x
        }),
        UnaryOp::Sin => each!(|x| x.sin()),
        UnaryOp::Softplus => each!(|x| if x > zero { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }),
        UnaryOp::Softsign => each!(|x| x / (one + x.abs())),
        UnaryOp::Sqrt => each!(|x| x.sqrt()),
        UnaryOp::Tanh => each!(|x| x.tanh()),
        UnaryOp::ThresholdedRelu { alpha } => {
            let alpha = f(alpha);
            each!(|x| if x <= alpha { zero } else { x })
        }
    }
}

/// Where a row of pairs begins in both views, and how far apart its elements lie.
struct Row {
    from: [usize; 2],
    steps: [isize; 2],
}

/// Calls `f` with the position and length of every row of the output. Not generic, and not inlined: the walk
/// is the same for all operations and element types.
#[inline(never)]
fn rows(strides: [&[isize]; 2], offsets: [usize; 2], shape: &[usize], f: &mut dyn FnMut(usize, usize, &Row)) {
    let (shape, strides) = super::layout::merge(shape, &strides);
    let last = shape.len() - 1;
    let inner = shape[last];
    let steps = [strides[0][last], strides[1][last]];
    let mut at = 0;
    super::layout::for_each_row(&shape, &[&strides[0], &strides[1]], |o| {
        let from = [(offsets[0] as isize + o[0]) as usize, (offsets[1] as isize + o[1]) as usize];
        f(at, inner, &Row { from, steps });
        at += inner;
    });
}

/// Applies `f` to every pair, both broadcast to `shape`; gives row-major elements. For what is seldom hot.
pub fn zip_plain<A: Copy, B: Copy, C: Copy + Default>(
    a: &Strided<'_, A>,
    b: &Strided<'_, B>,
    shape: &[usize],
    f: impl Fn(A, B) -> C,
) -> Vec<C> {
    let mut out = vec![C::default(); shape.iter().product()];
    rows([&a.strides_for(shape), &b.strides_for(shape)], [a.offset, b.offset], shape, &mut |at, inner, row| {
        let (mut pa, mut pb) = (row.from[0] as isize, row.from[1] as isize);
        for o in &mut out[at..at + inner] {
            *o = f(a.data[pa as usize], b.data[pb as usize]);
            pa += row.steps[0];
            pb += row.steps[1];
        }
    });
    out
}

/// Takes from `b` into the row-major `out` where `condition` is 0, both broadcast to `shape`.
pub fn replace<T: Copy>(out: &mut [T], condition: &Strided<'_, u8>, b: &Strided<'_, T>, shape: &[usize]) {
    let strides = [&condition.strides_for(shape)[..], &b.strides_for(shape)];
    rows(strides, [condition.offset, b.offset], shape, &mut |at, inner, row| {
        let (out, [oc, ob]) = (&mut out[at..at + inner], row.from);
        if row.steps == [1, 1] {
            let chosen = condition.data[oc..oc + inner].iter().zip(&b.data[ob..ob + inner]);
            out.iter_mut().zip(chosen).for_each(|(o, (&c, &b))| *o = if c == 0 { b } else { *o });
            return;
        }
        let (mut pc, mut pb) = (oc as isize, ob as isize);
        for o in out {
            if condition.data[pc as usize] == 0 {
                *o = b.data[pb as usize];
            }
            pc += row.steps[0];
            pb += row.steps[1];
        }
    });
}

/// Elements that [`pairs`] hands over at once.
const CHUNK: usize = 1024;

/// Calls `f` with pieces of `out` and what is paired with them: as many elements, or one for all of them. `out` is
/// row-major and holds the first of each pair, or is to be given them from `a`; all are broadcast to `shape`.
fn pairs<T: Real>(
    out: &mut [T],
    a: Option<&Strided<'_, T>>,
    b: &Strided<'_, T>,
    shape: &[usize],
    f: &mut dyn FnMut(&mut [T], &[T]),
) {
    /// As many elements of `view` as fit, `step` apart.
    fn fill<T: Copy>(to: &mut [T], view: &Strided<'_, T>, at: isize, step: isize) {
        match step {
            0 => to.fill(view.data[at as usize]),
            1 => to.copy_from_slice(&view.data[at as usize..][..to.len()]),
            _ => (0..).zip(to).for_each(|(i, to)| *to = view.data[(at + i * step) as usize]),
        }
    }
    let first = a.unwrap_or(b);
    let (sizes, strides) = merge(shape, &[&first.strides_for(shape), &b.strides_for(shape)]);
    let last = sizes.len() - 1;
    let (size, steps) = (sizes[last], [strides[0][last], strides[1][last]]);
    // Short rows of the second that repeat, as those of one element for each channel do, are laid out to be longer.
    let repeats = last > 0
        && strides[1][last - 1] == 0
        && (a.is_none() || strides[0][last - 1] == steps[0] * size as isize)
        && steps[1] != 0
        && (1..=CHUNK / 2).contains(&size);
    let (outer, row) = if repeats { (last - 1, sizes[last - 1] * size) } else { (last, size) };
    let piece = if repeats { CHUNK / size * size } else { CHUNK };
    let mut buffer = [T::zero(); CHUNK];
    let mut rest = out;
    for_each_row(&[&sizes[..outer], &[1]].concat(), &[&strides[0], &strides[1]], |offsets| {
        let begin = [first.offset as isize + offsets[0], b.offset as isize + offsets[1]];
        if repeats {
            buffer[..piece].chunks_exact_mut(size).for_each(|line| fill(line, b, begin[1], steps[1]));
        }
        for from in (0..row).step_by(piece) {
            let count = piece.min(row - from);
            let out = rest.split_off_mut(..count).unwrap_or_default();
            let place = |v: usize| begin[v] + from as isize * steps[v];
            if let Some(a) = a {
                fill(out, a, place(0), steps[0]);
            }
            let second = match steps[1] {
                _ if repeats => &buffer[..count],
                0 => &b.data[begin[1] as usize..][..1],
                1 => &b.data[place(1) as usize..][..count],
                step => {
                    fill(&mut buffer[..count], b, place(1), step);
                    &buffer[..count]
                }
            };
            f(out, second);
        }
    });
}

/// `op` on float pairs; NaN wins in `Max` and `Min`. The first of each pair is in the row-major `out`, or comes
/// from `a`; all are broadcast to `shape`.
pub fn float_binary<T: Real>(
    op: BinaryOp,
    out: &mut [T],
    a: Option<&Strided<'_, T>>,
    b: &Strided<'_, T>,
    shape: &[usize],
) {
    macro_rules! each {
        ($f:expr) => {
            pairs(out, a, b, shape, &mut |a, b| {
                if let &[b] = b {
                    a.iter_mut().for_each(|a| *a = $f(*a, b));
                } else {
                    a.iter_mut().zip(b).for_each(|(a, &b)| *a = $f(*a, b));
                }
            })
        };
    }
    match op {
        BinaryOp::Add => each!(|a, b| a + b),
        BinaryOp::Sub => each!(|a, b| a - b),
        BinaryOp::Mul => each!(|a, b| a * b),
        BinaryOp::Div => each!(|a, b| a / b),
        BinaryOp::Pow => pairs(out, a, b, shape, &mut |a, b| match b {
            // What means and cubic functions are written with.
            [b] if b.wide() == 2.0 => a.iter_mut().for_each(|a| *a = *a * *a),
            [b] if b.wide() == 3.0 => a.iter_mut().for_each(|a| *a = *a * *a * *a),
            [b] => a.iter_mut().for_each(|a| *a = a.powf(*b)),
            b => a.iter_mut().zip(b).for_each(|(a, &b)| *a = a.powf(b)),
        }),
        BinaryOp::Max => each!(|a: T, b| if a > b || a.is_nan() { a } else { b }),
        BinaryOp::Min => each!(|a: T, b| if a < b || a.is_nan() { a } else { b }),
        BinaryOp::PRelu => each!(|a, b| if a < T::zero() { a * b } else { a }),
    }
}

/// Integers whose arithmetic wraps.
pub trait Wrapping: num_traits::PrimInt + WrappingAdd + WrappingSub + WrappingMul + Default {
    /// `self / by` truncated; the smallest by −1 wraps. `by` is not 0.
    fn wrapping_quotient(self, by: Self) -> Self;
    /// `self ^ exponent`, wrapping; a negative exponent gives the truncated fraction.
    fn wrapping_power(self, exponent: Self) -> Self;
}

macro_rules! wrapping {
    ($($ty:ty),+) => { $(impl Wrapping for $ty {
        fn wrapping_quotient(self, by: Self) -> Self {
            self.wrapping_div(by)
        }
        #[allow(unused_comparisons)]
        fn wrapping_power(self, exponent: Self) -> Self {
            let minus_one = (0 as $ty).wrapping_sub(1);
            if exponent < 0 {
                return match self {
                    1 => 1,
                    v if v == minus_one => if exponent % 2 == 0 { 1 } else { v },
                    _ => 0,
                };
            }
            let (mut result, mut square, mut left) = (1 as $ty, self, exponent);
            while left > 0 {
                if left % 2 == 1 {
                    result = result.wrapping_mul(square);
                }
                square = square.wrapping_mul(square);
                left /= 2;
            }
            result
        }
    })+ };
}
wrapping!(i8, i16, i32, i64, u8, u16, u32, u64);

/// `op` on integer pairs, wrapping. None when something is divided by zero.
pub fn int_binary<T: Wrapping>(
    op: BinaryOp,
    a: &Strided<'_, T>,
    b: &Strided<'_, T>,
    shape: &[usize],
) -> Option<Vec<T>> {
    Some(match op {
        BinaryOp::Add => zip_plain(a, b, shape, |a, b| a.wrapping_add(&b)),
        BinaryOp::Sub => zip_plain(a, b, shape, |a, b| a.wrapping_sub(&b)),
        BinaryOp::Mul => zip_plain(a, b, shape, |a, b| a.wrapping_mul(&b)),
        BinaryOp::Div => {
            let by_zero = std::cell::Cell::new(false);
            let out = zip_plain(a, b, shape, |a, b| {
                if b.is_zero() {
                    by_zero.set(true);
                    return b;
                }
                a.wrapping_quotient(b)
            });
            return (!by_zero.get()).then_some(out);
        }
        BinaryOp::Pow => zip_plain(a, b, shape, |a, b| a.wrapping_power(b)),
        BinaryOp::Max => zip_plain(a, b, shape, |a, b| a.max(b)),
        BinaryOp::Min => zip_plain(a, b, shape, |a, b| a.min(b)),
        BinaryOp::PRelu => zip_plain(a, b, shape, |a, b| if a < T::zero() { a.wrapping_mul(&b) } else { a }),
    })
}

/// Applies `op` to integers in place. False when the operation is for floats only.
pub fn int_unary<T: Wrapping>(op: UnaryOp, data: &mut [T]) -> bool {
    let (zero, one) = (T::zero(), T::one());
    let clamp =
        |v: f64| <T as num_traits::NumCast>::from(v).unwrap_or(if v > 0.0 { T::max_value() } else { T::min_value() });
    match op {
        UnaryOp::Abs => data.iter_mut().for_each(|v| *v = if *v < zero { zero.wrapping_sub(v) } else { *v }),
        UnaryOp::Neg => data.iter_mut().for_each(|v| *v = zero.wrapping_sub(v)),
        UnaryOp::Relu => data.iter_mut().for_each(|v| *v = (*v).max(zero)),
        UnaryOp::Sign => data.iter_mut().for_each(|v| {
            *v = if *v > zero {
                one
            } else if *v < zero {
                zero.wrapping_sub(&one)
            } else {
                zero
            }
        }),
        UnaryOp::Erf => data.iter_mut().for_each(|v| {
            *v = clamp(libm::erf(v.to_f64().expect("an integer is a float")).trunc());
        }),
        UnaryOp::Shrink { bias, lambd } => data.iter_mut().for_each(|v| {
            let x = v.to_f64().expect("an integer is a float");
            let (bias, lambd) = (f64::from(bias), f64::from(lambd));
            let y = if x < -lambd {
                x + bias
            } else if x > lambd {
                x - bias
            } else {
                0.0
            };
            *v = clamp(y.trunc());
        }),
        _ => return false,
    }
    true
}
