//! Convolutions whose groups have few channels, which vectors would not be filled by: one channel in a group
//! becomes a depthwise convolution of repeated channels ([`repeated`]); groups of a few are multiplied
//! together ([`together`]), with zeros where a channel is of another group.

use super::arch::{Kernel, Simd, dispatch};

/// Channels from which on a group is multiplied by itself.
const CHANNELS: usize = 16;

/// Filters of a channel up to which it is repeated, which takes as many times the input's memory.
const REPEATS: usize = 8;

/// Whether every channel has filters of its own, and few enough to be repeated for them.
pub fn is_depthwise(outputs: usize, channels: usize, group: usize) -> bool {
    channels == 1 && (group > 1 || outputs == 1) && (group..=REPEATS * group).contains(&outputs)
}

/// How many groups of so many channels are multiplied together.
pub fn together(channels: usize, group: usize) -> usize {
    CHANNELS.div_ceil(channels.max(1)).clamp(1, group.max(1))
}

/// Where in a weight `[outputs, channels, taps]` the value lies that channel `channel` and column `column`, counted
/// from group `group` on, have under a tap; `None` where they are of two groups. `columns` are those of a group.
pub fn place([channels, columns, taps]: [usize; 3], group: usize, [channel, column, tap]: [usize; 3]) -> Option<usize> {
    let output = group * columns + column;
    (channel / channels == column / columns).then(|| (output * channels + channel % channels) * taps + tap)
}

/// Every element `times` times.
pub fn repeated<T: Copy>(x: &[T], times: usize) -> Vec<T> {
    let Some(&first) = x.first() else { return Vec::new() };
    let mut y = vec![first; x.len() * times];
    match times {
        2 => spread::<T, 2>(x, &mut y),
        3 => spread::<T, 3>(x, &mut y),
        4 => spread::<T, 4>(x, &mut y),
        _ => y.chunks_exact_mut(times.max(1)).zip(x).for_each(|(to, v)| to.fill(*v)),
    }
    y
}

fn spread<T: Copy, const N: usize>(x: &[T], y: &mut [T]) {
    y.as_chunks_mut::<N>().0.iter_mut().zip(x).for_each(|(to, v)| *to = [*v; N]);
}

/// Whether zeros times these numbers are zeros.
pub fn are_finite(x: &[f32]) -> bool {
    dispatch(Zeros(x)) == 0.0
}

/// The sum of zeros times some numbers.
struct Zeros<'a>(&'a [f32]);

impl Kernel for Zeros<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        zeros::<S>(self.0)
    }
}

/// [`Zeros`].
// On WebAssembly a function of its own: engines optimise whole functions, and replace them between calls.
#[cfg_attr(not(target_family = "wasm"), inline(always))]
#[cfg_attr(target_family = "wasm", inline(never))]
fn zeros<S: Simd>(x: &[f32]) -> f32 {
    // SAFETY: only a [`Kernel`] comes here; a part is as long as is loaded.
    unsafe {
        let zero = S::splat(0.0);
        let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
        let mut parts = x.chunks_exact(4 * S::LANES);
        for part in &mut parts {
            let from = part.as_ptr();
            a = S::mul_add(S::load(from), zero, a);
            b = S::mul_add(S::load(from.add(S::LANES)), zero, b);
            c = S::mul_add(S::load(from.add(2 * S::LANES)), zero, c);
            d = S::mul_add(S::load(from.add(3 * S::LANES)), zero, d);
        }
        let rest: f32 = parts.remainder().iter().map(|v| v * 0.0).sum();
        rest + S::sum(S::add(S::add(a, b), S::add(c, d)))
    }
}
