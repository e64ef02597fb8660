//! What the attention operators share: heads, masks, caches.

use super::inputs::Inputs;
use super::real::{Number, read};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::attention::swapped;

/// A positive number of heads.
pub fn heads(name: &str, value: Option<i64>) -> Result<usize> {
    match value.map(usize::try_from) {
        Some(Ok(heads)) if (1..=1 << 24).contains(&heads) => Ok(heads),
        Some(_) => bail!(InvalidModel, "attribute \"{name}\": expected at least 1, got {value:?}"),
        None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
    }
}

/// The widest hidden size, so that three of them never overflow.
const MAX_HIDDEN: usize = 1 << 28;

/// Size of each of `heads` that `hidden` divides into.
pub fn head_size(name: &str, hidden: usize, heads: usize) -> Result<usize> {
    ensure!(
        hidden > 0 && hidden.is_multiple_of(heads),
        ShapeMismatch,
        "{name}: {hidden} does not divide into {heads} heads"
    );
    ensure!(hidden <= MAX_HIDDEN, LimitExceeded, "{name}: {hidden} elements; at most {MAX_HIDDEN} are possible");
    Ok(hidden / heads)
}

/// `[batch, heads, places, size]` of `[batch, places, heads * size]`.
pub fn split<T: Number>(x: &Tensor, sizes: [usize; 4]) -> Result<Vec<T>> {
    let [batch, heads, places, size] = sizes;
    Ok(swapped(&read::<T>(x)?, [batch, places, heads, size]))
}

/// What is added to scores `[batch, heads, queries, keys]`, broadcast to them.
pub struct Bias<T> {
    values: Vec<T>,
    strides: [usize; 3],
    keys: usize,
}

impl<T: Number> Bias<T> {
    /// Checks that `shape` broadcasts to `scores`.
    pub fn check(name: &str, shape: &[usize], scores: [usize; 4]) -> Result<()> {
        let fits = shape.len() <= 4 && shape.iter().rev().zip(scores.iter().rev()).all(|(&s, &t)| s == t || s == 1);
        ensure!(fits, ShapeMismatch, "{name} {shape:?} does not broadcast to {scores:?}");
        Ok(())
    }

    /// Reads a tensor that was checked; where it is bool, false is −∞.
    pub fn new(tensor: &Tensor) -> Result<Self> {
        let mut values = read::<T>(tensor)?.into_owned();
        if tensor.dtype() == DataType::Bool {
            values.iter_mut().for_each(|v| *v = if *v == T::zero() { T::neg_infinity() } else { T::zero() });
        }
        let mut shape = [1; 4];
        shape[4 - tensor.shape().len()..].copy_from_slice(tensor.shape());
        let [b, h, s, keys] = shape;
        let stride = |size: usize, of: usize| if size == 1 { 0 } else { of };
        let strides = [stride(b, h * s * keys), stride(h, s * keys), stride(s, keys)];
        Ok(Self { values, strides, keys })
    }

    /// Adds to the scores of a query.
    pub fn add(&self, batch: usize, head: usize, query: usize, scores: &mut [T]) {
        let start = batch * self.strides[0] + head * self.strides[1] + query * self.strides[2];
        let row = &self.values[start..start + self.keys];
        if let [one] = row {
            scores.iter_mut().for_each(|s| *s = *s + *one);
        } else {
            scores.iter_mut().zip(row).for_each(|(s, &b)| *s = *s + b);
        }
    }
}

/// Reads a bias where it is there.
pub fn bias<T: Number>(inputs: &Inputs, index: usize) -> Result<Option<Bias<T>>> {
    inputs.host(index)?.map(|t| Bias::new(&t)).transpose()
}

/// The mask of Microsoft's operators, for `[batch, queries, keys]`: the keys that are there as
/// `[batch, keys]` or `[batch, queries, keys]`, or where they end (and start): `[batch]`,
/// `[2 * batch]`. What is not there gets `filler` added.
pub fn key_mask<T: Number>(inputs: &Inputs, index: usize, filler: f32, sizes: [usize; 3]) -> Result<Option<Bias<T>>> {
    let [batch, queries, keys] = sizes;
    let Some(tensor) = inputs.host(index)? else { return Ok(None) };
    let values = tensor.to_i64s()?;
    let filler = T::of(f64::from(filler));
    let of = |there: bool| if there { T::zero() } else { filler };
    if batch == 0 || keys == 0 {
        return Ok(None);
    }
    let (values, strides) = match *tensor.shape() {
        [n] if n == batch || n == 2 * batch => {
            let mut out = Vec::with_capacity(batch * keys);
            for b in 0..batch {
                let start = if n == batch { 0 } else { values[batch + b] };
                out.extend((0..keys as i64).map(|t| of(t < values[b] && t >= start)));
            }
            (out, [keys, 0, 0])
        }
        [b, t] if [b, t] == [batch, keys] => (values.iter().map(|&v| of(v > 0)).collect(), [keys, 0, 0]),
        [b, s, t] if [b, s, t] == sizes => (values.iter().map(|&v| of(v > 0)).collect(), [queries * keys, 0, keys]),
        ref other => bail!(Unsupported, "a mask {other:?} for [batch, queries, keys] = {sizes:?}"),
    };
    Ok(Some(Bias { values, strides, keys }))
}
