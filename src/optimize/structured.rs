//! Structured pruning: whole output channels of convolutions and dense layers go, so that the graph is smaller and
//! computes less on any runtime.
//!
//! A channel leaves everywhere at once, or stays. Each output channel of a Conv, ConvTranspose, Gemm, or MatMul with
//! constant weights has an identity, which is followed through the graph: element-wise operators tie the channels that
//! meet in them, Concat and Split put them in other places, Flatten makes a block of columns of each, a depthwise
//! convolution has the channels of its input. What is indexed by a channel, be it a column of the next layer's
//! weights, a bias, or a factor of a BatchNormalization, goes with it. A channel that reaches an output of the
//! model, or an operator that is not understood, stays, and with it all that its layer makes for the same places;
//! the report says why.
//!
//! Of the channels that can go together, those go whose weights have the least norm, each layer's measured by its
//! mean, and by the factor of a BatchNormalization behind it, as if that were folded in. Only weights are looked at:
//! what a removed channel's bias added is lost too.
//!
//! The model is run once before and once after, on zeros, which gives the shapes of all values and proves that what
//! is left fits together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::Serialize;

use super::prune::{Exclusions, floats};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{Attribute, DataType, Dim, Graph, Node, Tensor, ValueType, element_count};
use crate::onnx::Model;
use crate::runtime::{GraphOptimizationLevel, Profile, RunOptions, Session, SessionOptions};

/// What a channel's weights are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    L2,
}

/// What [`prune_channels`] is told.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// The share of channels that goes, from 0 to below 1.
    pub ratio: f64,
    pub norm: Norm,
    /// How many channels stay is rounded up to a multiple of this, which kernels are made for.
    pub channel_multiple: usize,
    /// Names of nodes and weights whose output channels stay; `*` stands for any characters.
    pub excluded: Vec<String>,
}

impl Default for ChannelOptions {
    /// Half of the channels by L2 norm, multiples of 8.
    fn default() -> Self {
        Self { ratio: 0.5, norm: Norm::L2, channel_multiple: 8, excluded: Vec::new() }
    }
}

/// What became of a layer. `weights` are the elements of its constants, bias among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerChannels {
    pub node: String,
    pub op_type: String,
    pub channels_before: usize,
    pub channels_after: usize,
    pub multiply_adds_before: u64,
    pub multiply_adds_after: u64,
    pub weights_before: usize,
    pub weights_after: usize,
}

/// Layers whose channels belong together and were left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftAlone {
    /// Names of their nodes.
    pub nodes: Vec<String>,
    pub reason: String,
}

/// What [`prune_channels`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelReport {
    /// The layers with constant weights, in the order of the graph.
    pub layers: Vec<LayerChannels>,
    pub left_alone: Vec<LeftAlone>,
    /// Of a run of the whole model, with a batch of 1.
    pub multiply_adds_before: u64,
    pub multiply_adds_after: u64,
    /// Elements of all the model's float constants.
    pub weights_before: usize,
    pub weights_after: usize,
}

/// Removes output channels of the layers of `graph`, and all that belongs to them. Inputs and outputs stay as they are.
///
/// Errors: `InvalidArgument` for a ratio outside of 0 to 1, a multiple of 0, and for an exclusion that matches
/// nothing; `Unsupported` for opsets before 7, for inputs whose sizes cannot be made up, and where what is left does not run; what a run
/// can end in.
pub fn prune_channels(graph: &mut Graph, options: &ChannelOptions) -> Result<ChannelReport> {
    ensure!(
        (0.0..1.0).contains(&options.ratio),
        InvalidArgument,
        "pruning: expected a share of the channels from 0 to below 1, got {}",
        options.ratio
    );
    ensure!(options.channel_multiple > 0, InvalidArgument, "pruning: expected a multiple of 1 or more, got 0");
    let opset = graph.opset("");
    ensure!(
        opset >= 7,
        Unsupported,
        "pruning: the model is of opset {opset}, channels are followed through operators of opset 7 and later"
    );
    let mut after = graph.clone();
    hoist_constants(&mut after)?;
    let measured = Measured::of(&after)?;
    let mut exclusions = Exclusions::new(&options.excluded);
    let mut channels = Channels::new(&after, &measured);
    channels.follow(&mut exclusions)?;
    exclusions.all_used()?;
    let before = after.clone();
    let (gone, left_alone) = channels.choose(options);
    let changes = channels.changes(&gone)?;
    let layers: Vec<usize> = channels.layers.iter().map(|layer| layer.node).collect();
    let widths: Vec<usize> = channels.layers.iter().map(|layer| layer.width(&gone)).collect();
    let made: Vec<usize> = channels.layers.iter().map(|layer| layer.ids.len()).collect();
    changes.apply(&mut after);
    let smaller = Measured::of(&after).map_err(|error| unfit(&error))?;
    for output in &graph.outputs {
        ensure!(
            measured.shapes.get(&output.name) == smaller.shapes.get(&output.name),
            Unsupported,
            "pruning: output \"{}\" has another shape than before: exclude the layers that it is made of",
            output.name
        );
    }
    let layers =
        layers.into_iter().zip(widths).zip(made).map(|((node, channels_after), channels_before)| LayerChannels {
            node: after.nodes[node].name.clone(),
            op_type: after.nodes[node].op_type.clone(),
            channels_before,
            channels_after,
            multiply_adds_before: measured.multiply_adds[node],
            multiply_adds_after: smaller.multiply_adds[node],
            weights_before: constants_of(&before, node),
            weights_after: constants_of(&after, node),
        });
    let report = ChannelReport {
        layers: layers.collect(),
        left_alone,
        multiply_adds_before: measured.multiply_adds.iter().sum(),
        multiply_adds_after: smaller.multiply_adds.iter().sum(),
        weights_before: weights(&before),
        weights_after: weights(&after),
    };
    *graph = after;
    Ok(report)
}

fn unfit(error: &Error) -> Error {
    let (place, operator) = (error.node().unwrap_or_default(), error.operator().unwrap_or_default());
    let said = format!("pruning: what is left does not fit together ({error}): exclude the layers before it");
    Error::new(ErrorKind::Unsupported, said).at_node(place, operator)
}

/// Elements of the float constants.
fn weights(graph: &Graph) -> usize {
    graph.initializers.values().filter(|t| t.dtype().is_float()).map(Tensor::len).sum()
}

/// Elements of the constants that a node takes.
fn constants_of(graph: &Graph, node: usize) -> usize {
    let constants = graph.nodes[node].inputs.iter().filter_map(|name| graph.initializers.get(name));
    constants.map(Tensor::len).sum()
}

