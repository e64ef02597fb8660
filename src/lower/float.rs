//! Float32 convolutions and matrix products by constants: weights packed, and what follows in the
//! same pass over the result.

use std::borrow::Cow;

use super::draft::{Draft, Item};
use super::ops::{Conv, MatMul};
use crate::error::Result;
use crate::graph::{Attribute, DataType};
use crate::kernels::{Activation, Blocks, vector};
use crate::ops::Attributes;

/// Multiplies the weights of a convolution by the factors of the BatchNormalization that follows.
pub fn fold_batch_norm(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(found) = find_batch_norm(draft, place) else { continue };
        let Folded { norm, weight, weight_shape, bias, inputs } = found;
        let weight = draft.add_floats(&weight_shape, weight);
        let bias = draft.add_floats(&[bias.len()], bias);
        // The convolution, with the normalisation's output.
        let mut conv = draft.take(place)?;
        let norm = draft.take(norm)?;
        let before = std::mem::replace(&mut conv.step.inputs, vec![inputs, Some(weight), Some(bias)]);
        let before = before.into_iter().chain(norm.step.inputs).flatten().collect();
        conv.step.outputs = norm.step.outputs;
        conv.covers.extend(norm.covers);
        draft.put(conv);
        draft.release(before)?;
    }
    Ok(())
}

struct Folded {
    norm: usize,
    weight: Vec<f32>,
    weight_shape: Vec<usize>,
    bias: Vec<f32>,
    inputs: Option<usize>,
}

fn find_batch_norm(draft: &Draft, place: usize) -> Option<Folded> {
    let conv = draft.item(place).filter(|item| item.is("Conv"))?;
    let (norm, item) = draft.only_user(conv.output()?)?;
    if !item.is("BatchNormalization") || item.step.outputs.len() != 1 || item.input(0) != conv.output() {
        return None;
    }
    let (mut weight, weight_shape) = draft.floats(conv.input(1))?;
    let outputs = *weight_shape.first()?;
    let read = |index| draft.floats(item.input(index)).map(|(v, _)| v).filter(|v| v.len() == outputs);
    let (scale, shift, mean, variance) = (read(1)?, read(2)?, read(3)?, read(4)?);
    let before = match conv.input(2) {
        Some(slot) => draft.floats(Some(slot)).map(|(v, _)| v).filter(|v| v.len() == outputs)?,
        None => vec![0.0; outputs],
    };
    let epsilon = f64::from(item.float("epsilon").unwrap_or(1e-5));
    let factor = |c: usize| f64::from(scale[c]) / (f64::from(variance[c]) + epsilon).sqrt();
    let bias = (0..outputs)
        .map(|c| ((f64::from(before[c]) - f64::from(mean[c])) * factor(c) + f64::from(shift[c])) as f32)
        .collect();
    for (c, filter) in weight.chunks_exact_mut((weight_shape[1..].iter().product::<usize>()).max(1)).enumerate() {
        filter.iter_mut().for_each(|v| *v = (f64::from(*v) * factor(c)) as f32);
    }
    Some(Folded { norm, weight, weight_shape, bias, inputs: conv.input(0) })
}

/// What follows a product and is computed with it.
struct Epilogue {
    /// A constant that is added, one element for each column, in the place of a bias.
    bias: Option<Vec<f32>>,
    residual: Option<usize>,
    activation: Activation,
    /// The items it stands for, in order.
    places: Vec<usize>,
}

/// Whether a constant of this shape has one element for each of the `columns` of a product: its last dimension, or,
/// where it is of `channels` dimensions, the second.
pub fn is_along(shape: &[usize], columns: usize, channels: Option<usize>) -> bool {
    let Some(rank) = channels else { return shape == [columns] };
    shape.len() <= rank && {
        let full = [vec![1; rank - shape.len()], shape.to_vec()].concat();
        full[1] == columns && full.iter().product::<usize>() == columns
    }
}

/// Finds what follows `place`; `columns` are the elements of a bias, which `channels` says to lie
/// along dimension 1 instead of the last.
fn epilogue(draft: &Draft, place: usize, columns: usize, channels: Option<usize>, has_bias: bool) -> Option<Epilogue> {
    let mut found = Epilogue { bias: None, residual: None, activation: Activation::None, places: vec![place] };
    let mut slot = draft.item(place)?.output()?;
    while let Some((at, user)) = draft.only_user(slot).filter(|(_, user)| user.is("Add")) {
        let other = if user.input(0) == Some(slot) { user.input(1) } else { user.input(0) };
        let Some(other) = other.filter(|other| *other != slot) else { break };
        match draft.floats(Some(other)) {
            Some((values, shape)) => {
                let along = is_along(&shape, columns, channels);
                if has_bias || !along || found.bias.is_some() || found.residual.is_some() {
                    break;
                }
                found.bias = Some(values);
            }
            None if found.residual.is_none() && draft.dtype(other) == Some(DataType::Float32) => {
                found.residual = Some(other);
            }
            None => break,
        }
        found.places.push(at);
        let Some(output) = user.output() else { break };
        slot = output;
    }
    if let Some((activation, places)) = activation_after(draft, slot) {
        found.activation = activation;
        found.places.extend(places);
    }
    Some(found)
}

