//! LinearClassifier: scores `x · coefficientsᵀ + intercepts`, transformed, and the label of the highest.
//!
//! With one score, the label is that of the second class where the score is above 0.

use super::ml::{PostTransform, Rows, dot, float32_of, largest, rows_op, strings_or_ints};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// LinearClassifier.
pub const OPERATOR: Operator = Operator {
    name: "LinearClassifier",
    domain: ml::DOMAIN,
    outputs: 1..=2,
    attributes: &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "intercepts",
        "multi_class",
        "post_transform",
    ],
    build,
    ..Operator::DEFAULT
};

struct LinearClassifier {
    labels: Tensor,
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    transform: PostTransform,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let labels = strings_or_ints(attributes, "classlabels_strings", "classlabels_ints")?;
    let intercepts = match attributes.floats("intercepts")? {
        Some(intercepts) if !intercepts.is_empty() => intercepts.to_vec(),
        _ => vec![0.0; labels.len()],
    };
    let transform = PostTransform::read(attributes)?;
    let classes = intercepts.len();
    ensure!(
        classes == labels.len() || (classes == 1 && labels.len() == 2),
        InvalidModel,
        "{classes} intercepts for {} labels",
        labels.len()
    );
    ensure!(labels.len() > 1, Unsupported, "one class: ONNX Runtime's labels would be 0 and 1");
    ensure!(
        classes > 1 || transform != PostTransform::Probit,
        Unsupported,
        "PROBIT of one score: ONNX Runtime leaves the second class's undefined"
    );
    rows_op(
        attributes,
        LinearClassifier {
            labels,
            coefficients: attributes.floats("coefficients")?.unwrap_or_default().to_vec(),
            intercepts,
            transform,
        },
    )
}

impl Rows for LinearClassifier {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![self.labels.dtype(), float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        check_features(&self.coefficients, self.intercepts.len(), features)?;
        Ok(vec![vec![rows], vec![rows, self.labels.len()]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let x = x.to_f32s()?;
        let mut chosen = Vec::with_capacity(rows);
        let mut out = Vec::with_capacity(rows * self.labels.len());
        for row in 0..rows {
            let mut scores =
                scores(&x[row * features..(row + 1) * features], &self.coefficients, self.intercepts.iter());
            if let [score] = scores[..] {
                chosen.push(usize::from(score > 0.0));
                out.extend(self.transform.pair(score, true));
            } else {
                chosen.push(largest(&scores));
                self.transform.apply(&mut scores);
                out.extend(scores);
            }
        }
        Ok(vec![self.labels.take(&[rows], &chosen)?, Tensor::from_vec(vec![rows, self.labels.len()], out)?])
    }
}

/// Whether the coefficients are `[scores, features]`.
pub fn check_features(coefficients: &[f32], scores: usize, features: usize) -> Result<()> {
    ensure!(
        Some(coefficients.len()) == scores.checked_mul(features),
        ShapeMismatch,
        "{features} features and {scores} scores, but {} coefficients",
        coefficients.len()
    );
    Ok(())
}

/// One row's scores.
pub fn scores<'a>(x: &[f32], coefficients: &[f32], intercepts: impl Iterator<Item = &'a f32>) -> Vec<f32> {
    let score = |(i, intercept): (usize, &f32)| dot(x, &coefficients[i * x.len()..(i + 1) * x.len()]) + intercept;
    intercepts.enumerate().map(score).collect()
}
