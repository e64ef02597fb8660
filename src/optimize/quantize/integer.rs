//! Weights and activations of 8 bits, as QuantizeLinear and DequantizeLinear around what is to compute on codes
//! (QDQ): weights int8, symmetric; activations uint8, of ranges that calibration found; biases int32, in steps of
//! the activation's scale times the weight's. The graph, run as it is written, says what is to come out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::calibrate::{Affine, CalibrationMethod, Observation, Watch, affine, scalar};
use super::super::rewrite::{self, Links, Names, constant, float, floats, input, int, is};
use super::{LayerReport, Precision, signal_to_noise};
use crate::error::{Result, bail};
use crate::graph::{Attribute, DataType, Graph, Node, Tensor, ValueType};

/// How to quantise.
#[derive(Debug, Clone)]
pub struct IntegerOptions {
    /// A scale for each output channel of a weight; else one for all of it.
    pub per_channel: bool,
    /// Weights of 7 bits, which any instruction set multiplies without a detour: `[-64, 64]`.
    pub reduce_range: bool,
    /// How ranges are chosen.
    pub method: CalibrationMethod,
    /// Nodes that compute in float32, by name, and why.
    pub excluded: BTreeMap<String, String>,
    /// Those of them whose weights are stored in int8 all the same, which costs no bytes.
    pub weight_only: BTreeSet<String>,
}

impl Default for IntegerOptions {
    fn default() -> Self {
        Self {
            per_channel: true,
            reduce_range: false,
            method: CalibrationMethod::Minmax,
            excluded: BTreeMap::new(),
            weight_only: BTreeSet::new(),
        }
    }
}

/// What an operator is to quantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Multiplies with constant weights.
    Weighted,
    /// Computes on codes of all its inputs.
    Computing,
    /// Gives some of the codes it is given: keeps scale and zero point.
    Keeping,
    /// Gives for each code what depends on it alone.
    Table,
    /// Cuts off what lies beyond bounds.
    Clipping,
    None,
}

fn role(graph: &Graph, node: &Node) -> Role {
    if !node.domain.is_empty()
        || node.outputs.iter().skip(1).any(|output| !output.is_empty()) && node.op_type != "Split"
    {
        return Role::None;
    }
    let others_constant = |first: usize| {
        (first..node.inputs.len()).all(|at| input(node, at).is_none() || constant(graph, node, at).is_some())
    };
    let one_number = |at: usize| constant(graph, node, at).is_some_and(|tensor| tensor.len() == 1);
    match node.op_type.as_str() {
        "Conv" | "Gemm" | "MatMul" if channel_axis(graph, node).is_some() => Role::Weighted,
        "Add" | "Mul" if (0..2).all(|at| constant(graph, node, at).is_none()) => Role::Computing,
        "GlobalAveragePool" => Role::Computing,
        "MaxPool" | "GlobalMaxPool" | "Flatten" | "Concat" => Role::Keeping,
        "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Split" | "DepthToSpace" | "SpaceToDepth"
        | "Expand" | "Tile"
            if others_constant(1) =>
        {
            Role::Keeping
        }
        "Relu" => Role::Clipping,
        "Clip" if others_constant(1) => Role::Clipping,
        "LeakyRelu" | "Sigmoid" | "Tanh" | "HardSwish" | "HardSigmoid" | "Elu" | "Selu" | "Gelu" | "Mish"
        | "Softplus" | "Softsign" | "Erf" | "Exp" | "Abs" | "Neg" | "Sqrt" => Role::Table,
        "Add" | "Mul" | "Sub" | "Div" if one_number(1) || one_number(0) => Role::Table,
        _ => Role::None,
    }
}

/// The axis of a weight's output channels, where the node is one that integers can compute.
fn channel_axis(graph: &Graph, node: &Node) -> Option<usize> {
    let weight = constant(graph, node, 1).filter(|weight| weight.dtype() == DataType::Float32)?;
    let bias_fits =
        |outputs: usize| input(node, 2).is_none() || floats(graph, node, 2).is_some_and(|bias| bias.len() == outputs);
    let axis = match (node.op_type.as_str(), weight.shape().len()) {
        ("Conv", 3 | 4) => 0,
        ("MatMul", 2) => 1,
        ("Gemm", 2) => {
            let plain = float(node, "alpha", 1.0) == 1.0 && float(node, "beta", 1.0) == 1.0;
            if !plain || int(node, "transA", 0) != 0 {
                return None;
            }
            1 - usize::from(int(node, "transB", 0) != 0)
        }
        _ => return None,
    };
    (!weight.is_empty() && bias_fits(weight.shape()[axis])).then_some(axis)
}