/// The activation that is all that `slot` is used for, and its items.
pub fn activation_after(draft: &Draft, slot: usize) -> Option<(Activation, Vec<usize>)> {
    if let [a, b] = *draft.users(slot)
        && !draft.is_wanted(slot)
    {
        // x * sigmoid(x)
        let (gate, product) = if draft.item(a)?.is("Sigmoid") { (a, b) } else { (b, a) };
        let (gate_item, item) = (draft.item(gate)?, draft.item(product)?);
        let gated = gate_item.output()?;
        let pair = [item.input(0), item.input(1)];
        let is_silu = gate_item.is("Sigmoid")
            && item.is("Mul")
            && (pair == [Some(slot), Some(gated)] || pair == [Some(gated), Some(slot)])
            && draft.only_user(gated).is_some();
        return is_silu.then(|| (Activation::Map(vector::silu), vec![gate, product]));
    }
    let (place, item) = draft.only_user(slot)?;
    if item.input(0) != Some(slot) {
        return None;
    }
    let activation = match item.node.op_type.as_str() {
        _ if !item.node.domain.is_empty() => return None,
        "Relu" | "Clip" => {
            let (min, max) = bounds(draft, item)?;
            Activation::Clamp { min, max }
        }
        "Sigmoid" => Activation::Map(vector::sigmoid),
        "Tanh" => Activation::Map(vector::tanh),
        "HardSwish" => Activation::Map(vector::hard_swish),
        "Gelu" => match item.node.attributes.get("approximate") {
            Some(Attribute::String(s)) if s == b"tanh" => Activation::Map(vector::gelu_tanh),
            Some(Attribute::String(s)) if s != b"none" => return None,
            _ => Activation::Map(vector::gelu),
        },
        _ => return None,
    };
    Some((activation, vec![place]))
}

/// The bounds of Relu and of Clip by constants.
pub fn bounds(draft: &Draft, item: &Item) -> Option<(f32, f32)> {
    if item.is("Relu") {
        return Some((0.0, f32::INFINITY));
    }
    if !item.is("Clip") {
        return None;
    }
    let bound = |name: &str, index: usize, default: f32| match item.input(index) {
        Some(slot) => draft.scalar(Some(slot)),
        None => Some(item.float(name).unwrap_or(default)),
    };
    let (min, max) = (bound("min", 1, f32::MIN)?, bound("max", 2, f32::MAX)?);
    (min <= max).then_some((min, max))
}

/// Puts packed steps in the place of convolutions and matrix products by constants.
pub fn pack(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        if item.is("Conv") {
            pack_conv(draft, place)?;
        } else if item.is("MatMul") || item.is("Gemm") {
            pack_matmul(draft, place)?;
        } else if item.node.domain == "com.microsoft" && item.node.op_type == "MatMulNBits" {
            pack_nibbles(draft, place)?;
        }
    }
    Ok(())
}

fn pack_conv(draft: &mut Draft, place: usize) -> Result<()> {
    let Some(item) = draft.item(place) else { return Ok(()) };
    let Some(tensor) = draft.constant(item.input(1)) else { return Ok(()) };
    let Some((weight, shape)) = tensor.as_slice::<f32>().map(|weight| (weight, tensor.shape())) else { return Ok(()) };
    if !(3..=4).contains(&shape.len()) || shape.contains(&0) {
        return Ok(());
    }
    let mut bias = None;
    if let Some(slot) = item.input(2) {
        let Some((values, _)) = draft.floats(Some(slot)).filter(|(v, _)| v.len() == shape[0]) else { return Ok(()) };
        bias = Some(values);
    }
    let Some(found) = epilogue(draft, place, shape[0], Some(shape.len()), bias.is_some()) else { return Ok(()) };
    let bias = bias.or(found.bias);
    let inputs = [vec![item.input(0)], found.residual.map(Some).into_iter().collect()].concat();
    let Some(op) = Conv::new(&Attributes::new(&item.node), weight, shape, bias, found.activation)? else {
        return Ok(());
    };
    drop(tensor);
    draft.replace(&found.places, "FusedConv", Box::new(op), inputs)
}