/// Makes initializers of Constant nodes, and takes initializers where Identity nodes stand before them.
fn hoist_constants(graph: &mut Graph) -> Result<()> {
    let outputs: BTreeSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let captured: BTreeSet<String> = graph.nodes.iter().flat_map(Node::captures).collect();
    let order = graph.topological_order()?;
    let mut hoisted = BTreeSet::new();
    let mut renamed: HashMap<String, String> = HashMap::new();
    for index in order {
        let node = &graph.nodes[index];
        let Some(name) = node.outputs.first().filter(|name| !name.is_empty() && !outputs.contains(*name)) else {
            continue;
        };
        match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Constant") if node.attributes.len() == 1 => {
                let tensor = match node.attributes.values().next() {
                    Some(Attribute::Tensor(tensor)) => tensor.clone(),
                    Some(Attribute::Float(value)) => Tensor::from_vec(vec![], vec![*value])?,
                    Some(Attribute::Floats(values)) => Tensor::from_vec(vec![values.len()], values.clone())?,
                    Some(Attribute::Int(value)) => Tensor::from_vec(vec![], vec![*value])?,
                    Some(Attribute::Ints(values)) => Tensor::from_vec(vec![values.len()], values.clone())?,
                    _ => continue,
                };
                let name = name.clone();
                graph.initializers.insert(name, tensor);
            }
            ("", "Identity") if !captured.contains(name) => {
                let Some(input) = node.inputs.first().map(|input| renamed.get(input).unwrap_or(input)) else {
                    continue;
                };
                if !graph.initializers.contains_key(input) {
                    continue;
                }
                renamed.insert(name.clone(), input.clone());
            }
            _ => continue,
        }
        hoisted.insert(index);
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !hoisted.contains(&(index - 1))
    });
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if let Some(name) = renamed.get(input) {
            input.clone_from(name);
        }
    }
    Ok(())
}

/// What one run on zeros tells.
struct Measured {
    /// Of inputs, of what nodes make, and of constants that were computed.
    shapes: HashMap<String, Vec<usize>>,
    /// By node.
    multiply_adds: Vec<u64>,
}

/// Sizes for dimensions without one, the batch's left aside, in the order in which they are tried.
const FREE_SIZES: [usize; 3] = [64, 224, 1];

/// Inputs that take more are not made up.
const MOST_INPUT_BYTES: usize = 1 << 30;

impl Measured {
    fn of(graph: &Graph) -> Result<Self> {
        let mut named = graph.clone();
        for (index, node) in named.nodes.iter_mut().enumerate() {
            node.name = index.to_string();
        }
        let model = Model { graph: named, ir_version: 0, producer: String::new(), metadata: Vec::new() };
        let options =
            SessionOptions { graph_optimization_level: GraphOptimizationLevel::Disabled, ..SessionOptions::default() };
        let renamed = |error: Error| {
            let node = error.node().and_then(|name| name.parse().ok()).and_then(|at: usize| graph.nodes.get(at));
            match node {
                Some(node) => Error::new(error.kind(), error.message()).at_node(&node.name, &node.op_type),
                None => error,
            }
        };
        let session = at_once(Session::load(model, options)).and_then(|loaded| loaded).map_err(renamed)?;
        let mut failed = None;
        for free in FREE_SIZES {
            let shapes = input_shapes(graph, free)?;
            let mut feeds = Vec::new();
            for (name, (dtype, shape)) in &shapes {
                feeds.push((name.clone(), zeros(name, *dtype, shape)?.into()));
            }
            let mut profile = Profile::default();
            let run = session.run(feeds, RunOptions { profile: Some(&mut profile), ..RunOptions::default() });
            match at_once(run).and_then(|done| done) {
                Ok(_) => {
                    let mut measured = Self { shapes: HashMap::new(), multiply_adds: vec![0; graph.nodes.len()] };
                    measured.shapes.extend(shapes.into_iter().map(|(name, (_, shape))| (name, shape)));
                    measured.read(graph, &profile);
                    return Ok(measured);
                }
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        let error = failed.map(renamed);
        bail!(
            Unsupported,
            "pruning: the model was to be run once on zeros, which ends in: {}",
            error.map_or_else(String::new, |error| error.to_string())
        )
    }

    fn read(&mut self, graph: &Graph, profile: &Profile) {
        for ran in &profile.nodes {
            let Some((index, node)) =
                ran.name.parse().ok().and_then(|index: usize| Some((index, graph.nodes.get(index)?)))
            else {
                continue;
            };
            self.multiply_adds[index] = ran.multiply_adds.total();
            for (name, info) in node.outputs.iter().zip(&ran.outputs) {
                if let (false, Some(info)) = (name.is_empty(), info) {
                    self.shapes.insert(name.clone(), info.shape.clone());
                }
            }
        }
    }
}

/// A future's result, where nothing is waited for: on the CPU.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => bail!(Internal, "a run on the CPU was waited for"),
    }
}