/// The values that become codes, in the order of the nodes: those that are read by what computes on codes.
fn coded(graph: &Graph, excluded: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let links = Links::of(graph);
    let mut found: BTreeSet<String> = BTreeSet::new();
    let order = graph.topological_order()?;
    for &index in order.iter().rev() {
        let node = &graph.nodes[index];
        let role = if excluded.contains_key(&node.name) { Role::None } else { role(graph, node) };
        let wanted = node.outputs.iter().any(|output| found.contains(output));
        let reads: Vec<&str> = match role {
            Role::Weighted => input(node, 0).into_iter().collect(),
            Role::Computing => node.inputs.iter().map(String::as_str).collect(),
            Role::Keeping if wanted => match node.op_type.as_str() {
                "Concat" => node.inputs.iter().map(String::as_str).collect(),
                _ => input(node, 0).into_iter().collect(),
            },
            // What is computed in the same step as the bounds is cut off there.
            Role::Clipping if wanted => input(node, 0)
                .filter(|value| may_be_codes(graph, &links, excluded, value))
                .filter(|value| !computed_with(graph, &links, excluded, value, index))
                .into_iter()
                .collect(),
            Role::Table if wanted => (0..2)
                .filter_map(|at| input(node, at).filter(|_| constant(graph, node, at).is_none()))
                .filter(|value| may_be_codes(graph, &links, excluded, value))
                .collect(),
            _ => Vec::new(),
        };
        found.extend(reads.into_iter().filter(|name| !graph.initializers.contains_key(*name)).map(str::to_string));
    }
    let made = order.iter().flat_map(|&index| &graph.nodes[index].outputs);
    let all = graph.inputs.iter().map(|input| &input.name).chain(made);
    Ok(all.filter(|name| found.contains(*name)).cloned().collect())
}

/// Whether what makes `value` computes on codes: before an activation, float32 is not coded for its sake.
fn may_be_codes(graph: &Graph, links: &Links, excluded: &BTreeMap<String, String>, value: &str) -> bool {
    links.producer(value).is_none_or(|index| {
        let maker = &graph.nodes[index];
        let is_bias = is(maker, "Add") && (0..2).any(|at| constant(graph, maker, at).is_some());
        // A bias that stands behind its product goes with it.
        let before = (0..2).filter_map(|at| input(maker, at)).find_map(|name| links.producer(name));
        let product = before.map(|index| &graph.nodes[index]).filter(|node| is_bias && is(node, "MatMul"));
        let maker = product.unwrap_or(maker);
        !excluded.contains_key(&maker.name) && role(graph, maker) != Role::None
    })
}

/// Whether `value` comes out of a product or sum and goes nowhere but into the node `reader`.
fn computed_with(
    graph: &Graph,
    links: &Links,
    excluded: &BTreeMap<String, String>,
    value: &str,
    reader: usize,
) -> bool {
    if links.only_reader(value) != Some(reader) {
        return false;
    }
    let Some(maker) = links.producer(value).map(|index| &graph.nodes[index]) else { return false };
    let is_bias = |node: &Node| is(node, "Add") && (0..2).any(|at| constant(graph, node, at).is_some());
    match is_bias(maker) {
        true => (0..2).filter_map(|at| input(maker, at)).any(|before| {
            links.producer(before).is_some_and(|index| {
                let node = &graph.nodes[index];
                is(node, "MatMul") && !excluded.contains_key(&node.name) && role(graph, node) == Role::Weighted
            })
        }),
        false => !excluded.contains_key(&maker.name) && matches!(role(graph, maker), Role::Weighted | Role::Computing),
    }
}

