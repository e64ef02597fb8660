//! Quantised regions: nodes between DequantizeLinear and QuantizeLinear that compute on 8-bit codes.
//!
//! Inside, codes are uint8 whatever the model's type: int8 codes and zero points are moved by 128.
//! A node becomes quantised where all that it reads was dequantised with one scale for the tensor,
//! and weights are constants. What it gives is quantised in the same pass where a QuantizeLinear
//! follows, and float32 where none does. Where a node beside a DequantizeLinear or QuantizeLinear stays
//! float32, what decided so gives the [`Reason`], which becomes the note of the node's fate.

use std::collections::HashMap;

use super::draft::{Draft, Item};
use super::float::{activation_after, bounds};
use super::ops::{AveragePool, Binary, Codes, QuantizedConv, QuantizedMatMul, Reading, Result8, Table, Writing};
use crate::backend::{Cpu, tensor_of};
use crate::error::{Result, bail};
use crate::graph::{Attribute, DataType, Tensor};
use crate::kernels::Activation;
use crate::ops::{Attributes, Context, Inputs, Value};
use crate::runtime::execute;

/// Why a node does not compute on codes.
#[derive(Debug, Clone, Copy)]
enum Reason {
    Text(&'static str),
    /// Activations of this type.
    Activations(DataType),
    /// Weights of this type.
    Weights(DataType),
    /// A kernel of so many dimensions.
    Kernel(usize),
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Activations(dtype) => write!(f, "{dtype} activations"),
            Self::Weights(dtype) => write!(f, "{dtype} weights"),
            Self::Kernel(rank) => write!(f, "a kernel of {rank} dimensions"),
        }
    }
}

/// What a node needs to compute on codes, or why it cannot.
type Found<T> = std::result::Result<T, Reason>;

/// Why an operator stays float32 of which there is nothing else to say.
const NO_FORM: &str = "the operator has no 8-bit form";

/// The scales of a DequantizeLinear or QuantizeLinear.
fn scales(draft: &Draft, item: &Item) -> Found<Vec<f32>> {
    if item.int("block_size", 0) != 0 {
        return Err("scale per block".into());
    }
    let known = item.input(1).is_some_and(|slot| draft.constants.contains_key(&slot));
    let why = if known { "the scale is not float32" } else { "the scale is not constant" };
    let (scales, _) = draft.floats(item.input(1)).ok_or(why)?;
    match scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
        true => Ok(scales),
        false => Err("the scale is not above 0".into()),
    }
}

/// Scale and zero point of a DequantizeLinear or QuantizeLinear of a whole tensor by constants, in the
/// codes' own type.
fn parameters(draft: &Draft, item: &Item) -> Found<(f32, i32)> {
    let [scale] = scales(draft, item)?[..] else { return Err("activations with a scale per channel".into()) };
    let Some(slot) = item.input(2) else { return Ok((scale, 0)) };
    let zeros = draft.constant(Some(slot)).ok_or("the zero point is not constant")?;
    match codes(&zeros).as_deref() {
        Some(&[zero]) => Ok((scale, zero)),
        Some(_) => Err("activations with a zero point per channel".into()),
        None => Err(Reason::Activations(zeros.dtype())),
    }
}

/// Whether the tensor in `slot` is of uint8, or why it is of no use.
fn check_activations(draft: &Draft, slot: usize) -> Found<()> {
    match draft.dtype(slot) {
        Some(DataType::Uint8) => Ok(()),
        Some(dtype) => Err(Reason::Activations(dtype)),
        None => Err("its input is no tensor".into()),
    }
}

/// The integers of a tensor of 8 or 32 bits.
fn codes(tensor: &Tensor) -> Option<Vec<i32>> {
    match tensor.dtype() {
        DataType::Int8 | DataType::Uint8 | DataType::Int32 => crate::ops::codes(tensor).ok(),
        _ => None,
    }
}

fn is_quantize(item: &Item) -> bool {
    item.node.op_type == "QuantizeLinear" && matches!(item.node.domain.as_str(), "" | "com.microsoft")
}

fn is_dequantize(item: &Item) -> bool {
    item.node.op_type == "DequantizeLinear" && matches!(item.node.domain.as_str(), "" | "com.microsoft")
}

