//! Attention: `softmax(mask(cap(q · kᵀ * scale))) · v`, head by head.

use super::attending::{Bias, bias, head_size, heads, split};
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::element_count;
use crate::kernels::attention::{Attention as Kernel, Stage, appended, swapped};

/// Attention.
pub const OPERATOR: Operator = Operator {
    name: "Attention",
    inputs: 3..=6,
    outputs: 1..=4,
    attributes: &[
        "is_causal",
        "kv_num_heads",
        "q_num_heads",
        "qk_matmul_output_mode",
        "scale",
        "softcap",
        "softmax_precision",
    ],
    build,
    ..Operator::DEFAULT
};

struct Attention {
    causal: bool,
    heads: Option<i64>,
    kv_heads: Option<i64>,
    stage: Stage,
    scale: Option<f32>,
    softcap: f32,
    /// How many outputs the node has: scores are kept only where they are wanted.
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    // Everything is computed in float32 or better.
    let precision = attributes.int("softmax_precision")?.unwrap_or(1);
    ensure!(matches!(precision, 0 | 1 | 10 | 11 | 16), InvalidModel, "softmax_precision {precision} is no float's");
    let stage = match attributes.int("qk_matmul_output_mode")?.unwrap_or(0) {
        0 => Stage::Products,
        1 => Stage::Capped,
        2 => Stage::Masked,
        3 => Stage::Weights,
        other => bail!(Unsupported, "qk_matmul_output_mode {other}; ONNX has 0 to 3"),
    };
    Ok(Box::new(Attention {
        causal: attributes.flag("is_causal", false)?,
        heads: attributes.int("q_num_heads")?,
        kv_heads: attributes.int("kv_num_heads")?,
        stage,
        scale: attributes.float("scale")?,
        softcap: attributes.float("softcap")?.unwrap_or(0.0),
        outputs: attributes.outputs(),
    }))
}

struct Sizes {
    batch: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    past: usize,
    new: usize,
    head: usize,
    value_head: usize,
    /// Whether heads lie side by side in the last of three dimensions.
    flat: bool,
}

impl Attention {
    fn sizes(&self, inputs: &Inputs) -> Result<Sizes> {
        let (q, k, v) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        let flat = q.len() == 3;
        ensure!(
            matches!(q.len(), 3 | 4) && k.len() == q.len() && v.len() == q.len(),
            ShapeMismatch,
            "expected three tensors of 3 or 4 dimensions, got {q:?}, {k:?} and {v:?}"
        );
        let of = |name: &str, shape: &[usize], count: usize| -> Result<[usize; 4]> {
            if flat {
                Ok([shape[0], count, shape[1], head_size(name, shape[2], count)?])
            } else {
                ensure!(shape[1] > 0 && shape[3] > 0, ShapeMismatch, "{name} {shape:?} has no heads");
                Ok([shape[0], shape[1], shape[2], shape[3]])
            }
        };
        let (heads, kv_heads) = if flat {
            (heads("q_num_heads", self.heads)?, heads("kv_num_heads", self.kv_heads)?)
        } else {
            (q[1], k[1])
        };
        let [batch, heads, queries, head] = of("Q", q, heads)?;
        let [k_batch, kv_heads, new, k_head] = of("K", k, kv_heads)?;
        let [v_batch, v_heads, v_new, value_head] = of("V", v, kv_heads)?;
        ensure!(
            k_batch == batch && v_batch == batch && v_heads == kv_heads && v_new == new && k_head == head,
            ShapeMismatch,
            "Q {q:?}, K {k:?} and V {v:?} do not fit together"
        );
        ensure!(heads.is_multiple_of(kv_heads), ShapeMismatch, "{heads} heads do not divide among {kv_heads} of keys");
        ensure!(inputs.has(4) == inputs.has(5), InvalidModel, "past_key and past_value come together or not at all");
        let mut past = 0;
        if inputs.has(4) {
            let (k, v) = (inputs.shape(4)?, inputs.shape(5)?);
            past = k.get(2).copied().unwrap_or(0);
            for (name, shape, size) in [("past_key", k, head), ("past_value", v, value_head)] {
                let expected = [batch, kv_heads, past, size];
                ensure!(shape == expected, ShapeMismatch, "{name}: expected {expected:?}, got {shape:?}");
            }
        }
        if inputs.has(3) {
            Bias::<f32>::check("attn_mask", inputs.shape(3)?, [batch, heads, queries, past + new])?;
        }
        Ok(Sizes { batch, heads, kv_heads, queries, past, new, head, value_head, flat })
    }

