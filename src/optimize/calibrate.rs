//! Finds the range of each value over samples, and from it the scale of its codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Graph, Tensor, ValueInfo, ValueType};
use crate::import::model;
use crate::runtime::{Feed, GraphOptimizationLevel, RunOptions, Session, SessionOptions};

/// What a model is given, one sample after another.
pub trait Samples {
    /// How many there are.
    fn len(&self) -> usize;

    /// The inputs of sample `index`, by name.
    ///
    /// Errors: whatever keeps it from being read, with the sample named.
    fn get(&self, index: usize) -> Result<Vec<(String, Feed)>>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Samples for Vec<Vec<(String, Feed)>> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn get(&self, index: usize) -> Result<Vec<(String, Feed)>> {
        Ok(self[index].clone())
    }
}

/// How a range is chosen from what a value was seen to be. The names are those of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum CalibrationMethod {
    /// From the smallest to the largest
    Minmax,
    /// Without the 0.01 % that lie furthest out
    Percentile,
    /// The range whose codes keep most of the distribution (least relative entropy)
    Entropy,
    /// The range with the least mean squared error
    Mse,
}

/// Bins of a histogram: enough that a bin is finer than a code even if the range shrinks to an eighth.
const BINS: usize = 2048;

/// What is cut off at each end by [`CalibrationMethod::Percentile`].
const OUTLIERS: f64 = 1e-4;

/// What a float32 value was seen to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub low: f32,
    pub high: f32,
    /// Elements between `low` and `high`, in bins of equal width; empty where no method asks for them.
    pub histogram: Vec<u64>,
    /// The mean of each channel, where they were asked for.
    pub means: Vec<f64>,
}

/// A value to look at.
#[derive(Debug, Clone)]
pub struct Watch {
    pub value: String,
    /// The axis of its channels, whose means are wanted; counted from the end where negative.
    pub channel_axis: Option<i64>,
}

struct Means {
    axis: i64,
    sums: Vec<f64>,
    count: f64,
}

/// Runs `graph` on the samples and watches values. What is no float32 tensor is left out of the result.
///
/// `on_sample` is told how many runs are done, of how many, and may end it with an error.
///
/// Errors: `InvalidArgument` where there are no samples or a value is not finite (named); those of the runs.
pub fn observe(
    graph: &Graph,
    watch: &[Watch],
    samples: &dyn Samples,
    method: CalibrationMethod,
    on_sample: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<BTreeMap<String, Observation>> {
    ensure!(!samples.is_empty(), InvalidArgument, "there are no samples to calibrate with");
    let session = tapped(graph, watch.iter().map(|watch| watch.value.as_str()))?;
    let names: Vec<String> = watch.iter().map(|watch| watch.value.clone()).collect();
    let passes = if method == CalibrationMethod::Minmax { 1 } else { 2 };
    let total = passes * samples.len();

    let mut seen: BTreeMap<String, Observation> = BTreeMap::new();
    let mut means: BTreeMap<&str, Means> = BTreeMap::new();
    for index in 0..samples.len() {
        on_sample(index, total)?;
        for (name, feed) in run(&session, samples.get(index)?, &names)? {
            let Some(values) = floats(&feed) else { continue };
            let Some(watched) = watch.iter().find(|watch| watch.value == name) else { continue };
            let (low, high) = extremes(&name, values.0)?;
            let entry = seen.entry(name).or_insert(Observation { low, high, histogram: vec![], means: vec![] });
            entry.low = entry.low.min(low);
            entry.high = entry.high.max(high);
            if let Some(axis) = watched.channel_axis {
                add_means(means.entry(&watched.value).or_insert(Means { axis, sums: vec![], count: 0.0 }), &values);
            }
        }
    }
    for (name, Means { sums, count, .. }) in means {
        if let Some(entry) = seen.get_mut(name) {
            entry.means = sums.into_iter().map(|sum| sum / count.max(1.0)).collect();
        }
    }
    if passes == 1 {
        return Ok(seen);
    }
    seen.values_mut().for_each(|entry| entry.histogram = vec![0; BINS]);
    for index in 0..samples.len() {
        on_sample(samples.len() + index, total)?;
        for (name, feed) in run(&session, samples.get(index)?, &names)? {
            let (Some((values, _)), Some(entry)) = (floats(&feed), seen.get_mut(&name)) else { continue };
            let width = (f64::from(entry.high) - f64::from(entry.low)) / BINS as f64;
            if width <= 0.0 {
                continue;
            }
            for &value in values {
                let bin = ((f64::from(value) - f64::from(entry.low)) / width) as usize;
                entry.histogram[bin.min(BINS - 1)] += 1;
            }
        }
    }
    Ok(seen)
}

/// The mean of each channel of values, over all samples; `watch` says which and along which axis. Of a value that the
/// session does not know, or that is no float32 tensor, there are none.
///
/// Errors: those of the runs.
pub fn channel_means(session: &Session, watch: &[Watch], samples: &dyn Samples) -> Result<BTreeMap<String, Vec<f64>>> {
    let names: Vec<String> = watch.iter().map(|watch| watch.value.clone()).collect();
    let mut means: BTreeMap<String, Means> = BTreeMap::new();
    for index in 0..samples.len() {
        for (name, feed) in run(session, samples.get(index)?, &names)? {
            let axis = watch.iter().find(|watch| watch.value == name).and_then(|watch| watch.channel_axis);
            if let (Some(values), Some(axis)) = (floats(&feed), axis) {
                add_means(means.entry(name).or_insert(Means { axis, sums: vec![], count: 0.0 }), &values);
            }
        }
    }
    let mean = |(name, Means { sums, count, .. }): (String, Means)| {
        (name, sums.into_iter().map(|sum| sum / count.max(1.0)).collect())
    };
    Ok(means.into_iter().map(mean).collect())
}

/// A session that can be asked for these values beside its outputs.
///
/// Errors: those of loading.
pub fn tapped<'a>(graph: &Graph, values: impl Iterator<Item = &'a str>) -> Result<Session> {
    let mut graph = graph.clone();
    for name in values {
        let known = graph.outputs.iter().any(|output| output.name == name);
        if !known && !graph.initializers.contains_key(name) {
            graph.outputs.push(ValueInfo { name: name.to_string(), ty: ValueType::Unknown });
        }
    }
    let options = SessionOptions { graph_optimization_level: GraphOptimizationLevel::All, ..SessionOptions::default() };
    Session::load_blocking(model(graph), options)
}