/// Writes the QLinear operators as what they mean: dequantise, compute, quantise.
pub fn expand(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        // Places of (codes, scale, zero point) to read, the operator, where the written scale stands.
        let name = item.node.op_type.clone();
        let (reads, op_type, write, bias): (&[usize], &str, usize, Option<usize>) =
            match (item.node.domain.as_str(), name.as_str()) {
                ("", "QLinearConv") => (&[0, 3], "Conv", 6, Some(8)),
                ("", "QLinearMatMul") => (&[0, 3], "MatMul", 6, None),
                ("com.microsoft", "QLinearAdd") => (&[0, 3], "Add", 6, None),
                ("com.microsoft", "QLinearMul") => (&[0, 3], "Mul", 6, None),
                ("com.microsoft", "QLinearSigmoid") => (&[0], "Sigmoid", 3, None),
                ("com.microsoft", "QLinearLeakyRelu") => (&[0], "LeakyRelu", 3, None),
                ("com.microsoft", "QLinearGlobalAveragePool") if item.int("channels_last", 0) == 0 => {
                    (&[0], "GlobalAveragePool", 3, None)
                }
                (_, name) if name.starts_with("QLinear") || name == "QGemm" => {
                    draft.note(place, NO_FORM);
                    continue;
                }
                _ => continue,
            };
        let known = |at: usize| item.input(at).is_none_or(|slot| draft.constants.contains_key(&slot));
        let fits = reads.iter().all(|&at| known(at + 1) && known(at + 2)) && known(write) && known(write + 1);
        let scalar = |at: usize| draft.scalar(item.input(at)).is_some();
        let weighs = matches!(op_type, "Conv" | "MatMul");
        let why = if !fits {
            "a scale or zero point is not constant"
        } else if !scalar(1) || !scalar(write) {
            "activations with a scale per channel"
        } else if weighs && !known(3) {
            "the weights are not constant"
        } else if bias.is_some_and(|at| !known(at)) {
            "the bias is not constant, or does not fit"
        } else {
            ""
        };
        if !why.is_empty() {
            draft.note(place, why);
            continue;
        }
        let mut reals = None;
        if let Some(slot) = bias.and_then(|at| item.input(at)) {
            // One that does not fit is left to the operator, which says so in a run.
            let Some(values) = expanded_bias(draft, item, slot) else { continue };
            reals = Some(values);
        }
        let item = draft.take(place)?;
        let mut inputs = Vec::new();
        for (n, &at) in reads.iter().enumerate() {
            let real = draft.slot(DataType::Float32);
            // Channels of a convolution's weight are its first dimension, of a matrix's its last.
            let axis = if n == 1 && op_type == "Conv" { 0 } else { 1 };
            let read = vec![item.input(at), item.input(at + 1), item.input(at + 2)];
            draft.put_node(
                &item.step.name,
                "DequantizeLinear",
                13,
                &[("axis", Attribute::Int(axis))],
                read,
                real,
                vec![],
            )?;
            inputs.push(Some(real));
        }
        if let Some(values) = reals {
            inputs.push(Some(draft.add_floats(&[values.len()], values)));
        }
        let attributes: Vec<(&str, Attribute)> = item
            .node
            .attributes
            .iter()
            .filter(|(k, _)| *k != "channels_last")
            .map(|(k, v)| (k.as_str(), v.clone()))
            .collect();
        let real = draft.slot(DataType::Float32);
        draft.put_node(&item.step.name, op_type, 13, &attributes, inputs, real, item.covers.clone())?;
        let Some(output) = item.output() else { continue };
        let zero = match item.input(write + 1) {
            // Without one QuantizeLinear gives uint8, and these operators what they are given.
            None if draft.dtype(output) == Some(DataType::Int8) => {
                Some(draft.add_constant(DataType::Int8, Value::from(tensor_of(DataType::Int8, &[], vec![0]))))
            }
            given => given,
        };
        let write = vec![Some(real), item.input(write), zero];
        draft.put_node(&item.step.name, "QuantizeLinear", 13, &[], write, output, vec![])?;
    }
    Ok(())
}

/// The numbers that the int32 bias of a QLinearConv stands for; None where scales are not as many.
fn expanded_bias(draft: &Draft, item: &Item, slot: usize) -> Option<Vec<f32>> {
    let sums = codes(&draft.constant(Some(slot))?)?;
    let (x, (scales, _)) = (draft.scalar(item.input(1))?, draft.floats(item.input(4))?);
    let scale = |c: usize| scales[if scales.len() == 1 { 0 } else { c }];
    let fits = scales.len() == 1 || scales.len() == sums.len();
    fits.then(|| sums.iter().enumerate().map(|(c, &sum)| sum as f32 * (x * scale(c))).collect())
}

