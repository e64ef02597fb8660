//! Attention of Microsoft's domain: projects its input to queries, keys and values, and attends with them.

use super::attending::{Bias, bias, head_size, heads, key_mask};
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::attention::{Attention as Kernel, appended, swapped};
use crate::kernels::real::add_product;

/// Attention.
pub const OPERATOR: Operator = Operator {
    name: "Attention",
    domain: "com.microsoft",
    inputs: 2..=7,
    outputs: 1..=2,
    attributes: &[
        "do_rotary",
        "mask_filter_value",
        "num_heads",
        "past_present_share_buffer",
        "qkv_hidden_sizes",
        "rotary_embedding_dim",
        "scale",
        "unidirectional",
    ],
    build,
    ..Operator::DEFAULT
};

struct Attention {
    heads: usize,
    causal: bool,
    filler: f32,
    scale: Option<f32>,
    hidden: Option<Vec<usize>>,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    ensure!(!attributes.flag("do_rotary", false)?, Unsupported, "do_rotary = 1");
    ensure!(!attributes.flag("past_present_share_buffer", false)?, Unsupported, "past_present_share_buffer = 1");
    let hidden = attributes.sizes("qkv_hidden_sizes", 0)?.filter(|h| !h.is_empty());
    if let Some(hidden) = &hidden {
        ensure!(hidden.len() == 3, InvalidModel, "attribute \"qkv_hidden_sizes\": expected 3 sizes, got {hidden:?}");
        ensure!(hidden[0] == hidden[1], InvalidModel, "qkv_hidden_sizes {hidden:?}: queries and keys differ");
    }
    Ok(Box::new(Attention {
        heads: heads("num_heads", attributes.int("num_heads")?)?,
        causal: attributes.flag("unidirectional", false)?,
        filler: attributes.float("mask_filter_value")?.unwrap_or(-10000.0),
        scale: attributes.float("scale")?.filter(|&s| s != 0.0),
        hidden,
        outputs: attributes.outputs(),
    }))
}

struct Sizes {
    batch: usize,
    places: usize,
    input: usize,
    past: usize,
    head: usize,
    value_head: usize,
}