/// The wanted values of one run.
pub fn run(session: &Session, inputs: Vec<(String, Feed)>, wanted: &[String]) -> Result<Vec<(String, Feed)>> {
    // An input of the graph that is watched is no output of the run.
    let given: Vec<(String, Feed)> = inputs.iter().filter(|(name, _)| wanted.contains(name)).cloned().collect();
    let outputs: Vec<String> =
        wanted.iter().filter(|name| session.outputs().any(|info| info.name == **name)).cloned().collect();
    let mut found: Vec<(String, Feed)> = given.into_iter().filter(|(name, _)| !outputs.contains(name)).collect();
    if !outputs.is_empty() {
        found.extend(session.run_blocking(inputs, RunOptions { outputs: Some(outputs), ..RunOptions::default() })?);
    }
    Ok(found)
}

fn floats(feed: &Feed) -> Option<(&[f32], &[usize])> {
    match feed {
        Feed::Tensor(tensor) if tensor.dtype() == DataType::Float32 && !tensor.is_empty() => {
            Some((tensor.as_slice()?, tensor.shape()))
        }
        _ => None,
    }
}

fn extremes(name: &str, values: &[f32]) -> Result<(f32, f32)> {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &value in values {
        if !value.is_finite() {
            bail!(
                InvalidArgument,
                "value \"{name}\" is {value} for a sample: a range cannot be found; look at the sample, or keep the \
                 node that makes it in float32"
            );
        }
        low = low.min(value);
        high = high.max(value);
    }
    Ok((low, high))
}

fn add_means(means: &mut Means, (values, shape): &(&[f32], &[usize])) {
    let rank = shape.len() as i64;
    let axis = if means.axis < 0 { means.axis + rank } else { means.axis };
    let Some(&channels) = usize::try_from(axis).ok().and_then(|axis| shape.get(axis)) else { return };
    let inner: usize = shape[axis as usize + 1..].iter().product();
    if means.sums.is_empty() {
        means.sums = vec![0.0; channels];
    }
    if means.sums.len() != channels {
        return;
    }
    for (at, line) in values.chunks_exact(inner.max(1)).enumerate() {
        means.sums[at % channels] += line.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    means.count += (values.len() / channels) as f64;
}

/// Scale and zero point of a value's uint8 codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    pub scale: f32,
    pub zero_point: u8,
}