/// What calibration is to watch: every value that may become codes, and the means of what weights are multiplied with.
///
/// Errors: those of a graph that contradicts itself.
pub fn watched(graph: &Graph) -> Result<Vec<Watch>> {
    let mut axes: HashMap<&str, i64> = HashMap::new();
    for node in graph.nodes.iter().filter(|node| role(graph, node) == Role::Weighted) {
        if let Some(value) = input(node, 0) {
            axes.insert(value, if node.op_type == "Conv" { 1 } else { -1 });
        }
    }
    // Values that only one exclusion or another makes codes: all that keeps, cuts or tabulates.
    let mut values = coded(graph, &BTreeMap::new())?;
    let links = Links::of(graph);
    for node in &graph.nodes {
        if role(graph, node) == Role::Clipping
            && let Some(value) = input(node, 0).filter(|value| links.producer(value).is_some())
            && !values.iter().any(|known| known == value)
        {
            values.push(value.to_string());
        }
    }
    Ok(values.into_iter().map(|value| Watch { channel_axis: axes.get(value.as_str()).copied(), value }).collect())
}

/// Ranges by value, where values that share codes have the union of theirs.
fn shared_ranges(
    graph: &Graph,
    values: &[String],
    seen: &BTreeMap<String, Observation>,
    options: &IntegerOptions,
) -> HashMap<String, (f32, f32)> {
    let mut group: HashMap<&str, usize> = HashMap::new();
    let mut ranges: Vec<(f32, f32)> = Vec::new();
    for value in values {
        if let Some(observed) = seen.get(value) {
            group.insert(value, ranges.len());
            ranges.push(observed.range(options.method));
        }
    }
    for node in &graph.nodes {
        if options.excluded.contains_key(&node.name) || role(graph, node) != Role::Keeping {
            continue;
        }
        let members: Vec<usize> =
            node.inputs.iter().chain(&node.outputs).filter_map(|name| group.get(name.as_str()).copied()).collect();
        let Some(&first) = members.first() else { continue };
        for &other in members.iter().filter(|&&other| other != first) {
            let union = (ranges[first].0.min(ranges[other].0), ranges[first].1.max(ranges[other].1));
            ranges[first] = union;
            group.values_mut().filter(|member| **member == other).for_each(|member| *member = first);
        }
    }
    group.into_iter().map(|(value, at)| (value.to_string(), ranges[at])).collect()
}

/// Quantises `graph` with the ranges that were `seen`. Values that were not seen, because they are no float32
/// tensors, stay as they are.
///
/// Errors: `InvalidModel` where the graph contradicts itself.
pub fn quantize_integer(
    graph: &mut Graph,
    seen: &BTreeMap<String, Observation>,
    options: &IntegerOptions,
) -> Result<Vec<LayerReport>> {
    rewrite::sort(graph)?;
    let values: Vec<String> =
        coded(graph, &options.excluded)?.into_iter().filter(|value| seen.contains_key(value)).collect();
    let ranges = shared_ranges(graph, &values, seen, options);
    let codes: HashMap<&str, Affine> =
        values.iter().filter_map(|value| Some((value.as_str(), affine(*ranges.get(value)?)))).collect();

    let mut writer = Writer {
        names: Names::of(graph),
        nodes: Vec::new(),
        added: BTreeMap::new(),
        dequantized: HashMap::new(),
        weights: HashMap::new(),
        opset: graph.opset(""),
    };
    let mut reports = Vec::new();
    for input in &graph.inputs {
        if let (Some(&codes), ValueType::Tensor { .. }) = (codes.get(input.name.as_str()), &input.ty) {
            writer.activation(&input.name, codes);
        }
    }
    for mut node in std::mem::take(&mut graph.nodes) {
        let role = if options.excluded.contains_key(&node.name) { Role::None } else { role(graph, &node) };
        let reads_codes = input(&node, 0).is_some_and(|name| codes.contains_key(name));
        if super::has_weights(graph, &node) {
            let integer = role == Role::Weighted && reads_codes;
            let mut report = LayerReport::float32(graph, &node, options.excluded.get(&node.name).cloned());
            if integer {
                report.precision = Precision::Int8;
                let data = codes[node.inputs[0].as_str()];
                report.signal_to_noise = writer.weigh(graph, &mut node, Some(data), options)?;
            } else if options.weight_only.contains(&node.name) && channel_axis(graph, &node).is_some() {
                report.precision = Precision::WeightOnly;
                report.signal_to_noise = writer.weigh(graph, &mut node, None, options)?;
            } else if report.reason.is_none() {
                report.reason = Some("no form in integers".to_string());
            }
            reports.push(report);
        }
        let writes = node.outputs.iter().any(|output| codes.contains_key(output.as_str()));
        if role != Role::None && (role != Role::Keeping && role != Role::Table && role != Role::Clipping || writes) {
            for name in node.inputs.iter_mut() {
                if let Some(dequantized) = writer.dequantized.get(name.as_str()) {
                    name.clone_from(dequantized);
                }
            }
        }
        let outputs = node.outputs.clone();
        writer.nodes.push(node);
        for output in outputs {
            if let Some(&codes) = codes.get(output.as_str()) {
                writer.activation(&output, codes);
            }
        }
    }
    graph.nodes = writer.nodes;
    graph.initializers.extend(writer.added);
    rewrite::sweep(graph);
    rewrite::sort(graph)?;
    Ok(reports)
}

