//! RotaryEmbedding: turns pairs of every head by angles of which cosines and sines are given, by position.

use super::attending::{head_size, heads};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::attention::rotate;

/// RotaryEmbedding.
pub const OPERATOR: Operator = Operator {
    name: "RotaryEmbedding",
    inputs: 3..=4,
    attributes: &["interleaved", "num_heads", "rotary_embedding_dim"],
    parameters: &[3],
    build: |attributes| build(attributes, false),
    ..Operator::DEFAULT
};

struct Rotary {
    interleaved: bool,
    heads: i64,
    /// Elements of a head that are turned; 0 is all.
    turned: i64,
    /// Microsoft's: positions come before the caches, and one may stand for all that follow.
    contrib: bool,
}

/// Reads the attributes, of ONNX's operator or of Microsoft's.
pub fn build(attributes: &Attributes<'_>, contrib: bool) -> Result<Box<dyn Op>> {
    ensure!(!attributes.flag("is_packed_batching", false)?, Unsupported, "is_packed_batching = 1");
    let scale = attributes.float("scale")?.unwrap_or(1.0);
    ensure!(scale == 1.0, Unsupported, "scale = {scale}; 1 is supported");
    Ok(Box::new(Rotary {
        interleaved: attributes.flag("interleaved", false)?,
        heads: attributes.int("num_heads")?.unwrap_or(0),
        turned: attributes.int("rotary_embedding_dim")?.unwrap_or(0),
        contrib,
    }))
}

struct Sizes {
    batch: usize,
    places: usize,
    heads: usize,
    head: usize,
    turned: usize,
    /// Whether heads come before places.
    outer: bool,
}

impl Rotary {
    /// Indices of positions and caches.
    fn indices(&self) -> [usize; 3] {
        if self.contrib { [1, 2, 3] } else { [3, 1, 2] }
    }

    fn sizes(&self, inputs: &Inputs) -> Result<Sizes> {
        let [positions, cos, sin] = self.indices();
        let (x, cache) = (inputs.shape(0)?, inputs.shape(cos)?);
        ensure!(inputs.shape(sin)? == cache, ShapeMismatch, "the caches are {cache:?} and {:?}", inputs.shape(sin)?);
        let width = cache.last().copied().unwrap_or(0);
        let (batch, places, heads, head, outer) = match *x {
            [b, n, s, d] => (b, s, n, d, true),
            [b, s, hidden] => {
                let count = match self.heads {
                    0 if self.contrib && self.turned == 0 && width > 0 => hidden / (2 * width),
                    given => heads("num_heads", Some(given))?,
                };
                ensure!(count > 0, ShapeMismatch, "the input {x:?} is narrower than the caches {cache:?}");
                (b, s, count, head_size("the input", hidden, count)?, false)
            }
            _ => bail!(ShapeMismatch, "expected 3 or 4 dimensions, got {x:?}"),
        };
        let turned = if self.turned == 0 { head } else { usize::try_from(self.turned).unwrap_or(usize::MAX) };
        ensure!(
            turned <= head && turned.is_multiple_of(2) && width >= turned / 2,
            ShapeMismatch,
            "{turned} of {head} elements cannot be turned by caches {cache:?}"
        );
        if inputs.has(positions) {
            let shape = inputs.shape(positions)?;
            ensure!(cache.len() == 2, ShapeMismatch, "the caches: expected [positions, {}], got {cache:?}", turned / 2);
            ensure!(
                shape == [batch, places] || (self.contrib && shape == [1]),
                ShapeMismatch,
                "position_ids: expected [{batch}, {places}], got {shape:?}"
            );
            let Some(ids) = inputs.host(positions)? else { bail!(Internal, "positions went missing") };
            let last = if shape == [1] && self.contrib { places.saturating_sub(1) as i64 } else { 0 };
            for id in ids.to_i64s()? {
                ensure!(
                    id >= 0 && id.checked_add(last).is_some_and(|id| id < cache[0] as i64),
                    InvalidArgument,
                    "position {id} is outside of the caches {cache:?}"
                );
            }
        } else {
            ensure!(!self.contrib, InvalidModel, "input 1 is missing");
            let fits = cache.len() == 3 && cache[..2] == [batch, places];
            ensure!(fits, ShapeMismatch, "the caches: expected [{batch}, {places}, {}], got {cache:?}", turned / 2);
        }
        Ok(Sizes { batch, places, heads, head, turned, outer })
    }

    fn compute<T: Number>(&self, inputs: &Inputs, shape: &[usize]) -> Result<Vec<Value>> {
        let Sizes { batch, places, heads, head, turned, outer } = self.sizes(inputs)?;
        let [positions, cos, sin] = self.indices();
        let (Some(x), Some(cos), Some(sin)) = (inputs.host(0)?, inputs.host(cos)?, inputs.host(sin)?) else {
            bail!(Internal, "an input went missing")
        };
        let width = cos.shape().last().copied().unwrap_or(0);
        let (cos, sin) = (read::<T>(&cos)?, read::<T>(&sin)?);
        let ids = inputs.host(positions)?.map(|t| t.to_i64s()).transpose()?;
        let mut y = read::<T>(&x)?.into_owned();
        for b in 0..if y.is_empty() { 0 } else { batch } {
            for s in 0..places {
                let row = match ids.as_deref() {
                    None => b * places + s,
                    Some([first]) if self.contrib => *first as usize + s,
                    Some(ids) => ids[b * places + s] as usize,
                };
                let angles = row * width..row * width + turned / 2;
                for h in 0..heads {
                    let at = if outer { (b * heads + h) * places + s } else { (b * places + s) * heads + h } * head;
                    rotate(&mut y[at..at + turned], &cos[angles.clone()], &sin[angles.clone()], self.interleaved);
                }
            }
        }
        output(write(x.dtype(), shape, y)?)
    }
}

impl Op for Rotary {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let [positions, cos, sin] = self.indices();
        optional_type(inputs, positions, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[cos, sin])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        self.sizes(inputs)?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs, shape_of(outputs, 0)?))
    }
}