/// Dtype and shape of each input, a batch of 1, other free sizes `free`.
fn input_shapes(graph: &Graph, free: usize) -> Result<BTreeMap<String, (DataType, Vec<usize>)>> {
    let first = |ty: &ValueType| match ty {
        ValueType::Tensor { shape: Some(shape), .. } => match shape.first() {
            Some(Dim::Name(name)) if name != "?" => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    let batches: BTreeSet<String> = graph.inputs.iter().filter_map(|input| first(&input.ty)).collect();
    let mut shapes = BTreeMap::new();
    for input in &graph.inputs {
        let ValueType::Tensor { dtype, shape: Some(shape) } = &input.ty else {
            bail!(
                Unsupported,
                "pruning: input \"{}\" is {}: expected a tensor with a declared shape, to run the model once",
                input.name,
                input.ty
            )
        };
        let size = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Size(size) => *size,
            Dim::Name(name) if axis == 0 || batches.contains(name) => 1,
            Dim::Name(_) => free,
        };
        shapes.insert(input.name.clone(), (*dtype, shape.iter().enumerate().map(size).collect()));
    }
    Ok(shapes)
}

fn zeros(name: &str, dtype: DataType, shape: &[usize]) -> Result<Tensor> {
    let count = element_count(shape)?;
    if dtype == DataType::String {
        ensure!(count < 1 << 20, LimitExceeded, "pruning: input \"{name}\" has {count} strings, too many to make up");
        return Tensor::from_strings(shape.to_vec(), vec![String::new(); count]);
    }
    let bytes = count.saturating_mul(dtype.size());
    ensure!(
        bytes <= MOST_INPUT_BYTES,
        LimitExceeded,
        "pruning: input \"{name}\" takes {bytes} bytes, too many to make up"
    );
    Tensor::from_bytes(dtype, shape.to_vec(), vec![0; bytes])
}

/// The identities of the channels along an axis; several elements may belong to one channel.
type Ids = Rc<[u32]>;

/// Along which axis a value has which channels.
#[derive(Clone)]
struct Track {
    axis: usize,
    ids: Ids,
}

/// What makes channels.
struct Layer {
    node: usize,
    /// The input with its weights, and the axis of the output channels there.
    weight: usize,
    axis: usize,
    ids: Ids,
}

impl Layer {
    fn width(&self, gone: &[bool]) -> usize {
        self.ids.iter().filter(|&&id| !gone[id as usize]).count()
    }
}

/// An entry of a constant of sizes: what it was multiplied out of.
#[derive(Clone)]
struct Size {
    index: usize,
    ids: Ids,
}

/// All channels of a graph, which belong together, and what is indexed by them.
struct Channels<'g> {
    graph: &'g Graph,
    measured: &'g Measured,
    /// A forest: channels with one root leave together.
    parents: Vec<u32>,
    /// Why a root stays.
    reasons: HashMap<u32, String>,
    /// The layer that makes a channel; none of what cannot go.
    makers: Vec<Option<u32>>,
    /// Parts of a Split that a channel is in: each part is to keep some.
    parts: Vec<(u32, usize)>,
    /// By what BatchNormalization multiplies it.
    factors: Vec<f32>,
    layers: Vec<Layer>,
    tracks: HashMap<String, Track>,
    /// By node and input: axes of the constant there and their channels.
    indexed: BTreeMap<(usize, usize), Vec<Track>>,
    /// By node and input: sizes in the constant there.
    sizes: BTreeMap<(usize, usize), Vec<Size>>,
    /// `group` of depthwise convolutions, by node.
    groups: BTreeMap<usize, Ids>,
    /// The parts of Split nodes.
    splits: BTreeMap<usize, Vec<Ids>>,
    /// Where weights of two dimensions or more were first indexed.
    weights: HashMap<(String, usize), Ids>,
}

impl<'g> Channels<'g> {
    fn new(graph: &'g Graph, measured: &'g Measured) -> Self {
        Self {
            graph,
            measured,
            parents: Vec::new(),
            reasons: HashMap::new(),
            makers: Vec::new(),
            parts: Vec::new(),
            factors: Vec::new(),
            layers: Vec::new(),
            tracks: HashMap::new(),
            indexed: BTreeMap::new(),
            sizes: BTreeMap::new(),
            groups: BTreeMap::new(),
            splits: BTreeMap::new(),
            weights: HashMap::new(),
        }
    }

    /// Follows the channels from the layers that make them to the model's outputs.
    fn follow(&mut self, exclusions: &mut Exclusions) -> Result<()> {
        for index in self.graph.topological_order()? {
            let node = &self.graph.nodes[index];
            let first_layer = self.layers.len();
            let output = self.node(index, node);
            match output {
                Ok(track) => {
                    if let (Some(track), Some(name)) = (track, node.outputs.first()) {
                        self.set(name, track);
                    }
                }
                Err(why) => {
                    let captured = node.captures();
                    let used = node.inputs.iter().chain(&captured);
                    let mut ids: Vec<Ids> =
                        used.filter_map(|name| self.tracks.get(name)).map(|track| track.ids.clone()).collect();
                    // Nobody follows what the node itself makes.
                    ids.extend(self.layers[first_layer..].iter().map(|layer| layer.ids.clone()));
                    let reason = format!("node \"{}\" ({}) {why}", node.name, node.op_type);
                    ids.iter().for_each(|ids| self.keep(ids, &reason));
                }
            }
            for layer in first_layer..self.layers.len() {
                let (weight, ids) = (self.layers[layer].weight, self.layers[layer].ids.clone());
                if exclusions.has(&[&node.name, &node.inputs[weight]]) {
                    self.keep(&ids, "excluded");
                }
            }
        }
        for output in &self.graph.outputs {
            if let Some(ids) = self.tracks.get(&output.name).map(|track| track.ids.clone()) {
                self.keep(&ids, &format!("they are the model's output \"{}\"", output.name));
            }
        }
        Ok(())
    }

    /// Follows channels through one node: those of its first output. The error says why they cannot be followed.
    fn node(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let unknown = || "is not an operator that channels are followed through".to_string();
        let tracked = node.inputs.iter().any(|name| self.tracks.contains_key(name));
        let captured = node.captures().iter().any(|name| self.tracks.contains_key(name));
        let makes = matches!(node.op_type.as_str(), "Conv" | "ConvTranspose" | "Gemm" | "MatMul");
        if !tracked && !captured && !makes {
            return Ok(None);
        }
        if captured || !node.domain.is_empty() {
            // Element-wise functions of other domains.
            let same = matches!(node.op_type.as_str(), "Gelu" | "FastGelu" | "QuickGelu");
            return if same && !captured { self.alike(node) } else { Err(unknown()) };
        }
        match node.op_type.as_str() {
            "Conv" => self.convolution(index, node),
            "ConvTranspose" => self.transposed_convolution(index, node),
            "Gemm" => self.gemm(index, node),
            "MatMul" => self.matmul(index, node),
            "BatchNormalization" => self.batch_normalization(index, node),
            "InstanceNormalization" => self.instance_normalization(index, node),
            "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Elu" | "Selu" | "Celu" | "Gelu" | "HardSigmoid"
            | "HardSwish" | "Mish" | "Softplus" | "Softsign" | "ThresholdedRelu" | "Shrink" | "Clip" | "Exp"
            | "Log" | "Abs" | "Neg" | "Sqrt" | "Reciprocal" | "Erf" | "Floor" | "Ceil" | "Round" | "Sign" | "Sin"
            | "Cos" | "Identity" | "Dropout" | "Cast" => self.alike(node),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "PRelu" => {
                self.broadcast(index, node)
            }
            "Concat" => self.concat(node),
            "Split" => self.split(index, node),
            "MaxPool" | "AveragePool" | "LpPool" | "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
                let track = self.input(node, 0)?;
                match () {
                    () if track.axis != 1 => Err("pools along the channels".into()),
                    () if node.outputs.len() > 1 => Err("gives positions, which count the channels".into()),
                    () => Ok(Some(track)),
                }
            }
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(index, node),
            "Transpose" => {
                let track = self.input(node, 0)?;
                let rank = self.shape(&node.inputs[0])?.len();
                let axis = match ints(node, "perm") {
                    Some(perm) => perm.iter().position(|&from| from == track.axis as i64),
                    None => (rank - 1).checked_sub(track.axis),
                };
                let axis = axis.ok_or_else(unknown)?;
                Ok(Some(Track { axis, ..track }))
            }
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(index, node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare"
            | "ReduceProd" => self.reduce(node),
            "Slice" => self.slice(node),
            "Softmax" | "LogSoftmax" if node.opset >= 13 => {
                let track = self.input(node, 0)?;
                let rank = self.shape(&node.inputs[0])?.len();
                match axis(int(node, "axis", -1), rank) {
                    Some(axis) if axis != track.axis => Ok(Some(track)),
                    _ => Err("mixes the channels".into()),
                }
            }
            // What follows of a shape follows the channels by itself.
            "Shape" | "Size" => Ok(None),
            "Softmax" | "LogSoftmax" | "LRN" | "LayerNormalization" | "GroupNormalization" | "RMSNormalization" => {
                Err("mixes the channels".into())
            }
            _ => Err(unknown()),
        }
    }

