//! x86-64: AVX2 with FMA, the same with AVX-VNNI, and AVX-512 with VNNI.

use core::arch::x86_64::*;

use super::{Kernel, Set, Simd};

/// Whether this machine has it.
pub fn has(set: Set) -> bool {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match set {
        Set::Scalar => true,
        Set::Avx2 => avx2,
        Set::AvxVnni => avx2 && is_x86_feature_detected!("avxvnni"),
        Set::Avx512 => {
            avx2 && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[target_feature(enable = "avx2,fma,avxvnni")]
pub fn avx_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<AvxVnni>()
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[derive(Clone, Copy)]
pub struct Avx2;

#[derive(Clone, Copy)]
pub struct AvxVnni;

#[derive(Clone, Copy)]
pub struct Avx512;

/// A mask of the first `count` lanes of eight.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    const MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: eight lanes from 8 - count on lie in the table; the caller's machine has AVX2.
    unsafe { _mm256_loadu_si256(MASK.as_ptr().add(8 - count).cast()) }
}

/// A method that is one expression of intrinsics.
macro_rules! methods {
    ($($(#[$attribute:meta])* $name:ident $(<const $N:ident>)? ($($argument:ident: $T:ty),*) $(-> $R:ty)? = $body:expr;)*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        unsafe fn $name $(<const $N: u32>)? ($($argument: $T),*) $(-> $R)? {
            // SAFETY: the caller's: the machine has the set, the pointers are good.
            #[allow(unused_unsafe)]
            unsafe { $body }
        }
    )*};
}

macro_rules! avx2 {
    ($name:ident, $bytes:literal, |$acc:ident, $a:ident, $b:ident| $dot:expr) => {
        impl Simd for $name {
            const LANES: usize = 8;
            const ROWS: usize = 6;
            const UNROLL: usize = 2;
            const BYTES: bool = $bytes;
            type F = __m256;
            type I = __m256i;

            methods! {
                splat(value: f32) -> __m256 = _mm256_set1_ps(value);
                load(from: *const f32) -> __m256 = _mm256_loadu_ps(from);
                store(to: *mut f32, v: __m256) = _mm256_storeu_ps(to, v);
                add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
                sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
                mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
                div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
                // The instruction gives its second operand where one is NaN.
                min(v: __m256, bound: __m256) -> __m256 = _mm256_min_ps(bound, v);
                max(v: __m256, bound: __m256) -> __m256 = _mm256_max_ps(bound, v);
                mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
                sqrt(v: __m256) -> __m256 = _mm256_sqrt_ps(v);
                floor(v: __m256) -> __m256 = _mm256_floor_ps(v);
                round(v: __m256) -> __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
                less(a: __m256, b: __m256) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
                is_nan(v: __m256) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
                select(mask: __m256i, a: __m256, b: __m256) -> __m256 = _mm256_blendv_ps(b, a, _mm256_castsi256_ps(mask));
                bits(v: __m256) -> __m256i = _mm256_castps_si256(v);
                from_bits(v: __m256i) -> __m256 = _mm256_castsi256_ps(v);
                splat_i32(value: i32) -> __m256i = _mm256_set1_epi32(value);
                load_i32(from: *const i32) -> __m256i = _mm256_loadu_si256(from.cast());
                store_i32(to: *mut i32, v: __m256i) = _mm256_storeu_si256(to.cast(), v);
                add_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
                sub_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32(a, b);
                mul_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32(a, b);
                and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
                or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
                xor(a: __m256i, b: __m256i) -> __m256i = _mm256_xor_si256(a, b);
                shl<const N>(v: __m256i) -> __m256i = _mm256_sll_epi32(v, _mm_cvtsi32_si128(N as i32));
                shr<const N>(v: __m256i) -> __m256i = _mm256_sra_epi32(v, _mm_cvtsi32_si128(N as i32));
                max_u8(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epu8(a, b);
                max_i8(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi8(a, b);
                to_f32(v: __m256i) -> __m256 = _mm256_cvtepi32_ps(v);
                dot_i16(acc: __m256i, a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
                dot_u8i8($acc: __m256i, $a: __m256i, $b: __m256i) -> __m256i = $dot;
                load_u8_i32(from: *const u8) -> __m256i = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()));
                load_i8_i32(from: *const i8) -> __m256i = _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()));
                load_u8_i16(from: *const u8) -> __m256i = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast()));
                load_i8_i16(from: *const i8) -> __m256i = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()));
                zip_u8_i16(a: *const u8, b: *const u8) -> __m256i =
                    _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(_mm_loadl_epi64(a.cast()), _mm_loadl_epi64(b.cast())));
                zip4_u8(from: [*const u8; 4]) -> [__m256i; 2] = {
                    let (a, b) = (_mm_loadu_si128(from[0].cast()), _mm_loadu_si128(from[1].cast()));
                    let (c, d) = (_mm_loadu_si128(from[2].cast()), _mm_loadu_si128(from[3].cast()));
                    let (ab, cd) = (_mm_unpacklo_epi8(a, b), _mm_unpacklo_epi8(c, d));
                    let low = _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
                    let (ab, cd) = (_mm_unpackhi_epi8(a, b), _mm_unpackhi_epi8(c, d));
                    [low, _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd))]
                };
                store_u8(to: *mut u8, v: __m256i) = {
                    let words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
                    _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words))
                };
                store2_biased(to: *mut u8, v: [__m256i; 2], most: __m256i) = {
                    // Both work in halves: the first gives 0 4 2 6 of the quarters, which is put right.
                    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(v[0], v[1]));
                    let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                    _mm_storeu_si128(to.cast(), _mm_min_epu8(bytes, _mm256_castsi256_si128(most)))
                };
                load_part(from: *const f32, count: usize) -> __m256 =
                    if count >= 8 { _mm256_loadu_ps(from) } else { _mm256_maskload_ps(from, first(count)) };
                store_part(to: *mut f32, v: __m256, count: usize) =
                    if count >= 8 { _mm256_storeu_ps(to, v) } else { _mm256_maskstore_ps(to, first(count), v) };
            }
        }
    };
}