/// Moves int8 codes of activations to uint8, with their zero points.
pub fn to_unsigned(draft: &mut Draft) -> Result<()> {
    for place in draft.places() {
        let Some(item) = draft.item(place).filter(|item| is_dequantize(item) || is_quantize(item)) else { continue };
        let Ok((_, zero)) = parameters(draft, item) else { continue };
        let reads = is_dequantize(item);
        let Some(slot) = (if reads { item.input(0) } else { item.output() }) else { continue };
        if draft.dtype(slot) != Some(DataType::Int8) || draft.constants.contains_key(&slot) {
            continue;
        }
        let unsigned = draft.slot(DataType::Uint8);
        let zeros = tensor_of(DataType::Uint8, &[], vec![(zero + 128) as u8]);
        let zeros = draft.add_constant(DataType::Uint8, Value::from(zeros));
        let mut item = draft.take(place)?;
        item.step.inputs.resize(3, None);
        item.step.inputs[2] = Some(zeros);
        let name = item.step.name.clone();
        // Pairs of these that meet cancel: see `cancel_flips`.
        let (from, to, dtype) = if reads {
            item.step.inputs[0] = Some(unsigned);
            (slot, unsigned, DataType::Uint8)
        } else {
            item.step.outputs[0] = Some(unsigned);
            (unsigned, slot, DataType::Int8)
        };
        draft.put(item);
        draft.put(Draft::made(name, "Flip", Box::new(Table::flip(dtype)), vec![Some(from)], vec![Some(to)], vec![]));
    }
    // One flip after another gives what was there.
    for place in draft.places() {
        let Some(second) = draft.item(place).filter(|item| item.node.op_type == "Flip") else { continue };
        let Some((_, first)) = draft.maker_of(second, 0).filter(|(_, item)| item.node.op_type == "Flip") else {
            continue;
        };
        let (Some(before), Some(after)) = (first.input(0), second.output()) else { continue };
        if draft.redirect(after, before) {
            draft.remove(place)?;
        }
    }
    draft.drop_unused();
    Ok(())
}

/// What a DequantizeLinear of uint8 codes reads, given the slot of its result.
fn reading(draft: &Draft, slot: Option<usize>) -> Found<(usize, Reading)> {
    let dequantize = slot.and_then(|slot| draft.maker(slot)).filter(|(_, item)| is_dequantize(item));
    let (_, item) = dequantize.ok_or("an input is float32")?;
    let codes = item.input(0).ok_or("an input is missing")?;
    if draft.constants.contains_key(&codes) {
        return Err("an input is constant".into());
    }
    check_activations(draft, codes)?;
    let (scale, zero) = parameters(draft, item)?;
    Ok((codes, Reading { scale, zero: zero as u8 }))
}

/// The QuantizeLinear to uint8 that is all that `slot` is used for.
fn writing(draft: &Draft, slot: usize) -> Found<(usize, Writing)> {
    let quantises = |place: &usize| draft.item(*place).is_some_and(is_quantize);
    if !draft.users(slot).iter().any(quantises) {
        return Err("nothing quantises the output".into());
    }
    if draft.is_wanted(slot) {
        return Err("the caller may ask for the output in float32".into());
    }
    let (place, item) = draft.only_user(slot).ok_or("the output has another consumer")?;
    let output = item.output().filter(|_| item.input(0) == Some(slot)).ok_or("the output is a scale")?;
    check_activations(draft, output)?;
    let (scale, zero) = parameters(draft, item)?;
    Ok((place, Writing { scale, zero: zero as u8, min: 0, max: 255 }))
}

/// As [`writing`], with the bounds of a Relu or Clip before it; the items passed, in order.
fn bounded_writing(draft: &Draft, slot: usize) -> Found<(Vec<usize>, Writing)> {
    let why = match writing(draft, slot) {
        Ok((place, writing)) => return Ok((vec![place], writing)),
        Err(why) => why,
    };
    let Some((clip, item)) = draft.only_user(slot) else { return Err(why) };
    let (Some((low, high)), Some(output)) = (bounds(draft, item), item.output()) else { return Err(why) };
    let (place, mut writing) = writing(draft, output)?;
    // Quantising keeps the order, so the bounds are quantised instead of the values.
    (writing.min, writing.max) = (writing.code(low), writing.code(high));
    Ok((vec![clip, place], writing))
}

/// Quantised weights, with a scale for each output.
struct Weight {
    tensor: Tensor,
    /// One, or one for each output.
    zeros: Vec<i32>,
    axis: usize,
    scales: Vec<f32>,
}