    /// Notes the channels of a value, unless there are as many as the value's own size says.
    fn set(&mut self, name: &str, track: Track) {
        if name.is_empty() {
            return;
        }
        match self.shape(name) {
            Ok(shape) if shape.get(track.axis) == Some(&track.ids.len()) => {
                self.tracks.insert(name.to_string(), track);
            }
            _ => self.keep(&track.ids, &format!("the shape of \"{name}\" is not known")),
        }
    }

    /// The channels of an input, which must have some.
    fn input(&self, node: &Node, index: usize) -> Result<Track, String> {
        let name = node.inputs.get(index).map_or("", String::as_str);
        self.tracks.get(name).cloned().ok_or_else(|| "takes channels as a parameter".to_string())
    }

    fn tracked(&self, node: &Node, index: usize) -> Option<Track> {
        node.inputs.get(index).and_then(|name| self.tracks.get(name)).cloned()
    }

    fn shape(&self, name: &str) -> Result<&'g [usize], String> {
        let constant = self.graph.initializers.get(name).map(Tensor::shape);
        let shape = constant.or_else(|| self.measured.shapes.get(name).map(Vec::as_slice));
        shape.ok_or_else(|| format!("has \"{name}\", whose shape is not known"))
    }

    fn constant(&self, node: &Node, index: usize) -> Option<&'g Tensor> {
        node.inputs.get(index).and_then(|name| self.graph.initializers.get(name))
    }

    /// The numbers of a constant of integers.
    fn integers(&self, node: &Node, index: usize) -> Option<Vec<i64>> {
        let tensor = self.constant(node, index)?;
        match tensor.dtype() {
            DataType::Int64 => Some(tensor.as_slice::<i64>()?.to_vec()),
            DataType::Int32 => Some(tensor.as_slice::<i32>()?.iter().map(|&v| v.into()).collect()),
            _ => None,
        }
    }

    /// The weights of a layer: a float32 constant.
    fn weight(&self, node: &Node, index: usize) -> Result<&'g Tensor, String> {
        let weight = self.constant(node, index).filter(|w| w.dtype() == DataType::Float32);
        weight.ok_or_else(|| "has weights that are no float32 constant".to_string())
    }

    fn alike(&self, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let others = node.inputs.iter().skip(1).any(|name| self.tracks.contains_key(name));
        if others || node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            return Err("is used in a way that channels are not followed through".into());
        }
        Ok(Some(track))
    }

    /// New channels, those along `axis` of the weights at input `weight`.
    fn layer(&mut self, node: usize, weight: usize, axis: usize, count: usize) -> Ids {
        let maker = Some(self.layers.len() as u32);
        let ids = self.fresh(count, maker);
        self.layers.push(Layer { node, weight, axis, ids: ids.clone() });
        ids
    }

    fn fresh(&mut self, count: usize, maker: Option<u32>) -> Ids {
        let first = self.parents.len() as u32;
        let ids: Ids = (first..first + count as u32).collect();
        self.parents.extend(ids.iter());
        self.makers.extend(std::iter::repeat_n(maker, count));
        self.factors.extend(std::iter::repeat_n(1.0, count));
        ids
    }

    fn root(&mut self, id: u32) -> u32 {
        let mut root = id;
        while self.parents[root as usize] != root {
            root = self.parents[root as usize];
        }
        let mut at = id;
        while self.parents[at as usize] != root {
            at = std::mem::replace(&mut self.parents[at as usize], root);
        }
        root
    }

    fn tie(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        // The earlier one stays root, so that roots are in the order of the graph.
        let (root, child) = (a.min(b), a.max(b));
        self.parents[child as usize] = root;
        if let Some(reason) = self.reasons.remove(&child) {
            self.reasons.entry(root).or_insert(reason);
        }
    }

    fn tie_all(&mut self, a: &[u32], b: &[u32]) {
        for (&a, &b) in a.iter().zip(b) {
            self.tie(a, b);
        }
    }

    fn keep(&mut self, ids: &[u32], reason: &str) {
        for &id in ids {
            let root = self.root(id);
            self.reasons.entry(root).or_insert_with(|| reason.to_string());
        }
    }

    /// Notes that `axis` of the constant at an input has these channels.
    fn index(&mut self, node: usize, input: usize, axis: usize, ids: &Ids) -> Result<(), String> {
        let name = &self.graph.nodes[node].inputs[input];
        let tensor = self.graph.initializers.get(name);
        let Some(tensor) = tensor.filter(|tensor| tensor.shape().get(axis) == Some(&ids.len())) else {
            return Err(format!("takes \"{name}\", which is no constant of {} channels", ids.len()));
        };
        if tensor.shape().len() > 1 {
            // One tensor for several nodes stays one.
            match self.weights.get(&(name.clone(), axis)).cloned() {
                Some(before) => self.tie_all(&before, ids),
                None => drop(self.weights.insert((name.clone(), axis), ids.clone())),
            }
        }
        self.indexed.entry((node, input)).or_default().push(Track { axis, ids: ids.clone() });
        Ok(())
    }

    /// As [`index`](Self::index), of an input that may be left out.
    fn index_optional(&mut self, node: usize, input: usize, ids: &Ids) -> Result<(), String> {
        match self.graph.nodes[node].inputs.get(input) {
            Some(name) if !name.is_empty() => self.index(node, input, 0, ids),
            _ => Ok(()),
        }
    }

    fn convolution(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let weight = self.weight(node, 1)?.shape();
        let from = self.tracked(node, 0);
        if from.as_ref().is_some_and(|track| track.axis != 1) {
            return Err("convolves along the channels".into());
        }
        let (Some(&outputs), Some(&each)) = (weight.first(), weight.get(1)) else {
            return Err("has weights of another rank".into());
        };
        let groups = groups(node, outputs)?;
        if groups > 1 && from.is_none() {
            return Err("has groups of channels that are not followed".into());
        }
        if from.as_ref().is_some_and(|from| from.ids.len() != groups * each) {
            return Err("has weights for another number of channels".into());
        }
        let made = self.layer(index, 1, 0, outputs);
        self.index(index, 1, 0, &made)?;
        self.index_optional(index, 2, &made)?;
        if let Some(from) = from {
            self.tie_groups(index, groups, &from.ids, &made, (each, outputs / groups));
            if groups == 1 || each > 1 {
                self.index(index, 1, 1, &from.ids[..each].into())?;
            }
        }
        Ok(Some(Track { axis: 1, ids: made }))
    }

    fn transposed_convolution(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let weight = self.weight(node, 1)?.shape();
        let from = self.tracked(node, 0);
        if from.as_ref().is_some_and(|track| track.axis != 1) {
            return Err("convolves along the channels".into());
        }
        let (Some(&inputs), Some(&each)) = (weight.first(), weight.get(1)) else {
            return Err("has weights of another rank".into());
        };
        let groups = groups(node, inputs)?;
        if groups > 1 && from.is_none() {
            return Err("has groups of channels that are not followed".into());
        }
        if from.as_ref().is_some_and(|from| from.ids.len() != inputs) {
            return Err("has weights for another number of channels".into());
        }
        // Of several groups the weights have one group's channels along the second axis.
        let made = self.layer(index, 1, 1, groups * each);
        self.index_optional(index, 2, &made)?;
        if let Some(from) = from {
            self.index(index, 1, 0, &from.ids)?;
            self.tie_groups(index, groups, &from.ids, &made, (inputs / groups, each));
        }
        // One channel in each group: the groups go, the axis stays.
        if groups == 1 || inputs > groups {
            self.index(index, 1, 1, &made[..each].into())?;
        }
        Ok(Some(Track { axis: 1, ids: made }))
    }

    /// Ties what a grouped convolution has: with one input channel in each group, a group goes as a whole; with more,
    /// the groups stay, and each loses the same.
    fn tie_groups(&mut self, node: usize, groups: usize, from: &Ids, made: &Ids, (each, makes): (usize, usize)) {
        if groups == 1 {
            return;
        }
        if each == 1 {
            for (group, made) in made.chunks(makes.max(1)).enumerate() {
                made.iter().for_each(|&id| self.tie(from[group], id));
            }
            self.groups.insert(node, from.clone());
            return;
        }
        for group in 1..groups {
            self.tie_all(&from[..each], &from[group * each..(group + 1) * each]);
            self.tie_all(&made[..makes], &made[group * makes..(group + 1) * makes]);
        }
    }

    fn gemm(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let weight = self.weight(node, 1)?.shape();
        let from = self.tracked(node, 0);
        if self.tracked(node, 1).is_some() || weight.len() != 2 {
            return Err("multiplies channels with each other".into());
        }
        if from.as_ref().is_some_and(|from| from.axis != 1 || int(node, "transA", 0) != 0) {
            return Err("sums over another axis than the channels'".into());
        }
        let (inner, outer) = if int(node, "transB", 0) != 0 { (1, 0) } else { (0, 1) };
        let width = weight[outer];
        let bias = match node.inputs.get(2).filter(|name| !name.is_empty()) {
            None => None,
            Some(_) => Some(self.constant(node, 2).ok_or("adds what is no constant")?.shape()),
        };
        if let Some(from) = from {
            self.index(index, 1, inner, &from.ids)?;
        }
        let made = self.layer(index, 1, outer, width);
        self.index(index, 1, outer, &made)?;
        if let Some(bias) = bias.filter(|bias| bias.last().is_some_and(|&size| size > 1)) {
            self.index(index, 2, bias.len() - 1, &made)?;
        }
        Ok(Some(Track { axis: 1, ids: made }))
    }

    fn matmul(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let weight = self.weight(node, 1)?.shape();
        if weight.len() != 2 {
            return Err("has weights of another rank than 2".into());
        }
        let rank = self.shape(&node.inputs[0])?.len();
        if rank < 2 {
            return Err("multiplies a vector".into());
        }
        if let Some(from) = self.tracked(node, 0) {
            if from.axis != rank - 1 {
                // The channels are rows.
                return Ok(Some(from));
            }
            self.index(index, 1, 0, &from.ids)?;
        }
        let made = self.layer(index, 1, 1, weight[1]);
        self.index(index, 1, 1, &made)?;
        Ok(Some(Track { axis: rank - 1, ids: made }))
    }

    fn batch_normalization(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        if track.axis != 1 || node.outputs.iter().skip(1).any(|name| !name.is_empty()) || node.inputs.len() < 5 {
            return Err("is used in a way that channels are not followed through".into());
        }
        for input in 1..5 {
            self.index(index, input, 0, &track.ids)?;
        }
        if let (Some(scale), Some(variance)) = (self.constant(node, 1), self.constant(node, 4)) {
            let epsilon = float(node, "epsilon", 1e-5);
            for ((&id, scale), variance) in track.ids.iter().zip(floats(scale)).zip(floats(variance)) {
                self.factors[id as usize] *= scale.abs() / (variance.max(0.0) + epsilon).sqrt();
            }
        }
        Ok(Some(track))
    }

    fn instance_normalization(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        if track.axis != 1 || node.inputs.len() != 3 {
            return Err("is used in a way that channels are not followed through".into());
        }
        self.index(index, 1, 0, &track.ids)?;
        self.index(index, 2, 0, &track.ids)?;
        Ok(Some(track))
    }

    /// An element-wise operator of several values, each repeated where it has one element for many.
    fn broadcast(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let output = node.outputs.first().map_or("", String::as_str);
        let rank = self.shape(output)?.len();
        let mut track: Option<Track> = None;
        for input in 0..node.inputs.len() {
            let Some(own) = self.tracked(node, input) else { continue };
            let axis = own.axis + rank - self.shape(&node.inputs[input])?.len().min(rank);
            if own.ids.len() == 1 && self.shape(output)?[axis] != 1 {
                self.keep(&own.ids, "it is the only channel");
                continue;
            }
            match &track {
                Some(track) if track.axis != axis => return Err("has channels along two axes".into()),
                Some(track) => {
                    let ids = track.ids.clone();
                    self.tie_all(&ids, &own.ids);
                }
                None => track = Some(Track { axis, ids: own.ids }),
            }
        }
        let Some(track) = track else { return Ok(None) };
        for (input, name) in node.inputs.iter().enumerate() {
            let shape = self.shape(name)?;
            let own_axis = (track.axis + shape.len()).checked_sub(rank);
            let Some((own_axis, &size)) = own_axis.and_then(|axis| Some((axis, shape.get(axis)?))) else { continue };
            if size == 1 || self.tracks.contains_key(name) {
                continue;
            }
            self.index(index, input, own_axis, &track.ids)?;
        }
        Ok(Some(track))
    }

    fn concat(&mut self, node: &Node) -> Result<Option<Track>, String> {
        let rank = self.shape(&node.inputs[0])?.len();
        let along = axis(int(node, "axis", 1), rank).ok_or("has no such axis")?;
        let tracks: Vec<Option<Track>> = (0..node.inputs.len()).map(|input| self.tracked(node, input)).collect();
        let axes: BTreeSet<usize> = tracks.iter().flatten().map(|track| track.axis).collect();
        if axes.len() > 1 {
            return Err("has channels along two axes".into());
        }
        let Some(&axis) = axes.first() else { return Ok(None) };
        if axis != along {
            let Some(tracks) = tracks.into_iter().collect::<Option<Vec<Track>>>() else {
                return Err("joins channels with what has none".into());
            };
            for pair in tracks.windows(2) {
                self.tie_all(&pair[0].ids, &pair[1].ids);
            }
            return Ok(tracks.into_iter().next());
        }
        let mut ids = Vec::new();
        for (name, track) in node.inputs.iter().zip(tracks) {
            match track {
                Some(track) => ids.extend(track.ids.iter()),
                None => {
                    let fixed = self.fresh(self.shape(name)?[axis], None);
                    self.keep(&fixed, &format!("\"{name}\" is not made by a layer"));
                    ids.extend(fixed.iter());
                }
            }
        }
        Ok(Some(Track { axis, ids: ids.into() }))
    }

    fn split(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let rank = self.shape(&node.inputs[0])?.len();
        let along = axis(int(node, "axis", 0), rank).ok_or("has no such axis")?;
        let given = node.inputs.get(1).is_some_and(|name| !name.is_empty());
        if along == track.axis && given && self.integers(node, 1).is_none() {
            return Err("splits the channels at places that are no constants".into());
        }
        let mut parts = Vec::new();
        let mut start = 0;
        for output in &node.outputs {
            if along != track.axis {
                self.set(output, track.clone());
                continue;
            }
            let size = self.shape(output)?[along];
            let ids: Ids = track.ids.get(start..start + size).ok_or("splits more than there is")?.into();
            start += size;
            self.parts.extend(ids.iter().map(|&id| (id, index << 16 | parts.len())));
            parts.push(ids);
        }
        if along == track.axis {
            if start != track.ids.len() {
                return Err("splits less than there is".into());
            }
            for (output, ids) in node.outputs.iter().zip(&parts) {
                self.set(output, Track { axis: track.axis, ids: ids.clone() });
            }
            self.splits.insert(index, parts);
        }
        // All outputs are noted already.
        Ok(None)
    }

    fn pad(&self, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let rank = self.shape(&node.inputs[0])?.len();
        let pads = match ints(node, "pads") {
            Some(pads) => Some(pads.to_vec()),
            None => self.integers(node, 1),
        };
        let pads = pads.ok_or("has pads that are no constants")?;
        let axes = match node.inputs.get(3).filter(|name| !name.is_empty()) {
            None => (0..rank).collect(),
            Some(_) => axes(&self.integers(node, 3).ok_or("has axes that are no constants")?, rank)?,
        };
        if pads.len() != 2 * axes.len() {
            return Err("has pads for another rank".into());
        }
        let padded = axes
            .iter()
            .enumerate()
            .any(|(at, &axis)| axis == track.axis && (pads[at] != 0 || pads[at + axes.len()] != 0));
        if padded { Err("pads the channels".into()) } else { Ok(Some(track)) }
    }

    fn resize(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let output = self.shape(&node.outputs[0])?;
        if output.get(track.axis) != Some(&track.ids.len()) {
            return Err("resizes the channels".into());
        }
        if let Some(given) = ints(node, "axes") {
            let axes = axes(given, output.len())?;
            return if axes.contains(&track.axis) { Err("resizes the channels".into()) } else { Ok(Some(track)) };
        }
        // Scales stay as they are; sizes have the channels' number among them.
        if node.op_type == "Resize" && node.opset > 10 && self.integers(node, 3).is_some() {
            let size = Size { index: track.axis, ids: track.ids.clone() };
            self.sizes.entry((index, 3)).or_default().push(size);
        }
        Ok(Some(track))
    }

    /// Any operator whose output has the same elements in the same order.
    fn reshape(&mut self, index: usize, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let (from, to) = (self.shape(&node.inputs[0])?, self.shape(&node.outputs[0])?);
        let before: usize = from[..track.axis].iter().product();
        let behind: usize = from[track.axis + 1..].iter().product();
        let count = track.ids.len();
        let mut found = None;
        let mut ahead = 1usize;
        for (axis, &size) in to.iter().enumerate() {
            let rest: usize = to[axis + 1..].iter().product();
            let (joined, inner) = (before.checked_div(ahead), behind.checked_div(rest));
            // The channels with all or a part of what is around them.
            if let (Some(joined), Some(inner)) = (joined, inner)
                && ahead * joined == before
                && rest * inner == behind
                && size == joined * count * inner
                && (size > 1 || count == 1)
            {
                let each = track.ids.iter().flat_map(|&id| std::iter::repeat_n(id, inner));
                let ids: Vec<u32> = each.collect::<Vec<u32>>().repeat(joined);
                found = Some((axis, Ids::from(ids)));
                break;
            }
            // A part of the channels' axis: blocks of it go together.
            if ahead == before && size > 1 && size < count && count.is_multiple_of(size) {
                let inner = count / size;
                let mut tail = 1;
                let ends = to[axis + 1..].iter().any(|&next| {
                    tail *= next;
                    tail == inner
                });
                if ends {
                    for block in track.ids.chunks(inner) {
                        block.iter().for_each(|&id| self.tie(block[0], id));
                    }
                    found = Some((axis, track.ids.iter().step_by(inner).copied().collect()));
                    break;
                }
            }
            ahead *= size;
        }
        let (axis, ids) = found.ok_or("puts the channels in another order")?;
        if node.op_type == "Reshape" {
            match self.integers(node, 1) {
                // −1 is computed; 0 is the input's own size there.
                Some(sizes) => match sizes.get(axis) {
                    Some(&size) if size > 0 => {
                        self.sizes.entry((index, 1)).or_default().push(Size { index: axis, ids: ids.clone() });
                    }
                    Some(0) if axis != track.axis || from.get(axis) != to.get(axis) => {
                        return Err("has a size that is another axis' own".into());
                    }
                    _ => {}
                },
                None if self.constant(node, 1).is_some() => return Err("has sizes that are no integers".into()),
                None => {}
            }
        }
        Ok(Some(Track { axis, ids }))
    }

    fn reduce(&self, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let rank = self.shape(&node.inputs[0])?.len();
        let given = match ints(node, "axes") {
            Some(axes) => Some(axes.to_vec()),
            None => self.integers(node, 1),
        };
        let axes = axes(&given.ok_or("has axes that are no constants")?, rank)?;
        if axes.is_empty() || axes.contains(&track.axis) {
            return Err("reduces the channels".into());
        }
        let dropped = match int(node, "keepdims", 1) {
            0 => axes.iter().collect::<BTreeSet<_>>().into_iter().filter(|&&axis| axis < track.axis).count(),
            _ => 0,
        };
        Ok(Some(Track { axis: track.axis - dropped, ..track }))
    }

    fn slice(&self, node: &Node) -> Result<Option<Track>, String> {
        let track = self.input(node, 0)?;
        let rank = self.shape(&node.inputs[0])?.len();
        let given = match ints(node, "axes") {
            Some(axes) => Some(axes.to_vec()),
            None if node.inputs.get(3).is_some_and(|name| !name.is_empty()) => self.integers(node, 3),
            None => None,
        };
        let axes = axes(&given.ok_or("has axes that are no constants")?, rank)?;
        if axes.contains(&track.axis) { Err("takes a part of the channels".into()) } else { Ok(Some(track)) }
    }

    /// Which channels go, by their identities; and those that are left alone, and why.
    fn choose(&mut self, options: &ChannelOptions) -> (Vec<bool>, Vec<LeftAlone>) {
        let scores = self.scores(options.norm);
        let count = self.parents.len();
        let mut makers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut parts: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        let mut least = vec![0f64; count];
        let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
        for id in 0..count as u32 {
            let root = self.root(id);
            if let Some(maker) = self.makers[id as usize] {
                makers.entry(root).or_default().insert(maker);
                *sizes.entry(root).or_default() += 1;
            }
            least[root as usize] += scores[id as usize];
        }
        for (id, part) in std::mem::take(&mut self.parts) {
            let root = self.root(id);
            parts.entry(root).or_default().insert(part);
        }
        // Channels of the same layers that are in the same places: they can take each other's.
        let mut blocks: BTreeMap<(Vec<u32>, Vec<usize>), Vec<u32>> = BTreeMap::new();
        for (root, makers) in makers {
            let parts = parts.remove(&root).unwrap_or_default().into_iter().collect();
            blocks.entry((makers.into_iter().collect(), parts)).or_default().push(root);
        }
        let mut gone = vec![false; count];
        let mut left_alone: Vec<LeftAlone> = Vec::new();
        for ((makers, _), mut roots) in blocks {
            if let Some(reason) = roots.iter().find_map(|root| self.reasons.get(root)) {
                let nodes = makers.iter().map(|&maker| self.graph.nodes[self.layers[maker as usize].node].name.clone());
                let left = LeftAlone { nodes: nodes.collect(), reason: reason.clone() };
                if !left_alone.contains(&left) {
                    left_alone.push(left);
                }
                continue;
            }
            // Groups of a convolution have a channel each.
            let each = roots.iter().map(|root| sizes[root] / makers.len()).min().unwrap_or(1).max(1);
            let multiple = options.channel_multiple / gcd(options.channel_multiple, each);
            let kept = roots.len() - (roots.len() as f64 * options.ratio).round() as usize;
            let kept = kept.max(1).next_multiple_of(multiple).min(roots.len());
            roots.sort_by(|a, b| least[*b as usize].total_cmp(&least[*a as usize]).then(a.cmp(b)));
            roots[kept..].iter().for_each(|&root| gone[root as usize] = true);
        }
        let gone = (0..count as u32).map(|id| gone[self.root(id) as usize]).collect();
        (gone, left_alone)
    }

    /// The norm of each channel's weights as a share of its layer's mean.
    fn scores(&self, norm: Norm) -> Vec<f64> {
        let mut scores = vec![0f64; self.parents.len()];
        for layer in &self.layers {
            let Some(tensor) = self.constant(&self.graph.nodes[layer.node], layer.weight) else { continue };
            let width = tensor.shape()[layer.axis];
            let inner: usize = tensor.shape()[layer.axis + 1..].iter().product();
            let outer: usize = tensor.shape()[..layer.axis].iter().product();
            let mut sums = vec![0f64; layer.ids.len()];
            // A transposed convolution's groups lie one after another along the first axis.
            let groups = (layer.ids.len() / width.max(1)).max(1);
            for (at, value) in floats(tensor).enumerate() {
                let (row, channel) = (at / inner / width, at / inner % width);
                let value = f64::from(value);
                sums[row * groups / outer.max(1) * width + channel] += match norm {
                    Norm::L1 => value.abs(),
                    Norm::L2 => value * value,
                };
            }
            let of = |(&id, sum): (&u32, f64)| {
                let norm = if norm == Norm::L2 { sum.sqrt() } else { sum };
                norm * f64::from(self.factors[id as usize])
            };
            let norms: Vec<f64> = layer.ids.iter().zip(sums).map(of).collect();
            let mean = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
            for (&id, norm) in layer.ids.iter().zip(norms) {
                scores[id as usize] = if mean > 0.0 { norm / mean } else { 0.0 };
            }
        }
        scores
    }

    /// What changes in the graph when these channels go.
    fn changes(&self, gone: &[bool]) -> Result<Changes> {
        let mut changes = Changes::default();
        let left = |ids: &Ids| -> Vec<usize> { (0..ids.len()).filter(|&at| !gone[ids[at] as usize]).collect() };
        // Each way of cutting a tensor makes one tensor, however many nodes use it.
        let mut made: HashMap<(String, Vec<Cut>), String> = HashMap::new();
        let mut names = self.names();
        for (&(node, input), tracks) in &self.indexed {
            let name = &self.graph.nodes[node].inputs[input];
            let cuts: Vec<Cut> = tracks
                .iter()
                .map(|track| (track.axis, left(&track.ids), track.ids.len()))
                .filter(|(_, kept, all)| kept.len() < *all)
                .map(|(axis, kept, _)| (axis, kept))
                .collect();
            if cuts.is_empty() {
                continue;
            }
            let Some(tensor) = self.graph.initializers.get(name) else { continue };
            let key = (name.clone(), cuts);
            let new = match made.get(&key) {
                Some(new) => new.clone(),
                None => {
                    let cut = key.1.iter().try_fold(tensor.clone(), |t, (axis, kept)| select(&t, *axis, kept))?;
                    let new = unique(&mut names, name);
                    changes.constants.push((new.clone(), cut));
                    made.insert(key, new.clone());
                    new
                }
            };
            changes.inputs.push((node, input, new));
        }
        for (&(node, input), sizes) in &self.sizes {
            let name = &self.graph.nodes[node].inputs[input];
            let (Some(tensor), Some(mut values)) =
                (self.graph.initializers.get(name), self.integers(&self.graph.nodes[node], input))
            else {
                continue;
            };
            let mut changed = false;
            for Size { index, ids } in sizes {
                let kept = left(ids).len();
                if let Some(value) = values.get_mut(*index).filter(|_| kept < ids.len()) {
                    (*value, changed) = (kept as i64, true);
                }
            }
            if changed {
                let new = unique(&mut names, name);
                changes.constants.push((new.clone(), Tensor::from_vec(tensor.shape().to_vec(), values)?));
                changes.inputs.push((node, input, new));
            }
        }
        for (&node, ids) in &self.groups {
            let kept = left(ids).len();
            if kept < ids.len() {
                changes.attributes.push((node, "group", Attribute::Int(kept as i64)));
            }
        }
        for (&node, parts) in &self.splits {
            if parts.iter().all(|ids| left(ids).len() == ids.len()) {
                continue;
            }
            let sizes: Vec<i64> = parts.iter().map(|ids| left(ids).len() as i64).collect();
            if self.graph.nodes[node].opset < 13 {
                changes.attributes.push((node, "split", Attribute::Ints(sizes)));
            } else {
                let new = unique(&mut names, &format!("{}.split", self.graph.nodes[node].name));
                changes.constants.push((new.clone(), Tensor::from_vec(vec![sizes.len()], sizes)?));
                changes.inputs.push((node, 1, new));
            }
        }
        Ok(changes)
    }

    /// All names that values have.
    fn names(&self) -> BTreeSet<String> {
        let nodes = self.graph.nodes.iter();
        let values = nodes.flat_map(|node| node.inputs.iter().chain(&node.outputs).cloned().chain(node.captures()));
        let given = self.graph.inputs.iter().map(|input| input.name.clone());
        values.chain(given).chain(self.graph.initializers.keys().cloned()).collect()
    }
}

