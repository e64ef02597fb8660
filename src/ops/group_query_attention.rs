//! GroupQueryAttention: attends with more heads of queries than of keys, to a cache that grows.

use super::attending::{Bias, bias, head_size, heads};
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, element_count};
use crate::kernels::attention::{Attention as Kernel, Stage, rotate, swapped};

/// GroupQueryAttention.
pub const OPERATOR: Operator = Operator {
    name: "GroupQueryAttention",
    domain: "com.microsoft",
    inputs: 7..=12,
    outputs: 1..=4,
    attributes: &[
        "causal",
        "do_rotary",
        "k_quant_type",
        "kv_cache_bit_width",
        "kv_num_heads",
        "local_window_size",
        "num_heads",
        "qk_output",
        "rotary_interleaved",
        "scale",
        "sliding_window_cache",
        "smooth_softmax",
        "softcap",
        "v_quant_type",
    ],
    parameters: &[5, 6, 9],
    build,
    ..Operator::DEFAULT
};

struct GroupQuery {
    heads: usize,
    kv_heads: usize,
    causal: bool,
    rotary: bool,
    interleaved: bool,
    window: Option<usize>,
    scale: Option<f32>,
    softcap: f32,
    smooth: bool,
    stage: Option<Stage>,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.choice("k_quant_type", &["NONE"])?;
    attributes.choice("v_quant_type", &["NONE"])?;
    ensure!(!attributes.flag("kv_cache_bit_width", false)?, Unsupported, "kv_cache_bit_width: a quantised cache");
    ensure!(!attributes.flag("sliding_window_cache", false)?, Unsupported, "sliding_window_cache = 1");
    let stage = match attributes.int("qk_output")?.unwrap_or(0) {
        0 => None,
        1 => Some(Stage::Masked),
        2 => Some(Stage::Weights),
        other => bail!(Unsupported, "qk_output {other}; 0 to 2 are supported"),
    };
    let outputs = attributes.outputs();
    ensure!(stage.is_some() || outputs < 4, InvalidModel, "a fourth output needs qk_output 1 or 2");
    Ok(Box::new(GroupQuery {
        heads: heads("num_heads", attributes.int("num_heads")?)?,
        kv_heads: heads("kv_num_heads", attributes.int("kv_num_heads")?)?,
        causal: attributes.flag("causal", true)?,
        rotary: attributes.flag("do_rotary", false)?,
        interleaved: attributes.flag("rotary_interleaved", false)?,
        window: attributes.int("local_window_size")?.and_then(|w| usize::try_from(w).ok()).filter(|&w| w > 0),
        scale: attributes.float("scale")?.filter(|&s| s != 0.0),
        softcap: attributes.float("softcap")?.unwrap_or(0.0),
        smooth: attributes.flag("smooth_softmax", false)?,
        stage,
        outputs,
    }))
}

struct Sizes {
    packed: bool,
    batch: usize,
    places: usize,
    head: usize,
    /// Places of the cache that came, and of the one that goes.
    past: usize,
    present: usize,
    /// The most keys that a batch has.
    total: usize,
    /// Keys that each batch has.
    totals: Vec<usize>,
}

