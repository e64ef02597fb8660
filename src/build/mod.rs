//! From a trained model to the one that is deployed: simplify, prune, quantise, and measure what that cost. A model
//! that is over its accuracy budget is not given out.
//!
//! The same model, options and samples give the same bytes on every machine: sums are computed as the portable
//! kernels do, and scales are coarser than what is left to chance.

pub mod compare;
pub mod publish;
pub mod report;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::data::dataset::Part;
use crate::data::sample::Sizes;
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::Graph;
use crate::kernels::arch::Portable;
use crate::onnx::Model;
use crate::optimize::calibrate::{CalibrationMethod, Observation, Samples, Watch, channel_means, observe, run, tapped};
use crate::optimize::prune::{Amount, PruneOptions, PruneReport, matches, prune};
use crate::optimize::quantize::{
    BlockOptions, IntegerOptions, LayerReport, Precision, correct_bias, last_weighted, quantize_blocks,
    quantize_dynamic, quantize_integer, shift_bias, to_float16, watched, weighted,
};
use crate::optimize::simplify::simplify;
use crate::optimize::structured::{ChannelOptions, ChannelReport, prune_channels};
use crate::optimize::upgrade::upgrade;
use crate::optimize::{PassReport, equalize::equalize};
use crate::runtime::Feed;
use compare::{Answers, Comparison, Metric, answers, compare, metric_of};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct BuildOptions {
    /// The share of weights that becomes zero, from 0 to below 1: those of the least magnitude.
    pub prune: Option<f64>,
    /// That share of each layer, not of all together.
    pub prune_each_layer: bool,
    /// Weights of a magnitude below this become zero.
    pub prune_threshold: Option<f32>,
    /// The share of output channels that is removed, from 0 to below 1.
    pub prune_channels: Option<f64>,
    /// How many channels stay is rounded up to a multiple of this.
    pub channel_multiple: usize,
    /// What weights and activations become.
    pub quantize: Precision,
    /// How ranges of activations are chosen; the best of all on the calibration samples where nothing is said.
    pub calibration_method: Option<CalibrationMethod>,
    /// How many samples are used for calibration.
    pub calibration_samples: usize,
    /// One scale for a whole weight instead of one for each output channel.
    pub per_tensor: bool,
    /// Weights of 7 bits instead of 8.
    pub reduce_range: bool,
    /// Whether channels of convolutions that follow each other are scaled to be equally wide.
    pub equalize: bool,
    /// Whether biases make up for what quantising weights takes from the mean.
    pub correct_bias: bool,
    /// Weights that share a scale, at `int4`.
    pub block_size: usize,
    /// Nodes that stay as they are, by name; `*` stands for any characters.
    pub exclude: Vec<String>,
    /// What is counted as agreement; where nothing is said, the model's output decides.
    pub metric: Option<Metric>,
    /// The most accuracy, of 1, that may be lost, where labels are known.
    pub max_drop: f64,
    /// The least agreement, of 1, with the original where labels are not known.
    pub min_agreement: f64,
    /// Refuse at once what is over the budget, instead of computing layers in float32.
    pub strict: bool,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            prune: None,
            prune_each_layer: false,
            prune_threshold: None,
            prune_channels: None,
            channel_multiple: 8,
            quantize: Precision::Float32,
            calibration_method: None,
            calibration_samples: 128,
            per_tensor: false,
            reduce_range: false,
            equalize: true,
            correct_bias: true,
            block_size: 32,
            exclude: Vec::new(),
            metric: None,
            max_drop: 0.01,
            min_agreement: 0.97,
            strict: false,
        }
    }
}

/// Samples to find ranges with, and to measure with.
pub struct Data<'a> {
    pub calibration: &'a dyn Samples,
    pub evaluation: &'a dyn Samples,
    /// The right answers of `evaluation`.
    pub labels: Option<&'a [i64]>,
    /// Whether the samples are random numbers, for want of better ones.
    pub random: bool,
}

/// Where a build is: the step, how much of it is done, of how much.
pub type OnProgress<'a> = &'a mut dyn FnMut(&str, usize, usize) -> Result<()>;

