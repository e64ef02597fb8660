//! One small vector trait, [`Simd`], and the instruction sets behind it: plain arrays (any
//! machine), WebAssembly's simd128 with and without relaxed SIMD, and x86-64's AVX2, AVX-VNNI and
//! AVX-512. A kernel is written once as a [`Kernel`] and [`dispatch`]ed: natively the set is chosen
//! when the program runs, on WebAssembly when it is built.
//!
//! # The integer dot product
//!
//! Activations are `u8` and weights `i8`, and every way to multiply them gives the same `i32`:
//!
//! - [`Dot::Bytes`]: four products of a byte pair per lane, where the machine multiplies `u8` by
//!   `i8` without saturating: AVX-VNNI and AVX-512 VNNI.
//! - [`Dot::FlippedBytes`]: the machine multiplies `i8` by `i8` (Arm's SDOT): the activations' top
//!   bit is flipped, which subtracts 128, and 128 times the sum of the weights is added.
//! - [`Dot::Words`]: two products of `i16` per lane, on widened values; every machine has it.
//!
//! What relaxed SIMD's dot product does with a second operand of 128 or more is one choice for the
//! whole environment, fixed for all invocations (WebAssembly 3.0, "relaxed operations"), so it is
//! probed once: unsigned, signed, or neither, since `pmaddubsw` saturates.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

#[cfg(any(test, feature = "oracle", not(all(target_arch = "wasm32", target_feature = "simd128"))))]
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::sync::LazyLock;

#[cfg(any(test, feature = "oracle", not(all(target_arch = "wasm32", target_feature = "simd128"))))]
use scalar::Scalar;

