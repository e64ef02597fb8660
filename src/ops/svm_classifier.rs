//! SVMClassifier: a kernel machine for each pair of classes; the label is that of the class with most votes.
//!
//! The scores are the pairs' decisions, or each class's probability where `prob_a` is given (Wu, Lin and Weng, "Probability
//! estimates for multi-class classification by pairwise coupling", 2004). Without support vectors, each class has a linear
//! score.

use super::ml::{PostTransform, Rows, float32_of, largest, logistic, rows_op, strings_or_ints};
use super::svm::{Kernel, length_of_each};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// SVMClassifier.
pub const OPERATOR: Operator = Operator {
    name: "SVMClassifier",
    domain: ml::DOMAIN,
    outputs: 1..=2,
    attributes: &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ],
    build,
    ..Operator::DEFAULT
};

/// The most classes: pairs are kept for each.
const MAX_CLASSES: usize = 65535;

struct SvmClassifier {
    labels: Tensor,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    /// Slopes and offsets that make probabilities of decisions, one for each pair, or none.
    platt: Vec<[f32; 2]>,
    vectors: Vec<f32>,
    /// Where each class's support vectors start, and where the last's end; none in linear mode.
    starts: Vec<usize>,
    features: usize,
    kernel: Kernel,
    transform: PostTransform,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let list = |name: &str| -> Result<Vec<f32>> { Ok(attributes.floats(name)?.unwrap_or_default().to_vec()) };
    let labels = strings_or_ints(attributes, "classlabels_strings", "classlabels_ints")?;
    let classes = labels.len();
    ensure!(classes <= MAX_CLASSES, LimitExceeded, "{classes} classes; at most {MAX_CLASSES} are possible");
    let (coefficients, rho, vectors) = (list("coefficients")?, list("rho")?, list("support_vectors")?);
    let (prob_a, prob_b) = (list("prob_a")?, list("prob_b")?);
    let platt: Vec<[f32; 2]> = prob_a.iter().zip(&prob_b).map(|(&a, &b)| [a, b]).collect();
    ensure!(prob_a.len() == prob_b.len(), InvalidModel, "{} \"prob_a\", {} \"prob_b\"", prob_a.len(), prob_b.len());

    let mut starts = vec![0usize];
    for &count in attributes.ints("vectors_per_class")?.unwrap_or_default() {
        let end = usize::try_from(count).ok().and_then(|count| starts[starts.len() - 1].checked_add(count));
        let Some(end) = end.filter(|end| *end <= coefficients.len().max(vectors.len())) else {
            bail!(InvalidModel, "\"vectors_per_class\" has {count}, more vectors than there are")
        };
        starts.push(end);
    }
    let count = starts[starts.len() - 1];
    let transform = PostTransform::read(attributes)?;
    let features = if count == 0 {
        starts.clear();
        ensure!(!coefficients.is_empty() && !rho.is_empty(), InvalidModel, "\"coefficients\" and \"rho\" are needed");
        length_of_each("coefficients", &coefficients, classes)?
    } else {
        let pairs = classes * (classes - 1) / 2;
        ensure!(classes > 1, InvalidModel, "support vectors for one class");
        ensure!(
            starts.len() == classes + 1
                && Some(coefficients.len()) == count.checked_mul(classes - 1)
                && rho.len() >= pairs
                && (platt.is_empty() || platt.len() >= pairs),
            InvalidModel,
            "{classes} classes, {} \"vectors_per_class\" of {count} in all, {} \"coefficients\", {} \"rho\", {} \"prob_a\" \
             do not go together",
            starts.len() - 1,
            coefficients.len(),
            rho.len(),
            platt.len()
        );
        ensure!(
            pairs > 1 || !platt.is_empty() || transform != PostTransform::Probit,
            Unsupported,
            "PROBIT of one score: ONNX Runtime leaves the second class's undefined"
        );
        length_of_each("support_vectors", &vectors, count)?
    };
    let kernel = Kernel::read(attributes, count)?;
    rows_op(
        attributes,
        SvmClassifier { labels, coefficients, rho, platt, vectors, starts, features, kernel, transform },
    )
}