/// `name` with a number that makes it new.
fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let mut count = 1usize;
    loop {
        let new = format!("{name}_{count}");
        if names.insert(new.clone()) {
            return new;
        }
        count += 1;
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `group`, which must divide `channels`.
fn groups(node: &Node, channels: usize) -> Result<usize, String> {
    let groups = usize::try_from(int(node, "group", 1)).ok().filter(|&g| g > 0 && channels.is_multiple_of(g));
    groups.ok_or_else(|| "has a group that does not divide its channels".to_string())
}

fn int(node: &Node, name: &str, otherwise: i64) -> i64 {
    if let Some(Attribute::Int(value)) = node.attributes.get(name) { *value } else { otherwise }
}

fn float(node: &Node, name: &str, otherwise: f32) -> f32 {
    if let Some(Attribute::Float(value)) = node.attributes.get(name) { *value } else { otherwise }
}

fn ints<'n>(node: &'n Node, name: &str) -> Option<&'n [i64]> {
    if let Some(Attribute::Ints(values)) = node.attributes.get(name) { Some(values) } else { None }
}

/// An axis that may count from the end.
fn axis(given: i64, rank: usize) -> Option<usize> {
    let axis = if given < 0 { given.checked_add(rank as i64)? } else { given };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let all = given.iter().map(|&one| axis(one, rank)).collect::<Option<Vec<usize>>>();
    all.ok_or_else(|| "has an axis that its input has not".to_string())
}