/// What came out.
#[derive(Debug, Clone)]
pub struct Built {
    pub model: Model,
    /// What weights and activations are now.
    pub precision: Precision,
    pub comparison: Comparison,
    pub passes: Vec<PassReport>,
    /// Weights that became zero.
    pub pruned: Option<PruneReport>,
    /// Channels that were removed.
    pub channels: Option<ChannelReport>,
    pub layers: Vec<Layer>,
    pub calibration: Option<CalibrationReport>,
    /// What was decided and why, in order.
    pub decisions: Vec<String>,
}

/// One layer of the result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    #[serde(flatten)]
    pub quantized: LayerReport,
    /// Share of weights that are 0, of 1.
    pub sparsity: f64,
    /// How far the layer's output is from the original's, relative to it (root mean square), on some samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_error: Option<f64>,
}

/// How ranges were found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalibrationReport {
    pub method: CalibrationMethod,
    pub samples: usize,
    /// Mean cosine with the original on some calibration samples, by each method that was tried.
    pub tried: BTreeMap<String, f64>,
}

/// Samples that a decision is made on: few, since each candidate is run on all of them.
const DECIDING: usize = 40;

/// Samples on which a layer's own harm is measured.
const HARMING: usize = 4;

/// Builds the model that is deployed out of `original`.
///
/// Errors: `OverBudget` where the accuracy budget cannot be met, with what was measured; `InvalidArgument` for samples
/// or options that do not fit; those of the model's nodes; whatever `on_progress` ends it with.
pub fn build(original: &Model, options: &BuildOptions, data: &Data<'_>, on_progress: OnProgress<'_>) -> Result<Built> {
    let _portable = Portable::new();
    check(options)?;
    let mut builder = Builder {
        original: original.graph.clone(),
        options,
        data,
        passes: Vec::new(),
        pruned: None,
        channels: None,
        decisions: Vec::new(),
    };
    builder.build(original, on_progress)
}

fn check(options: &BuildOptions) -> Result<()> {
    let share = |name: &str, value: f64| -> Result<()> {
        ensure!((0.0..=1.0).contains(&value), InvalidArgument, "{name}: expected 0 to 1 (0 % to 100 %), got {value}");
        Ok(())
    };
    share("max-drop", options.max_drop)?;
    share("min-agreement", options.min_agreement)?;
    ensure!(options.calibration_samples > 0, InvalidArgument, "calibration-samples: expected 1 or more, got 0");
    Ok(())
}

/// What one layer takes when it alone is quantised.
struct Harm {
    node: String,
    /// Of its weight.
    elements: usize,
    /// Taken from the mean cosine of the outputs.
    cosine: f64,
}

/// A quantised graph and how it came about.
struct Candidate {
    graph: Graph,
    layers: Vec<LayerReport>,
    precision: Precision,
}

struct Builder<'a> {
    original: Graph,
    options: &'a BuildOptions,
    data: &'a Data<'a>,
    passes: Vec<PassReport>,
    pruned: Option<PruneReport>,
    channels: Option<ChannelReport>,
    decisions: Vec<String>,
}

