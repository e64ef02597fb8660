//! TreeEnsembleRegressor: each tree's leaf votes for targets with weights; the votes are put together, added to the base
//! values and transformed.

use super::ml::{PostTransform, Rows, float32_of, rows_op};
use super::trees::{Aggregate, Trees, floats};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// TreeEnsembleRegressor.
pub const OPERATOR: Operator = Operator {
    name: "TreeEnsembleRegressor",
    domain: ml::DOMAIN,
    attributes: &[
        "aggregate_function",
        "base_values",
        "base_values_as_tensor",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ],
    build,
    ..Operator::DEFAULT
};

struct Regressor {
    trees: Trees,
    aggregate: Aggregate,
    base: Vec<f64>,
    transform: PostTransform,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(targets) = attributes.int("n_targets")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) else {
        bail!(InvalidModel, "attribute \"n_targets\" is missing, or below 1")
    };
    let trees = Trees::read(attributes, "target", targets)?;
    let (base, _) = floats(attributes, "base_values")?;
    ensure!(
        base.is_empty() || base.len() == targets,
        InvalidModel,
        "{} \"base_values\" for {targets} targets",
        base.len()
    );
    let (aggregate, transform) = (Aggregate::read(attributes)?, PostTransform::read(attributes)?);
    rows_op(attributes, Regressor { trees, aggregate, base, transform })
}

impl Rows for Regressor {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        self.trees.check_features(features)?;
        Ok(vec![vec![rows, self.trees.targets]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let scores = self.trees.regress(x, [rows, features], self.aggregate, &self.base, self.transform)?;
        Ok(vec![Tensor::from_f64s(DataType::Float32, &[rows, self.trees.targets], scores)?])
    }
}