impl Observation {
    /// The range that a method chooses; zero is in it.
    pub fn range(&self, method: CalibrationMethod) -> (f32, f32) {
        let (low, high) = match method {
            _ if self.histogram.iter().all(|&count| count == 0) => (self.low, self.high),
            CalibrationMethod::Minmax => (self.low, self.high),
            CalibrationMethod::Percentile => self.percentile(),
            CalibrationMethod::Entropy => self.best(|of, from, to| of.relative_entropy(from, to)),
            CalibrationMethod::Mse => self.best(|of, from, to| of.squared_error(from, to)),
        };
        (low.min(0.0), high.max(0.0))
    }

    fn edge(&self, bin: usize) -> f32 {
        let width = (f64::from(self.high) - f64::from(self.low)) / BINS as f64;
        if bin == BINS { self.high } else { (f64::from(self.low) + bin as f64 * width) as f32 }
    }

    fn percentile(&self) -> (f32, f32) {
        let total: u64 = self.histogram.iter().sum();
        let few = (total as f64 * OUTLIERS) as u64;
        let outside = |bins: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            bins.take_while(|&&count| {
                sum += count;
                sum <= few
            })
            .count()
        };
        let from = outside(&mut self.histogram.iter());
        let to = BINS - outside(&mut self.histogram.iter().rev());
        if from < to { (self.edge(from), self.edge(to)) } else { (self.low, self.high) }
    }

    /// The range, cut from the ends that lie away from zero, for which `loss` is least; the whole one where equal.
    fn best(&self, loss: impl Fn(&Self, usize, usize) -> f64) -> (f32, f32) {
        let zero = ((0.0 - f64::from(self.low)) / (f64::from(self.high) - f64::from(self.low)) * BINS as f64)
            .clamp(0.0, BINS as f64);
        let mut best = (loss(self, 0, BINS), 0, BINS);
        // Down to a quarter of each side, a 64th of it at a time.
        for step in 1..=48 {
            let keep = 1.0 - f64::from(step) / 64.0;
            let (from, to) = ((zero - zero * keep) as usize, (zero + (BINS as f64 - zero) * keep).ceil() as usize);
            let found = loss(self, from, to.clamp(from + 1, BINS));
            if found < best.0 {
                best = (found, from, to.clamp(from + 1, BINS));
            }
        }
        (self.edge(best.1), self.edge(best.2))
    }

    /// The sum of squares of what 256 codes between two bins change, and of what is cut off.
    fn squared_error(&self, from: usize, to: usize) -> f64 {
        let bin = (f64::from(self.high) - f64::from(self.low)) / BINS as f64;
        let scale = bin * (to - from) as f64 / 255.0;
        // A uniform error within a code, against which a bin's own width counts for nothing.
        let inside = scale * scale / 12.0;
        let far = |distance: usize| {
            let cut = (distance as f64 + 0.5) * bin;
            cut * cut
        };
        let each = self.histogram.iter().enumerate().map(|(at, &count)| {
            let error = if at < from {
                far(from - 1 - at)
            } else if at >= to {
                far(at - to)
            } else {
                inside
            };
            count as f64 * error
        });
        each.sum()
    }

    /// Kullback-Leibler divergence of the distribution from what 256 codes between two bins leave of it, outliers
    /// put at the ends (Migacz, "8-bit inference with TensorRT", 2017).
    fn relative_entropy(&self, from: usize, to: usize) -> f64 {
        let mut reference: Vec<f64> = self.histogram[from..to].iter().map(|&count| count as f64).collect();
        // What activations cut off is exactly zero, which is always a code: it is no part of the distribution.
        let zero = ((0.0 - f64::from(self.low)) / (f64::from(self.high) - f64::from(self.low)) * BINS as f64) as usize;
        if (from..to).contains(&zero.min(BINS - 1)) {
            reference[zero.min(BINS - 1) - from] = 0.0;
        }
        let reference_inside = reference.clone();
        let last = reference.len() - 1;
        reference[0] += self.histogram[..from].iter().sum::<u64>() as f64;
        reference[last] += self.histogram[to..].iter().sum::<u64>() as f64;
        let bins = to - from;
        let mut coded = vec![0.0; bins];
        for code in 0..256.min(bins) {
            let (first, end) = (code * bins / 256.min(bins), (code + 1) * bins / 256.min(bins));
            let held: Vec<usize> = (first..end).filter(|&at| reference_inside[at] > 0.0).collect();
            let sum: f64 = reference_inside[first..end].iter().sum();
            held.iter().for_each(|&at| coded[at] = sum / held.len() as f64);
        }
        let (p, q): (f64, f64) = (reference.iter().sum(), coded.iter().sum());
        // An empty bin that got outliers has no counterpart; a hundredth of a count stands for it.
        let each = std::iter::zip(&reference, &coded).filter(|(count, _)| **count > 0.0);
        each.map(|(&a, &b)| a / p * (a / p / (b.max(0.01) / q)).ln()).sum()
    }
}