/// Vectors of one instruction set. Methods are unsafe since the machine must have the set:
/// only [`dispatch`] may choose it. Pointers need no alignment and must be good for the bytes
/// that a method reads or writes.
pub trait Simd: Copy + 'static {
    /// Lanes of 32 bits.
    const LANES: usize;
    /// Rows of the largest tile of a matrix product that the registers hold, by two vectors.
    const ROWS: usize;
    /// Steps of the depth that a tile's loop writes out.
    const UNROLL: usize;
    /// Whether [`Simd::dot_u8i8`] may be called.
    const BYTES: bool;
    /// What [`Simd::store2_biased`] adds.
    const BIAS: i32 = 0;
    /// `LANES` float32.
    type F: Copy;
    /// The same bytes as integers: `LANES` `i32`, twice as many `i16`, four times as many bytes.
    type I: Copy;

    unsafe fn splat(value: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn store(to: *mut f32, v: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; `v` where it is NaN.
    unsafe fn min(v: Self::F, bound: Self::F) -> Self::F;
    /// The larger; `v` where it is NaN.
    unsafe fn max(v: Self::F, bound: Self::F) -> Self::F;
    /// `a * b + c`, rounded once or twice as the machine does it quickest.
    unsafe fn mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    unsafe fn sqrt(v: Self::F) -> Self::F;
    unsafe fn floor(v: Self::F) -> Self::F;
    /// To the nearest integer, halves to the even one.
    unsafe fn round(v: Self::F) -> Self::F;
    /// All bits of a lane set where `a < b`.
    unsafe fn less(a: Self::F, b: Self::F) -> Self::I;
    /// All bits of a lane set where it is NaN.
    unsafe fn is_nan(v: Self::F) -> Self::I;
    /// `a` where the mask's bits are set, `b` where they are not.
    unsafe fn select(mask: Self::I, a: Self::F, b: Self::F) -> Self::F;
    unsafe fn bits(v: Self::F) -> Self::I;
    unsafe fn from_bits(v: Self::I) -> Self::F;

    unsafe fn splat_i32(value: i32) -> Self::I;
    unsafe fn load_i32(from: *const i32) -> Self::I;
    unsafe fn store_i32(to: *mut i32, v: Self::I);
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn sub_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn mul_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn and(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn or(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn xor(a: Self::I, b: Self::I) -> Self::I;
    /// Every `i32` shifted left.
    unsafe fn shl<const N: u32>(v: Self::I) -> Self::I;
    /// Every `i32` shifted right, its sign repeated.
    unsafe fn shr<const N: u32>(v: Self::I) -> Self::I;
    /// The larger of every pair of bytes.
    unsafe fn max_u8(a: Self::I, b: Self::I) -> Self::I;
    /// The larger of every pair of signed bytes.
    unsafe fn max_i8(a: Self::I, b: Self::I) -> Self::I;
    /// Every `i32` as a float32.
    unsafe fn to_f32(v: Self::I) -> Self::F;

    /// `acc` plus, in every `i32` lane, the products of two pairs of `i16`.
    unsafe fn dot_i16(acc: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// `acc` plus, in every `i32` lane, the products of four pairs of `u8` (as [`Dot`] says) and `i8`.
    unsafe fn dot_u8i8(acc: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// `LANES` bytes as `i32`.
    unsafe fn load_u8_i32(from: *const u8) -> Self::I;
    /// `LANES` signed bytes as `i32`.
    unsafe fn load_i8_i32(from: *const i8) -> Self::I;
    /// Twice `LANES` bytes as `i16`.
    unsafe fn load_u8_i16(from: *const u8) -> Self::I;
    /// Twice `LANES` signed bytes as `i16`.
    unsafe fn load_i8_i16(from: *const i8) -> Self::I;
    /// `LANES` bytes of `a` and of `b` as `i16`: the first of `a`, the first of `b`, the second of `a`…
    unsafe fn zip_u8_i16(a: *const u8, b: *const u8) -> Self::I;
    /// Twice `LANES` bytes of each: the first of all four, the second of all four…
    unsafe fn zip4_u8(from: [*const u8; 4]) -> [Self::I; 2];
    /// Every `i32` as a byte, 0 to 255; `LANES` bytes.
    unsafe fn store_u8(to: *mut u8, v: Self::I);

    /// [`Simd::zip_u8_i16`] of twice as many bytes.
    #[inline(always)]
    unsafe fn zip2_u8_i16(a: *const u8, b: *const u8) -> [Self::I; 2] {
        // SAFETY: the caller's.
        unsafe { [Self::zip_u8_i16(a, b), Self::zip_u8_i16(a.add(Self::LANES), b.add(Self::LANES))] }
    }

    /// Every `i32` of both plus [`Simd::BIAS`], which is not negative, as a byte, no more than that of `most`.
    unsafe fn store2_biased(to: *mut u8, v: [Self::I; 2], most: Self::I);

    /// The smaller; neither is NaN.
    #[inline(always)]
    unsafe fn min_number(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller's.
        unsafe { Self::min(a, b) }
    }

    /// The larger; neither is NaN.
    #[inline(always)]
    unsafe fn max_number(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller's.
        unsafe { Self::max(a, b) }
    }

    /// The nearest number from `low` to `high`; `v` where it is NaN.
    #[inline(always)]
    unsafe fn clamp(v: Self::F, low: Self::F, high: Self::F) -> Self::F {
        // SAFETY: the caller's.
        unsafe { Self::max(Self::min(v, high), low) }
    }

    /// The nearest integers, halves to the even ones, of values from -2^22 up to 2^22.
    #[inline(always)]
    unsafe fn to_i32(v: Self::F) -> Self::I {
        // SAFETY: the caller's.
        unsafe {
            // Above 2^23 a float32 has no fraction: adding 1.5 * 2^23 rounds, and leaves the integer in the low bits.
            Self::sub_i32(Self::bits(Self::add(v, Self::splat(12_582_912.0))), Self::splat_i32(0x4B40_0000))
        }
    }

    #[inline(always)]
    unsafe fn neg(v: Self::F) -> Self::F {
        // SAFETY: the caller's.
        unsafe { Self::from_bits(Self::xor(Self::bits(v), Self::splat_i32(i32::MIN))) }
    }

    #[inline(always)]
    unsafe fn abs(v: Self::F) -> Self::F {
        // SAFETY: the caller's.
        unsafe { Self::from_bits(Self::and(Self::bits(v), Self::splat_i32(i32::MAX))) }
    }

    /// The first `count` values, at most `LANES`; zeros follow.
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self::F {
        // SAFETY: the caller's; no set has more than 16 lanes.
        unsafe {
            if count >= Self::LANES {
                return Self::load(from);
            }
            let mut lanes = [0f32; 16];
            for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                *lane = *from.add(i);
            }
            Self::load(lanes.as_ptr())
        }
    }

    /// Stores the first `count` values, at most `LANES`.
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: Self::F, count: usize) {
        // SAFETY: the caller's; no set has more than 16 lanes.
        unsafe {
            if count >= Self::LANES {
                return Self::store(to, v);
            }
            let mut lanes = [0f32; 16];
            Self::store(lanes.as_mut_ptr(), v);
            for (i, lane) in lanes.iter().enumerate().take(count) {
                *to.add(i) = *lane;
            }
        }
    }

    /// Stores the first `count` bytes of [`Simd::store_u8`], at most `LANES`.
    #[inline(always)]
    unsafe fn store_u8_part(to: *mut u8, v: Self::I, count: usize) {
        // SAFETY: the caller's; no set has more than 16 lanes.
        unsafe {
            if count >= Self::LANES {
                return Self::store_u8(to, v);
            }
            let mut lanes = [0u8; 16];
            Self::store_u8(lanes.as_mut_ptr(), v);
            for (i, lane) in lanes.iter().enumerate().take(count) {
                *to.add(i) = *lane;
            }
        }
    }

    /// The sum of all lanes, in order.
    #[inline(always)]
    unsafe fn sum(v: Self::F) -> f32 {
        let mut lanes = [0f32; 16];
        // SAFETY: no set has more than 16 lanes.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        let mut sum = 0.0;
        for lane in &lanes[..Self::LANES] {
            sum += lane;
        }
        sum
    }
}

/// Work that is written once over [`Simd`]. `run` and all it calls with vectors must be
/// `#[inline(always)]`, closures excluded: only so do they get the set's instructions.
pub trait Kernel {
    type Output;
    fn run<S: Simd>(self) -> Self::Output;
}

/// How bytes are multiplied; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dot {
    Bytes,
    FlippedBytes,
    Words,
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[cfg(any(test, feature = "oracle", not(all(target_arch = "wasm32", target_feature = "simd128"))))]
    Scalar,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// How many ask for the same bits everywhere.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
static PORTABLE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// While one of these is there, [`Level::best`] is an instruction set whose sums have the same bits on every machine:
/// four lanes, a rounding after every product. On WebAssembly without relaxed SIMD that is the only one there is.
#[must_use]
pub struct Portable(());

impl Portable {
    /// Asks for it; the whole process has it from now on.
    pub fn new() -> Self {
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        PORTABLE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self(())
    }
}

impl Default for Portable {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Portable {
    fn drop(&mut self) {
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        PORTABLE.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Level {
    /// The quickest one, or the one that is asked for by a [`Portable`].
    pub fn best() -> Self {
        static BEST: LazyLock<Level> = LazyLock::new(Level::detect);
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        if PORTABLE.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            return Self(Set::Scalar);
        }
        *BEST
    }

    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    fn detect() -> Self {
        Self(Set::Wasm)
    }

    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        for set in [Set::Avx512, Set::AvxVnni, Set::Avx2] {
            if x86_64::has(set) {
                return Self(set);
            }
        }
        Self(Set::Scalar)
    }

    /// Every one that this machine, or this build, has.
    #[cfg(any(test, feature = "oracle"))]
    pub fn available() -> Vec<Self> {
        // With relaxed SIMD, LLVM takes plain comparisons for minima for which NaN is anything: arrays are no
        // oracle there, and nothing else runs them.
        let mut levels = if cfg!(target_feature = "relaxed-simd") { vec![] } else { vec![Self(Set::Scalar)] };
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        levels.push(Self(Set::Wasm));
        #[cfg(target_arch = "x86_64")]
        levels.extend([Set::Avx2, Set::AvxVnni, Set::Avx512].into_iter().filter(|&set| x86_64::has(set)).map(Self));
        levels
    }

    /// Lanes of 32 bits.
    pub fn lanes(self) -> usize {
        struct Lanes;
        impl Kernel for Lanes {
            type Output = usize;
            #[inline(always)]
            fn run<S: Simd>(self) -> usize {
                S::LANES
            }
        }
        dispatch_at(self, Lanes)
    }

    /// The quickest exact product of bytes.
    pub fn dot(self) -> Dot {
        match self.0 {
            #[cfg(any(test, feature = "oracle", not(all(target_arch = "wasm32", target_feature = "simd128"))))]
            Set::Scalar => Dot::Words,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Wasm => wasm32::dot(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Dot::Words,
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni | Set::Avx512 => Dot::Bytes,
        }
    }
}

/// Runs `kernel` with the quickest instruction set.
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_at(Level::best(), kernel)
}

/// Runs `kernel` with the instruction set of `level`.
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level.0 {
        #[cfg(any(test, feature = "oracle", not(all(target_arch = "wasm32", target_feature = "simd128"))))]
        Set::Scalar => kernel.run::<Scalar>(),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Set::Wasm => kernel.run::<wasm32::Wasm>(),
        // SAFETY: a `Level` holds only sets that were found on this machine.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { x86_64::avx2(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::AvxVnni => unsafe { x86_64::avx_vnni(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { x86_64::avx512(kernel) },
    }
}
