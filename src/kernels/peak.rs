//! What the machine can do at most: loops of the very instructions that the kernels are made of,
//! over registers alone. What a kernel reaches is told as a share of it.

// Loops over registers are plain: an iterator's closure does not inherit the instruction set.
#![allow(clippy::needless_range_loop)]

use std::hint::black_box;

use super::arch::{Dot, Kernel, Level, Simd, dispatch};

/// The most sums that a tile keeps in registers: of twice as many vectors as it has rows.
const MOST: usize = 32;

/// Makes `rounds` steps of a tile's multiply-adds of float32, and gives how many these are.
pub fn floats(rounds: usize) -> u64 {
    dispatch(Floats(rounds))
}

/// Makes `rounds` steps of a tile's multiply-adds of bytes, and gives how many these are.
pub fn bytes(rounds: usize) -> u64 {
    match Level::best().dot() {
        Dot::Words => dispatch(Words(rounds)),
        Dot::Bytes | Dot::FlippedBytes => dispatch(Bytes(rounds)),
    }
}

struct Floats(usize);

impl Kernel for Floats {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self) -> u64 {
        // SAFETY: the machine has the set that was dispatched; its methods used here read and write no memory.
        unsafe {
            // Sums are what is multiplied, or a compiler would multiply once, before the loop.
            let (factor, addend) = (S::splat(black_box(0.999)), S::splat(black_box(0.001)));
            let mut sums = [addend; MOST];
            for i in 0..2 * S::ROWS {
                sums[i] = S::splat(black_box(i as f32));
            }
            for _ in 0..self.0 {
                for i in 0..2 * S::ROWS {
                    sums[i] = S::mul_add(sums[i], factor, addend);
                }
            }
            let mut total = addend;
            for i in 0..2 * S::ROWS {
                total = S::add(total, sums[i]);
            }
            black_box(S::sum(total));
        }
        (self.0 * 2 * S::ROWS * S::LANES) as u64
    }
}

macro_rules! integers {
    ($name:ident, $dot:ident, $products:literal) => {
        struct $name(usize);

        impl Kernel for $name {
            type Output = u64;

            #[inline(always)]
            fn run<S: Simd>(self) -> u64 {
                // SAFETY: as for floats; bytes are multiplied only where the level has that.
                unsafe {
                    let factor = S::splat_i32(black_box(0x0102_0301));
                    let mut sums = [factor; MOST];
                    for i in 0..2 * S::ROWS {
                        sums[i] = S::splat_i32(black_box(i as i32));
                    }
                    for _ in 0..self.0 {
                        for i in 0..2 * S::ROWS {
                            sums[i] = S::$dot(sums[i], sums[i], factor);
                        }
                    }
                    let mut total = factor;
                    for i in 0..2 * S::ROWS {
                        total = S::add_i32(total, sums[i]);
                    }
                    black_box(S::sum(S::to_f32(total)));
                }
                (self.0 * 2 * S::ROWS * S::LANES * $products) as u64
            }
        }
    };
}
integers!(Words, dot_i16, 2);
integers!(Bytes, dot_u8i8, 4);