// Without VNNI `BYTES` says that it is never called.
avx2!(Avx2, false, |acc, _a, _b| acc);
avx2!(AvxVnni, true, |acc, a, b| _mm256_dpbusd_avx_epi32(acc, a, b));

impl Simd for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 12;
    const UNROLL: usize = 1;
    const BYTES: bool = true;
    type F = __m512;
    type I = __m512i;

    methods! {
        splat(value: f32) -> __m512 = _mm512_set1_ps(value);
        load(from: *const f32) -> __m512 = _mm512_loadu_ps(from);
        store(to: *mut f32, v: __m512) = _mm512_storeu_ps(to, v);
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        min(v: __m512, bound: __m512) -> __m512 = _mm512_min_ps(bound, v);
        max(v: __m512, bound: __m512) -> __m512 = _mm512_max_ps(bound, v);
        mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        sqrt(v: __m512) -> __m512 = _mm512_sqrt_ps(v);
        floor(v: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(v);
        round(v: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
        less(a: __m512, b: __m512) -> __m512i = _mm512_movm_epi32(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b));
        is_nan(v: __m512) -> __m512i = _mm512_movm_epi32(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v));
        select(mask: __m512i, a: __m512, b: __m512) -> __m512 = _mm512_mask_blend_ps(_mm512_movepi32_mask(mask), b, a);
        bits(v: __m512) -> __m512i = _mm512_castps_si512(v);
        from_bits(v: __m512i) -> __m512 = _mm512_castsi512_ps(v);
        splat_i32(value: i32) -> __m512i = _mm512_set1_epi32(value);
        load_i32(from: *const i32) -> __m512i = _mm512_loadu_si512(from.cast());
        store_i32(to: *mut i32, v: __m512i) = _mm512_storeu_si512(to.cast(), v);
        add_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        sub_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        mul_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        and(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        or(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        xor(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        shl<const N>(v: __m512i) -> __m512i = _mm512_slli_epi32::<N>(v);
        shr<const N>(v: __m512i) -> __m512i = _mm512_srai_epi32::<N>(v);
        max_u8(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epu8(a, b);
        max_i8(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi8(a, b);
        to_f32(v: __m512i) -> __m512 = _mm512_cvtepi32_ps(v);
        dot_i16(acc: __m512i, a: __m512i, b: __m512i) -> __m512i = _mm512_dpwssd_epi32(acc, a, b);
        dot_u8i8(acc: __m512i, a: __m512i, b: __m512i) -> __m512i = _mm512_dpbusd_epi32(acc, a, b);
        load_u8_i32(from: *const u8) -> __m512i = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()));
        load_i8_i32(from: *const i8) -> __m512i = _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()));
        load_u8_i16(from: *const u8) -> __m512i = _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.cast()));
        load_i8_i16(from: *const i8) -> __m512i = _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast()));
        zip_u8_i16(a: *const u8, b: *const u8) -> __m512i = {
            let (a, b) = (_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()));
            _mm512_cvtepu8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)))
        };
        zip4_u8(from: [*const u8; 4]) -> [__m512i; 2] = {
            let (a, b) = (_mm256_loadu_si256(from[0].cast()), _mm256_loadu_si256(from[1].cast()));
            let (c, d) = (_mm256_loadu_si256(from[2].cast()), _mm256_loadu_si256(from[3].cast()));
            // The instructions work in halves of 16 channels: fours of channels 0 and 4, 1 and 5, 2 and 6, 3 and 7.
            let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
            let left = _mm512_castsi256_si512(_mm256_unpacklo_epi16(ab, cd));
            let left = _mm512_inserti64x4::<1>(left, _mm256_unpackhi_epi16(ab, cd));
            let (ab, cd) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
            let right = _mm512_castsi256_si512(_mm256_unpacklo_epi16(ab, cd));
            let right = _mm512_inserti64x4::<1>(right, _mm256_unpackhi_epi16(ab, cd));
            [
                _mm512_shuffle_i64x2::<0b10_00_10_00>(left, right),
                _mm512_shuffle_i64x2::<0b11_01_11_01>(left, right),
            ]
        };
        store_u8(to: *mut u8, v: __m512i) = {
            let v = _mm512_max_epi32(v, _mm512_setzero_si512());
            _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(v))
        };
        store2_biased(to: *mut u8, v: [__m512i; 2], most: __m512i) = {
            let most = _mm512_castsi512_si128(most);
            _mm_storeu_si128(to.cast(), _mm_min_epu8(_mm512_cvtusepi32_epi8(v[0]), most));
            _mm_storeu_si128(to.add(16).cast(), _mm_min_epu8(_mm512_cvtusepi32_epi8(v[1]), most))
        };
        load_part(from: *const f32, count: usize) -> __m512 =
            if count >= 16 { _mm512_loadu_ps(from) } else { _mm512_maskz_loadu_ps((1 << count) - 1, from) };
        store_part(to: *mut f32, v: __m512, count: usize) =
            if count >= 16 { _mm512_storeu_ps(to, v) } else { _mm512_mask_storeu_ps(to, (1 << count) - 1, v) };
    }
}