impl Weight {
    fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    fn codes(&self) -> Result<Codes<'_>> {
        let inner = self.shape()[self.axis + 1..].iter().product();
        match Codes::less(&self.tensor, &self.zeros, inner) {
            Some(codes) => Ok(codes),
            None => bail!(Internal, "weights of {}", self.tensor.dtype()),
        }
    }
}

/// The weight that a DequantizeLinear of constants makes; `axis` is that of the outputs.
fn weight(draft: &Draft, slot: Option<usize>, axis: usize) -> Found<Weight> {
    let slot = slot.ok_or("an input is missing")?;
    if draft.constants.contains_key(&slot) {
        return Err("the weights are float32".into());
    }
    let (_, item) = draft.maker(slot).filter(|(_, item)| is_dequantize(item)).ok_or("the weights are not constant")?;
    let tensor = draft.constant(item.input(0)).ok_or("the weights are not constant")?;
    if !matches!(tensor.dtype(), DataType::Int8 | DataType::Uint8) {
        return Err(Reason::Weights(tensor.dtype()));
    }
    let outputs = *tensor.shape().get(axis).filter(|_| !tensor.is_empty()).ok_or("the weights are empty")?;
    let scales = scales(draft, item)?;
    let zeros = match item.input(2) {
        Some(slot) => draft.constant(Some(slot)).and_then(|zeros| self::codes(&zeros)),
        None => Some(vec![0]),
    };
    let zeros = zeros.ok_or("the zero point is not constant")?;
    let along = item.int("axis", 1).rem_euclid(tensor.shape().len().max(1) as i64) as usize;
    let each = |count: usize| count == 1 || count == outputs && along == axis;
    if !each(scales.len()) || !each(zeros.len()) {
        return Err("the scales of the weights are not one for each output".into());
    }
    let scales = if scales.len() == 1 { vec![scales[0]; outputs] } else { scales };
    Ok(Weight { tensor, zeros, axis, scales })
}

/// A float32 bias, of constants or of a DequantizeLinear of them: `[outputs]`.
fn bias(draft: &Draft, slot: Option<usize>, outputs: usize) -> Option<Vec<f32>> {
    let Some(slot) = slot else { return Some(vec![0.0; outputs]) };
    let values = match draft.floats(Some(slot)) {
        Some((values, _)) => values,
        None => {
            let (_, item) = draft.maker(slot).filter(|(_, item)| is_dequantize(item))?;
            let codes = codes(&draft.constant(item.input(0))?)?;
            let (scales, _) = draft.floats(item.input(1))?;
            if item.input(2).is_some_and(|z| {
                draft.constant(Some(z)).and_then(|t| self::codes(&t)).is_none_or(|z| z.iter().any(|&z| z != 0))
            }) {
                return None;
            }
            if scales.len() != 1 && scales.len() != codes.len() {
                return None;
            }
            codes.iter().enumerate().map(|(i, &c)| c as f32 * scales[if scales.len() == 1 { 0 } else { i }]).collect()
        }
    };
    (values.len() == outputs).then_some(values)
}

/// Lets nodes compute on codes, and notes why others do not.
pub fn fuse(draft: &mut Draft) -> Result<()> {
    let mut reasons: HashMap<usize, Reason> = HashMap::new();
    // A pass lets the next see further; regions are seldom deep.
    for place in draft.places() {
        reasons.extend(sink(draft, place)?.err().map(|why| (place, why)));
    }
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        let fused = match item.node.op_type.as_str() {
            _ if !item.node.domain.is_empty() => continue,
            "Conv" => fuse_conv(draft, place)?,
            "MatMul" | "Gemm" => fuse_matmul(draft, place)?,
            "Add" | "Mul" | "Sub" => fuse_binary(draft, place)?,
            "GlobalAveragePool" | "AveragePool" | "ReduceMean" => fuse_average(draft, place)?,
            _ => continue,
        };
        reasons.extend(fused.err().map(|why| (place, why)));
    }
    for place in draft.places() {
        if let Err((places, why)) = tabulate(draft, place)? {
            // Of those that could be codes by themselves, the reason is their own.
            places.into_iter().for_each(|at| {
                reasons.entry(at).or_insert(why);
            });
        }
    }
    explain(draft, reasons);
    draft.drop_unused();
    Ok(())
}