impl Attention {
    fn sizes(&self, inputs: &Inputs) -> Result<Sizes> {
        let (x, w) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() == 3, ShapeMismatch, "expected [batch, sequence, hidden], got {x:?}");
        ensure!(w.len() == 2 && w[0] == x[2], ShapeMismatch, "weights: expected [{}, 3 * hidden], got {w:?}", x[2]);
        let (hidden, value_hidden) = match &self.hidden {
            Some(sizes) => (sizes[0], sizes[2]),
            None => (w[1] / 3, w[1] / 3),
        };
        ensure!(
            hidden.saturating_mul(2).saturating_add(value_hidden) == w[1],
            ShapeMismatch,
            "weights {w:?} are not those of {hidden}, {hidden} and {value_hidden}"
        );
        let head = head_size("the hidden size", hidden, self.heads)?;
        let value_head = head_size("the values' hidden size", value_hidden, self.heads)?;
        if inputs.has(2) {
            let shape = inputs.shape(2)?;
            ensure!(shape == [w[1]], ShapeMismatch, "the bias: expected [{}], got {shape:?}", w[1]);
        }
        let mut past = 0;
        if inputs.has(4) {
            let shape = inputs.shape(4)?;
            past = shape.get(3).copied().unwrap_or(0);
            let expected = [2, x[0], self.heads, past, head];
            ensure!(shape == expected, ShapeMismatch, "past: expected {expected:?}, got {shape:?}");
        }
        ensure!(
            head == value_head || (self.outputs == 1 && !inputs.has(4)),
            Unsupported,
            "past and present with keys and values of different sizes"
        );
        if inputs.has(5) {
            Bias::<f32>::check("attention_bias", inputs.shape(5)?, [x[0], self.heads, x[1], past + x[1]])?;
        }
        ensure!(!inputs.has(6), Unsupported, "past_sequence_length");
        Ok(Sizes { batch: x[0], places: x[1], input: x[2], past, head, value_head })
    }

    fn compute<T: Number>(&self, inputs: &Inputs, sizes: &Sizes, shapes: &[Vec<usize>]) -> Result<Vec<Value>> {
        let &Sizes { batch, places, input, past, head, value_head } = sizes;
        let (Some(x), Some(w)) = (inputs.host(0)?, inputs.host(1)?) else { bail!(Internal, "an input went missing") };
        let (dtype, heads, keys) = (x.dtype(), self.heads, past + places);
        let widths = [heads * head, heads * head, heads * value_head];
        let width = widths.iter().sum::<usize>();
        let rows = batch * places;
        let mut projected = match inputs.host(2)? {
            Some(bias) => read::<T>(&bias)?.repeat(rows),
            None => vec![T::zero(); rows * width],
        };
        add_product(&read::<T>(&x)?, &read::<T>(&w)?, [rows, input, width], false, &mut projected);
        let part = |which: usize, size: usize| {
            let first = widths[..which].iter().sum::<usize>();
            let mut columns = Vec::with_capacity(rows * widths[which]);
            for row in projected.chunks_exact(width) {
                columns.extend_from_slice(&row[first..first + widths[which]]);
            }
            swapped(&columns, [batch, places, heads, size])
        };
        let (q, mut k, mut v) = (part(0, head), part(1, head), part(2, value_head));
        if let Some(before) = inputs.host(4)? {
            let before = read::<T>(&before)?;
            let (past_k, past_v) = before.split_at(before.len() / 2);
            k = appended(past_k, &k, batch * heads, past * head, places * head);
            v = appended(past_v, &v, batch * heads, past * head, places * head);
        }
        let mask = key_mask::<T>(inputs, 3, self.filler, [batch, places, keys])?;
        let added = bias::<T>(inputs, 5)?;
        let masked = |b: usize, h: usize, s: usize, scores: &mut [T]| {
            if let Some(mask) = &mask {
                mask.add(b, 0, s, scores);
            }
            if let Some(added) = &added {
                added.add(b, h, s, scores);
            }
            if self.causal {
                scores[past + s + 1..].fill(T::neg_infinity());
            }
        };
        let kernel = Kernel {
            batch,
            heads,
            kv_heads: heads,
            queries: places,
            keys,
            head,
            value_head,
            scale: T::of(self.scale.map_or(1.0 / (head as f64).sqrt(), f64::from)),
            softcap: T::zero(),
            mask: &masked,
            sinks: None,
        };
        let mut y = vec![T::zero(); rows * widths[2]];
        kernel.run(&q, &k, &v, &mut y, None);
        let y = swapped(&y, [batch, heads, places, value_head]);
        let mut out = vec![write(dtype, &shapes[0], y)?.into()];
        if let Some(shape) = shapes.get(1) {
            out.push(write(dtype, shape, [k, v].concat())?.into());
        }
        Ok(out)
    }
}

impl Op for Attention {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 3, Dtypes::Only(DataType::Int32))?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[1, 2, 4, 5])?); 2])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Sizes { batch, places, past, head, value_head, .. } = self.sizes(inputs)?;
        let dtype = inputs.dtype(0)?;
        let shapes = [vec![batch, places, self.heads * value_head], vec![2, batch, self.heads, past + places, head]];
        Ok(shapes.into_iter().take(self.outputs).map(|shape| Some(Info { dtype, shape })).collect())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let Sizes { batch, places, input, past, head, value_head } = self.sizes(inputs)?;
        let projected = MultiplyAdds::float(&[batch, places, input, self.heads, 2 * head + value_head]);
        Ok(projected + MultiplyAdds::float(&[batch, self.heads, places, past + places, head + value_head]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        let shapes: Vec<Vec<usize>> = outputs.iter().flatten().map(|info| info.shape.clone()).collect();
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs, &sizes, &shapes))
    }
}
