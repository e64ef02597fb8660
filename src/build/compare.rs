//! What two models answer to the same samples, and how far the answers are apart.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::graph::Graph;
use crate::import::model;
use crate::optimize::calibrate::Samples;
use crate::runtime::{Feed, RunOptions, Session, SessionOptions};

/// What is counted as agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Metric {
    /// The first output's largest element of each row is the same
    Top1,
    /// The cosine of all outputs together
    Cosine,
}

/// The outputs of a model for every sample, as numbers.
pub struct Answers(Vec<Vec<Output>>);

/// One output.
struct Output {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Runs `graph` on all samples.
///
/// Errors: those of loading and of the runs.
pub fn answers(
    graph: &Graph,
    samples: &dyn Samples,
    on_sample: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Answers> {
    let session = Session::load_blocking(model(graph.clone()), SessionOptions::default())?;
    let mut all = Vec::with_capacity(samples.len());
    for index in 0..samples.len() {
        on_sample(index, samples.len())?;
        let outputs = session.run_blocking(samples.get(index)?, RunOptions::default())?;
        let numbers = outputs.into_iter().filter_map(|(_, feed)| match feed {
            Feed::Tensor(tensor) => {
                tensor.to_f64s().ok().map(|values| Output { shape: tensor.shape().to_vec(), values })
            }
            _ => None,
        });
        all.push(numbers.collect());
    }
    Ok(Answers(all))
}

/// How far a model's answers are from those of the model it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Samples that were run.
    pub samples: usize,
    pub metric: Metric,
    /// Of 1, by the metric.
    pub agreement: f64,
    /// Mean over samples.
    pub cosine: f64,
    /// The sample furthest off.
    pub least_cosine: f64,
    /// The largest difference of any element.
    pub max_difference: f64,
    /// Accuracy of 1 of the original, where labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_accuracy: Option<f64>,
    /// Accuracy of 1 of the model, where labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

impl Comparison {
    /// What the model loses of the original's accuracy, of 1; negative where it gains.
    pub fn drop(&self) -> Option<f64> {
        Some(self.original_accuracy? - self.accuracy?)
    }
}

/// Digits that say something: the last bits of sums do not.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn largest(row: &[f64]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (1..row.len()).fold(0, better)
}

/// Compares answers to the same samples.
pub fn compare(original: &Answers, other: &Answers, labels: Option<&[i64]>, metric: Metric) -> Comparison {
    let (mut cosines, mut least, mut furthest) = (0f64, 1f64, 0f64);
    let (mut rows, mut same) = (0usize, 0usize);
    let (mut right, mut right_before) = (0usize, 0usize);
    for (index, (a, b)) in std::iter::zip(&original.0, &other.0).enumerate() {
        let (mut dot, mut left, mut both) = (0f64, 0f64, 0f64);
        for (x, y) in std::iter::zip(a, b) {
            for (&x, &y) in std::iter::zip(&x.values, &y.values) {
                dot += x * y;
                left += x * x;
                both += y * y;
                // Of a NaN no maximum would know.
                furthest = if (x - y).abs() <= furthest { furthest } else { (x - y).abs() };
            }
        }
        let cosine = match (left * both).sqrt() {
            norm if norm > 0.0 => dot / norm,
            _ if left == both => 1.0,
            _ => 0.0,
        };
        let cosine = if cosine.is_nan() { -1.0 } else { cosine.min(1.0) };
        cosines += cosine;
        least = least.min(cosine);
        let (Some(first), Some(other)) = (a.first(), b.first()) else { continue };
        let (x, y) = (&first.values, &other.values);
        let width = first.shape.last().copied().unwrap_or(1).max(1);
        if x.len() != y.len() || x.is_empty() {
            rows += 1;
            continue;
        }
        for (x, y) in std::iter::zip(x.chunks_exact(width), y.chunks_exact(width)) {
            rows += 1;
            same += usize::from(largest(x) == largest(y));
        }
        if let Some(&label) = labels.and_then(|labels| labels.get(index)) {
            let answer = |row: &[f64]| match row {
                // One number: a probability, or a score on either side of 0 where any is negative.
                [one] => i64::from(*one > 0.5),
                row => largest(row) as i64,
            };
            right_before += usize::from(answer(&x[..width]) == label);
            right += usize::from(answer(&y[..width]) == label);
        }
    }
    let samples = original.0.len();
    let share = |count: usize| rounded(count as f64 / samples.max(1) as f64);
    let cosine = cosines / samples.max(1) as f64;
    Comparison {
        samples,
        metric,
        agreement: rounded(match metric {
            Metric::Top1 => same as f64 / rows.max(1) as f64,
            Metric::Cosine => cosine,
        }),
        cosine: rounded(cosine),
        least_cosine: rounded(least),
        max_difference: rounded(furthest),
        original_accuracy: labels.map(|_| share(right_before)),
        accuracy: labels.map(|_| share(right)),
    }
}

/// What agreement means for a model: the same class where its first output is a row of scores, else cosine.
pub fn metric_of(graph: &Graph) -> Metric {
    let Some(output) = graph.outputs.first() else { return Metric::Cosine };
    let mut value = output.name.clone();
    // Through what does not decide: the order of elements, their shape, their type.
    for _ in 0..graph.nodes.len() {
        let Some(node) = graph.nodes.iter().find(|node| node.outputs.contains(&value)) else { break };
        match node.op_type.as_str() {
            "Softmax" | "LogSoftmax" | "Gemm" | "MatMul" | "GlobalAveragePool" | "Sigmoid" | "MatMulNBits" => {
                let rank = match &output.ty {
                    crate::graph::ValueType::Tensor { shape: Some(shape), .. } => Some(shape.len()),
                    _ => None,
                };
                return if rank.is_none_or(|rank| rank <= 2) { Metric::Top1 } else { Metric::Cosine };
            }
            "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Cast" | "Add" | "DequantizeLinear" | "QuantizeLinear"
            | "Mul" => value = node.inputs[0].clone(),
            _ => break,
        }
    }
    Metric::Cosine
}