/// Notes why items beside a DequantizeLinear or QuantizeLinear are still float32.
fn explain(draft: &mut Draft, mut reasons: HashMap<usize, Reason>) {
    for place in draft.places() {
        let Some(item) = draft.item(place) else { continue };
        let reads = |index| draft.maker_of(item, index).is_some_and(|(_, maker)| is_dequantize(maker));
        let quantises = |place: &usize| draft.item(*place).is_some_and(is_quantize);
        let written = item.step.outputs.iter().flatten().any(|slot| draft.users(*slot).iter().any(quantises));
        let why = if is_quantize(item) || is_dequantize(item) {
            let codes = if is_quantize(item) { item.output() } else { item.input(0) };
            let of_weights = codes.is_some_and(|slot| draft.constants.contains_key(&slot));
            let Some(codes) = codes.filter(|_| !of_weights) else { continue };
            check_activations(draft, codes).and_then(|()| parameters(draft, item)).err()
        } else if (0..item.step.inputs.len()).any(reads) || written {
            let nothing = || match item.output() {
                Some(slot) if is_pointwise(item) => writing(draft, slot).err(),
                _ => None,
            };
            reasons.remove(&place).or_else(nothing).or(Some(NO_FORM.into()))
        } else {
            None
        };
        if let Some(why) = why.filter(|_| item.node.domain != Draft::DOMAIN) {
            draft.note(place, &why.to_string());
        }
    }
}

fn result(draft: &Draft, slot: usize) -> (Vec<usize>, Result8) {
    if let Ok((places, writing)) = bounded_writing(draft, slot) {
        return (places, Result8::Codes(writing));
    }
    match activation_after(draft, slot) {
        Some((activation, places)) => (places, Result8::Float(activation)),
        None => (vec![], Result8::Float(Activation::None)),
    }
}

/// The slot of the first output of `item`.
fn output_of(item: &Item) -> Found<usize> {
    item.output().ok_or("the output is left out".into())
}

fn fuse_conv(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let found = |item: &Item| {
        let (x, reading) = reading(draft, item.input(0))?;
        let weight = weight(draft, item.input(1), 0)?;
        let rank = weight.shape().len();
        if !(3..=4).contains(&rank) {
            return Err(Reason::Kernel(rank.saturating_sub(2)));
        }
        let bias = bias(draft, item.input(2), weight.shape()[0]).ok_or("the bias is not constant, or does not fit")?;
        let (after, result) = result(draft, output_of(item)?);
        Ok((x, reading, weight, bias, after, result))
    };
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    let (x, reading, weight, bias, after, result) = match found(item) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let attributes = Attributes::new(&item.node);
    let scales = weight.scales.clone();
    let op = QuantizedConv::new(&attributes, &weight.codes()?, weight.shape(), scales, bias, reading, result)?;
    drop(weight);
    let Some(op) = op else { return Ok(Err("the weights do not fit the attributes".into())) };
    let places = [&[place], &after[..]].concat();
    draft.replace(&places, "QuantizedConv", Box::new(op), vec![Some(x)]).map(Ok)
}

fn fuse_matmul(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let found = |item: &Item| {
        let is_gemm = item.is("Gemm");
        let plain = !is_gemm
            || item.int("transA", 0) == 0
                && item.float("alpha").unwrap_or(1.0) == 1.0
                && (item.float("beta").unwrap_or(1.0) == 1.0 || item.input(2).is_none());
        let transposed = is_gemm && item.int("transB", 0) != 0;
        let (x, reading) = reading(draft, item.input(0))?;
        if !plain {
            return Err("transA, alpha or beta".into());
        }
        let weight = weight(draft, item.input(1), if transposed { 0 } else { 1 })?;
        if weight.shape().len() != 2 {
            return Err("the weights are more than one matrix".into());
        }
        let columns = weight.scales.len();
        let bias_slot = if is_gemm { item.input(2) } else { None };
        let mut bias = bias(draft, bias_slot, columns).ok_or("the bias is not constant, or does not fit")?;
        let mut places = vec![place];
        let mut slot = output_of(item)?;
        // MatMul and the bias that follows.
        if let Some((at, add)) = draft.only_user(slot).filter(|(_, user)| !is_gemm && user.is("Add")) {
            let other = if add.input(0) == Some(slot) { add.input(1) } else { add.input(0) };
            if let Some(values) = self::bias(draft, other, columns).filter(|_| other.is_some()) {
                bias = values;
                places.push(at);
                slot = output_of(add)?;
            }
        }
        let (after, result) = result(draft, slot);
        places.extend(after);
        Ok((x, reading, weight, transposed, bias, places, result, is_gemm))
    };
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    let (x, reading, weight, transposed, bias, places, result, is_gemm) = match found(item) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let (codes, scales) = (weight.codes()?, weight.scales.clone());
    let op = QuantizedMatMul::new(&codes, weight.shape(), transposed, scales, bias, reading, result, is_gemm);
    drop(codes);
    drop(weight);
    draft.replace(&places, "QuantizedMatMul", Box::new(op), vec![Some(x)]).map(Ok)
}

