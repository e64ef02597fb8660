//! TreeEnsemble: each tree's leaf votes for a target with a weight; the votes are put together and transformed.

use super::ml::{PostTransform, Rows, rows_op};
use super::trees::{Aggregate, Trees};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// TreeEnsemble.
pub const OPERATOR: Operator = Operator {
    name: "TreeEnsemble",
    domain: ml::DOMAIN,
    attributes: &[
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "membership_values",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "post_transform",
        "tree_roots",
    ],
    build,
    ..Operator::DEFAULT
};

struct TreeEnsemble {
    trees: Trees,
    aggregate: Aggregate,
    transform: PostTransform,
    dtype: DataType,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let (trees, aggregate, dtype) = Trees::read_flat(attributes)?;
    let transform = PostTransform::read_number(attributes, trees.targets)?;
    rows_op(attributes, TreeEnsemble { trees, aggregate, transform, dtype })
}

impl Rows for TreeEnsemble {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        ensure!(input == self.dtype, Unsupported, "input 0: expected {}, as the splits, got {input}", self.dtype);
        Ok(vec![input])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        self.trees.check_features(features)?;
        Ok(vec![vec![rows, self.trees.targets]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let scores = self.trees.regress(x, [rows, features], self.aggregate, &[], self.transform)?;
        Ok(vec![Tensor::from_f64s(self.dtype, &[rows, self.trees.targets], scores)?])
    }
}
