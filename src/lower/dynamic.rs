//! Dynamic quantisation: MatMulInteger of what DynamicQuantizeLinear made by constant weights, and the
//! nodes that scale its sums back to float32.

use super::draft::Draft;
use super::float::activation_after;
use super::ops::DynamicMatMul;
use crate::error::Result;
use crate::graph::{Attribute, DataType};
use crate::kernels::Activation;

/// Puts one step in the place of MatMulInteger, Cast, Mul, and Add of a bias.
pub fn fuse(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        if let Some((op, inputs, places)) = find(draft, place) {
            draft.replace(&places, "DynamicQuantizeMatMul", Box::new(op), inputs)?;
        }
    }
    draft.drop_unused();
    Ok(())
}

fn find(draft: &Draft, place: usize) -> Option<(DynamicMatMul, Vec<Option<usize>>, Vec<usize>)> {
    let item = draft.item(place).filter(|item| item.is("MatMulInteger"))?;
    let (_, quantize) = draft.maker_of(item, 0).filter(|(_, item)| item.is("DynamicQuantizeLinear"))?;
    let outputs = &quantize.step.outputs;
    if item.input(0) != outputs[0] || item.input(2).is_some() && item.input(2) != outputs[2] {
        return None;
    }
    let (a_scale, a_zero) = (outputs[1]?, item.input(2));
    let weight = draft.constant(item.input(1))?;
    let &[depth, columns] = weight.shape() else { return None };
    let mut codes = crate::ops::codes(&weight).ok()?;
    if depth == 0 || columns == 0 {
        return None;
    }
    if let Some(slot) = item.input(3) {
        let zeros = crate::ops::codes(&draft.constant(Some(slot))?).ok()?;
        if zeros.len() != 1 && zeros.len() != columns {
            return None;
        }
        codes.iter_mut().enumerate().for_each(|(i, c)| *c -= zeros[if zeros.len() == 1 { 0 } else { i % columns }]);
    }
    let (cast, item) = draft.only_user(item.output()?).filter(|(_, user)| user.is("Cast"))?;
    if !matches!(item.node.attributes.get("to"), Some(Attribute::Int(1))) {
        return None;
    }
    let sums = item.output()?;
    let (scaled, item) = draft.only_user(sums).filter(|(_, user)| user.is("Mul"))?;
    let scale = if item.input(0) == Some(sums) { item.input(1)? } else { item.input(0)? };
    let (_, product) = draft.maker(scale).filter(|(_, maker)| maker.is("Mul"))?;
    let other = match [product.input(0)?, product.input(1)?] {
        [a, b] if a == a_scale => b,
        [a, b] if b == a_scale => a,
        _ => return None,
    };
    let (scales, shape) = draft.floats(Some(other))?;
    if scales.len() != 1 && shape.last() != Some(&scales.len()) || scales.len() != 1 && scales.len() != columns {
        return None;
    }
    let mut places = vec![place, cast, scaled];
    let mut slot = item.output()?;
    let mut bias = None;
    if let Some((at, add)) = draft.only_user(slot).filter(|(_, user)| user.is("Add")) {
        let other = if add.input(0) == Some(slot) { add.input(1) } else { add.input(0) };
        if let Some((values, _)) = draft.floats(other).filter(|(_, shape)| shape == &[columns]) {
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
    let is_byte = draft.dtype(outputs[0]?) == Some(DataType::Uint8);
    let op = is_byte.then(|| DynamicMatMul::new(&codes, [depth, columns], scales, bias, activation))?;
    Some((op, vec![outputs[0], Some(a_scale), a_zero], places))
}