    fn compute<T: Number>(&self, inputs: &Inputs, sizes: &Sizes, shapes: &[Vec<usize>]) -> Result<Vec<Value>> {
        let &Sizes { batch, heads, kv_heads, queries, past, new, head, value_head, flat } = sizes;
        let keys = past + new;
        let dtype = inputs.dtype(0)?;
        let heads_of = |index: usize, count: usize, places: usize, size: usize| -> Result<Vec<T>> {
            let Some(x) = inputs.host(index)? else { bail!(Internal, "input {index} went missing") };
            if flat { split(&x, [batch, count, places, size]) } else { Ok(read::<T>(&x)?.into_owned()) }
        };
        let with_past = |index: usize, present: Vec<T>, size: usize| -> Result<Vec<T>> {
            let Some(before) = inputs.host(index)? else { return Ok(present) };
            Ok(appended(&read::<T>(&before)?, &present, batch * kv_heads, past * size, new * size))
        };
        let q = heads_of(0, heads, queries, head)?;
        let k = with_past(4, heads_of(1, kv_heads, new, head)?, head)?;
        let v = with_past(5, heads_of(2, kv_heads, new, value_head)?, value_head)?;
        let mask = bias::<T>(inputs, 3)?;
        let masked = |b: usize, h: usize, s: usize, scores: &mut [T]| {
            if let Some(mask) = &mask {
                mask.add(b, h, s, scores);
            }
            if self.causal {
                let seen = (past + s + 1).min(keys);
                scores[seen..].fill(T::neg_infinity());
            }
        };
        let kernel = Kernel {
            batch,
            heads,
            kv_heads,
            queries,
            keys,
            head,
            value_head,
            scale: T::of(self.scale.map_or(1.0 / (head as f64).sqrt(), f64::from)),
            softcap: T::of(f64::from(self.softcap)),
            mask: &masked,
            sinks: None,
        };
        let mut y = vec![T::zero(); element_count(&shapes[0])?];
        let mut scores = vec![T::zero(); shapes.get(3).map_or(Ok(0), |s| element_count(s))?];
        kernel.run(&q, &k, &v, &mut y, if shapes.len() > 3 { Some((self.stage, &mut scores[..])) } else { None });
        if flat {
            y = swapped(&y, [batch, heads, queries, value_head]);
        }
        let mut out = Vec::with_capacity(shapes.len());
        for (values, shape) in [y, k, v, scores].into_iter().zip(shapes) {
            out.push(write(dtype, shape, values)?.into());
        }
        Ok(out)
    }
}