impl SvmClassifier {
    /// The decisions of all pairs, and how many each class won.
    fn decisions(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (classes, count) = (self.labels.len(), self.starts[self.starts.len() - 1]);
        let kernels = self.kernel.with_each(x, &self.vectors, count);
        let part = |row: usize, class: usize| {
            let range = self.starts[class]..self.starts[class + 1];
            let coefficients = &self.coefficients[row * count..(row + 1) * count];
            let products = coefficients[range.clone()].iter().zip(&kernels[range]);
            products.map(|(c, k)| f64::from(c * k)).sum::<f64>()
        };
        let (mut decisions, mut votes) = (Vec::new(), vec![0.0; classes]);
        for i in 0..classes {
            for j in i + 1..classes {
                let sum = part(j - 1, i) + part(i, j) + f64::from(self.rho[decisions.len()]);
                votes[if sum > 0.0 { i } else { j }] += 1.0;
                decisions.push(sum as f32);
            }
        }
        (decisions, votes)
    }

    /// One row's label and scores.
    fn row(&self, x: &[f32]) -> (usize, Vec<f32>) {
        let classes = self.labels.len();
        if self.starts.is_empty() {
            let products = self.kernel.with_each(x, &self.coefficients, classes);
            let mut scores: Vec<f32> = products.iter().map(|s| s + self.rho[0]).collect();
            let mut best = largest(&scores);
            // ONNX Runtime's rule for two classes.
            if classes == 2 && self.platt.is_empty() {
                let positive = self.coefficients.iter().all(|&c| c >= 0.0);
                if if positive { scores[best] >= 0.5 } else { scores[best] > 0.0 } {
                    best = 1;
                }
            }
            self.transform.apply(&mut scores);
            return (best, scores);
        }
        let (decisions, votes) = self.decisions(x);
        let mut scores = if !self.platt.is_empty() {
            couple(classes, decisions.iter().zip(&self.platt).map(|(d, [a, b])| 1.0 - logistic(d * a + b)))
        } else if let [score] = decisions[..] {
            return (largest(&votes), self.transform.pair(score, self.transform != PostTransform::None).to_vec());
        } else {
            decisions
        };
        self.transform.apply(&mut scores);
        (largest(&votes), scores)
    }
}

/// Each class's probability from the pairs': that of the first class of each.
fn couple(classes: usize, pairs: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut r = vec![0f32; classes * classes];
    let order = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
    for ((i, j), p) in order.zip(pairs) {
        let p = p.clamp(1e-7, 1.0 - 1e-7);
        r[i * classes + j] = p;
        r[j * classes + i] = 1.0 - p;
    }
    let mut q = vec![0f32; classes * classes];
    for i in 0..classes {
        for j in (0..classes).filter(|&j| j != i) {
            let (ij, ji) = (r[i * classes + j], r[j * classes + i]);
            q[i * classes + i] += ji * ji;
            q[i * classes + j] = -ji * ij;
        }
    }
    let mut p = vec![1.0 / classes as f32; classes];
    for _ in 0..100 {
        let mut qp: Vec<f32> = q.chunks_exact(classes).map(|row| ml::dot(row, &p)).collect();
        let mut pqp = ml::dot(&p, &qp);
        let error = qp.iter().fold(0f32, |m, v| m.max((v - pqp).abs()));
        if error < 0.005 / classes as f32 {
            break;
        }
        for i in 0..classes {
            let own = q[i * classes + i];
            let step = (pqp - qp[i]) / own;
            p[i] += step;
            pqp = (pqp + step * (step * own + 2.0 * qp[i])) / (1.0 + step) / (1.0 + step);
            for j in 0..classes {
                qp[j] = (qp[j] + step * q[i * classes + j]) / (1.0 + step);
                p[j] /= 1.0 + step;
            }
        }
    }
    p
}

impl Rows for SvmClassifier {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![self.labels.dtype(), float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        ensure!(features == self.features, ShapeMismatch, "expected {} features, got {features}", self.features);
        let classes = self.labels.len();
        let decisions = !self.starts.is_empty() && self.platt.is_empty() && classes > 2;
        Ok(vec![vec![rows], vec![rows, if decisions { classes * (classes - 1) / 2 } else { classes }]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let x = x.to_f32s()?;
        let (mut chosen, mut out) = (Vec::with_capacity(rows), Vec::new());
        for row in 0..rows {
            let (label, scores) = self.row(&x[row * features..(row + 1) * features]);
            chosen.push(label);
            out.extend(scores);
        }
        let mut shapes = self.shapes(rows, features)?;
        Ok(vec![self.labels.take(&[rows], &chosen)?, Tensor::from_vec(shapes.swap_remove(1), out)?])
    }
}
