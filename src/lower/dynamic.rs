//! Integer products of codes whose scale a run finds: MatMulInteger and ConvInteger by constant weights,
//! and the nodes that scale the sums of what DynamicQuantizeLinear made back to float32.

use super::draft::{Draft, Item};
use super::float::{activation_after, is_along};
use super::ops::{Codes, DynamicMatMul, IntegerConv, Scales};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Tensor};
use crate::kernels::Activation;
use crate::ops::Attributes;

/// Puts one step in the place of a product, Cast, Mul, and Add of a bias.
pub fn fuse(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        if item.is("MatMulInteger") {
            if let Some((op, inputs, places)) = matmul(draft, place) {
                draft.replace(&places, "DynamicQuantizeMatMul", Box::new(op), inputs)?;
            }
        } else if item.is("ConvInteger") {
            fuse_conv(draft, place)?;
        }
    }
    draft.drop_unused();
    Ok(())
}

/// The weight at input 1, and its zero points at input 3: one, or one for each of the `outputs`.
fn weight(draft: &Draft, item: &Item, outputs: usize) -> Option<(Tensor, Vec<i32>)> {
    let zeros = match item.input(3) {
        Some(slot) => crate::ops::codes(&draft.constant(Some(slot))?).ok()?,
        None => vec![0],
    };
    let weight = draft.constant(item.input(1))?;
    (zeros.len() == 1 || zeros.len() == outputs).then_some((weight, zeros))
}

/// What scales sums back to float32.
struct Chain {
    /// The slot of the rows' scale.
    scale: usize,
    scales: Scales,
    /// The items it stands for, in order.
    places: Vec<usize>,
}

/// Finds the chain behind the product at `place`, whose left side's scale is in slot `scale`; `columns` and
/// `channels` are those of [`is_along`].
fn chain(draft: &Draft, place: usize, scale: usize, columns: usize, channels: Option<usize>) -> Option<Chain> {
    let (cast, item) = draft.only_user(draft.item(place)?.output()?).filter(|(_, user)| user.is("Cast"))?;
    if !matches!(item.node.attributes.get("to"), Some(Attribute::Int(1))) {
        return None;
    }
    let sums = item.output()?;
    let (scaled, item) = draft.only_user(sums).filter(|(_, user)| user.is("Mul"))?;
    let by = if item.input(0) == Some(sums) { item.input(1)? } else { item.input(0)? };
    let (_, product) = draft.maker(by).filter(|(_, maker)| maker.is("Mul"))?;
    let other = match [product.input(0)?, product.input(1)?] {
        [a, b] if a == scale => b,
        [a, b] if b == scale => a,
        _ => return None,
    };
    let (columns_scales, shape) = draft.floats(Some(other))?;
    // One of more dimensions than the product would give it more.
    let is_one = columns_scales.len() == 1 && shape.len() <= channels.unwrap_or(1);
    if !is_one && !is_along(&shape, columns, channels) {
        return None;
    }
    let mut places = vec![place, cast, scaled];
    let mut slot = item.output()?;
    let mut bias = None;
    if let Some((at, add)) = draft.only_user(slot).filter(|(_, user)| user.is("Add")) {
        let other = if add.input(0) == Some(slot) { add.input(1) } else { add.input(0) };
        if let Some((values, _)) = draft.floats(other).filter(|(_, shape)| is_along(shape, columns, channels)) {
            bias = Some(values);
            places.push(at);
            slot = add.output()?;
        }
    }
    let mut activation = Activation::None;
    if let Some((found, after)) = activation_after(draft, slot) {
        activation = found;
        places.extend(after);
    }
    Some(Chain { scale, scales: Scales { columns: columns_scales, bias, activation }, places })
}

/// The slots of the codes, scale and zero point that the DynamicQuantizeLinear before `item` makes, where it is
/// these that `item` reads.
fn quantized(draft: &Draft, item: &Item) -> Option<[Option<usize>; 3]> {
    let (_, quantize) = draft.maker_of(item, 0).filter(|(_, item)| item.is("DynamicQuantizeLinear"))?;
    let outputs = &quantize.step.outputs;
    let fits =
        item.input(0) == outputs[0] && (item.input(2).is_none() || Some(item.input(2)) == outputs.get(2).copied());
    fits.then_some([outputs[0], outputs.get(1).copied().flatten(), item.input(2)])
}

fn matmul(draft: &Draft, place: usize) -> Option<(DynamicMatMul, Vec<Option<usize>>, Vec<usize>)> {
    let item = draft.item(place)?;
    let [codes, scale, zero] = quantized(draft, item)?;
    let shape = draft.constant(item.input(1))?.shape().to_vec();
    let [depth, columns] = shape[..] else { return None };
    if depth == 0 || columns == 0 {
        return None;
    }
    let (weight, zeros) = weight(draft, item, columns)?;
    let Chain { scale, scales, places } = chain(draft, place, scale?, columns, None)?;
    let is_byte = draft.dtype(codes?) == Some(DataType::Uint8);
    let op = DynamicMatMul::new(&Codes::less(&weight, &zeros, 1).filter(|_| is_byte)?, [depth, columns], scales);
    Some((op, vec![codes, Some(scale), zero], places))
}

/// With the chain, where there is one; else the sums.
fn fuse_conv(draft: &mut Draft, place: usize) -> Result<()> {
    let found = || {
        let item = draft.item(place)?;
        let shape = draft.constant(item.input(1))?.shape().to_vec();
        if !(3..=4).contains(&shape.len()) || shape.contains(&0) {
            return None;
        }
        let (weight, zeros) = weight(draft, item, shape[0])?;
        let chain =
            quantized(draft, item).and_then(|[_, scale, _]| chain(draft, place, scale?, shape[0], Some(shape.len())));
        Some((shape, weight, zeros, chain))
    };
    let Some((shape, weight, zeros, chain)) = found() else { return Ok(()) };
    let Some(item) = draft.item(place) else { return Ok(()) };
    let mut inputs = vec![item.input(0), item.input(2)];
    let (mut places, mut scales, mut name) = (vec![place], None, "PackedConvInteger");
    if let Some(chain) = chain {
        inputs.push(Some(chain.scale));
        (places, scales, name) = (chain.places, Some(chain.scales), "DynamicQuantizeConv");
    }
    let Some(codes) = Codes::less(&weight, &zeros, shape[1..].iter().product()) else { return Ok(()) };
    let op = IntegerConv::new(&Attributes::new(&item.node), &codes, &shape, scales)?;
    drop(codes);
    drop(weight);
    let Some(op) = op else { return Ok(()) };
    draft.replace(&places, name, Box::new(op), inputs)
}
