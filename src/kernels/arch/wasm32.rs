//! WebAssembly: simd128, and with relaxed SIMD a fused multiply-add and a dot product of bytes.

use core::arch::wasm32::*;

use super::{Dot, Simd};

#[derive(Clone, Copy)]
pub struct Wasm;

impl Simd for Wasm {
    const LANES: usize = 4;
    // Five rows spill in V8, and so do four once the loop is written out.
    const ROWS: usize = 4;
    const UNROLL: usize = 1;
    const BYTES: bool = cfg!(target_feature = "relaxed-simd");
    // Signed bytes are one instruction, of unsigned ones LLVM makes three.
    const BIAS: i32 = 128;
    type F = v128;
    type I = v128;

    #[inline(always)]
    unsafe fn splat(value: f32) -> v128 {
        f32x4_splat(value)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> v128 {
        // SAFETY: the caller's.
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: v128) {
        // SAFETY: the caller's.
        unsafe { v128_store(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    unsafe fn min(v: v128, bound: v128) -> v128 {
        // With relaxed SIMD, LLVM makes of this an instruction for which NaN is anything.
        v128_or(f32x4_pmin(v, bound), f32x4_ne(v, v))
    }
    #[inline(always)]
    unsafe fn max(v: v128, bound: v128) -> v128 {
        v128_or(f32x4_pmax(v, bound), f32x4_ne(v, v))
    }
    #[inline(always)]
    unsafe fn clamp(v: v128, low: v128, high: v128) -> v128 {
        v128_or(f32x4_pmax(f32x4_pmin(v, high), low), f32x4_ne(v, v))
    }
    #[inline(always)]
    unsafe fn min_number(a: v128, b: v128) -> v128 {
        // One instruction on x86-64, where `f32x4.min` is seven.
        f32x4_pmin(a, b)
    }
    #[inline(always)]
    unsafe fn max_number(a: v128, b: v128) -> v128 {
        f32x4_pmax(a, b)
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn mul_add(a: v128, b: v128, c: v128) -> v128 {
        f32x4_relaxed_madd(a, b, c)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    unsafe fn mul_add(a: v128, b: v128, c: v128) -> v128 {
        f32x4_add(f32x4_mul(a, b), c)
    }
    #[inline(always)]
    unsafe fn sqrt(v: v128) -> v128 {
        f32x4_sqrt(v)
    }
    #[inline(always)]
    unsafe fn floor(v: v128) -> v128 {
        f32x4_floor(v)
    }
    #[inline(always)]
    unsafe fn round(v: v128) -> v128 {
        f32x4_nearest(v)
    }
    #[inline(always)]
    unsafe fn less(a: v128, b: v128) -> v128 {
        f32x4_lt(a, b)
    }
    #[inline(always)]
    unsafe fn is_nan(v: v128) -> v128 {
        f32x4_ne(v, v)
    }
    #[inline(always)]
    unsafe fn select(mask: v128, a: v128, b: v128) -> v128 {
        v128_bitselect(a, b, mask)
    }
    #[inline(always)]
    unsafe fn bits(v: v128) -> v128 {
        v
    }
    #[inline(always)]
    unsafe fn from_bits(v: v128) -> v128 {
        v
    }
    #[inline(always)]
    unsafe fn splat_i32(value: i32) -> v128 {
        i32x4_splat(value)
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> v128 {
        // SAFETY: the caller's.
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_i32(to: *mut i32, v: v128) {
        // SAFETY: the caller's.
        unsafe { v128_store(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn add_i32(a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn sub_i32(a: v128, b: v128) -> v128 {
        i32x4_sub(a, b)
    }
    #[inline(always)]
    unsafe fn mul_i32(a: v128, b: v128) -> v128 {
        i32x4_mul(a, b)
    }
    #[inline(always)]
    unsafe fn and(a: v128, b: v128) -> v128 {
        v128_and(a, b)
    }
    #[inline(always)]
    unsafe fn or(a: v128, b: v128) -> v128 {
        v128_or(a, b)
    }
    #[inline(always)]
    unsafe fn xor(a: v128, b: v128) -> v128 {
        v128_xor(a, b)
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(v: v128) -> v128 {
        i32x4_shl(v, N)
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(v: v128) -> v128 {
        i32x4_shr(v, N)
    }
    #[inline(always)]
    unsafe fn max_u8(a: v128, b: v128) -> v128 {
        u8x16_max(a, b)
    }
    #[inline(always)]
    unsafe fn max_i8(a: v128, b: v128) -> v128 {
        i8x16_max(a, b)
    }
    #[inline(always)]
    unsafe fn to_f32(v: v128) -> v128 {
        f32x4_convert_i32x4(v)
    }
    #[inline(always)]
    unsafe fn dot_i16(acc: v128, a: v128, b: v128) -> v128 {
        i32x4_add(acc, i32x4_dot_i16x8(a, b))
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn dot_u8i8(acc: v128, a: v128, b: v128) -> v128 {
        i32x4_relaxed_dot_i8x16_i7x16_add(b, a, acc)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    unsafe fn dot_u8i8(acc: v128, _: v128, _: v128) -> v128 {
        acc
    }
    #[inline(always)]
    unsafe fn load_u8_i32(from: *const u8) -> v128 {
        // SAFETY: the caller's.
        u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(unsafe { v128_load32_zero(from.cast()) }))
    }
    #[inline(always)]
    unsafe fn load_i8_i32(from: *const i8) -> v128 {
        // SAFETY: the caller's.
        i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(unsafe { v128_load32_zero(from.cast()) }))
    }
    #[inline(always)]
    unsafe fn load_u8_i16(from: *const u8) -> v128 {
        // SAFETY: the caller's.
        unsafe { i16x8_load_extend_u8x8(from) }
    }
    #[inline(always)]
    unsafe fn load_i8_i16(from: *const i8) -> v128 {
        // SAFETY: the caller's.
        unsafe { i16x8_load_extend_i8x8(from) }
    }
    #[inline(always)]
    unsafe fn zip_u8_i16(a: *const u8, b: *const u8) -> v128 {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (v128_load32_zero(a.cast()), v128_load32_zero(b.cast())) };
        u16x8_extend_low_u8x16(i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b))
    }
    #[inline(always)]
    unsafe fn zip2_u8_i16(a: *const u8, b: *const u8) -> [v128; 2] {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (v128_load64_zero(a.cast()), v128_load64_zero(b.cast())) };
        let both = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        [u16x8_extend_low_u8x16(both), u16x8_extend_high_u8x16(both)]
    }
    #[inline(always)]
    unsafe fn zip4_u8(from: [*const u8; 4]) -> [v128; 2] {
        // SAFETY: the caller's.
        let [a, b, c, d] = unsafe {
            [
                v128_load64_zero(from[0].cast()),
                v128_load64_zero(from[1].cast()),
                v128_load64_zero(from[2].cast()),
                v128_load64_zero(from[3].cast()),
            ]
        };
        let left = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        let right = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(c, d);
        [
            i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(left, right),
            i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(left, right),
        ]
    }
    #[inline(always)]
    unsafe fn store2_biased(to: *mut u8, v: [v128; 2], most: v128) {
        let words = i16x8_narrow_i32x4(v[0], v[1]);
        let bytes = v128_xor(i8x16_narrow_i16x8(words, words), u8x16_splat(128));
        // SAFETY: the caller's.
        unsafe { v128_store64_lane::<0>(u8x16_min(bytes, most), to.cast()) }
    }
    #[inline(always)]
    unsafe fn store_u8(to: *mut u8, v: v128) {
        let words = i16x8_narrow_i32x4(v, v);
        // SAFETY: the caller's.
        unsafe { v128_store32_lane::<0>(u8x16_narrow_i16x8(words, words), to.cast()) }
    }
}

/// What this environment's dot product of bytes does.
#[cfg(target_feature = "relaxed-simd")]
pub fn dot() -> Dot {
    use std::sync::LazyLock;
    static PROBED: LazyLock<Dot> = LazyLock::new(|| {
        // Neighbours of the same sign and the largest size saturate where 16-bit sums of pairs do.
        let columns: [[i8; 4]; 4] =
            [[127, 127, 127, 127], [-128, -128, -128, -128], [127, -128, 1, -1], [-128, 127, -77, 99]];
        let rows: [[u8; 4]; 4] = [[255, 255, 255, 255], [255, 255, 128, 128], [128, 200, 255, 0], [255, 129, 254, 127]];
        let (mut unsigned, mut signed) = (true, true);
        for row in rows {
            let (a, b) = core::hint::black_box((row, columns));
            let mut sums = [0i32; 4];
            // SAFETY: this build has relaxed SIMD; the arrays are of 16 bytes.
            unsafe {
                let acc = Wasm::dot_u8i8(
                    i32x4_splat(1_000_000_007),
                    i32x4_splat(i32::from_le_bytes(a)),
                    v128_load(b.as_ptr().cast()),
                );
                v128_store(sums.as_mut_ptr().cast(), acc);
            }
            for (sum, column) in core::hint::black_box(sums).iter().zip(columns) {
                let products =
                    |value: fn(u8) -> i32| row.iter().zip(column).map(|(&x, w)| value(x) * i32::from(w)).sum::<i32>();
                unsigned &= *sum == 1_000_000_007 + products(i32::from);
                signed &= *sum == 1_000_000_007 + products(|x| i32::from(x as i8));
            }
        }
        match (unsigned, signed) {
            (true, _) => Dot::Bytes,
            (_, true) => Dot::FlippedBytes,
            _ => Dot::Words,
        }
    });
    *PROBED
}

/// Without relaxed SIMD there is none.
#[cfg(not(target_feature = "relaxed-simd"))]
pub fn dot() -> Dot {
    Dot::Words
}