fn fuse_binary(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let found = |item: &Item| {
        let (a, read_a) = reading(draft, item.input(0))?;
        let (b, read_b) = reading(draft, item.input(1))?;
        let (after, writing) = bounded_writing(draft, output_of(item)?)?;
        let op = Binary::new(&item.node.op_type, [read_a, read_b], writing).ok_or(NO_FORM)?;
        Ok((op, [a, b], after))
    };
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    let (op, inputs, after) = match found(item) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let places = [&[place], &after[..]].concat();
    draft.replace(&places, "QuantizedBinary", Box::new(op), inputs.map(Some).to_vec()).map(Ok)
}

fn fuse_average(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let found = |item: &Item| {
        let (x, reading) = reading(draft, item.input(0))?;
        let (after, writing) = bounded_writing(draft, output_of(item)?)?;
        let axes = match item.node.op_type.as_str() {
            "ReduceMean" => Some(match item.node.attributes.get("axes") {
                Some(Attribute::Ints(axes)) => axes.clone(),
                _ => {
                    let axes = draft.constant(item.input(1)).and_then(|axes| axes.to_i64s().ok());
                    axes.ok_or("the axes are not constant")?
                }
            }),
            _ => None,
        };
        Ok((x, reading, after, writing, axes))
    };
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    let (x, reading, after, writing, axes) = match found(item) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let Some(op) = AveragePool::new(&item.node, axes, reading, writing)? else { return Ok(Err(NO_FORM.into())) };
    let places = [&[place], &after[..]].concat();
    draft.replace(&places, "QuantizedAveragePool", Box::new(op), vec![Some(x)]).map(Ok)
}

/// Whether the operator gives elements of its first input at other places, or keeps their order; why it does not
/// where others of its name do.
fn moves_codes(draft: &Draft, item: &Item) -> Found<bool> {
    if !item.node.domain.is_empty() || item.step.outputs.len() != 1 && item.node.op_type != "Split" {
        return Ok(false);
    }
    match item.node.op_type.as_str() {
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Gather" | "Split" | "Expand"
        | "Tile" | "DepthToSpace" | "SpaceToDepth" => Ok(true),
        "MaxPool" | "GlobalMaxPool" => Ok(true),
        "Resize" => {
            let is = |name: &str, value: &[u8], default: bool| match item.node.attributes.get(name) {
                Some(Attribute::String(text)) => text == value,
                _ => default,
            };
            // Outside of the image, cropping writes a number, which is no code.
            let crops = is("coordinate_transformation_mode", b"tf_crop_and_resize", false);
            match is("mode", b"nearest", true) && !crops {
                true => Ok(true),
                false => Err("it computes elements, as \"nearest\" without cropping would not".into()),
            }
        }
        "Pad" => {
            let constant = !matches!(item.node.attributes.get("mode"), Some(Attribute::String(m)) if m != b"constant");
            let zero = item.node.opset >= 11 && item.input(2).is_none_or(|slot| draft.scalar(Some(slot)) == Some(0.0));
            match constant && zero {
                true => Ok(true),
                false => Err("it pads with something else than a constant 0".into()),
            }
        }
        _ => Ok(false),
    }
}

/// Moves a DequantizeLinear behind an operator that only moves its elements.
fn sink(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    if item.is("Concat") {
        return sink_concat(draft, place);
    }
    let (codes, reading) = match moves_codes(draft, item) {
        Ok(true) => match reading(draft, item.input(0)) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        },
        Ok(false) => return Ok(Ok(())),
        Err(why) => return Ok(Err(why)),
    };
    let Some((dequantize, before)) = draft.maker_of(item, 0) else { return Ok(Ok(())) };
    let (scale, zero) = (before.input(1), before.input(2));
    let alone = before.output().is_some_and(|slot| draft.only_user(slot).is_some());
    let mut covers = if alone { draft.take(dequantize)?.covers } else { Vec::new() };
    let mut item = draft.take(place)?;
    item.step.inputs[0] = Some(codes);
    if item.is("Pad") {
        let fill = tensor_of(DataType::Uint8, &[], vec![reading.zero]);
        let fill = draft.add_constant(DataType::Uint8, Value::from(fill));
        item.step.inputs.resize(item.step.inputs.len().max(3), None);
        item.step.inputs[2] = Some(fill);
    }
    let name = item.step.name.clone();
    let outputs: Vec<usize> = item.step.outputs.iter().flatten().copied().collect();
    for output in outputs {
        let moved = draft.slot(DataType::Uint8);
        for slot in item.step.outputs.iter_mut().filter(|slot| **slot == Some(output)) {
            *slot = Some(moved);
        }
        let covers = std::mem::take(&mut covers);
        draft.put_node(&name, "DequantizeLinear", 13, &[], vec![Some(moved), scale, zero], output, covers)?;
    }
    draft.put(item);
    Ok(Ok(()))
}

