//! LinearRegressor: `x · coefficientsᵀ + intercepts`, transformed.

use super::linear_classifier::{check_features, scores};
use super::ml::{PostTransform, Rows, float32_of, rows_op};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// LinearRegressor.
pub const OPERATOR: Operator = Operator {
    name: "LinearRegressor",
    domain: ml::DOMAIN,
    attributes: &["coefficients", "intercepts", "post_transform", "targets"],
    build,
    ..Operator::DEFAULT
};

struct LinearRegressor {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    transform: PostTransform,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let coefficients = attributes.floats("coefficients")?.unwrap_or_default().to_vec();
    let targets = attributes.int("targets")?.unwrap_or(1);
    let Some(targets) = usize::try_from(targets).ok().filter(|t| (1..=coefficients.len().max(1)).contains(t)) else {
        crate::error::bail!(InvalidModel, "{targets} targets and {} coefficients", coefficients.len())
    };
    let intercepts = match attributes.floats("intercepts")? {
        Some(intercepts) if !intercepts.is_empty() => intercepts.to_vec(),
        _ => vec![0.0; targets],
    };
    ensure!(intercepts.len() == targets, InvalidModel, "{} intercepts for {targets} targets", intercepts.len());
    let transform = PostTransform::read(attributes)?;
    rows_op(attributes, LinearRegressor { coefficients, intercepts, transform })
}

impl Rows for LinearRegressor {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        check_features(&self.coefficients, self.intercepts.len(), features)?;
        Ok(vec![vec![rows, self.intercepts.len()]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let x = x.to_f32s()?;
        let mut out = Vec::with_capacity(rows * self.intercepts.len());
        for row in 0..rows {
            let mut row = scores(&x[row * features..(row + 1) * features], &self.coefficients, self.intercepts.iter());
            self.transform.apply(&mut row);
            out.extend(row);
        }
        Ok(vec![Tensor::from_vec(vec![rows, self.intercepts.len()], out)?])
    }
}