/// The nodes and constants of the quantised graph.
struct Writer {
    names: Names,
    nodes: Vec<Node>,
    added: BTreeMap<String, Tensor>,
    /// What a DequantizeLinear makes of each value's codes.
    dequantized: HashMap<String, String>,
    /// Weights of nodes without a bias that are coded, by name and axis.
    weights: HashMap<(String, usize), CodedWeight>,
    opset: i64,
}

/// What a DequantizeLinear makes of a weight, its scales, and its signal-to-noise ratio.
type CodedWeight = (String, Vec<f32>, Option<f64>);

impl Writer {
    fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        let name = self.names.unique(name);
        self.added.insert(name.clone(), tensor);
        name
    }

    fn node(&mut self, op_type: &str, value: &str, inputs: Vec<String>, axis: Option<i64>) -> String {
        let name = self.names.unique(&format!("{value}_{op_type}"));
        let output = self.names.unique(&format!("{value}_{op_type}_Output"));
        let attributes = axis.map(|axis| ("axis".to_string(), Attribute::Int(axis)));
        self.nodes.push(Node {
            name,
            domain: String::new(),
            op_type: op_type.to_string(),
            opset: self.opset,
            inputs,
            outputs: vec![output.clone()],
            attributes: attributes.into_iter().collect(),
        });
        output
    }

    /// QuantizeLinear and DequantizeLinear behind a value.
    fn activation(&mut self, value: &str, Affine { scale, zero_point }: Affine) {
        let scale = self.constant(&format!("{value}_scale"), scalar(scale));
        let zero = Tensor::from_vec(vec![], vec![zero_point]).expect("a scalar has one element");
        let zero = self.constant(&format!("{value}_zero_point"), zero);
        let codes = self.node("QuantizeLinear", value, vec![value.to_string(), scale.clone(), zero.clone()], None);
        let output = self.node("DequantizeLinear", value, vec![codes, scale, zero], None);
        self.dequantized.insert(value.to_string(), output);
    }

    /// Codes for a node's weight and, where its `data` are codes, its bias. Gives the signal-to-noise ratio of the
    /// weight.
    fn weigh(
        &mut self,
        graph: &Graph,
        node: &mut Node,
        data: Option<Affine>,
        options: &IntegerOptions,
    ) -> Result<Option<f64>> {
        let Some(axis) = channel_axis(graph, node) else { bail!(Internal, "a node without weights") };
        let name = node.inputs[1].clone();
        let bias = data.and_then(|data| Some((floats(graph, node, 2)?.to_vec(), data.scale)));
        let least = bias.as_ref().map(|(bias, scale)| least_scales(bias, *scale));
        let key = (name.clone(), axis);
        let known = self.weights.get(&key).filter(|_| bias.is_none()).cloned();
        let (coded, scales, noise) = match known {
            Some(known) => known,
            None => {
                let weight = &graph.initializers[&name];
                let quantized = Coded::of(weight, axis, options, least.as_deref());
                let noise = quantized.noise;
                let (scale_shape, attribute) = match options.per_channel {
                    true => (vec![quantized.scales.len()], Some(axis as i64)),
                    false => (vec![], None),
                };
                let stored = if options.per_channel { quantized.scales.clone() } else { vec![quantized.scales[0]] };
                let scale = self.constant(&format!("{name}_scale"), Tensor::from_vec(scale_shape, stored)?);
                let codes = Tensor::from_vec(weight.shape().to_vec(), quantized.codes)?;
                let codes = self.constant(&format!("{name}_quantized"), codes);
                let output = self.node("DequantizeLinear", &name, vec![codes, scale], attribute);
                let made = (output, quantized.scales, noise);
                // The scales of others' biases may need others.
                if bias.is_none() {
                    self.weights.insert(key, made.clone());
                }
                made
            }
        };
        node.inputs[1] = coded;
        if let Some((bias, data_scale)) = bias {
            let name = node.inputs[2].clone();
            let steps: Vec<f32> = scales.iter().map(|scale| scale * data_scale).collect();
            let codes = std::iter::zip(&bias, &steps).map(|(&b, &step)| {
                let code = (f64::from(b) / f64::from(step)).round_ties_even();
                code.clamp(-f64::from(i32::MAX), f64::from(i32::MAX)) as i32
            });
            let codes = Tensor::from_vec(vec![bias.len()], codes.collect::<Vec<i32>>())?;
            let codes = self.constant(&format!("{name}_quantized"), codes);
            let scale = self.constant(&format!("{name}_scale"), Tensor::from_vec(vec![steps.len()], steps)?);
            node.inputs[2] = self.node("DequantizeLinear", &name, vec![codes, scale], Some(0));
        }
        Ok(noise)
    }
}

