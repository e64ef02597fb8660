//! Patterns that exporters write out, as the one operator that they mean.

use super::draft::{Draft, Item};
use super::ops::{Attention, Rotary};
use crate::error::Result;
use crate::graph::{Attribute, DataType};
use crate::ops::Operator;

/// Removes nodes that hand their input on.
pub fn drop_identities(draft: &mut Draft) {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        let hands_on = item.is("Identity")
            || item.is("Dropout") && item.step.outputs.len() == 1 && item.node.opset < 12
            || item.is("Dropout") && item.step.outputs.len() == 1 && item.input(2).is_none();
        let (Some(from), Some(to)) = (item.input(0), item.output()) else { continue };
        if hands_on && draft.redirect(to, from) {
            // It was just looked at, so it is there.
            let _ = draft.remove(place);
        }
    }
}

/// Puts standard operators in the place of the nodes that spell them out.
pub fn fuse(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        if item.is("Erf") {
            fuse_gelu(draft, place)?;
        } else if item.is("ReduceMean") {
            fuse_layer_norm(draft, place)?;
        } else if item.is("Neg") {
            fuse_rotary(draft, place)?;
        }
    }
    Ok(())
}

/// The input of `item` that is not `slot`.
fn other(item: &Item, slot: usize) -> Option<usize> {
    match [item.input(0)?, item.input(1)?] {
        [a, b] if a == slot => Some(b),
        [a, b] if b == slot => Some(a),
        _ => None,
    }
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-5 * b.abs()
}

/// `x / sqrt(2)`, Erf, `+ 1`, and the products with `x` and one half in either order.
fn fuse_gelu(draft: &mut Draft, erf: usize) -> Result<()> {
    let found = || {
        let item = draft.item(erf)?;
        let (scaled, scale) = draft.maker_of(item, 0)?;
        let x = match scale.node.op_type.as_str() {
            "Div" if near(draft.scalar(scale.input(1))?, std::f32::consts::SQRT_2) => scale.input(0)?,
            "Mul" => {
                let constant =
                    |at| draft.scalar(scale.input(at)).is_some_and(|s| near(s, std::f32::consts::FRAC_1_SQRT_2));
                if constant(1) { scale.input(0)? } else { constant(0).then(|| scale.input(1))?? }
            }
            _ => return None,
        };
        draft.only_user(scale.output()?)?;
        let erfed = item.output()?;
        let (added, plus) = draft.only_user(erfed).filter(|(_, user)| user.is("Add"))?;
        if !near(draft.scalar(other(plus, erfed))?, 1.0) {
            return None;
        }
        let sum = plus.output()?;
        let (first, product) = draft.only_user(sum).filter(|(_, user)| user.is("Mul"))?;
        let factor = other(product, sum)?;
        let mut places = vec![scaled, erf, added];
        if factor == x {
            let slot = product.output()?;
            let (last, half) = draft.only_user(slot).filter(|(_, user)| user.is("Mul"))?;
            if !near(draft.scalar(other(half, slot))?, 0.5) {
                return None;
            }
            places.extend([first, last]);
        } else {
            let (halved, half) = draft.maker(factor).filter(|(_, maker)| maker.is("Mul"))?;
            let is_half = near(draft.scalar(other(half, x))?, 0.5) && draft.only_user(factor).is_some();
            places.extend(is_half.then_some([halved, first])?);
        }
        Some((x, places))
    };
    match found() {
        Some((x, places)) if draft.dtype(x) == Some(DataType::Float32) => {
            draft.replace_by_node(&places, "Gelu", 20, &[], vec![Some(x)])
        }
        _ => Ok(()),
    }
}

