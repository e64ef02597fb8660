//! TreeEnsembleClassifier: each tree's leaf votes for classes with weights; the sums, added to the base values, are the
//! scores, and the label is that of the highest.
//!
//! Two classes of which only one is voted for have one score: its label is the second where the score is above 0.5, or
//! above 0 if there are negative votes.

use super::ml::{PostTransform, Rows, float32_of, rows_op, strings_or_ints};
use super::trees::{Aggregate, Trees, floats};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// TreeEnsembleClassifier.
pub const OPERATOR: Operator = Operator {
    name: "TreeEnsembleClassifier",
    domain: ml::DOMAIN,
    outputs: 1..=2,
    attributes: &[
        "base_values",
        "base_values_as_tensor",
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
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
    ],
    build,
    ..Operator::DEFAULT
};

struct Classifier {
    labels: Tensor,
    trees: Trees,
    base: Vec<f64>,
    all_positive: bool,
    transform: PostTransform,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let labels = strings_or_ints(attributes, "classlabels_strings", "classlabels_int64s")?;
    let classes = labels.len();
    ensure!(classes > 1, Unsupported, "one class: ONNX Runtime's labels would be 0 and 1");
    let trees = Trees::read(attributes, "class", classes)?;
    let (base, _) = floats(attributes, "base_values")?;
    ensure!(
        base.is_empty() || base.len() == classes || (classes == 2 && base.len() == 1),
        InvalidModel,
        "{} \"base_values\" for {classes} classes",
        base.len()
    );
    let transform = PostTransform::read(attributes)?;
    if classes == 2 {
        let voted = trees.voted();
        ensure!(
            voted.len() < 2,
            Unsupported,
            "votes for both of two classes, whose labels ONNX Runtime does not take from the highest score"
        );
        ensure!(
            base.len() < 2 || !voted.contains(&1),
            Unsupported,
            "two base values and votes for the second class, which ONNX Runtime leaves out"
        );
        ensure!(
            base.len() == 2 || voted.contains(&1) || transform != PostTransform::Probit,
            Unsupported,
            "PROBIT of one score: ONNX Runtime leaves the second class's undefined"
        );
    }
    let all_positive = trees.all_positive();
    rows_op(attributes, Classifier { labels, trees, base, all_positive, transform })
}

impl Classifier {
    /// One row's label and scores.
    fn row(&self, votes: &[Option<f64>]) -> (usize, Vec<f32>) {
        let [first, second] = votes[..] else {
            let mut best = None;
            let mut scores = Vec::with_capacity(votes.len());
            for (i, vote) in votes.iter().enumerate() {
                // Classes without a vote or base value cannot win.
                let vote = vote.or((!self.base.is_empty()).then_some(0.0));
                let score = self.trees.score(vote, self.base.get(i));
                if vote.is_some() && best.is_none_or(|(_, most)| score > most) {
                    best = Some((i, score));
                }
                scores.push(score as f32);
            }
            self.transform.apply(&mut scores);
            return (best.map_or(0, |b| b.0), scores);
        };
        let sum = self.trees.score(first, self.base.first());
        let label = usize::from(second.unwrap_or(sum) > if self.all_positive { 0.5 } else { 0.0 });
        if second.is_none() && self.base.len() < 2 {
            return (label, self.transform.pair(sum as f32, self.all_positive).to_vec());
        }
        let mut scores = vec![sum as f32, second.unwrap_or(0.0) as f32];
        self.transform.apply(&mut scores);
        (label, scores)
    }
}