/// The scales of weights below which a bias would take more than 24 bits: those of channels whose weights are next to
/// nothing beside it, or nothing at all.
fn least_scales(bias: &[f32], data_scale: f32) -> Vec<f32> {
    bias.iter().map(|b| b.abs() / (data_scale * (1 << 24) as f32)).collect()
}

/// A weight in int8, symmetric.
struct Coded {
    codes: Vec<i8>,
    /// One for each output channel, equal ones where the weight has one for all.
    scales: Vec<f32>,
    noise: Option<f64>,
}

impl Coded {
    /// `least` are scales below which the biases have no codes.
    fn of(weight: &Tensor, axis: usize, options: &IntegerOptions, least: Option<&[f32]>) -> Self {
        let values = weight.as_slice::<f32>().unwrap_or_default();
        let channels = weight.shape()[axis];
        let inner: usize = weight.shape()[axis + 1..].iter().product();
        let most = if options.reduce_range { 64.0 } else { 127.0 };
        let mut largest = vec![0f32; channels];
        for (at, value) in values.iter().enumerate() {
            let channel = at / inner % channels;
            largest[channel] = largest[channel].max(value.abs());
        }
        if !options.per_channel {
            let all = largest.iter().copied().fold(0f32, f32::max);
            largest.fill(all);
        }
        let scale = |(channel, &largest): (usize, &f32)| match (largest / most)
            .max(least.map_or(0.0, |least| least[channel]))
        {
            0.0 => 1.0,
            scale => scale.max(f32::MIN_POSITIVE),
        };
        let mut scales: Vec<f32> = largest.iter().enumerate().map(scale).collect();
        if !options.per_channel {
            let all = scales.iter().copied().fold(0f32, f32::max);
            scales.fill(all);
        }
        let code = |(at, &value): (usize, &f32)| {
            (value / scales[at / inner % channels]).round_ties_even().clamp(-most, most) as i8
        };
        let codes: Vec<i8> = values.iter().enumerate().map(code).collect();
        let restored = codes.iter().enumerate().map(|(at, &code)| f32::from(code) * scales[at / inner % channels]);
        let noise = signal_to_noise(values, restored);
        Self { codes, scales, noise }
    }
}

