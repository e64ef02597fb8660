//! `softmax(q · k * scale + mask) · v`, without the scores of all heads in memory.

use burn_flex::FlexTensor;

use crate::backend::{Array, BinaryOp, Device, buffers, contiguous, logical, strided, tensor_of};
use crate::error::{Result, bail};
use crate::graph::DataType;
use crate::kernels::attention::{Heads, StridedAttention};
use crate::kernels::gemm::FEW_ROWS;
use crate::ops::{
    Dtypes, Info, Inputs, MultiplyAdds, Op, Type, Value, axis_of, broadcast, count_of, one, output, product,
    product_shape, tensor_type,
};

/// Inputs: `q` `[…, queries, head]`, `k` `[…, head, keys]`, `v` `[…, keys, value head]`, and the mask where there is
/// one.
pub struct Attention {
    scale: f32,
    axis: i64,
    /// The softmax of whatever is not attention of at most two dimensions of heads.
    softmax: Box<dyn Op>,
}

/// A tensor's matrices where there are `lead` dimensions before them, two at most.
fn heads(x: &FlexTensor, lead: usize) -> Heads<'_> {
    let view = strided::<f32>(x);
    let own = view.strides_for(&vec![0; lead + 2]);
    let at = |d: usize| own[d] as usize;
    let before = |d: usize| if d < lead { at(d) } else { 0 };
    Heads { data: &view.data[view.offset..], strides: [before(0), before(1), at(lead), at(lead + 1)] }
}

/// `x`, or a copy if its elements cannot be read where they lie: backwards, or, if `rows` are to be read, not one
/// after the other.
fn readable(x: FlexTensor, rows: bool) -> FlexTensor {
    let strides = x.layout().strides();
    let reads = strides.iter().all(|&s| s >= 0) && (!rows || strides.last() == Some(&1));
    if reads { x } else { contiguous(x) }
}

impl Attention {
    pub fn new(scale: f32, axis: i64, softmax: Box<dyn Op>) -> Self {
        Self { scale, axis, softmax }
    }

    /// The shape of the scores.
    fn scores(&self, inputs: &Inputs) -> Result<Vec<usize>> {
        let shape = product_shape(inputs.shape(0)?, inputs.shape(1)?)?;
        if inputs.has(3) { broadcast(&shape, inputs.shape(3)?) } else { Ok(shape) }
    }

    /// Whether heads can be computed one by one, and are better so.
    fn is_plain(&self, inputs: &Inputs, out: &[usize]) -> Result<bool> {
        let (q, k, v) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        let scores = self.scores(inputs)?;
        let rank = scores.len();
        if !(2..=4).contains(&rank) || [q, k, v].iter().any(|x| x.len() != rank || x.contains(&0)) {
            return Ok(false);
        }
        let lead = broadcast(&q[..rank - 2], &k[..rank - 2])?;
        let sizes = [q[rank - 2], k[rank - 1]];
        if sizes[0] < FEW_ROWS {
            return Ok(false);
        }
        let rows_fit = match inputs.has(3) {
            // A row of the mask is as long as one of the scores.
            true => inputs.shape(3)?.last() == Some(&sizes[1]),
            false => true,
        };
        let same = scores == [&lead[..], &sizes].concat() && out[..rank - 2] == lead;
        Ok(rows_fit && same && axis_of(self.axis, rank)? == rank - 1)
    }
}

impl Op for Attention {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let scores = self.scores(inputs)?;
        axis_of(self.axis, scores.len())?;
        one(DataType::Float32, product_shape(&scores, inputs.shape(2)?)?)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        let (q, scores) = (inputs.shape(0)?, self.scores(inputs)?);
        let (head, keys) = (q.last().copied().unwrap_or(0), scores.last().copied().unwrap_or(0));
        let first = MultiplyAdds::float(&[scores.iter().product(), head]);
        Ok(first + MultiplyAdds::float(&[count_of(outputs, 0), keys]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape: out, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        if !self.is_plain(&inputs, out)? {
            let shape = self.scores(&inputs)?;
            let context = inputs.context().clone();
            let mut scores = product(device, inputs.array(0)?, inputs.array(1)?)?;
            let scale = Array::Cpu(tensor_of(DataType::Float32, &[], vec![self.scale]));
            let before = scores.shape().to_vec();
            scores = device.binary(BinaryOp::Mul, scores, scale, &before)?;
            if let Some(mask) = inputs.optional_array(3)? {
                scores = device.binary(BinaryOp::Add, scores, mask, &shape)?;
            }
            let weights = self.softmax.run(device, Inputs::new(vec![Some(scores.into())], context), &[])?;
            let [Value::Tensor(weights)] = &weights[..] else { bail!(Internal, "a softmax gave no tensor") };
            return output(product(device, weights.clone(), inputs.array(2)?)?);
        }
        let (q, k, v) =
            (readable(inputs.cpu(0)?, true), readable(inputs.cpu(1)?, false), readable(inputs.cpu(2)?, false));
        let mask = if inputs.has(3) { Some(contiguous(inputs.cpu(3)?)) } else { None };
        let lead = &out[..out.len() - 2];
        let [queries, width] = out[lead.len()..] else { bail!(Internal, "the output has no matrices") };
        let k_shape = &k.layout().shape()[lead.len()..];
        let (batch, heads_of_each) = (lead.first().copied().unwrap_or(1), lead.get(1).copied().unwrap_or(1));
        let attention = StridedAttention {
            batch,
            heads: heads_of_each,
            queries,
            keys: k_shape[1],
            head: k_shape[0],
            value_head: width,
            scale: self.scale,
            q: heads(&q, lead.len()),
            k: heads(&k, lead.len()),
            v: heads(&v, lead.len()),
            mask: mask.as_ref().map(|mask| heads(mask, lead.len())),
        };
        let mut y = buffers::floats(out.iter().product());
        attention.run(&mut y);
        [q, k, v].into_iter().for_each(buffers::recycle);
        if lead.len() < 2 {
            return output(tensor_of(DataType::Float32, out, y));
        }
        // Heads are joined again next, which needs no copy so.
        let y = tensor_of(DataType::Float32, &[batch, queries, heads_of_each, width], y);
        output(logical(y, &[0, 2, 1, 3]))
    }
}