fn pack_matmul(draft: &mut Draft, place: usize) -> Result<()> {
    let Some(item) = draft.item(place) else { return Ok(()) };
    let Some(tensor) = draft.constant(item.input(1)) else { return Ok(()) };
    let Some(weight) = tensor.as_slice::<f32>() else { return Ok(()) };
    let mut weight = Cow::Borrowed(weight);
    let [rows, columns] = *tensor.shape() else { return Ok(()) };
    if rows == 0 || columns == 0 || draft.constants.contains_key(&item.input(0).unwrap_or(usize::MAX)) {
        return Ok(());
    }
    let is_gemm = item.is("Gemm");
    let (mut depth, mut width, mut transposed) = (rows, columns, false);
    let mut bias = None;
    if is_gemm {
        if item.int("transA", 0) != 0 {
            return Ok(());
        }
        if item.int("transB", 0) != 0 {
            (depth, width, transposed) = (columns, rows, true);
        }
        let alpha = item.float("alpha").unwrap_or(1.0);
        if alpha != 1.0 {
            weight.to_mut().iter_mut().for_each(|v| *v *= alpha);
        }
        if let Some(slot) = item.input(2) {
            let Some((mut values, shape)) = draft.floats(Some(slot)) else { return Ok(()) };
            if values.len() == 1 {
                values = vec![values[0]; width];
            } else if !(shape == [width] || shape == [1, width]) {
                return Ok(());
            }
            let beta = item.float("beta").unwrap_or(1.0);
            values.iter_mut().for_each(|v| *v *= beta);
            bias = Some(values);
        }
    }
    let Some(found) = epilogue(draft, place, width, None, bias.is_some()) else { return Ok(()) };
    let bias = bias.or(found.bias);
    let inputs = [vec![item.input(0)], found.residual.map(Some).into_iter().collect()].concat();
    let op = MatMul::new(&weight, [depth, width], transposed, bias, found.activation, is_gemm);
    drop(weight);
    drop(tensor);
    draft.replace(&found.places, "FusedMatMul", Box::new(op), inputs)
}

/// Weights of 4 bits stay so; those of 2 and 8 bits, and blocks in another order, are left to the operator.
fn pack_nibbles(draft: &mut Draft, place: usize) -> Result<()> {
    let found = || {
        let item = draft.item(place)?;
        let size = |name: &str, default: i64| usize::try_from(item.int(name, default)).ok();
        let (depth, columns, block) = (size("K", 0)?, size("N", 0)?, size("block_size", 0)?);
        let plain = size("bits", 4)? == 4 && item.input(4).is_none();
        if !plain || depth == 0 || columns == 0 || block < 16 || !block.is_power_of_two() {
            return None;
        }
        let blocks = depth.div_ceil(block);
        let weight = draft.constant(item.input(1))?;
        let (scales, _) = draft.floats(item.input(2))?;
        let zeros = match item.input(3) {
            None => None,
            Some(slot) => {
                let zeros = draft.constant(Some(slot)).filter(|zeros| zeros.dtype() == DataType::Uint8)?;
                let rows = zeros
                    .bytes()?
                    .chunks_exact(blocks.div_ceil(2))
                    .map(|row| row.iter().flat_map(|byte| [byte & 15, byte >> 4]).take(blocks));
                Some(rows.flatten().collect::<Vec<u8>>())
            }
        };
        let expected = columns.checked_mul(blocks)?;
        let fits = weight.len() == expected.checked_mul(block / 2)?
            && scales.len() == expected
            && zeros.as_ref().is_none_or(|zeros| zeros.len() == expected);
        let mut bias = None;
        if let Some(slot) = item.input(5) {
            bias = Some(draft.floats(Some(slot)).filter(|(_, shape)| shape == &[columns])?.0);
        }
        let after = epilogue(draft, place, columns, None, bias.is_some()).filter(|_| fits)?;
        let weight =
            Blocks { codes: weight.bytes()?, scales: &scales, zeros: zeros.as_deref(), size: block, depth, columns };
        let op = MatMul::of_nibbles(&weight, bias.or(after.bias), after.activation);
        let inputs = [vec![item.input(0)], after.residual.map(Some).into_iter().collect()].concat();
        Some((after.places, op, inputs))
    };
    let Some((places, op, inputs)) = found() else { return Ok(()) };
    draft.replace(&places, "FusedMatMulNBits", Box::new(op), inputs)
}