impl GroupQuery {
    fn sizes(&self, inputs: &Inputs) -> Result<Sizes> {
        let (n, kv) = (self.heads, self.kv_heads);
        ensure!(n.is_multiple_of(kv), ShapeMismatch, "{n} heads do not divide among {kv} of keys");
        let q = inputs.shape(0)?;
        ensure!(q.len() == 3, ShapeMismatch, "the query: expected [batch, sequence, hidden], got {q:?}");
        ensure!(inputs.has(1) == inputs.has(2), InvalidModel, "key and value come together or not at all");
        let packed = !inputs.has(1);
        let head = head_size("the query", q[2], if packed { n + 2 * kv } else { n })?;
        let (batch, places) = (q[0], q[1]);
        for index in if packed { 0..0 } else { 1..3 } {
            let (shape, expected) = (inputs.shape(index)?, [batch, places, kv * head]);
            ensure!(shape == expected, ShapeMismatch, "input {index}: expected {expected:?}, got {shape:?}");
        }
        ensure!(inputs.has(3) == inputs.has(4), InvalidModel, "past_key and past_value come together or not at all");
        let mut past = 0;
        if inputs.has(3) {
            past = inputs.shape(3)?.get(2).copied().unwrap_or(0);
            for index in [3, 4] {
                let (shape, expected) = (inputs.shape(index)?, [batch, kv, past, head]);
                ensure!(shape == expected, ShapeMismatch, "input {index}: expected {expected:?}, got {shape:?}");
            }
        }
        let Some(lengths) = inputs.host(5)? else { bail!(InvalidModel, "input 5 is missing") };
        ensure!(lengths.len() == batch, ShapeMismatch, "seqlens_k: expected [{batch}], got {:?}", lengths.shape());
        let total = match inputs.host(6)? {
            Some(total) if total.len() == 1 => total.to_i64s()?[0],
            _ => bail!(ShapeMismatch, "total_sequence_length: expected one integer"),
        };
        let first = total == places as i64;
        // The cache may grow by what is new, and by no more.
        let fits = total >= places as i64 && total as u64 <= past as u64 + places as u64;
        ensure!(
            fits,
            InvalidArgument,
            "total_sequence_length {total} with {past} places of cache and {places} new ones"
        );
        let total = total as usize;
        let mut totals = Vec::with_capacity(batch);
        for length in lengths.to_i64s()? {
            let least = if first { 0 } else { places as i64 - 1 };
            let fits = (least.max(0)..total as i64).contains(&length) && (first || length - least <= past as i64);
            ensure!(fits, InvalidArgument, "seqlens_k holds {length} for {total} keys, {past} of them in the cache");
            totals.push(length as usize + 1);
        }
        if self.rotary {
            ensure!(inputs.has(7) && inputs.has(8), InvalidModel, "do_rotary needs cos_cache and sin_cache");
            let (cos, sin) = (inputs.shape(7)?, inputs.shape(8)?);
            let fits = cos.len() == 2 && cos == sin && cos[1] <= head / 2;
            ensure!(fits, ShapeMismatch, "the caches: expected [positions, {}], got {cos:?} and {sin:?}", head / 2);
        }
        if inputs.has(9) {
            let shape = inputs.shape(9)?;
            ensure!(
                shape == [batch, places],
                ShapeMismatch,
                "position_ids: expected [{batch}, {places}], got {shape:?}"
            );
        }
        if inputs.has(10) {
            Bias::<f32>::check("attention_bias", inputs.shape(10)?, [batch, n, places, total])?;
        }
        if inputs.has(11) {
            let shape = inputs.shape(11)?;
            ensure!(shape == [n], ShapeMismatch, "head_sink: expected [{n}], got {shape:?}");
        }
        Ok(Sizes { packed, batch, places, head, past, present: past.max(total), total, totals })
    }