impl Builder<'_> {
    fn build(&mut self, original: &Model, on_progress: OnProgress<'_>) -> Result<Built> {
        on_progress("simplify", 0, 1)?;
        let mut graph = self.original.clone();
        let mut report = PassReport::new("upgrade");
        for (op_type, count) in upgrade(&mut graph)? {
            (0..count).for_each(|_| report.count(format!("{op_type} rewritten")));
        }
        self.passes.push(report);
        self.passes.extend(simplify(&mut graph)?);
        self.prune(&mut graph, on_progress)?;
        let reference =
            answers(&self.original, self.data.evaluation, &mut |done, of| on_progress("measure original", done, of))?;
        let excluded = self.excluded(&graph)?;
        let (mut calibration, mut seen) = (None, BTreeMap::new());
        let integer = matches!(self.options.quantize, Precision::Int8 | Precision::Mixed);
        let mut integers = IntegerOptions {
            per_channel: !self.options.per_tensor,
            reduce_range: self.options.reduce_range,
            method: CalibrationMethod::Minmax,
            excluded: excluded.iter().map(|name| (name.clone(), "excluded".to_string())).collect(),
            weight_only: BTreeSet::new(),
        };
        let candidate = match self.options.quantize {
            Precision::Float32 => {
                Candidate { graph: graph.clone(), layers: untouched(&graph), precision: Precision::Float32 }
            }
            Precision::Float16 => {
                let mut halves = graph.clone();
                let layers = to_float16(&mut halves)?;
                Candidate { graph: halves, layers, precision: Precision::Float16 }
            }
            Precision::WeightOnly => {
                let mut coded = graph.clone();
                for index in weighted(&graph) {
                    let name = &graph.nodes[index].name;
                    if !integers.excluded.contains_key(name) {
                        integers.excluded.insert(name.clone(), "weights alone are quantised".to_string());
                        integers.weight_only.insert(name.clone());
                    }
                }
                let layers = quantize_integer(&mut coded, &seen, &integers)?;
                self.expect_some(&layers, "Conv, Gemm or MatMul")?;
                Candidate { graph: coded, layers, precision: Precision::WeightOnly }
            }
            Precision::Dynamic => {
                let mut dynamic = graph.clone();
                let layers = quantize_dynamic(&mut dynamic, &excluded)?;
                self.expect_some(&layers, "MatMul or Gemm")?;
                Candidate { graph: dynamic, layers, precision: Precision::Dynamic }
            }
            Precision::Int4 => {
                let mut blocks = graph.clone();
                let options = BlockOptions { block_size: self.options.block_size, excluded: excluded.clone() };
                let layers = quantize_blocks(&mut blocks, &options)?;
                self.expect_some(&layers, "MatMul or Gemm of at least a block's rows")?;
                Candidate { graph: blocks, layers, precision: Precision::Int4 }
            }
            Precision::Int8 | Precision::Mixed => {
                if self.options.equalize {
                    let report = equalize(&mut graph);
                    if report.total() > 0 {
                        self.decisions.push(format!("{} pairs of convolutions were equalised", report.total()));
                        self.passes.push(report);
                    }
                }
                seen = self.observe(&graph, on_progress)?;
                let found = self.choose_method(&graph, &seen, &mut integers, on_progress)?;
                calibration = Some(found);
                let candidate = self.corrected_integers(&graph, &seen, &integers)?;
                self.expect_some(&candidate.layers, "Conv, Gemm or MatMul")?;
                candidate
            }
        };
        let mut measured = self.measure(&reference, &candidate.graph, on_progress)?;
        let mut candidate = candidate;
        if !self.holds(&measured) && integer && !self.options.strict {
            self.decisions.push(format!("all layers in int8: {}", self.in_words(&measured)));
            let all_integer = (candidate, measured);
            (candidate, measured) = self.raise(&graph, &seen, &integers, all_integer, &reference, on_progress)?;
        }
        if !self.holds(&measured) {
            let mut said = format!("over the accuracy budget: {}", self.in_words(&measured));
            if let Some(worst) = self.worst(&candidate.layers) {
                said += &format!("; the weights that lose most are those of {worst}");
            }
            if self.pruned.is_some() || self.channels.is_some() {
                said += "; prune less";
            }
            said += match self.options.quantize {
                Precision::Int8 | Precision::Mixed if self.options.strict => {
                    "; without --strict, layers that lose most are computed in float32"
                }
                Precision::Int8 | Precision::Mixed => {
                    "; try more calibration samples, or --quantize dynamic or float16"
                }
                Precision::Int4 => "; try a smaller --block-size, or --quantize dynamic",
                _ => "; allow a larger --max-drop, or ask for less",
            };
            bail!(OverBudget, "{said}");
        }
        self.decisions.push(format!("within the budget: {}", self.in_words(&measured)));
        if self.data.random {
            self.decisions.push(
                "no samples were given: agreement was measured on random numbers, which says little; give --data"
                    .to_string(),
            );
        }
        let layers = self.layers(&graph, &candidate, on_progress)?;
        let model = Model {
            graph: candidate.graph,
            ir_version: original.ir_version,
            producer: format!("firebrand {}", crate::VERSION),
            metadata: original.metadata.clone(),
        };
        Ok(Built {
            model,
            precision: candidate.precision,
            comparison: measured,
            passes: std::mem::take(&mut self.passes),
            pruned: self.pruned.take(),
            channels: self.channels.take(),
            layers,
            calibration,
            decisions: std::mem::take(&mut self.decisions),
        })
    }

    /// The patterns to exclude that mean a node with weights, or a weight.
    fn excluded_weights(&self, graph: &Graph) -> Vec<String> {
        let nodes = weighted(graph).into_iter().map(|index| &graph.nodes[index].name);
        let names: Vec<&String> = nodes.chain(graph.initializers.keys()).collect();
        let means_one = |pattern: &&String| names.iter().any(|name| matches(pattern, name));
        self.options.exclude.iter().filter(means_one).cloned().collect()
    }

    /// Channels first, then what is left of the weights.
    fn prune(&mut self, graph: &mut Graph, on_progress: OnProgress<'_>) -> Result<()> {
        let options = self.options;
        if let Some(ratio) = options.prune_channels {
            on_progress("remove channels", 0, 1)?;
            let channels = ChannelOptions {
                ratio,
                channel_multiple: options.channel_multiple,
                excluded: self.excluded_weights(graph),
                ..ChannelOptions::default()
            };
            let report = prune_channels(graph, &channels)?;
            self.decisions.push(format!(
                "channels removed: {} multiply-adds of {}",
                report.multiply_adds_after, report.multiply_adds_before
            ));
            self.channels = Some(report);
        }
        let amount = match (options.prune_threshold, options.prune) {
            (Some(threshold), _) => Amount::Threshold(threshold),
            (None, Some(share)) if options.prune_each_layer => Amount::EachLayer(share),
            (None, Some(share)) => Amount::Global(share),
            (None, None) => return Ok(()),
        };
        on_progress("prune", 0, 1)?;
        let excluded = self.excluded_weights(graph);
        let report = prune(graph, &PruneOptions { amount, excluded })?;
        let (elements, before, after) = report.total();
        self.decisions.push(format!("weights pruned: {after} of {elements} are zero, {before} were before"));
        self.pruned = Some(report);
        Ok(())
    }

    /// The names of the nodes that the patterns mean; each must mean one.
    fn excluded(&self, graph: &Graph) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for pattern in &self.options.exclude {
            let found: Vec<&str> =
                graph.nodes.iter().map(|node| node.name.as_str()).filter(|name| matches(pattern, name)).collect();
            let weight = self.original.initializers.keys().any(|name| matches(pattern, name));
            ensure!(weight || !found.is_empty(), InvalidArgument, "exclude: no node or weight is named \"{pattern}\"");
            names.extend(found.into_iter().map(str::to_string));
        }
        Ok(names.into_iter().collect())
    }

    fn expect_some(&self, layers: &[LayerReport], of: &str) -> Result<()> {
        let any = layers.iter().any(|layer| layer.precision != Precision::Float32);
        ensure!(
            any,
            Unsupported,
            "nothing can be quantised to {}: the model has no {of} with constant float32 weights",
            self.options.quantize.as_str()
        );
        Ok(())
    }

    fn observe(&self, graph: &Graph, on_progress: OnProgress<'_>) -> Result<BTreeMap<String, Observation>> {
        let samples = Part::spread(self.data.calibration, self.options.calibration_samples);
        // Histograms serve every method; ranges alone need half the runs.
        let method = self.options.calibration_method.unwrap_or(CalibrationMethod::Mse);
        observe(graph, &watched(graph)?, &samples, method, &mut |done, of| on_progress("calibrate", done, of))
    }

    fn choose_method(
        &mut self,
        graph: &Graph,
        seen: &BTreeMap<String, Observation>,
        integers: &mut IntegerOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<CalibrationReport> {
        let used = self.data.calibration.len().min(self.options.calibration_samples);
        if let Some(method) = self.options.calibration_method {
            integers.method = method;
            return Ok(CalibrationReport { method, samples: used, tried: BTreeMap::new() });
        }
        use CalibrationMethod::{Entropy, Minmax, Mse, Percentile};
        let methods = [Minmax, Percentile, Mse, Entropy];
        let few = Part::spread(self.data.calibration, DECIDING);
        let reference = answers(graph, &few, &mut |_, _| Ok(()))?;
        let (mut best, mut tried) = (((f64::MIN, f64::MIN), Minmax), BTreeMap::new());
        for (done, method) in methods.into_iter().enumerate() {
            on_progress("choose ranges", done, methods.len())?;
            let with = IntegerOptions { method, ..integers.clone() };
            let candidate = self.corrected_integers(graph, seen, &with)?;
            let found = compare(&reference, &answers(&candidate.graph, &few, &mut |_, _| Ok(()))?, None, self.metric());
            tried.insert(format!("{method:?}").to_lowercase(), found.cosine);
            if (found.agreement, found.cosine) > best.0 {
                best = ((found.agreement, found.cosine), method);
            }
        }
        integers.method = best.1;
        let name = format!("{:?}", best.1).to_lowercase();
        self.decisions.push(format!("ranges by {name}, the best of {} on {} samples", methods.len(), few.len()));
        Ok(CalibrationReport { method: best.1, samples: used, tried })
    }

    fn integers(
        &self,
        graph: &Graph,
        seen: &BTreeMap<String, Observation>,
        options: &IntegerOptions,
    ) -> Result<Candidate> {
        let mut graph = graph.clone();
        if self.options.correct_bias {
            correct_bias(&mut graph, seen, options)?;
        }
        let layers = quantize_integer(&mut graph, seen, options)?;
        let mixed = layers.iter().any(|layer| layer.precision != Precision::Int8);
        Ok(Candidate { graph, layers, precision: if mixed { Precision::Mixed } else { Precision::Int8 } })
    }

    /// As [`integers`](Self::integers), with the means of the last layers' outputs brought back to what they were.
    ///
    /// What correcting each layer for itself leaves adds up towards the end, as a shift that is the same for every
    /// sample: one class gains, another loses.
    fn corrected_integers(
        &self,
        graph: &Graph,
        seen: &BTreeMap<String, Observation>,
        options: &IntegerOptions,
    ) -> Result<Candidate> {
        let candidate = self.integers(graph, seen, options)?;
        let last = last_weighted(graph, &options.excluded);
        if !self.options.correct_bias || last.is_empty() {
            return Ok(candidate);
        }
        let watch: Vec<Watch> =
            last.iter().map(|(_, value, axis)| Watch { value: value.clone(), channel_axis: Some(*axis) }).collect();
        let samples = Part::spread(self.data.calibration, DECIDING.min(self.options.calibration_samples));
        let means = |graph: &Graph| {
            let made = |value: &&str| graph.nodes.iter().any(|node| node.outputs.iter().any(|output| output == value));
            let session = tapped(graph, watch.iter().map(|watch| watch.value.as_str()).filter(made))?;
            channel_means(&session, &watch, &samples)
        };
        let (before, after) = (means(graph)?, means(&candidate.graph)?);
        let mut shifted = graph.clone();
        for (index, value, _) in &last {
            if let (Some(before), Some(after)) = (before.get(value), after.get(value)) {
                let shift: Vec<f64> = std::iter::zip(before, after).map(|(before, after)| before - after).collect();
                shift_bias(&mut shifted, *index, &shift)?;
            }
        }
        self.integers(&shifted, seen, options)
    }

    fn measure(&self, reference: &Answers, graph: &Graph, on_progress: OnProgress<'_>) -> Result<Comparison> {
        let found = answers(graph, self.data.evaluation, &mut |done, of| on_progress("measure", done, of))?;
        Ok(compare(reference, &found, self.data.labels, self.metric()))
    }

    fn metric(&self) -> Metric {
        self.options.metric.unwrap_or_else(|| metric_of(&self.original))
    }

    fn holds(&self, measured: &Comparison) -> bool {
        match measured.drop() {
            // A drop of exactly the budget is within it, whatever the last bit of the difference.
            Some(drop) => drop <= self.options.max_drop + 1e-9,
            None => measured.agreement >= self.options.min_agreement - 1e-9,
        }
    }

    /// How good a result is: by what the budget is about, then by cosine.
    fn rank(&self, measured: &Comparison) -> (f64, f64) {
        (measured.drop().map_or(measured.agreement, |drop| -drop), measured.cosine)
    }

    fn in_words(&self, measured: &Comparison) -> String {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let of = format!("on {} samples", measured.samples);
        match (measured.original_accuracy, measured.accuracy, measured.drop()) {
            (Some(before), Some(after), Some(drop)) => format!(
                "accuracy {} of {}, a drop of {} {of}; {} are allowed",
                percent(after),
                percent(before),
                percent(drop),
                percent(self.options.max_drop)
            ),
            _ => {
                let what = if measured.metric == Metric::Top1 { "the same answer" } else { "a cosine" };
                format!(
                    "{what} of {} {of}; {} are asked for",
                    percent(measured.agreement),
                    percent(self.options.min_agreement)
                )
            }
        }
    }

    /// The layers whose weights lose most, for an error.
    fn worst(&self, layers: &[LayerReport]) -> Option<String> {
        let mut named: Vec<(f64, &str)> =
            layers.iter().filter_map(|layer| Some((layer.signal_to_noise?, layer.node.as_str()))).collect();
        named.sort_by(|a, b| a.0.total_cmp(&b.0));
        let named: Vec<String> = named.iter().take(3).map(|(noise, name)| format!("\"{name}\" ({noise} dB)")).collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// Computes the layers in float32 that do most harm, as few as need be, at most half of them: with weights that stay
    /// in int8, which costs time only; where that does not do, in float32 altogether. Gives the best that was found,
    /// `all_integer` among it.
    fn raise(
        &mut self,
        graph: &Graph,
        seen: &BTreeMap<String, Observation>,
        integers: &IntegerOptions,
        all_integer: (Candidate, Comparison),
        reference: &Answers,
        on_progress: OnProgress<'_>,
    ) -> Result<(Candidate, Comparison)> {
        let harm = self.harm(graph, seen, integers, on_progress)?;
        let mut best = all_integer;
        for step in [Precision::WeightOnly, Precision::Float32] {
            let mut order: Vec<&Harm> = harm.iter().collect();
            // Weights in float32 cost their bytes: of two layers that do the same harm the smaller one goes first.
            let worth = |layer: &Harm| match step {
                Precision::Float32 => layer.cosine / (layer.elements as f64).sqrt(),
                _ => layer.cosine,
            };
            order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then_with(|| a.node.cmp(&b.node)));
            let what = if step == Precision::Float32 { "in float32" } else { "with float32 activations" };
            let mut count = 1;
            while count <= harm.len() / 2 {
                let mut with = integers.clone();
                for layer in &order[..count] {
                    let why = format!("{what}: alone in int8 it takes {:.4} of the cosine", layer.cosine);
                    with.excluded.insert(layer.node.clone(), why);
                    if step == Precision::WeightOnly {
                        with.weight_only.insert(layer.node.clone());
                    }
                }
                let candidate = self.corrected_integers(graph, seen, &with)?;
                let measured = self.measure(reference, &candidate.graph, on_progress)?;
                let named: Vec<String> =
                    order[..count.min(3)].iter().map(|layer| format!("\"{}\"", layer.node)).collect();
                self.decisions.push(format!(
                    "{count} of {} layers {what} ({}{}): {}",
                    harm.len(),
                    named.join(", "),
                    if count > 3 { ", …" } else { "" },
                    self.in_words(&measured)
                ));
                let holds = self.holds(&measured);
                if self.rank(&measured) > self.rank(&best.1) {
                    best = (candidate, measured);
                }
                if holds {
                    return Ok(best);
                }
                // A third more each time: near the fewest that do, without trying every number.
                count = (count + 1).max(count * 4 / 3);
            }
        }
        Ok(best)
    }

    /// What each layer takes from the cosine when it alone is quantised.
    fn harm(
        &self,
        graph: &Graph,
        seen: &BTreeMap<String, Observation>,
        integers: &IntegerOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<Harm>> {
        let few = Part::spread(self.data.calibration, HARMING);
        let reference = answers(graph, &few, &mut |_, _| Ok(()))?;
        let names: Vec<(String, usize)> = weighted(graph)
            .into_iter()
            .map(|index| &graph.nodes[index])
            .map(|node| (node.name.clone(), graph.initializers[&node.inputs[1]].len()))
            .filter(|(name, _)| !integers.excluded.contains_key(name))
            .collect();
        let mut harm = Vec::with_capacity(names.len());
        for (done, (name, elements)) in names.iter().enumerate() {
            on_progress("measure each layer", done, names.len())?;
            let mut alone = integers.clone();
            for node in &graph.nodes {
                if node.name != *name {
                    alone.excluded.insert(node.name.clone(), String::new());
                }
            }
            let candidate = self.integers(graph, seen, &alone)?;
            let found =
                compare(&reference, &answers(&candidate.graph, &few, &mut |_, _| Ok(()))?, None, Metric::Cosine);
            harm.push(Harm { node: name.clone(), elements: *elements, cosine: (1.0 - found.cosine).max(0.0) });
        }
        Ok(harm)
    }

    /// What became of each layer, with the error of its output on some samples.
    fn layers(&self, graph: &Graph, candidate: &Candidate, on_progress: OnProgress<'_>) -> Result<Vec<Layer>> {
        on_progress("compare layers", 0, 1)?;
        let outputs: BTreeMap<&str, &str> =
            graph.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.outputs.first()?.as_str()))).collect();
        let values: Vec<String> = candidate
            .layers
            .iter()
            .filter_map(|layer| outputs.get(layer.node.as_str()).map(ToString::to_string))
            .filter(|value| candidate.graph.nodes.iter().any(|node| node.outputs.contains(value)))
            .collect();
        let few = Part::spread(self.data.evaluation, HARMING);
        let mut errors: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        if candidate.precision != Precision::Float32 && !values.is_empty() {
            let before = tapped(graph, values.iter().map(String::as_str))?;
            let after = tapped(&candidate.graph, values.iter().map(String::as_str))?;
            for index in 0..few.len() {
                let (a, b) = (run(&before, few.get(index)?, &values)?, run(&after, few.get(index)?, &values)?);
                for ((name, a), (_, b)) in std::iter::zip(a, b) {
                    let (Feed::Tensor(a), Feed::Tensor(b)) = (a, b) else { continue };
                    let (Some(a), Some(b)) = (a.as_slice::<f32>(), b.as_slice::<f32>()) else { continue };
                    let entry = errors.entry(name).or_default();
                    for (&a, &b) in std::iter::zip(a, b) {
                        entry.0 += f64::from(a) * f64::from(a);
                        entry.1 += f64::from(a - b) * f64::from(a - b);
                    }
                }
            }
        }
        let layer = |quantized: &LayerReport| {
            let error = outputs.get(quantized.node.as_str()).and_then(|value| errors.get(*value));
            Layer {
                sparsity: graph.initializers.get(&quantized.weight).map_or(0.0, |weight| {
                    let values = weight.as_slice::<f32>().unwrap_or_default();
                    let zeros = values.iter().filter(|value| **value == 0.0).count();
                    (zeros as f64 / values.len().max(1) as f64 * 1e4).round() / 1e4
                }),
                output_error: error
                    .filter(|(power, _)| *power > 0.0)
                    .map(|(power, noise)| ((noise / power).sqrt() * 1e4).round() / 1e4),
                quantized: quantized.clone(),
            }
        };
        Ok(candidate.layers.iter().map(layer).collect())
    }
}

/// The layers of a graph that stays in float32.
fn untouched(graph: &Graph) -> Vec<LayerReport> {
    let layer = |index: usize| LayerReport::float32(graph, &graph.nodes[index], None);
    weighted(graph).into_iter().map(layer).collect()
}

/// Seeded samples for a model of which nothing else is given: floats from -1 to 1, indices of 0 and 1.
///
/// Errors: those of [`Sizes::sample`].
pub fn random_samples(model: &Model, count: usize) -> Result<Vec<Vec<(String, Feed)>>> {
    let sizes = Sizes::new(&[], model.graph.inputs.iter())?;
    (0..count)
        .map(|index| {
            let inputs = model.graph.inputs.iter().map(|info| {
                let feed = sizes.sample(info, 0x5eed + index as u64).map_err(|error| {
                    Error::new(ErrorKind::InvalidArgument, format!("{}; give samples with --data", error.message()))
                })?;
                Ok((info.name.clone(), feed))
            });
            inputs.collect()
        })
        .collect()
}