impl Rows for Classifier {
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>> {
        Ok(vec![self.labels.dtype(), float32_of(input)?])
    }

    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>> {
        self.trees.check_features(features)?;
        Ok(vec![vec![rows], vec![rows, self.labels.len()]])
    }

    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>> {
        let values = self.trees.inputs(x)?;
        let (mut chosen, mut out, mut votes) = (Vec::with_capacity(rows), Vec::new(), Vec::new());
        for row in 0..rows {
            self.trees.votes(&values[row * features..(row + 1) * features], Aggregate::Sum, &mut votes);
            let (label, scores) = self.row(&votes);
            chosen.push(label);
            out.extend(scores);
        }
        Ok(vec![self.labels.take(&[rows], &chosen)?, Tensor::from_vec(vec![rows, self.labels.len()], out)?])
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, ErrorKind, Result};
    use crate::graph::{Attribute, Tensor};
    use crate::support::{Single, f32s, numbers};

    /// A stump at `x[0] <= 0` whose two leaves vote for `ids`.
    fn run(
        labels: &[i64],
        ids: [i64; 2],
        weights: [f32; 2],
        base: &[f32],
        transform: &str,
        x: Tensor,
    ) -> Result<Vec<Tensor>> {
        let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
        let modes = ["BRANCH_LEQ", "LEAF", "LEAF"].map(|m| m.as_bytes().to_vec());
        let op = Single::new("ai.onnx.ml.TreeEnsembleClassifier", 1)
            .with("classlabels_int64s", ints(labels))
            .with("nodes_treeids", ints(&[0; 3]))
            .with("nodes_nodeids", ints(&[0, 1, 2]))
            .with("nodes_featureids", ints(&[0; 3]))
            .with("nodes_modes", Attribute::Strings(modes.to_vec()))
            .with("nodes_values", Attribute::Floats(vec![0.0; 3]))
            .with("nodes_truenodeids", ints(&[1, 0, 0]))
            .with("nodes_falsenodeids", ints(&[2, 0, 0]))
            .with("class_treeids", ints(&[0; 2]))
            .with("class_nodeids", ints(&[1, 2]))
            .with("class_ids", ints(&ids))
            .with("class_weights", Attribute::Floats(weights.to_vec()))
            .with("base_values", Attribute::Floats(base.to_vec()))
            .string("post_transform", transform);
        op.outputs(2).run(&[x])
    }

    #[test]
    fn edges() {
        let x = || f32s(&[3, 1], vec![-1.0, f32::NAN, 1.0]);
        let y = run(&[7, 8, 9], [2, 1], [-0.5, 0.5], &[], "NONE", x()).unwrap();
        assert_eq!(numbers(&y[0]), [9.0, 8.0, 8.0], "classes without votes do not win");
        assert_eq!(numbers(&y[1]), [0.0, 0.0, -0.5, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0]);
        let y = run(&[7, 8], [0, 0], [0.5, 0.75], &[], "NONE", x()).unwrap();
        assert_eq!((numbers(&y[0]), numbers(&y[1])), (vec![7.0, 8.0, 8.0], vec![0.5, 0.5, 0.25, 0.75, 0.25, 0.75]));
        let y = run(&[7, 8], [0, 0], [0.5, 0.75], &[], "NONE", f32s(&[0, 1], vec![])).unwrap();
        assert_eq!((y[0].shape(), y[1].shape()), (&[0][..], &[0, 2][..]));
    }

    #[test]
    fn what_onnx_runtime_answers_oddly_is_refused() {
        let error = |labels: &[i64], ids, base: &[f32], transform| -> Error {
            run(labels, ids, [0.5, 0.5], base, transform, f32s(&[1, 1], vec![0.0])).expect_err("refused")
        };
        for refused in [
            error(&[7], [0, 0], &[], "NONE"),
            error(&[7, 8], [0, 1], &[], "NONE"),
            error(&[7, 8], [1, 1], &[0.0, 0.0], "NONE"),
            error(&[7, 8], [0, 0], &[], "PROBIT"),
        ] {
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        }
        for invalid in [
            error(&[7, 8], [0, 2], &[], "NONE"),
            error(&[7, 8, 9], [0, 1], &[0.0, 0.0], "NONE"),
            error(&[], [0, 0], &[], "NONE"),
        ] {
            assert_eq!(invalid.kind(), ErrorKind::InvalidModel, "{invalid}");
        }
    }
}