impl Op for Attention {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 3, Dtypes::Any)?;
        Ok(vec![Type::Tensor(same_floats(inputs, &[1, 2, 4, 5])?); 4])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Sizes { batch, heads, kv_heads, queries, past, new, head, value_head, flat } = self.sizes(inputs)?;
        let dtype = inputs.dtype(0)?;
        let keys = past + new;
        let y = if flat { vec![batch, queries, heads * value_head] } else { vec![batch, heads, queries, value_head] };
        let caches = [vec![batch, kv_heads, keys, head], vec![batch, kv_heads, keys, value_head]];
        let scores = vec![batch, heads, queries, keys];
        let shapes = [y].into_iter().chain(caches).chain([scores]).take(self.outputs);
        Ok(shapes.map(|shape| Some(Info { dtype, shape })).collect())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let Sizes { batch, heads, queries, past, new, head, value_head, .. } = self.sizes(inputs)?;
        Ok(MultiplyAdds::float(&[batch, heads, queries, past + new, head + value_head]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        let shapes: Vec<Vec<usize>> = outputs.iter().flatten().map(|info| info.shape.clone()).collect();
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs, &sizes, &shapes))
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Tensor;
    use crate::support::{Random, Single, f32s, numbers};

    fn naive(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool) -> Vec<f64> {
        let &[batch, heads, queries, head] = q.shape() else { panic!("{q:?}") };
        let &[_, kv, keys, size] = v.shape() else { panic!("{v:?}") };
        let (q, k, v) = (numbers(q), numbers(k), numbers(v));
        let mut y = vec![0.0; batch * heads * queries * size];
        for row in 0..batch * heads * queries {
            let (at, s) = (row / queries, row % queries);
            let shared = at / heads * kv + at % heads / (heads / kv);
            let seen = if causal { (s + 1).min(keys) } else { keys };
            let score =
                |t: usize| (0..head).map(|d| q[row * head + d] * k[(shared * keys + t) * head + d]).sum::<f64>();
            let weights: Vec<f64> = (0..seen).map(|t| (score(t) / (head as f64).sqrt()).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for d in 0..size {
                y[row * size + d] = (0..seen).map(|t| weights[t] / sum * v[(shared * keys + t) * size + d]).sum();
            }
        }
        y
    }

    #[test]
    fn random_heads_match_the_formula() {
        let mut random = Random::new(8);
        for round in 0..40 {
            let [batch, kv, groups, queries, keys, head, size] =
                [3, 3, 3, 9, 40, 9, 9].map(|high| random.within(1, high));
            let q = random.tensor(&[batch, kv * groups, queries, head]);
            let (k, v) = (random.tensor(&[batch, kv, keys, head]), random.tensor(&[batch, kv, keys, size]));
            let causal = round % 2 == 1;
            let expected = naive(&q, &k, &v, causal);
            for (dtype, tolerance) in [(crate::DataType::Float32, 1e-5), (crate::DataType::Float64, 1e-12)] {
                let cast = |t: &Tensor| Tensor::from_f64s(dtype, t.shape(), numbers(t)).expect("as many");
                let y =
                    Single::new("Attention", 23).int("is_causal", causal.into()).one(&[cast(&q), cast(&k), cast(&v)]);
                for (g, e) in numbers(&y).iter().zip(&expected) {
                    assert!((g - e).abs() < tolerance, "{g}, expected {e}: {q:?} {k:?} {v:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_to_attend_to_gives_nothing() {
        let t = |shape: &[usize]| f32s(shape, vec![1.0; shape.iter().product()]);
        let y = Single::new("Attention", 23).one(&[t(&[1, 2, 3, 4]), t(&[1, 2, 0, 4]), t(&[1, 2, 0, 4])]);
        assert!(y.shape() == [1, 2, 3, 4] && numbers(&y).iter().all(|&v| v == 0.0));
        for q in [[0, 2, 3, 4], [1, 2, 0, 4]] {
            let k = t(&[q[0], 2, 3, 4]);
            assert_eq!(Single::new("Attention", 23).one(&[t(&q), k.clone(), k]).shape(), q);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let t = |shape: &[usize]| f32s(shape, vec![1.0; shape.iter().product()]);
        let q = t(&[1, 4, 3, 4]);
        for (k, v) in [
            ([1, 3, 2, 4], [1, 3, 2, 4]),
            ([1, 2, 2, 5], [1, 2, 2, 4]),
            ([1, 2, 2, 4], [1, 2, 3, 4]),
            ([2, 2, 2, 4], [2, 2, 2, 4]),
        ] {
            let error = Single::new("Attention", 23).error(&[q.clone(), t(&k), t(&v)]);
            assert_eq!(error.kind(), ErrorKind::ShapeMismatch, "{error}");
        }
        let (k, v) = (t(&[1, 2, 2, 4]), t(&[1, 2, 2, 4]));
        let error = Single::new("Attention", 23).error(&[q.clone(), k.clone(), v.clone(), t(&[3, 3])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
        let flat = [t(&[1, 3, 8]), t(&[1, 2, 8]), t(&[1, 2, 8])];
        assert_eq!(Single::new("Attention", 23).error(&flat).kind(), ErrorKind::InvalidModel);
        let node = Single::new("Attention", 23).int("q_num_heads", 3).int("kv_num_heads", 1);
        assert_eq!(node.error(&flat).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(
            Single::new("Attention", 23).int("qk_matmul_output_mode", 4).error(&[q, k, v]).kind(),
            ErrorKind::Unsupported
        );
        let cache = t(&[5, 2]);
        let ids = |id: i64| crate::support::i64s(&[1, 3], &[0, 1, id]);
        for id in [5, -1, i64::MAX] {
            let error =
                Single::new("RotaryEmbedding", 23).error(&[t(&[1, 2, 3, 4]), cache.clone(), cache.clone(), ids(id)]);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}
