//! Any machine: arrays of four, for which the compiler finds the vector instructions that the
//! target always has.

use super::Simd;

#[derive(Clone, Copy)]
pub struct Scalar;

macro_rules! each {
    ($i:ident => $value:expr) => {{
        let mut out = [Default::default(); 4];
        for $i in 0..4 {
            out[$i] = $value;
        }
        out
    }};
}

#[inline(always)]
fn halves(v: i32) -> [i32; 2] {
    [i32::from(v as i16), v >> 16]
}

#[inline(always)]
fn join(low: i16, high: i16) -> i32 {
    i32::from(low as u16) | i32::from(high) << 16
}

impl Simd for Scalar {
    const LANES: usize = 4;
    const ROWS: usize = 4;
    const UNROLL: usize = 1;
    const BYTES: bool = false;
    type F = [f32; 4];
    type I = [i32; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::F {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        // SAFETY: the caller's.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::F) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        each!(i => a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        each!(i => a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        each!(i => a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        each!(i => a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn min(v: Self::F, bound: Self::F) -> Self::F {
        each!(i => if bound[i] < v[i] { bound[i] } else { v[i] })
    }
    #[inline(always)]
    unsafe fn max(v: Self::F, bound: Self::F) -> Self::F {
        each!(i => if bound[i] > v[i] { bound[i] } else { v[i] })
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each!(i => a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn sqrt(v: Self::F) -> Self::F {
        each!(i => v[i].sqrt())
    }
    #[inline(always)]
    unsafe fn floor(v: Self::F) -> Self::F {
        each!(i => v[i].floor())
    }
    #[inline(always)]
    unsafe fn round(v: Self::F) -> Self::F {
        each!(i => v[i].round_ties_even())
    }
    #[inline(always)]
    unsafe fn less(a: Self::F, b: Self::F) -> Self::I {
        each!(i => -i32::from(a[i] < b[i]))
    }
    #[inline(always)]
    unsafe fn is_nan(v: Self::F) -> Self::I {
        each!(i => -i32::from(v[i].is_nan()))
    }
    #[inline(always)]
    unsafe fn select(mask: Self::I, a: Self::F, b: Self::F) -> Self::F {
        each!(i => f32::from_bits((mask[i] as u32 & a[i].to_bits()) | (!mask[i] as u32 & b[i].to_bits())))
    }
    #[inline(always)]
    unsafe fn bits(v: Self::F) -> Self::I {
        each!(i => v[i].to_bits() as i32)
    }
    #[inline(always)]
    unsafe fn from_bits(v: Self::I) -> Self::F {
        each!(i => f32::from_bits(v[i] as u32))
    }
    #[inline(always)]
    unsafe fn splat_i32(value: i32) -> Self::I {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_i32(to: *mut i32, v: Self::I) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    unsafe fn sub_i32(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i].wrapping_sub(b[i]))
    }
    #[inline(always)]
    unsafe fn mul_i32(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i].wrapping_mul(b[i]))
    }
    #[inline(always)]
    unsafe fn and(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i] & b[i])
    }
    #[inline(always)]
    unsafe fn or(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i] | b[i])
    }
    #[inline(always)]
    unsafe fn xor(a: Self::I, b: Self::I) -> Self::I {
        each!(i => a[i] ^ b[i])
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(v: Self::I) -> Self::I {
        each!(i => v[i] << N)
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(v: Self::I) -> Self::I {
        each!(i => v[i] >> N)
    }
    #[inline(always)]
    unsafe fn max_u8(a: Self::I, b: Self::I) -> Self::I {
        each!(i => {
            let (mut a, b) = (a[i].to_ne_bytes(), b[i].to_ne_bytes());
            for k in 0..4 {
                a[k] = a[k].max(b[k]);
            }
            i32::from_ne_bytes(a)
        })
    }
    #[inline(always)]
    unsafe fn max_i8(a: Self::I, b: Self::I) -> Self::I {
        each!(i => {
            let (mut a, b) = (a[i].to_ne_bytes(), b[i].to_ne_bytes());
            for k in 0..4 {
                a[k] = (a[k] as i8).max(b[k] as i8) as u8;
            }
            i32::from_ne_bytes(a)
        })
    }
    #[inline(always)]
    unsafe fn to_f32(v: Self::I) -> Self::F {
        each!(i => v[i] as f32)
    }
    #[inline(always)]
    unsafe fn dot_i16(acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        each!(i => {
            let (a, b) = (halves(a[i]), halves(b[i]));
            acc[i].wrapping_add(a[0] * b[0]).wrapping_add(a[1] * b[1])
        })
    }
    #[inline(always)]
    unsafe fn dot_u8i8(acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        each!(i => {
            let (a, b) = (a[i].to_le_bytes(), b[i].to_le_bytes());
            let mut sum = acc[i];
            for k in 0..4 {
                sum = sum.wrapping_add(i32::from(a[k]) * i32::from(b[k] as i8));
            }
            sum
        })
    }
    #[inline(always)]
    unsafe fn load_u8_i32(from: *const u8) -> Self::I {
        // SAFETY: the caller's.
        unsafe { each!(i => i32::from(*from.add(i))) }
    }
    #[inline(always)]
    unsafe fn load_i8_i32(from: *const i8) -> Self::I {
        // SAFETY: the caller's.
        unsafe { each!(i => i32::from(*from.add(i))) }
    }
    #[inline(always)]
    unsafe fn load_u8_i16(from: *const u8) -> Self::I {
        // SAFETY: the caller's.
        unsafe { each!(i => join(i16::from(*from.add(2 * i)), i16::from(*from.add(2 * i + 1)))) }
    }
    #[inline(always)]
    unsafe fn load_i8_i16(from: *const i8) -> Self::I {
        // SAFETY: the caller's.
        unsafe { each!(i => join(i16::from(*from.add(2 * i)), i16::from(*from.add(2 * i + 1)))) }
    }
    #[inline(always)]
    unsafe fn zip_u8_i16(a: *const u8, b: *const u8) -> Self::I {
        // SAFETY: the caller's.
        unsafe { each!(i => join(i16::from(*a.add(i)), i16::from(*b.add(i)))) }
    }
    #[inline(always)]
    unsafe fn zip4_u8(from: [*const u8; 4]) -> [Self::I; 2] {
        let byte = |i: usize, k: usize| {
            // SAFETY: the caller's.
            i32::from(unsafe { *from[k].add(i) }) << (8 * k)
        };
        let all = |i: usize| byte(i, 0) | byte(i, 1) | byte(i, 2) | byte(i, 3);
        [each!(i => all(i)), each!(i => all(i + 4))]
    }
    #[inline(always)]
    unsafe fn store_u8(to: *mut u8, v: Self::I) {
        let bytes: [u8; 4] = each!(i => v[i].clamp(0, 255) as u8);
        // SAFETY: the caller's.
        unsafe { to.cast::<[u8; 4]>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn store2_biased(to: *mut u8, v: [Self::I; 2], most: Self::I) {
        let most = most[0] & 255;
        // SAFETY: the caller's.
        unsafe {
            Self::store_u8(to, each!(i => v[0][i].min(most)));
            Self::store_u8(to.add(4), each!(i => v[1][i].min(most)));
        }
    }
}