/// Adds to each bias what quantising the weights takes from the mean of the output, which follows from the means of
/// the inputs (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, with
/// means that were measured). To be called on the float graph, before it is quantised with the same options.
/// Returns how many biases were changed.
pub fn correct_bias(
    graph: &mut Graph,
    seen: &BTreeMap<String, Observation>,
    options: &IntegerOptions,
) -> Result<usize> {
    let mut names = Names::of(graph);
    let links = Links::of(graph);
    let mut corrected = 0;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let weight_only = options.weight_only.contains(&node.name);
        let excluded = options.excluded.contains_key(&node.name) && !weight_only;
        if excluded || role(graph, node) != Role::Weighted || is(node, "MatMul") {
            continue;
        }
        let Some(observed) = input(node, 0).and_then(|value| seen.get(value)) else { continue };
        let (Some(axis), Some(weight)) = (channel_axis(graph, node), constant(graph, node, 1)) else { continue };
        let Some(values) = weight.as_slice::<f32>() else { continue };
        let data = affine(observed.range(options.method));
        let least = floats(graph, node, 2).filter(|_| !weight_only).map(|bias| least_scales(bias, data.scale));
        let coded = Coded::of(weight, axis, options, least.as_deref());
        let shape = weight.shape();
        let (outputs, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let group = if is(node, "Conv") { int(node, "group", 1).max(1) as usize } else { 1 };
        // Inputs of one output: `[inputs, kernel]` for a convolution, `[inputs]` for a matrix.
        let (inputs, kernel) = match is(node, "Conv") {
            true => (shape[1], inner / shape[1].max(1)),
            false => (shape[1 - axis], 1),
        };
        if observed.means.len() != inputs * group || outputs % group != 0 {
            continue;
        }
        let mut shift = vec![0f64; outputs];
        for (at, (&value, &code)) in std::iter::zip(values, &coded.codes).enumerate() {
            let output = at / inner % outputs;
            let from = match is(node, "Conv") {
                true => output / (outputs / group) * inputs + at % inner / kernel.max(1),
                false if axis == 0 => at % inputs,
                false => at / outputs,
            };
            let lost = f64::from(value) - f64::from(code) * f64::from(coded.scales[output]);
            shift[output] += lost * observed.means[from];
        }
        let old = floats(graph, node, 2).map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        let new: Vec<f32> = std::iter::zip(&old, &shift).map(|(&b, s)| (f64::from(b) + s) as f32).collect();
        if new == old || !new.iter().all(|b| b.is_finite()) {
            continue;
        }
        let name = match input(node, 2) {
            Some(name) if links.readers(name).len() == 1 => name.to_string(),
            _ => names.unique(&format!("{}/bias", node.name)),
        };
        graph.initializers.insert(name.clone(), Tensor::from_vec(vec![outputs], new)?);
        let node = &mut graph.nodes[index];
        node.inputs.resize(3, String::new());
        node.inputs[2] = name;
        corrected += 1;
    }
    Ok(corrected)
}

/// The nodes with weights and a bias to correct whose outputs meet no other weights on their way out, with the value
/// that each makes and the axis of its channels.
pub fn last_weighted(graph: &Graph, excluded: &BTreeMap<String, String>) -> Vec<(usize, String, i64)> {
    let links = Links::of(graph);
    let is_weighted = |index: usize| role(graph, &graph.nodes[index]) == Role::Weighted;
    let meets_weights = |from: usize| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(index) = waiting.pop() {
            for &reader in graph.nodes[index].outputs.iter().flat_map(|output| links.readers(output)) {
                if is_weighted(reader) {
                    return true;
                }
                if seen.insert(reader) {
                    waiting.push(reader);
                }
            }
        }
        false
    };
    let last = (0..graph.nodes.len()).filter(|&index| {
        let node = &graph.nodes[index];
        is_weighted(index) && !is(node, "MatMul") && !excluded.contains_key(&node.name) && !meets_weights(index)
    });
    last.map(|index| {
        let node = &graph.nodes[index];
        (index, node.outputs[0].clone(), if is(node, "Conv") { 1 } else { -1 })
    })
    .collect()
}

/// Adds `shift` to the bias of node `index`, a number for each output channel.
pub fn shift_bias(graph: &mut Graph, index: usize, shift: &[f64]) -> Result<()> {
    let node = &graph.nodes[index];
    let old = floats(graph, node, 2).map_or_else(|| vec![0.0; shift.len()], <[f32]>::to_vec);
    if old.len() != shift.len() {
        bail!(Internal, "node \"{}\" has {} channels, not {}", node.name, old.len(), shift.len());
    }
    let new = std::iter::zip(&old, shift).map(|(&bias, shift)| (f64::from(bias) + shift) as f32).collect();
    let name = Names::of(graph).unique(&format!("{}/bias", node.name));
    graph.initializers.insert(name.clone(), Tensor::from_vec(vec![shift.len()], new)?);
    let node = &mut graph.nodes[index];
    node.inputs.resize(3, String::new());
    node.inputs[2] = name;
    Ok(())
}
