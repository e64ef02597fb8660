//! What the operators that look for large and small elements share.

use crate::error::Result;
use crate::graph::{DataType, Tensor};

/// A tensor seen along one axis: `outer * inner` lanes of `size` elements, each `inner` apart.
pub struct Lanes {
    pub outer: usize,
    pub size: usize,
    pub inner: usize,
}

impl Lanes {
    /// Along `axis` of `shape`.
    pub fn new(shape: &[usize], axis: usize) -> Self {
        Self { outer: shape[..axis].iter().product(), size: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// Where the lanes start, in row-major order; from there, element `i` is `i * inner` on.
    pub fn starts(&self) -> impl Iterator<Item = usize> {
        let (inner, block) = (self.inner, self.size * self.inner);
        (0..self.outer).flat_map(move |o| (0..inner).map(move |i| o * block + i))
    }
}

/// Integers in the order of the elements; both zeros are equal, and NaN is above everything, or
/// below where `nan_below`.
pub fn keys(tensor: &Tensor, nan_below: bool) -> Result<Vec<i64>> {
    if tensor.dtype().is_int() {
        let turned = if tensor.dtype() == DataType::Uint64 { i64::MIN } else { 0 };
        return Ok(tensor.to_i64s()?.into_iter().map(|v| v ^ turned).collect());
    }
    let nan = if nan_below { i64::MIN } else { i64::MAX };
    let key = |v: f64| {
        // Negative floats are ordered by their bits from the end.
        let bits = if v == 0.0 { 0 } else { v.to_bits() as i64 };
        if bits < 0 { bits ^ i64::MAX } else { bits }
    };
    Ok(tensor.to_f64s()?.into_iter().map(|v| if v.is_nan() { nan } else { key(v) }).collect())
}

/// In every lane, the position of the largest key; of equal ones the first, or the last.
pub fn largest(keys: &[i64], lanes: &Lanes, last: bool) -> Vec<usize> {
    let best = |start: usize| {
        (1..lanes.size).fold(0, |best, i| {
            let (a, b) = (keys[start + best * lanes.inner], keys[start + i * lanes.inner]);
            if b > a || (last && b == a) { i } else { best }
        })
    };
    lanes.starts().map(best).collect()
}
