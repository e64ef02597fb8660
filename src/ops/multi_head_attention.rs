//! MultiHeadAttention: attends with queries, keys and values that are projected already.

use super::attending::{Bias, bias, head_size, heads, key_mask};
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, element_count};
use crate::kernels::attention::{Attention as Kernel, Stage, appended, swapped};

/// MultiHeadAttention.
pub const OPERATOR: Operator = Operator {
    name: "MultiHeadAttention",
    domain: "com.microsoft",
    inputs: 1..=10,
    outputs: 1..=4,
    attributes: &["mask_filter_value", "num_heads", "scale", "unidirectional"],
    build,
    ..Operator::DEFAULT
};

struct MultiHead {
    heads: usize,
    causal: bool,
    filler: f32,
    scale: Option<f32>,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MultiHead {
        heads: heads("num_heads", attributes.int("num_heads")?)?,
        causal: attributes.flag("unidirectional", false)?,
        filler: attributes.float("mask_filter_value")?.unwrap_or(-10000.0),
        scale: attributes.float("scale")?.filter(|&s| s != 0.0),
        outputs: attributes.outputs(),
    }))
}

/// How queries, keys and values come.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Each as `[batch, places, heads * size]`.
    Apart,
    /// All in the queries, `[batch, places, heads, 3, size]`.
    Packed,
    /// Keys and values in the keys, `[batch, places, heads, 2, size]`.
    PairsPacked,
    /// Keys and values as `[batch, heads, places, size]`.
    Ready,
}

struct Sizes {
    form: Form,
    batch: usize,
    queries: usize,
    past: usize,
    new: usize,
    head: usize,
    value_head: usize,
}

impl MultiHead {
    fn sizes(&self, inputs: &Inputs) -> Result<Sizes> {
        ensure!(!inputs.has(8) && !inputs.has(9), Unsupported, "past_sequence_length and cache_indirection");
        let n = self.heads;
        let q = inputs.shape(0)?;
        let key = if inputs.has(1) { Some(inputs.shape(1)?) } else { None };
        let value = if inputs.has(2) { Some(inputs.shape(2)?) } else { None };
        let flat = |q: &[usize]| match *q {
            [b, s, hidden] => Ok([b, s, head_size("the query", hidden, n)?]),
            _ => bail!(ShapeMismatch, "the query: expected [batch, sequence, hidden], got {q:?}"),
        };
        let (form, [batch, queries, head], new, value_head) = match (q, key, value) {
            (&[b, s, heads, 3, d], None, None) if heads == n && d > 0 => (Form::Packed, [b, s, d], s, d),
            (_, Some(&[b, l, heads, 2, d]), None) => {
                let sizes = flat(q)?;
                ensure!(
                    [b, heads, d] == [sizes[0], n, sizes[2]],
                    ShapeMismatch,
                    "the keys {key:?} do not fit the query {q:?}"
                );
                (Form::PairsPacked, sizes, l, d)
            }
            (_, Some(&[b, l, hidden]), Some(&[vb, vl, value_hidden])) => {
                let sizes = flat(q)?;
                let fits = [b, hidden, vb, vl] == [sizes[0], sizes[2] * n, sizes[0], l];
                ensure!(fits, ShapeMismatch, "the query {q:?}, keys {key:?} and values {value:?} do not fit together");
                (Form::Apart, sizes, l, head_size("the values", value_hidden, n)?)
            }
            (_, Some(&[b, heads, l, d]), Some(&[vb, v_heads, vl, vd])) => {
                let sizes = flat(q)?;
                let fits = [b, heads, d, vb, v_heads, vl] == [sizes[0], n, sizes[2], b, n, l] && vd > 0;
                ensure!(fits, ShapeMismatch, "the query {q:?}, keys {key:?} and values {value:?} do not fit together");
                (Form::Ready, sizes, l, vd)
            }
            _ => bail!(ShapeMismatch, "query {q:?}, key {key:?} and value {value:?} for {n} heads"),
        };
        if inputs.has(3) {
            let (shape, expected) = (inputs.shape(3)?, n * (2 * head + value_head));
            ensure!(shape == [expected], ShapeMismatch, "the bias: expected [{expected}], got {shape:?}");
            ensure!(form != Form::PairsPacked, Unsupported, "a bias of packed keys and values");
        }
        ensure!(inputs.has(6) == inputs.has(7), InvalidModel, "past_key and past_value come together or not at all");
        let mut past = 0;
        if inputs.has(6) {
            ensure!(form == Form::Apart, Unsupported, "past keys with keys {key:?}");
            past = inputs.shape(6)?.get(2).copied().unwrap_or(0);
            for (index, size) in [(6, head), (7, value_head)] {
                let (shape, expected) = (inputs.shape(index)?, [batch, n, past, size]);
                ensure!(shape == expected, ShapeMismatch, "input {index}: expected {expected:?}, got {shape:?}");
            }
        }
        if inputs.has(5) {
            Bias::<f32>::check("attention_bias", inputs.shape(5)?, [batch, n, queries, past + new])?;
        }
        Ok(Sizes { form, batch, queries, past, new, head, value_head })
    }