/// Scale and zero point of uint8 codes for a range with zero in it. The scale has 12 significant bits, rounded up:
/// machines whose sums differ in the last bit still agree on it, and the range is covered.
pub fn affine((low, high): (f32, f32)) -> Affine {
    let scale = coarse((f64::from(high) - f64::from(low)) / 255.0);
    let zero_point = (-f64::from(low) / f64::from(scale)).round_ties_even().clamp(0.0, 255.0) as u8;
    Affine { scale, zero_point }
}

/// The number with 12 significant bits that is next to a scale, not below it; 1 for 0.
pub fn coarse(scale: f64) -> f32 {
    if scale <= f64::from(f32::MIN_POSITIVE) {
        return 1.0;
    }
    // A last bit that only differs in rounding must not carry over.
    let bits = ((scale * (1.0 - 1e-6)) as f32).to_bits();
    let kept = bits & !0xfff;
    f32::from_bits(if kept == bits { kept } else { kept + 0x1000 })
}

/// A tensor of one float32.
pub(super) fn scalar(value: f32) -> Tensor {
    Tensor::from_vec(vec![], vec![value]).expect("a scalar has one element")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(values: &[f32]) -> Observation {
        let (low, high) =
            (values.iter().copied().fold(f32::MAX, f32::min), values.iter().copied().fold(f32::MIN, f32::max));
        let mut histogram = vec![0; BINS];
        for &value in values {
            let bin = ((f64::from(value) - f64::from(low)) / (f64::from(high) - f64::from(low)) * BINS as f64) as usize;
            histogram[bin.min(BINS - 1)] += 1;
        }
        Observation { low, high, histogram, means: vec![] }
    }

    /// Bell-shaped values between about -4 and 4, and one outlier.
    fn bell() -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let mut values: Vec<f32> = (0..20_000).map(|_| (0..12).map(|_| next()).sum::<f32>() - 6.0).collect();
        values.push(40.0);
        values
    }

    #[test]
    fn outliers_are_cut_off_by_percentile() {
        let seen = observed(&bell());
        assert_eq!(seen.range(CalibrationMethod::Minmax).1, 40.0);
        // For squared error one value so far out weighs more than all others, for entropy next to nothing either way.
        for (method, most) in
            [(CalibrationMethod::Percentile, 20.0), (CalibrationMethod::Mse, 40.0), (CalibrationMethod::Entropy, 40.0)]
        {
            let (low, high) = seen.range(method);
            assert!(high <= most && high > 2.0, "{method:?}: {low} to {high}");
            assert!(low < -2.0, "{method:?}: {low} to {high}");
        }
    }

    #[test]
    fn the_mean_squared_error_of_the_chosen_range_is_least() {
        let values = bell();
        let seen = observed(&values);
        let error = |(low, high): (f32, f32)| {
            let Affine { scale, zero_point } = affine((low, high));
            let coded = |v: f32| ((v / scale).round_ties_even() + f32::from(zero_point)).clamp(0.0, 255.0);
            let each = values.iter().map(|&v| f64::from(v - (coded(v) - f32::from(zero_point)) * scale).powi(2));
            each.sum::<f64>()
        };
        let chosen = error(seen.range(CalibrationMethod::Mse));
        assert!(chosen < error(seen.range(CalibrationMethod::Minmax)));
    }

    #[test]
    fn zero_is_a_code_and_the_range_is_covered() {
        for range in [(-1.0, 3.0), (0.0, 6.0), (-2.5, 0.0), (-1e-3, 1e3), (0.0, 0.0)] {
            let Affine { scale, zero_point } = affine(range);
            let ends = [-f32::from(zero_point) * scale, (255.0 - f32::from(zero_point)) * scale];
            let slack = scale * 0.51;
            assert!(ends[0] <= range.0 + slack && ends[1] >= range.1 - slack, "{range:?}: {ends:?}");
        }
    }

    #[test]
    fn scales_agree_where_the_last_bits_do_not() {
        for base in [0.01f64, 0.047_321, 1.0, 3.3e-5] {
            let scale = coarse(base);
            assert_eq!(scale, coarse(base * (1.0 + 1e-7)));
            assert!(f64::from(scale) >= base * (1.0 - 2e-6) && f64::from(scale) <= base * 1.001);
        }
        assert_eq!(coarse(0.0), 1.0);
    }
}
