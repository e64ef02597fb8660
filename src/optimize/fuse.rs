//! Puts what is linear for each channel into the weights before it: BatchNormalization, a product or a sum with
//! constants; and zeros around an image into the pads of the convolution that reads it.

use std::collections::HashSet;

use super::PassReport;
use super::rewrite::{self, Links, Names, constant, float, floats, input, int, ints, is};
use crate::graph::{Attribute, Graph, Node, Tensor};

/// Fuses what it finds, until there is nothing left.
pub fn fuse(graph: &mut Graph) -> PassReport {
    let mut report = PassReport::new("fuse");
    let mut names = Names::of(graph);
    loop {
        let links = Links::of(graph);
        // Nodes that were changed are looked at anew in the next round, when the links are right again.
        let mut touched: HashSet<usize> = HashSet::new();
        for index in 0..graph.nodes.len() {
            let fused = match affine(graph, index) {
                Some(map) => into_weights(graph, &links, &touched, index, &map, &mut names),
                None => into_pads(graph, &links, &touched, index),
            };
            if let Some((into, what)) = fused {
                touched.extend([index, into]);
                report.count(what);
            }
        }
        rewrite::sweep(graph);
        if touched.is_empty() {
            return report;
        }
    }
}

/// What a node does to each channel of its first data input: `y = x * scale + shift`.
struct Affine {
    /// Which input is the data.
    data: usize,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// A value for each channel: one for all, or one each. `rank` is unknown, so only what can be nothing else is taken:
/// a scalar, or `[.., C, 1, 1]` with two ones at its end, which lies on the channels of an image.
fn per_channel(tensor: &Tensor) -> Option<Vec<f64>> {
    let values = tensor.as_slice::<f32>()?;
    let fits = match *tensor.shape() {
        [] => true,
        [.., 1, 1] => {
            tensor.shape().iter().filter(|&&size| size != 1).count() <= 1
                && tensor.shape().len() <= 4
                && tensor.shape()[tensor.shape().len().saturating_sub(3)] == values.len()
        }
        _ => false,
    };
    fits.then(|| values.iter().map(|&v| f64::from(v)).collect())
}

fn affine(graph: &Graph, index: usize) -> Option<Affine> {
    let node = &graph.nodes[index];
    if is(node, "BatchNormalization") && node.outputs.iter().skip(1).all(String::is_empty) {
        if int(node, "training_mode", 0) != 0 || int(node, "spatial", 1) != 1 {
            return None;
        }
        let epsilon = f64::from(float(node, "epsilon", 1e-5));
        let parts = [1, 2, 3, 4].map(|at| floats(graph, node, at));
        let [Some(gamma), Some(beta), Some(mean), Some(variance)] = parts else { return None };
        let same = [beta.len(), mean.len(), variance.len()].iter().all(|&len| len == gamma.len());
        if !same {
            return None;
        }
        let scale: Vec<f64> = std::iter::zip(gamma, variance)
            .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
            .collect();
        let shift = std::iter::zip(std::iter::zip(beta, mean), &scale)
            .map(|((&beta, &mean), scale)| f64::from(beta) - f64::from(mean) * scale)
            .collect();
        return Some(Affine { data: 0, scale, shift });
    }
    let (mul, add) = (is(node, "Mul"), is(node, "Add"));
    if !mul && !add || node.inputs.len() != 2 {
        return None;
    }
    let data = (0..2).find(|&at| constant(graph, node, at).is_none())?;
    let values = per_channel(constant(graph, node, 1 - data)?)?;
    let neutral = |value: f64| vec![value; values.len()];
    Some(match mul {
        true => Affine { data, shift: neutral(0.0), scale: values },
        false => Affine { data, scale: neutral(1.0), shift: values },
    })
}

/// Where the output channels of a weight are.
struct Channels {
    /// How many.
    count: usize,
    /// Elements between one channel's and the next.
    stride: usize,
}

fn channels(node: &Node, shape: &[usize]) -> Option<Channels> {
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    match (node.op_type.as_str(), shape) {
        ("Conv", [count, rest @ ..]) if !rest.is_empty() => Some(Channels { count: *count, stride: product(rest) }),
        ("ConvTranspose", [_, count, rest @ ..]) if int(node, "group", 1) == 1 => {
            Some(Channels { count: *count, stride: product(rest) })
        }
        ("Gemm", [rows, columns]) => Some(match int(node, "transB", 0) != 0 {
            true => Channels { count: *rows, stride: *columns },
            false => Channels { count: *columns, stride: 1 },
        }),
        _ => None,
    }
}

fn into_weights(
    graph: &mut Graph,
    links: &Links,
    touched: &HashSet<usize>,
    index: usize,
    map: &Affine,
    names: &mut Names,
) -> Option<(usize, &'static str)> {
    let node = &graph.nodes[index];
    let value = input(node, map.data)?;
    let into = links.producer(value)?;
    if touched.contains(&index) || touched.contains(&into) || links.only_reader(value) != Some(index) {
        return None;
    }
    let before = &graph.nodes[into];
    if !before.domain.is_empty() || before.outputs.len() != 1 {
        return None;
    }
    let gemm = before.op_type == "Gemm";
    // A matrix has no pixels, and a constant of the shape [C, 1, 1] would make it an image.
    if gemm && node.op_type != "BatchNormalization" {
        return None;
    }
    if gemm && (float(before, "alpha", 1.0) != 1.0 || float(before, "beta", 1.0) != 1.0) {
        return None;
    }
    let weight = constant(graph, before, 1)?;
    let elements = weight.as_slice::<f32>()?;
    let shape = weight.shape().to_vec();
    let channels = channels(before, &shape)?;
    let each = |values: &[f64]| -> Option<Vec<f64>> {
        match values.len() {
            1 => Some(vec![values[0]; channels.count]),
            count if count == channels.count => Some(values.to_vec()),
            _ => None,
        }
    };
    let (scale, shift) = (each(&map.scale)?, each(&map.shift)?);
    let old = match input(before, 2) {
        None => vec![0f32; channels.count],
        Some(_) => {
            let bias = floats(graph, before, 2)?;
            match bias.len() {
                len if len == channels.count => bias.to_vec(),
                1 if gemm => vec![bias[0]; channels.count],
                _ => return None,
            }
        }
    };
    let scaled = elements
        .iter()
        .enumerate()
        .map(|(at, &w)| (f64::from(w) * scale[at / channels.stride % channels.count]) as f32);
    let scaled: Vec<f32> = scaled.collect();
    let bias: Vec<f32> = (0..channels.count).map(|c| (f64::from(old[c]) * scale[c] + shift[c]) as f32).collect();
    if !scaled.iter().chain(&bias).all(|value| value.is_finite()) {
        return None;
    }
    let what = match node.op_type.as_str() {
        "BatchNormalization" => "BatchNormalization put into weights",
        "Mul" => "Mul by constants put into weights",
        _ => "Add of constants put into a bias",
    };
    let output = node.outputs[0].clone();
    let (weight, bias) = (Tensor::from_vec(shape, scaled).ok()?, Tensor::from_vec(vec![channels.count], bias).ok()?);
    let name = |graph: &Graph, wanted: Option<&str>, otherwise: String, names: &mut Names| match wanted {
        // A constant that nobody else has keeps its name.
        Some(name) if links.readers(name).len() == 1 && graph.initializers.contains_key(name) => name.to_string(),
        Some(name) => names.unique(name),
        None => names.unique(&otherwise),
    };
    let before = &graph.nodes[into];
    let weight_name = name(graph, input(before, 1), String::new(), names);
    let bias_name = name(graph, input(before, 2), format!("{}/bias", before.name), names);
    graph.initializers.insert(weight_name.clone(), weight);
    graph.initializers.insert(bias_name.clone(), bias);
    let before = &mut graph.nodes[into];
    before.inputs.truncate(1);
    before.inputs.extend([weight_name, bias_name]);
    before.outputs = vec![output];
    graph.nodes[index].outputs.clear();
    Some((into, what))
}

/// A Pad with zeros before a convolution, which has pads of its own.
fn into_pads(
    graph: &mut Graph,
    links: &Links,
    touched: &HashSet<usize>,
    index: usize,
) -> Option<(usize, &'static str)> {
    let node = &graph.nodes[index];
    if !is(node, "Conv") || touched.contains(&index) {
        return None;
    }
    let explicit = matches!(rewrite::text(node, "auto_pad"), None | Some("NOTSET" | "VALID"));
    let value = input(node, 0)?;
    let pad = links.producer(value)?;
    let before = &graph.nodes[pad];
    if !explicit || !is(before, "Pad") || touched.contains(&pad) || links.only_reader(value) != Some(index) {
        return None;
    }
    let constant_mode = matches!(rewrite::text(before, "mode"), None | Some("constant"));
    let zero = match input(before, 2) {
        None => true,
        Some(_) => floats(graph, before, 2).is_some_and(|value| value == [0.0]),
    };
    if !constant_mode || !zero || input(before, 3).is_some() {
        return None;
    }
    let pads = constant(graph, before, 1)?.as_slice::<i64>()?.to_vec();
    let rank = pads.len() / 2;
    if rank < 3 || pads.iter().any(|&pad| pad < 0) || [0, 1, rank, rank + 1].iter().any(|&at| pads[at] != 0) {
        return None;
    }
    let spatial = rank - 2;
    let own = ints(node, "pads").map_or_else(|| vec![0; 2 * spatial], <[i64]>::to_vec);
    let added: Vec<i64> = pads[2..rank].iter().chain(&pads[rank + 2..]).copied().collect();
    if own.len() != added.len() {
        return None;
    }
    let total = std::iter::zip(own, added).map(|(a, b)| a.checked_add(b)).collect::<Option<Vec<_>>>()?;
    let data = before.inputs[0].clone();
    let node = &mut graph.nodes[index];
    node.inputs[0] = data;
    node.attributes.remove("auto_pad");
    node.attributes.insert("pads".to_string(), Attribute::Ints(total));
    Some((pad, "Pad put into a convolution"))
}
