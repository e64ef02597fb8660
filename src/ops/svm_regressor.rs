//! SVMRegressor: `Σ coefficient · kernel(x, support vector) + rho`, or its sign with `one_class`.
//!
//! ONNX Runtime has no use for `post_transform` here; one that would change the result is refused.

use super::ml::{Rows, dot, float32_of, rows_op};
use super::svm::{Kernel, length_of_each};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// SVMRegressor.
pub const OPERATOR: Operator = Operator {
    name: "SVMRegressor",
    domain: ml::DOMAIN,
    attributes: &[
        "coefficients",
        "kernel_params",
        "kernel_type",
        "n_supports",
        "one_class",
        "post_transform",
        "rho",
        "support_vectors",
    ],
    build,
    ..Operator::DEFAULT
};

struct SvmRegressor {
    coefficients: Vec<f32>,
    vectors: Vec<f32>,
    /// 0 in linear mode.
    count: usize,
    features: usize,
    rho: f32,
    one_class: bool,
    kernel: Kernel,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    attributes.choice("post_transform", &["NONE"])?;
    let coefficients = attributes.floats("coefficients")?.unwrap_or_default().to_vec();
    let vectors = attributes.floats("support_vectors")?.unwrap_or_default().to_vec();
    let count = attributes.int("n_supports")?.unwrap_or(0);
    let Some(count) = usize::try_from(count).ok().filter(|c| *c == 0 || *c == coefficients.len()) else {
        bail!(InvalidModel, "{count} \"n_supports\" for {} coefficients", coefficients.len())
    };
    let features = if count == 0 { coefficients.len() } else { length_of_each("support_vectors", &vectors, count)? };
    let Some(&rho) = attributes.floats("rho")?.unwrap_or_default().first() else {
        bail!(InvalidModel, "attribute \"rho\" is missing")
    };
    let one_class = attributes.flag("one_class", false)?;
    let kernel = Kernel::read(attributes, count)?;
    rows_op(attributes, SvmRegressor { coefficients, vectors, count, features, rho, one_class, kernel })
}

impl Rows for SvmRegressor {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        ensure!(features == self.features, ShapeMismatch, "expected {} features, got {features}", self.features);
        Ok(vec![vec![rows, 1]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let x = x.to_f32s()?;
        let score = |row: usize| {
            let x = &x[row * features..(row + 1) * features];
            let kernels = self.kernel.with_each(x, &self.vectors, self.count);
            let score = dot(if self.count == 0 { x } else { &kernels }, &self.coefficients) + self.rho;
            match self.one_class {
                true if score > 0.0 => 1.0,
                true => -1.0,
                false => score,
            }
        };
        Ok(vec![Tensor::from_vec(vec![rows, 1], (0..rows).map(score).collect())?])
    }
}