/// The mean over the last axis, what is left of `x`, its variance, and the scale and bias.
fn fuse_layer_norm(draft: &mut Draft, mean: usize) -> Result<()> {
    let last_axis = |item: &Item| {
        let axes = match item.node.attributes.get("axes") {
            Some(Attribute::Ints(axes)) => axes.clone(),
            _ => draft.constant(item.input(1))?.to_i64s().ok()?,
        };
        (item.is("ReduceMean") && axes == [-1] && item.int("keepdims", 1) == 1).then_some(())
    };
    let found = || {
        let item = draft.item(mean)?;
        last_axis(item)?;
        let x = item.input(0)?;
        let (centred, sub) = draft.only_user(item.output()?).filter(|(_, user)| user.is("Sub"))?;
        let difference = sub.output().filter(|_| sub.input(0) == Some(x) && sub.input(1) == item.output())?;
        // The difference is squared and divided; some exporters compute it twice.
        let mut users = draft.users(difference).to_vec();
        users.sort_unstable();
        users.dedup();
        let [a, b] = users[..] else { return None };
        let is_square = |item: &Item| {
            item.is("Pow") && draft.scalar(item.input(1)) == Some(2.0)
                || item.is("Mul") && item.input(0) == item.input(1)
        };
        let (squared, divided) = if is_square(draft.item(a)?) { (a, b) } else { (b, a) };
        let (square, divide) =
            (draft.item(squared).filter(|i| is_square(i))?, draft.item(divided).filter(|i| i.is("Div"))?);
        let (averaged, average) = draft.only_user(square.output()?)?;
        last_axis(average)?;
        let variance = average.output()?;
        let (added, plus) = draft.only_user(variance).filter(|(_, user)| user.is("Add"))?;
        let epsilon = draft.scalar(other(plus, variance))?;
        let (rooted, root) = draft.only_user(plus.output()?).filter(|(_, user)| user.is("Sqrt"))?;
        draft.only_user(root.output()?)?;
        if divide.input(0) != Some(difference) || divide.input(1) != root.output() {
            return None;
        }
        let slot = divide.output()?;
        let (multiplied, multiply) = draft.only_user(slot).filter(|(_, user)| user.is("Mul"))?;
        let scale = other(multiply, slot)?;
        let (size, shape) = draft.floats(Some(scale)).map(|(v, s)| (v.len(), s))?;
        let slot = multiply.output()?;
        let mut places = vec![mean, centred, squared, averaged, added, rooted, divided, multiplied];
        let mut inputs = vec![Some(x), Some(scale)];
        if let Some((shifted, shift)) = draft.only_user(slot).filter(|(_, user)| user.is("Add")) {
            let bias = other(shift, slot)?;
            if draft.floats(Some(bias)).is_some_and(|(_, shape)| shape == [size]) {
                inputs.push(Some(bias));
                places.push(shifted);
            }
        }
        (shape == [size] && draft.dtype(x) == Some(DataType::Float32)).then_some((places, inputs, epsilon))
    };
    // The scale must be as long as the last axis, which only a run tells: LayerNormalization checks it,
    // where a scale of one element would have broadcast.
    match found() {
        Some((places, inputs, epsilon)) if draft.floats(inputs[1]).is_some_and(|(v, _)| v.len() > 1) => {
            let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(epsilon))];
            draft.replace_by_node(&places, "LayerNormalization", 17, &attributes, inputs)
        }
        _ => Ok(()),
    }
}

/// Two halves of `x`, the second negated, joined the other way round and multiplied, and added to a product of `x`.
fn fuse_rotary(draft: &mut Draft, neg: usize) -> Result<()> {
    let ints = |slot: Option<usize>| draft.constant(slot)?.to_i64s().ok();
    // The slice that makes `slot`, and where it begins and ends along its axis.
    let slice = |slot: usize| {
        draft.only_user(slot)?;
        let (at, item) = draft.maker(slot).filter(|(_, maker)| maker.is("Slice"))?;
        let whole = item.input(4).is_none_or(|steps| ints(Some(steps)).is_some_and(|steps| steps == [1]));
        match (&ints(item.input(1))?[..], &ints(item.input(2))?[..], &ints(item.input(3))?[..]) {
            (&[from], &[to], &[axis]) if whole => Some((at, item.input(0)?, from, to, axis)),
            _ => None,
        }
    };
    // How many dimensions a tensor has is not known of every one.
    let rank = |slot: usize| {
        let (_, maker) = draft.maker(slot)?;
        match maker.node.attributes.get("perm") {
            Some(Attribute::Ints(perm)) if maker.is("Transpose") => Some(perm.len()),
            _ if maker.is("Reshape") => draft.constant(maker.input(1)).map(|shape| shape.len()),
            _ => None,
        }
    };
    let found = || {
        let item = draft.item(neg)?;
        let negated = item.output()?;
        let (joined, concat) = draft.only_user(negated).filter(|(_, user)| user.is("Concat"))?;
        if concat.step.inputs.len() != 2 || concat.input(0) != Some(negated) {
            return None;
        }
        let (second, x, from, to, axis) = slice(item.input(0)?)?;
        let (first, of, start, end, other_axis) = slice(concat.input(1)?)?;
        let last = |axis: i64| axis == -1 || rank(x).is_some_and(|rank| axis == rank as i64 - 1);
        let halves = of == x && start == 0 && from == end && from >= 0 && to >= i64::from(i32::MAX);
        if !halves || ![axis, other_axis, concat.int("axis", 0)].into_iter().all(last) {
            return None;
        }
        let turned = concat.output()?;
        let (multiplied, product) = draft.only_user(turned).filter(|(_, user)| user.is("Mul"))?;
        let sin = other(product, turned)?;
        let slot = product.output()?;
        let (added, sum) = draft.only_user(slot).filter(|(_, user)| user.is("Add"))?;
        let slot = other(sum, slot)?;
        draft.only_user(slot)?;
        let (scaled, product) = draft.maker(slot).filter(|(_, maker)| maker.is("Mul"))?;
        let cos = other(product, x)?;
        let floats = [x, cos, sin].iter().all(|&slot| draft.dtype(slot) == Some(DataType::Float32));
        let places = vec![first, second, neg, joined, multiplied, scaled, added];
        floats.then_some((places, usize::try_from(from).ok()?, vec![Some(x), Some(cos), Some(sin)]))
    };
    let Some((places, half, inputs)) = found() else { return Ok(()) };
    draft.replace(&places, "FusedRotary", Box::new(Rotary::new(half)), inputs)
}