/// Joins codes instead of reals, each part brought to the scale in which the whole is written.
fn sink_concat(draft: &mut Draft, place: usize) -> Result<Found<()>> {
    let found = |item: &Item| {
        let parts = item.step.inputs.iter().map(|slot| reading(draft, *slot)).collect::<Found<Vec<_>>>()?;
        let first = parts.first().ok_or("an input is missing")?.1;
        let (quantize, scale, zero, to) = match writing(draft, output_of(item)?) {
            Ok((at, writing)) => {
                let (scale, zero) = draft.item(at).map_or((None, None), |item| (item.input(1), item.input(2)));
                (Some(at), scale, zero, Reading { scale: writing.scale, zero: writing.zero })
            }
            Err(_) if parts.iter().all(|(_, reading)| *reading == first) => {
                let before = draft.maker_of(item, 0);
                let (scale, zero) = before.map_or((None, None), |(_, item)| (item.input(1), item.input(2)));
                (None, scale, zero, first)
            }
            Err(_) => return Err("parts of several scales, and nothing quantises the output to one".into()),
        };
        Ok((parts, quantize, scale, zero, to))
    };
    let Some(item) = draft.item(place) else { return Ok(Ok(())) };
    let (parts, quantize, scale, zero, to) = match found(item) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let mut item = draft.take(place)?;
    let name = item.step.name.clone();
    for (input, (codes, reading)) in item.step.inputs.iter_mut().zip(parts) {
        *input = Some(codes);
        if reading != to {
            let moved = draft.slot(DataType::Uint8);
            let table = Box::new(Table::requantize(reading, to));
            draft.put(Draft::made(name.clone(), "Table", table, vec![Some(codes)], vec![Some(moved)], vec![]));
            *input = Some(moved);
        }
    }
    match quantize {
        Some(at) => {
            let quantize = draft.take(at)?;
            item.step.outputs = quantize.step.outputs;
            item.covers.extend(quantize.covers);
        }
        None => {
            let moved = draft.slot(DataType::Uint8);
            let output = item.output();
            item.step.outputs = vec![Some(moved)];
            if let Some(output) = output {
                draft.put_node(&name, "DequantizeLinear", 13, &[], vec![Some(moved), scale, zero], output, vec![])?;
            }
        }
    }
    draft.put(item);
    Ok(Ok(()))
}

/// Operators that give for each element what depends on it alone, other inputs being one number.
const POINTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Mish",
    "Mul",
    "Neg",
    "Pow",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Tanh",
];

/// Most items that a table may stand for.
const LONGEST_REGION: usize = 16;

/// Whether the item is of a [`POINTWISE`] operator.
fn is_pointwise(item: &Item) -> bool {
    item.node.domain.is_empty() && POINTWISE.contains(&item.node.op_type.as_str())
}

/// Items that depend on one code alone, element by element.
struct Region {
    /// The slot of the codes.
    source: usize,
    /// The items in order.
    places: Vec<usize>,
    /// Dimensions that constants among their inputs have at most.
    rank: usize,
}

/// Items that are no [`Region`], and why.
type NoRegion = (Vec<usize>, Reason);

/// The region up to the item at `place`.
fn region(draft: &Draft, place: usize) -> std::result::Result<Region, NoRegion> {
    let (mut places, mut open, mut source, mut rank) = (Vec::new(), vec![place], None, 0);
    while let Some(at) = open.pop() {
        if places.contains(&at) {
            continue;
        }
        places.push(at);
        if let Err(why) = look(draft, at, &mut open, &mut source, &mut rank) {
            return Err((places, why));
        }
        if places.len() > LONGEST_REGION {
            return Err((places, "too many nodes depend on one another".into()));
        }
    }
    // Makers before users: the draft keeps no order, so by rounds.
    let mut ordered: Vec<usize> = Vec::new();
    while ordered.len() < places.len() {
        let ready = |p: &usize| {
            draft.item(*p).is_some_and(|item| {
                item.step.inputs.iter().flatten().all(|slot| {
                    draft.maker(*slot).is_none_or(|(maker, _)| !places.contains(&maker) || ordered.contains(&maker))
                })
            })
        };
        match places.iter().copied().find(|p| !ordered.contains(p) && ready(p)) {
            Some(next) => ordered.push(next),
            None => return Err((places, "it waits for itself".into())),
        }
    }
    match source {
        Some(source) => Ok(Region { source, places: ordered, rank }),
        None => Err((places, "it depends on no codes".into())),
    }
}