/// The parts of a tensor at `kept` along `axis`.
fn select(tensor: &Tensor, axis: usize, kept: &[usize]) -> Result<Tensor> {
    let Some(bytes) = tensor.bytes() else { bail!(Internal, "strings have no channels") };
    let mut shape = tensor.shape().to_vec();
    let size = tensor.dtype().size();
    let piece = shape[axis + 1..].iter().product::<usize>() * size;
    let row = piece * shape[axis];
    let mut out = Vec::with_capacity(bytes.len() / shape[axis].max(1) * kept.len());
    if row > 0 {
        for row in bytes.chunks_exact(row) {
            kept.iter().for_each(|&at| out.extend_from_slice(&row[at * piece..(at + 1) * piece]));
        }
    }
    shape[axis] = kept.len();
    Tensor::from_bytes(tensor.dtype(), shape, out)
}

/// An axis of a tensor, and the positions along it that stay.
type Cut = (usize, Vec<usize>);

/// What is to be written into a graph.
#[derive(Default)]
struct Changes {
    constants: Vec<(String, Tensor)>,
    /// Node, input, the constant that it now takes.
    inputs: Vec<(usize, usize, String)>,
    attributes: Vec<(usize, &'static str, Attribute)>,
}

impl Changes {
    fn apply(self, graph: &mut Graph) {
        let mut replaced: Vec<(String, String)> = Vec::new();
        for (node, input, new) in self.inputs {
            let node = &mut graph.nodes[node];
            node.attributes.remove("num_outputs");
            if node.inputs.len() <= input {
                node.inputs.resize(input + 1, String::new());
            }
            let old = std::mem::replace(&mut node.inputs[input], new.clone());
            if !old.is_empty() && !replaced.iter().any(|(_, before)| *before == new) {
                replaced.push((old, new));
            }
        }
        for (node, name, value) in self.attributes {
            graph.nodes[node].attributes.insert(name.to_string(), value);
        }
        graph.initializers.extend(self.constants);
        // What nobody uses any more goes, and what took its place gets its name.
        let mut used: BTreeSet<String> = graph.nodes.iter().flat_map(|n| n.inputs.iter().cloned()).collect();
        used.extend(graph.nodes.iter().flat_map(Node::captures));
        used.extend(graph.outputs.iter().map(|output| output.name.clone()));
        for (old, new) in replaced {
            if used.contains(&old) {
                continue;
            }
            if let Some(tensor) = graph.initializers.remove(&new) {
                graph.initializers.insert(old.clone(), tensor);
                used.insert(old.clone());
                for name in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|name| **name == new) {
                    name.clone_from(&old);
                }
            }
        }
    }
}