/// Puts one step in the place of the two products and the softmax of attention, and of what scales and masks the scores
/// between them.
pub fn fuse_attention(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        if !draft.item(place).is_some_and(|item| item.is("Softmax")) {
            continue;
        }
        let Some(found) = find_attention(draft, place) else { continue };
        let (Some(operator), Some(item)) = (Operator::find("", "Softmax"), draft.item(place)) else { continue };
        let op = Attention::new(found.scale, found.axis, operator.prepare(&item.node)?);
        draft.replace(&found.places, "FusedAttention", Box::new(op), found.inputs)?;
    }
    Ok(())
}

struct FoundAttention {
    places: Vec<usize>,
    scale: f32,
    axis: i64,
    inputs: Vec<Option<usize>>,
}

/// The input of `item` that it multiplies by a constant number, and that number.
fn scaled(draft: &Draft, item: &Item) -> Option<(usize, f32)> {
    // A constant of more dimensions would give the product as many.
    let number = |slot: Option<usize>| {
        let (values, shape) = draft.floats(slot)?;
        (values.len() == 1 && shape.len() <= 1).then(|| values[0])
    };
    if item.is("Div") {
        return Some((item.input(0)?, 1.0 / number(item.input(1))?));
    }
    let factor = |at: usize| Some((item.input(1 - at)?, number(item.input(at))?));
    if item.is("Mul") { factor(1).or_else(|| factor(0)) } else { None }
}

fn find_attention(draft: &Draft, softmax: usize) -> Option<FoundAttention> {
    let item = draft.item(softmax)?;
    let axis = item.int("axis", if item.node.opset < 13 { 1 } else { -1 });
    let weights = item.output()?;
    let (last, product) = draft.only_user(weights).filter(|(_, user)| user.is("MatMul"))?;
    let v = product.input(1).filter(|_| product.input(0) == Some(weights))?;

    let mut scale = 1.0;
    // From the last to the first.
    let mut places = Vec::new();
    // What makes `slot`, without a factor.
    let mut unscaled = |slot: usize, places: &mut Vec<usize>| {
        let found = || {
            draft.only_user(slot)?;
            let (at, maker) = draft.maker(slot)?;
            Some((at, scaled(draft, maker)?))
        };
        let Some((at, (x, factor))) = found() else { return slot };
        places.push(at);
        scale *= factor;
        x
    };
    let product_of = |slot: usize| {
        draft.only_user(slot)?;
        draft.maker(slot).filter(|(_, maker)| maker.is("MatMul"))
    };
    let scores = item.input(0)?;
    draft.only_user(scores)?;
    let (mut slot, mut mask) = (scores, None);
    if let Some((added, sum)) = draft.maker(scores).filter(|(_, maker)| maker.is("Add")) {
        let [a, b] = [sum.input(0)?, sum.input(1)?];
        let is_product = |slot: usize| {
            let under = draft.maker(slot).and_then(|(_, maker)| scaled(draft, maker)).map_or(slot, |(x, _)| x);
            draft.only_user(slot).is_some() && product_of(under).is_some()
        };
        let (of, other) = if is_product(a) { (a, b) } else { (b, a) };
        (slot, mask) = (of, Some(other));
        places.push(added);
    }
    let slot = unscaled(slot, &mut places);
    let (first, item) = product_of(slot)?;
    places.push(first);
    let [q, k] = [item.input(0)?, item.input(1)?];
    let (q, k) = (unscaled(q, &mut places), unscaled(k, &mut places));
    places.reverse();
    places.extend([softmax, last]);
    // A constant matrix is packed once, and float32 alone is computed so.
    let constant = |slot: usize| draft.constants.contains_key(&slot);
    let floats =
        [Some(q), Some(k), Some(v), mask].into_iter().flatten().all(|x| draft.dtype(x) == Some(DataType::Float32));
    let inputs = [Some(q), Some(k), Some(v)].into_iter().chain(mask.map(Some)).collect();
    (floats && scale.is_finite() && !constant(k) && !constant(v)).then_some(FoundAttention {
        places,
        scale,
        axis,
        inputs,
    })
}