/// Looks at the item at `at` for [`region`]: opens what its inputs come from, or finds the source of codes.
fn look(draft: &Draft, at: usize, open: &mut Vec<usize>, source: &mut Option<usize>, rank: &mut usize) -> Found<()> {
    let item = draft.item(at).ok_or("an input is missing")?;
    let quantises = is_quantize(item) || is_dequantize(item);
    if quantises {
        parameters(draft, item)?;
    } else if !is_pointwise(item) {
        return Err(NO_FORM.into());
    }
    for slot in item.step.inputs.iter().flatten() {
        if let Some(constant) = draft.constants.get(slot) {
            let shape = constant.info().map(|info| info.shape).ok_or("an input is no tensor")?;
            if shape.iter().product::<usize>() != 1 {
                return Err("a constant of several elements is an input".into());
            }
            if !quantises {
                *rank = (*rank).max(shape.len());
            }
            continue;
        }
        let continues = |item: &Item| is_quantize(item) || is_dequantize(item) || is_pointwise(item);
        match draft.maker(*slot) {
            Some((maker, item)) if continues(item) => open.push(maker),
            _ if is_dequantize(item) => {
                check_activations(draft, *slot)?;
                if *source.get_or_insert(*slot) != *slot {
                    return Err("it depends on more than one tensor of codes".into());
                }
            }
            _ => return Err("an input is float32".into()),
        }
    }
    Ok(())
}

/// Puts a table of all 256 codes in the place of a QuantizeLinear whose value depends on one code.
fn tabulate(draft: &mut Draft, place: usize) -> Result<std::result::Result<(), NoRegion>> {
    let Some(item) = draft.item(place).filter(|item| is_quantize(item)) else { return Ok(Ok(())) };
    let Some(output) = item.output().filter(|slot| draft.dtype(*slot) == Some(DataType::Uint8)) else {
        return Ok(Ok(()));
    };
    let Region { source, places, rank } = match region(draft, place) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    // The region itself computes the table, so it has the very results that it would have had.
    let mut values: HashMap<usize, Value> = Default::default();
    values.insert(source, Value::from(tensor_of(DataType::Uint8, &[256], (0..=255u8).collect())));
    for &at in &places {
        let Some(item) = draft.item(at) else { return Ok(Ok(())) };
        let value = |slot: &usize| values.get(slot).or_else(|| draft.constants.get(slot)).cloned();
        let inputs = item.step.inputs.iter().map(|slot| slot.as_ref().and_then(value)).collect();
        let Ok(outputs) = execute(&item.step, &Cpu, Inputs::new(inputs, Context::default()), None) else {
            return Ok(Err((places, "it cannot be run for every code".into())));
        };
        let slots: Vec<Option<usize>> = item.step.outputs.clone();
        values.extend(slots.into_iter().zip(outputs).filter_map(|(slot, value)| Some((slot?, value))));
    }
    let Some(table) = values.remove(&output).and_then(|value| value.into_host().ok()) else { return Ok(Ok(())) };
    let Some(table) = table.bytes().and_then(|bytes| <[u8; 256]>::try_from(bytes).ok()) else { return Ok(Ok(())) };
    if (0..=255u8).eq(table.iter().copied()) && draft.redirect(output, source) {
        return draft.remove(place).map(Ok);
    }
    let own = |at: &usize| {
        let Some(item) = draft.item(*at) else { return false };
        let inside =
            |slot: &usize| draft.users(*slot).iter().all(|user| places.contains(user)) && !draft.is_wanted(*slot);
        *at == place || item.step.outputs.iter().flatten().all(inside)
    };
    let places: Vec<usize> = places.iter().copied().filter(own).collect();
    draft.replace(&places, "Table", Box::new(Table::new(table, DataType::Uint8, rank)), vec![Some(source)]).map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Operator;

    #[test]
    fn pointwise_operators_exist() {
        for name in POINTWISE {
            assert!(Operator::find("", name).is_some(), "{name}");
        }
    }
}