    fn compute<T: Number>(&self, inputs: &Inputs, sizes: &Sizes, shapes: &[Vec<usize>]) -> Result<Vec<Value>> {
        let &Sizes { packed, batch, places, head, past, present, total, ref totals } = sizes;
        let (n, kv, dtype) = (self.heads, self.kv_heads, inputs.dtype(0)?);
        let part = |index: usize, first: usize, count: usize| -> Result<Vec<T>> {
            let Some(x) = inputs.host(if packed { 0 } else { index })? else {
                bail!(Internal, "an input went missing")
            };
            let x = read::<T>(&x)?;
            let width = if packed { (n + 2 * kv) * head } else { count * head };
            let first = if packed { first * head } else { 0 };
            let mut out = Vec::new();
            x.chunks_exact(width).for_each(|row| out.extend_from_slice(&row[first..first + count * head]));
            Ok(swapped(&out, [batch, places, count, head]))
        };
        let (mut q, mut k, v) = (part(0, 0, n)?, part(1, n, kv)?, part(2, n + kv, kv)?);
        let first_prompt = total == places;
        let before = |b: usize| if first_prompt { 0 } else { totals[b] - places };
        if self.rotary && !q.is_empty() {
            let (Some(cos), Some(sin)) = (inputs.host(7)?, inputs.host(8)?) else {
                bail!(Internal, "caches went missing")
            };
            let (rows, width) = (cos.shape()[0], cos.shape()[1]);
            let (cos, sin) = (read::<T>(&cos)?, read::<T>(&sin)?);
            let ids = inputs.host(9)?.map(|ids| ids.to_i64s()).transpose()?;
            for b in 0..batch {
                for s in 0..places {
                    let position = match &ids {
                        Some(ids) => ids[b * places + s],
                        // Padding behind a prompt has no position of its own.
                        None if first_prompt && s >= totals[b] => 1.min(rows as i64 - 1),
                        None => (before(b) + s) as i64,
                    };
                    let row = usize::try_from(position).ok().filter(|&p| p < rows);
                    let Some(row) = row else {
                        bail!(InvalidArgument, "position {position} is outside of caches of {rows}")
                    };
                    let angles = row * width..(row + 1) * width;
                    for (x, count) in [(&mut q, n), (&mut k, kv)] {
                        for h in 0..count {
                            let at = ((b * count + h) * places + s) * head;
                            rotate(
                                &mut x[at..at + 2 * width],
                                &cos[angles.clone()],
                                &sin[angles.clone()],
                                self.interleaved,
                            );
                        }
                    }
                }
            }
        }
        let cache = |index: usize, new: &[T]| -> Result<Vec<T>> {
            let mut out = vec![T::zero(); element_count(&[batch, kv, present, head])?];
            let old_tensor = inputs.host(index)?;
            let old = old_tensor.as_ref().map(read::<T>).transpose()?;
            for b in 0..batch {
                for h in 0..kv {
                    let at = b * kv + h;
                    let out = &mut out[at * present * head..(at + 1) * present * head];
                    let kept = before(b) * head;
                    if let Some(old) = &old {
                        out[..kept].copy_from_slice(&old[at * past * head..][..kept]);
                    }
                    out[kept..kept + places * head].copy_from_slice(&new[at * places * head..][..places * head]);
                }
            }
            Ok(out)
        };
        let (k, v) = (cache(3, &k)?, cache(4, &v)?);
        let more = bias::<T>(inputs, 10)?;
        let sink_tensor = inputs.host(11)?;
        let sinks = match &sink_tensor {
            Some(sinks) => Some(read::<T>(sinks)?.into_owned()),
            None if self.smooth => Some(vec![T::zero(); n]),
            None => None,
        };
        let masked = |b: usize, h: usize, s: usize, scores: &mut [T]| {
            if let Some(more) = &more {
                more.add(b, h, s, &mut scores[..total]);
            }
            let seen = if self.causal { (before(b) + s + 1).min(present) } else { totals[b] };
            scores[seen..].fill(T::neg_infinity());
            if let Some(window) = self.window
                && self.causal
            {
                scores[..seen.saturating_sub(window)].fill(T::neg_infinity());
            }
        };
        let kernel = Kernel {
            batch,
            heads: n,
            kv_heads: kv,
            queries: places,
            keys: present,
            head,
            value_head: head,
            scale: T::of(self.scale.map_or(1.0 / (head as f64).sqrt(), f64::from)),
            softcap: T::of(f64::from(self.softcap)),
            mask: &masked,
            sinks: sinks.as_deref(),
        };
        let mut y = vec![T::zero(); element_count(&shapes[0])?];
        let mut scores = Vec::new();
        let wanted = match (self.stage, shapes.len() > 3) {
            (Some(stage), true) => {
                scores = vec![T::zero(); element_count(&[batch, n, places, present])?];
                Some((stage, &mut scores[..]))
            }
            _ => None,
        };
        kernel.run(&q, &k, &v, &mut y, wanted);
        let y = swapped(&y, [batch, n, places, head]);
        let scores = scores.chunks_exact(present.max(1)).flat_map(|row| row[..total].iter().copied()).collect();
        let mut out = Vec::with_capacity(shapes.len());
        for (values, shape) in [y, k, v, scores].into_iter().zip(shapes) {
            out.push(write(dtype, shape, values)?.into());
        }
        Ok(out)
    }
}

impl Op for GroupQuery {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 5, Dtypes::Only(DataType::Int32))?;
        tensor_type(inputs, 6, Dtypes::Only(DataType::Int32))?;
        optional_type(inputs, 9, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[1, 2, 3, 4, 7, 8, 10, 11])?); 4])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Sizes { batch, places, head, present, total, .. } = self.sizes(inputs)?;
        let dtype = inputs.dtype(0)?;
        let cache = vec![batch, self.kv_heads, present, head];
        let shapes =
            [vec![batch, places, self.heads * head], cache.clone(), cache, vec![batch, self.heads, places, total]];
        Ok(shapes.into_iter().take(self.outputs).map(|shape| Some(Info { dtype, shape })).collect())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let Sizes { places, head, totals, .. } = self.sizes(inputs)?;
        Ok(MultiplyAdds::float(&[self.heads, places, totals.iter().sum(), 2 * head]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        let shapes: Vec<Vec<usize>> = outputs.iter().flatten().map(|info| info.shape.clone()).collect();
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs, &sizes, &shapes))
    }
}
