//! Elements picked out of a storage by strides, as PyTorch and NumPy have tensors.

use crate::error::{Result, bail, ensure};
use crate::graph::element_count;

/// What a file's tensors may take in memory together. Each is a view that may show a storage many times over.
pub struct Allowance(usize);

impl Allowance {
    /// Several times what is stored: views that overlap are rare, and small.
    pub fn of(stored: usize) -> Self {
        Self(stored.saturating_mul(4).saturating_add(1 << 20))
    }

    /// Takes `bytes` of it.
    ///
    /// Errors: `LimitExceeded`.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        match self.0.checked_sub(bytes) {
            Some(left) => self.0 = left,
            None => {
                bail!(LimitExceeded, "the file's tensors take several times the bytes that are stored: it is hostile")
            }
        }
        Ok(())
    }
}

/// The elements, each `item` bytes, in row-major order of `shape`: that at index 0 is element `offset` of `storage`,
/// and a step along an axis is as many elements as its stride.
///
/// Errors: `InvalidModel` for what reaches past the storage, `LimitExceeded`.
pub fn gather(
    storage: &[u8],
    item: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    allowance: &mut Allowance,
) -> Result<Vec<u8>> {
    let count = element_count(shape)?;
    ensure!(shape.len() == strides.len(), InvalidModel, "shape {shape:?} has another length than strides {strides:?}");
    if count == 0 {
        return Ok(Vec::new());
    }
    let steps = shape.iter().zip(strides);
    let last = steps.clone().try_fold(offset, |at, (&size, &stride)| at.checked_add((size - 1).checked_mul(stride)?));
    let stored = storage.len() / item.max(1);
    ensure!(
        last.is_some_and(|last| last < stored),
        InvalidModel,
        "{shape:?} with strides {strides:?} from element {offset} reaches past its storage of {stored}"
    );
    let bytes = count.saturating_mul(item);
    allowance.take(bytes)?;
    let contiguous = steps.rev().try_fold(1usize, |expected, (&size, &stride)| {
        (size == 1 || stride == expected).then(|| expected.saturating_mul(size))
    });
    if contiguous.is_some() {
        let start = offset * item;
        return Ok(storage.get(start..start + bytes).unwrap_or_default().to_vec());
    }
    let mut out = Vec::with_capacity(bytes);
    let mut index = vec![0usize; shape.len()];
    let mut at = offset;
    for _ in 0..count {
        out.extend_from_slice(storage.get(at * item..(at + 1) * item).unwrap_or_default());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                at += strides[axis];
                break;
            }
            at -= strides[axis] * (shape[axis] - 1);
            index[axis] = 0;
        }
    }
    Ok(out)
}

/// The strides of a tensor whose elements lie one after another: the last axis fastest, or the first.
pub fn dense(shape: &[usize], first_fastest: bool) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    let mut step = 1usize;
    let mut set = |axis: usize| {
        strides[axis] = step;
        step = step.saturating_mul(shape[axis]);
    };
    match first_fastest {
        true => (0..shape.len()).for_each(&mut set),
        false => (0..shape.len()).rev().for_each(&mut set),
    }
    strides
}
