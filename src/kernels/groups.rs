//! Convolutions whose groups have few channels, which vectors would not be filled by: one channel in a group
//! becomes a depthwise convolution of repeated channels ([`repeated`]); groups of a few are multiplied
//! together ([`together`]), with zeros where a channel is of another group.

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
    x.iter().fold(0, |most, v| most.max(v.to_bits() & 0x7FFF_FFFF)) < f32::INFINITY.to_bits()
}