    fn compute<T: Number>(&self, inputs: &Inputs, sizes: &Sizes, shapes: &[Vec<usize>]) -> Result<Vec<Value>> {
        let &Sizes { form, batch, queries, past, new, head, value_head } = sizes;
        let (heads, keys, dtype) = (self.heads, past + new, inputs.dtype(0)?);
        let bias_tensor = inputs.host(3)?;
        let added = bias_tensor.as_ref().map(read::<T>).transpose()?;
        // Where packed, `which` of `parts` lie side by side for each head.
        let part =
            |index: usize, [which, parts]: [usize; 2], places: usize, size: usize, first: usize| -> Result<Vec<T>> {
                let Some(x) = inputs.host(index)? else { bail!(Internal, "input {index} went missing") };
                let x = read::<T>(&x)?;
                let ready = form == Form::Ready && index > 0;
                if x.is_empty() {
                    return Ok(Vec::new());
                }
                let mut out = Vec::with_capacity(x.len() / parts);
                for b in 0..batch {
                    for h in 0..heads {
                        for s in 0..places {
                            let row = if ready { (b * heads + h) * places + s } else { (b * places + s) * heads + h };
                            out.extend_from_slice(&x[(row * parts + which) * size..][..size]);
                            if let Some(added) = &added
                                && !ready
                            {
                                let from = &added[first + h * size..][..size];
                                let at = out.len() - size;
                                out[at..].iter_mut().zip(from).for_each(|(v, &b)| *v = *v + b);
                            }
                        }
                    }
                }
                Ok(out)
            };
        let hidden = heads * head;
        let (q, k, v) = match form {
            Form::Packed => (
                part(0, [0, 3], queries, head, 0)?,
                part(0, [1, 3], new, head, hidden)?,
                part(0, [2, 3], new, head, 2 * hidden)?,
            ),
            Form::PairsPacked => {
                (part(0, [0, 1], queries, head, 0)?, part(1, [0, 2], new, head, 0)?, part(1, [1, 2], new, head, 0)?)
            }
            Form::Apart | Form::Ready => (
                part(0, [0, 1], queries, head, 0)?,
                part(1, [0, 1], new, head, hidden)?,
                part(2, [0, 1], new, value_head, 2 * hidden)?,
            ),
        };
        let with_past = |index: usize, present: Vec<T>, size: usize| -> Result<Vec<T>> {
            let Some(before) = inputs.host(index)? else { return Ok(present) };
            Ok(appended(&read::<T>(&before)?, &present, batch * heads, past * size, new * size))
        };
        let (k, v) = (with_past(6, k, head)?, with_past(7, v, value_head)?);
        let mask = key_mask::<T>(inputs, 4, self.filler, [batch, queries, keys])?;
        let more = bias::<T>(inputs, 5)?;
        let masked = |b: usize, h: usize, s: usize, scores: &mut [T]| {
            if let Some(mask) = &mask {
                mask.add(b, 0, s, scores);
            }
            if let Some(more) = &more {
                more.add(b, h, s, scores);
            }
            if self.causal {
                // The last query sees every key.
                let seen = (keys + s + 1).saturating_sub(queries).min(keys);
                scores[seen..].fill(T::neg_infinity());
            }
        };
        let kernel = Kernel {
            batch,
            heads,
            kv_heads: heads,
            queries,
            keys,
            head,
            value_head,
            scale: T::of(self.scale.map_or(1.0 / (head as f64).sqrt(), f64::from)),
            softcap: T::zero(),
            mask: &masked,
            sinks: None,
        };
        let mut y = vec![T::zero(); element_count(&shapes[0])?];
        let mut scores = vec![T::zero(); shapes.get(3).map_or(Ok(0), |s| element_count(s))?];
        kernel.run(&q, &k, &v, &mut y, if shapes.len() > 3 { Some((Stage::Masked, &mut scores[..])) } else { None });
        let y = swapped(&y, [batch, heads, queries, value_head]);
        let mut out = Vec::with_capacity(shapes.len());
        for (values, shape) in [y, k, v, scores].into_iter().zip(shapes) {
            out.push(write(dtype, shape, values)?.into());
        }
        Ok(out)
    }
}

impl Op for MultiHead {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 4, Dtypes::Only(DataType::Int32))?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[1, 2, 3, 5, 6, 7])?); 4])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Sizes { batch, queries, past, new, head, value_head, .. } = self.sizes(inputs)?;
        let (n, keys, dtype) = (self.heads, past + new, inputs.dtype(0)?);
        let shapes = [
            vec![batch, queries, n * value_head],
            vec![batch, n, keys, head],
            vec![batch, n, keys, value_head],
            vec![batch, n, queries, keys],
        ];
        Ok(shapes.into_iter().take(self.outputs).map(|shape| Some(Info { dtype, shape })).collect())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let Sizes { batch, queries, past, new, head, value_head, .. } = self.sizes(inputs)?;
        Ok(MultiplyAdds::float(&[batch, self.heads, queries, past + new, head + value_head]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        let shapes: Vec<Vec<usize>> = outputs.iter().flatten().map(|info| info.shape.clone()).collect();
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs, &sizes, &shapes))
    }
}
