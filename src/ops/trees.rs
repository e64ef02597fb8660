//! What the tree ensembles share: trees as flat arrays, checked once, walked without checks of their shape.

use std::collections::HashMap;

use super::Attributes;
use super::ml::PostTransform;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// The question at a node.
#[derive(Debug, Clone, Copy)]
enum Test {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    Above(f64),
    Equal(f64),
    Unequal(f64),
    /// Whether the feature is in that set.
    In(usize),
    Leaf,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    test: Test,
    feature: usize,
    /// Whether NaN goes the way of "yes"; else it goes where the comparison sends it.
    missing: bool,
    /// The next node; for a leaf, where its votes start.
    yes: usize,
    /// The next node; for a leaf, where its votes end.
    no: usize,
}

/// What becomes of the votes for one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

impl Aggregate {
    const ALL: [Self; 4] = [Self::Average, Self::Sum, Self::Min, Self::Max];

    /// The attribute as a name.
    pub fn read(attributes: &Attributes<'_>) -> Result<Self> {
        Ok(match attributes.choice("aggregate_function", &["SUM", "AVERAGE", "MIN", "MAX"])? {
            "AVERAGE" => Self::Average,
            "MIN" => Self::Min,
            "MAX" => Self::Max,
            _ => Self::Sum,
        })
    }

    /// The attribute as a number.
    fn read_number(attributes: &Attributes<'_>) -> Result<Self> {
        let number = attributes.int("aggregate_function")?.unwrap_or(1);
        match usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)) {
            Some(aggregate) => Ok(*aggregate),
            None => bail!(Unsupported, "attribute \"aggregate_function\": expected 0 to 3, got {number}"),
        }
    }
}

/// Trees, and what they vote for.
pub struct Trees {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    /// Sets of numbers, sorted.
    sets: Vec<Vec<f64>>,
    /// A target and a weight.
    votes: Vec<(usize, f64)>,
    /// How many targets there are.
    pub targets: usize,
    /// How many features the trees ask for.
    features: usize,
    /// Whether thresholds and weights are float32, so that inputs and sums are too.
    single: bool,
}

/// A list of floats, or a tensor under another name, whose numbers may be float64; whether they are.
pub fn floats(attributes: &Attributes<'_>, name: &str) -> Result<(Vec<f64>, bool)> {
    let tensor = attributes.tensor(&format!("{name}_as_tensor"))?.filter(|t| !t.is_empty());
    match (attributes.floats(name)?.filter(|v| !v.is_empty()), tensor) {
        (Some(list), None) => Ok((list.iter().map(|&v| f64::from(v)).collect(), false)),
        (None, Some(tensor)) => {
            ensure!(tensor.dtype().is_float(), InvalidModel, "attribute \"{name}_as_tensor\" is {}", tensor.dtype());
            Ok((tensor.to_f64s()?, tensor.dtype() == DataType::Float64))
        }
        (None, None) => Ok((Vec::new(), false)),
        (Some(_), Some(_)) => bail!(InvalidModel, "\"{name}\" and \"{name}_as_tensor\" are both given"),
    }
}

fn ints<'a>(attributes: &Attributes<'a>, name: &str, count: usize) -> Result<&'a [i64]> {
    let list = attributes.ints(name)?.unwrap_or_default();
    ensure!(list.len() == count, InvalidModel, "{} \"{name}\", expected {count}", list.len());
    Ok(list)
}

/// As `ints`, each from 0 on and below `limit`.
fn indices(attributes: &Attributes<'_>, name: &str, count: usize, limit: usize) -> Result<Vec<usize>> {
    let list = ints(attributes, name, count)?;
    let index = |&v: &i64| usize::try_from(v).ok().filter(|v| *v < limit);
    match list.iter().map(index).collect() {
        Some(indices) => Ok(indices),
        None => bail!(InvalidModel, "\"{name}\" has an index that is not below {limit}"),
    }
}

/// The largest feature that a node may ask for.
const MAX_FEATURE: usize = 1 << 30;

impl Trees {
    /// Reads the attributes of TreeEnsembleClassifier (`votes` is `class`) and TreeEnsembleRegressor (`target`).
    pub fn read(attributes: &Attributes<'_>, votes: &str, targets: usize) -> Result<Self> {
        let modes = attributes.strings("nodes_modes")?.unwrap_or_default();
        let count = modes.len();
        let (trees, ids) = (ints(attributes, "nodes_treeids", count)?, ints(attributes, "nodes_nodeids", count)?);
        let (yes, no) = (ints(attributes, "nodes_truenodeids", count)?, ints(attributes, "nodes_falsenodeids", count)?);
        let features = ints(attributes, "nodes_featureids", count)?;
        let (values, double_values) = floats(attributes, "nodes_values")?;
        ensure!(values.len() == count, InvalidModel, "{} \"nodes_values\", expected {count}", values.len());
        let missing = attributes.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
        ensure!(
            missing.is_empty() || missing.len() == count,
            InvalidModel,
            "{} \"nodes_missing_value_tracks_true\", expected {count} or none",
            missing.len()
        );
        let mut at = HashMap::with_capacity(count);
        for (i, id) in trees.iter().zip(ids).enumerate() {
            ensure!(at.insert(id, i).is_none(), InvalidModel, "tree {} has node {} twice", id.0, id.1);
        }
        let find = |tree: &i64, node: &i64| match at.get(&(tree, node)) {
            Some(index) => Ok(*index),
            None => bail!(InvalidModel, "tree {tree} has no node {node}"),
        };
        let mut nodes = Vec::with_capacity(count);
        for (i, mode) in modes.iter().enumerate() {
            let value = values[i];
            let test = match mode.as_str() {
                "BRANCH_LEQ" => Test::AtMost(value),
                "BRANCH_LT" => Test::Below(value),
                "BRANCH_GTE" => Test::AtLeast(value),
                "BRANCH_GT" => Test::Above(value),
                "BRANCH_EQ" => Test::Equal(value),
                "BRANCH_NEQ" => Test::Unequal(value),
                "LEAF" => Test::Leaf,
                other => bail!(Unsupported, "node mode \"{other}\""),
            };
            nodes.push(match test {
                Test::Leaf => Node { test, feature: 0, missing: false, yes: 0, no: 0 },
                _ => Node {
                    test,
                    feature: feature(features[i])?,
                    missing: missing.get(i).is_some_and(|m| *m == 1),
                    yes: find(&trees[i], &yes[i])?,
                    no: find(&trees[i], &no[i])?,
                },
            });
        }
        let roots = (0..count).filter(|&i| i == 0 || trees[i] != trees[i - 1]).collect();

        let (weights, double_weights) = floats(attributes, &format!("{votes}_weights"))?;
        let count = weights.len();
        let vote_trees = ints(attributes, &format!("{votes}_treeids"), count)?;
        let vote_nodes = ints(attributes, &format!("{votes}_nodeids"), count)?;
        let vote_targets = indices(attributes, &format!("{votes}_ids"), count, targets)?;
        let mut of_nodes = vec![Vec::new(); nodes.len()];
        for i in 0..count {
            of_nodes[find(&vote_trees[i], &vote_nodes[i])?].push((vote_targets[i], weights[i]));
        }
        let mut votes = Vec::with_capacity(count);
        for (node, own) in nodes.iter_mut().zip(of_nodes) {
            if matches!(node.test, Test::Leaf) {
                (node.yes, node.no) = (votes.len(), votes.len() + own.len());
                votes.extend(own);
            }
        }
        Self::checked(nodes, roots, Vec::new(), votes, targets, !(double_values || double_weights))
    }

    /// Reads the attributes of TreeEnsemble, whose numbers have one dtype.
    pub fn read_flat(attributes: &Attributes<'_>) -> Result<(Self, Aggregate, DataType)> {
        let tensor = |name: &str| match attributes.tensor(name)? {
            Some(tensor) => Ok(tensor),
            None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
        };
        let Some(targets) = attributes.int("n_targets")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
        else {
            bail!(InvalidModel, "attribute \"n_targets\" is missing, or below 1")
        };
        let modes = tensor("nodes_modes")?.to_i64s()?;
        let count = modes.len();
        let (splits, weights) = (tensor("nodes_splits")?, tensor("leaf_weights")?);
        let leaves = weights.len();
        ensure!(
            splits.len() == count && splits.dtype() == weights.dtype() && splits.dtype().is_float(),
            InvalidModel,
            "\"nodes_splits\" is {splits:?}, \"leaf_weights\" {weights:?}; expected floats of one dtype, {count} splits"
        );
        let features = ints(attributes, "nodes_featureids", count)?;
        let missing = attributes.ints("nodes_missing_value_tracks_true")?.filter(|m| !m.is_empty());
        if missing.is_some() {
            ints(attributes, "nodes_missing_value_tracks_true", count)?;
        }
        // Leaves follow the nodes.
        let next = |ids: &str, flags: &str| -> Result<Vec<usize>> {
            let (ids, flags) = (ints(attributes, ids, count)?, ints(attributes, flags, count)?);
            let each = ids.iter().zip(flags).map(|(&id, &leaf)| {
                let (limit, start) = if leaf != 0 { (leaves, count) } else { (count, 0) };
                match usize::try_from(id).ok().filter(|id| *id < limit) {
                    Some(id) => Ok(start + id),
                    None => bail!(InvalidModel, "a node leads to {id} of {limit}"),
                }
            });
            each.collect()
        };
        let yes = next("nodes_truenodeids", "nodes_trueleafs")?;
        let no = next("nodes_falsenodeids", "nodes_falseleafs")?;
        let members = attributes.tensor("membership_values")?.map(Tensor::to_f64s).transpose()?.unwrap_or_default();
        let mut members = members.split_inclusive(|v| v.is_nan());
        let (mut nodes, mut sets) = (Vec::with_capacity(count + leaves), Vec::new());
        for (i, split) in splits.to_f64s()?.into_iter().enumerate() {
            let test = match modes[i] {
                0 => Test::AtMost(split),
                1 => Test::Below(split),
                2 => Test::AtLeast(split),
                3 => Test::Above(split),
                4 => Test::Equal(split),
                5 => Test::Unequal(split),
                6 => match members.next() {
                    Some([set @ .., end]) if end.is_nan() => {
                        // Zeros of both signs are one.
                        let mut set: Vec<f64> = set.iter().map(|v| v + 0.0).collect();
                        set.sort_unstable_by(f64::total_cmp);
                        sets.push(set);
                        Test::In(sets.len() - 1)
                    }
                    _ => {
                        bail!(InvalidModel, "\"membership_values\" has fewer lists than there are BRANCH_MEMBER nodes")
                    }
                },
                other => bail!(Unsupported, "node mode {other}"),
            };
            let missing = missing.and_then(|m| m.get(i)).is_some_and(|m| *m == 1);
            nodes.push(Node { test, feature: feature(features[i])?, missing, yes: yes[i], no: no[i] });
        }
        ensure!(
            members.next().is_none(),
            InvalidModel,
            "\"membership_values\" has more lists than BRANCH_MEMBER nodes"
        );
        let leaf_targets = indices(attributes, "leaf_targetids", leaves, targets)?;
        nodes.extend((0..leaves).map(|i| Node { test: Test::Leaf, feature: 0, missing: false, yes: i, no: i + 1 }));
        let votes = leaf_targets.into_iter().zip(weights.to_f64s()?).collect();
        let roots = attributes.ints("tree_roots")?.unwrap_or_default().len();
        let roots = indices(attributes, "tree_roots", roots, count)?;
        let trees = Self::checked(nodes, roots, sets, votes, targets, splits.dtype() != DataType::Float64)?;
        Ok((trees, Aggregate::read_number(attributes)?, splits.dtype()))
    }

    /// The trees, once no path leads in a circle.
    fn checked(
        nodes: Vec<Node>,
        roots: Vec<usize>,
        sets: Vec<Vec<f64>>,
        votes: Vec<(usize, f64)>,
        targets: usize,
        single: bool,
    ) -> Result<Self> {
        let next =
            |node: &Node| if matches!(node.test, Test::Leaf) { [None; 2] } else { [Some(node.yes), Some(node.no)] };
        let mut parents = vec![0usize; nodes.len()];
        nodes.iter().flat_map(next).flatten().for_each(|i| parents[i] += 1);
        let mut free: Vec<usize> = (0..nodes.len()).filter(|&i| parents[i] == 0).collect();
        let mut done = 0;
        while let Some(i) = free.pop() {
            done += 1;
            for child in next(&nodes[i]).into_iter().flatten() {
                parents[child] -= 1;
                if parents[child] == 0 {
                    free.push(child);
                }
            }
        }
        ensure!(done == nodes.len(), InvalidModel, "{} nodes lead to one another in a circle", nodes.len() - done);
        let asking = nodes.iter().filter(|node| !matches!(node.test, Test::Leaf));
        let features = asking.map(|node| node.feature + 1).max().unwrap_or(0);
        Ok(Self { nodes, roots, sets, votes, targets, features, single })
    }

    /// Refuses inputs that lack a feature.
    pub fn check_features(&self, features: usize) -> Result<()> {
        ensure!(
            features >= self.features,
            ShapeMismatch,
            "expected {} features or more, got {features}",
            self.features
        );
        Ok(())
    }

    /// The inputs as numbers to compare: as they are, or as float32 where thresholds are and the inputs are not wider.
    pub fn inputs(&self, x: &Tensor) -> Result<Vec<f64>> {
        let mut x_values = x.to_f64s()?;
        if self.single && x.dtype() != DataType::Float64 {
            x_values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        Ok(x_values)
    }

    /// Rounds a sum to the ensemble's precision.
    pub fn round(&self, sum: f64) -> f64 {
        if self.single { f64::from(sum as f32) } else { sum }
    }

    fn leaf(&self, root: usize, x: &[f64]) -> &Node {
        let mut node = &self.nodes[root];
        loop {
            if matches!(node.test, Test::Leaf) {
                return node;
            }
            let v = x[node.feature];
            let yes = match node.test {
                Test::AtMost(t) => v <= t,
                Test::Below(t) => v < t,
                Test::AtLeast(t) => v >= t,
                Test::Above(t) => v > t,
                Test::Equal(t) => v == t,
                Test::Unequal(t) => v != t,
                Test::In(set) => self.sets[set].binary_search_by(|m| m.total_cmp(&(v + 0.0))).is_ok(),
                Test::Leaf => false,
            };
            node = &self.nodes[if yes || (node.missing && v.is_nan()) { node.yes } else { node.no }];
        }
    }

    /// The votes of all trees for one row, put together for each target; none where nothing voted.
    pub fn votes(&self, x: &[f64], aggregate: Aggregate, out: &mut Vec<Option<f64>>) {
        out.clear();
        out.resize(self.targets, None);
        for &root in &self.roots {
            let leaf = self.leaf(root, x);
            for &(target, weight) in &self.votes[leaf.yes..leaf.no] {
                let so_far = &mut out[target];
                *so_far = Some(match (*so_far, aggregate) {
                    (None, _) => weight,
                    (Some(sum), Aggregate::Sum | Aggregate::Average) => self.round(sum + weight),
                    (Some(least), Aggregate::Min) => {
                        if weight < least {
                            weight
                        } else {
                            least
                        }
                    }
                    (Some(most), Aggregate::Max) => {
                        if weight > most {
                            weight
                        } else {
                            most
                        }
                    }
                });
            }
        }
        if aggregate == Aggregate::Average {
            let trees = self.roots.len() as f64;
            out.iter_mut().flatten().for_each(|sum| *sum = self.round(*sum / trees));
        }
    }

    /// Targets that any leaf votes for.
    pub fn voted(&self) -> std::collections::HashSet<usize> {
        self.votes.iter().map(|vote| vote.0).collect()
    }

    /// Whether no vote is negative.
    pub fn all_positive(&self) -> bool {
        self.votes.iter().all(|vote| vote.1 >= 0.0)
    }

    /// The regressors' scores of all rows: votes and base values together, transformed.
    pub fn regress(
        &self,
        x: &Tensor,
        [rows, features]: [usize; 2],
        aggregate: Aggregate,
        base: &[f64],
        transform: PostTransform,
    ) -> Result<Vec<f64>> {
        let values = self.inputs(x)?;
        let (mut out, mut votes) = (Vec::with_capacity(rows * self.targets), Vec::new());
        for row in 0..rows {
            self.votes(&values[row * features..(row + 1) * features], aggregate, &mut votes);
            let scores = votes.iter().enumerate().map(|(i, v)| self.score(*v, base.get(i)));
            if transform == PostTransform::None {
                out.extend(scores);
            } else {
                let mut scores: Vec<f32> = scores.map(|s| s as f32).collect();
                transform.apply(&mut scores);
                out.extend(scores.into_iter().map(f64::from));
            }
        }
        Ok(out)
    }

    /// A target's score. One of several that nothing votes for has 0, whatever its base value, as in ONNX Runtime.
    pub fn score(&self, votes: Option<f64>, base: Option<&f64>) -> f64 {
        let base = base.copied().unwrap_or(0.0);
        match votes {
            Some(votes) => self.round(votes + base),
            None if self.targets == 1 => base,
            None => 0.0,
        }
    }
}

fn feature(id: i64) -> Result<usize> {
    match usize::try_from(id).ok().filter(|id| *id < MAX_FEATURE) {
        Some(id) => Ok(id),
        None => bail!(InvalidModel, "\"nodes_featureids\" has {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::graph::Attribute;
    use crate::support::{Random, Single, f32s, numbers};

    fn ints(values: &[i64]) -> Attribute {
        Attribute::Ints(values.to_vec())
    }

    fn strings(values: &[&str]) -> Attribute {
        Attribute::Strings(values.iter().map(|s| s.as_bytes().to_vec()).collect())
    }

    /// One tree: `x[0] <= 0.5` leads to 2, anything else to 1.
    fn stump() -> Vec<(&'static str, Attribute)> {
        vec![
            ("n_targets", Attribute::Int(1)),
            ("nodes_treeids", ints(&[0, 0, 0])),
            ("nodes_nodeids", ints(&[0, 1, 2])),
            ("nodes_featureids", ints(&[0, 0, 0])),
            ("nodes_modes", strings(&["BRANCH_LEQ", "LEAF", "LEAF"])),
            ("nodes_values", Attribute::Floats(vec![0.5, 0.0, 0.0])),
            ("nodes_truenodeids", ints(&[2, 0, 0])),
            ("nodes_falsenodeids", ints(&[1, 0, 0])),
            ("target_treeids", ints(&[0, 0])),
            ("target_nodeids", ints(&[1, 2])),
            ("target_ids", ints(&[0, 0])),
            ("target_weights", Attribute::Floats(vec![10.0, 20.0])),
        ]
    }

    fn op(attributes: Vec<(&'static str, Attribute)>, change: &[(&'static str, Attribute)]) -> Single<'static> {
        let mut op = Single::new("ai.onnx.ml.TreeEnsembleRegressor", 1);
        op.attributes = attributes.into_iter().filter(|(name, _)| change.iter().all(|(n, _)| n != name)).collect();
        op.attributes.extend(change.iter().cloned());
        op
    }

    #[test]
    fn edges() {
        let x = f32s(&[4, 1], vec![0.5, 0.6, f32::NAN, f32::NEG_INFINITY]);
        let y = op(stump(), &[]).one(std::slice::from_ref(&x));
        assert_eq!((y.shape(), numbers(&y)), (&[4, 1][..], vec![20.0, 10.0, 10.0, 20.0]));
        let missing = ("nodes_missing_value_tracks_true", ints(&[1, 0, 0]));
        assert_eq!(numbers(&op(stump(), &[missing]).one(&[x])), [20.0, 10.0, 20.0, 20.0]);
        assert_eq!(op(stump(), &[]).one(&[f32s(&[0, 1], vec![])]).shape(), [0, 1]);
        assert_eq!(op(stump(), &[]).one(&[f32s(&[3], vec![0.0; 3])]).shape(), [1, 1]);
        let error = op(stump(), &[]).error(&[f32s(&[2, 0], vec![])]);
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch, "{error}");
        assert_eq!(op(stump(), &[]).error(&[f32s(&[1, 1, 1], vec![0.0])]).kind(), ErrorKind::ShapeMismatch);
    }

    #[test]
    fn a_leaf_alone_needs_no_feature() {
        let leaf = [
            ("nodes_treeids", ints(&[0])),
            ("nodes_nodeids", ints(&[0])),
            ("nodes_featureids", ints(&[9])),
            ("nodes_modes", strings(&["LEAF"])),
            ("nodes_values", Attribute::Floats(vec![0.0])),
            ("nodes_truenodeids", ints(&[0])),
            ("nodes_falsenodeids", ints(&[0])),
            ("target_treeids", ints(&[0])),
            ("target_nodeids", ints(&[0])),
            ("target_ids", ints(&[0])),
            ("target_weights", Attribute::Floats(vec![7.0])),
        ];
        assert_eq!(numbers(&op(stump(), &leaf).one(&[f32s(&[2, 0], vec![])])), [7.0, 7.0]);
    }

    #[test]
    fn hostile_trees_are_refused() {
        let x = || [f32s(&[1, 1], vec![0.0])];
        for change in [
            ("nodes_truenodeids", ints(&[0, 0, 0])),
            ("nodes_truenodeids", ints(&[3, 0, 0])),
            ("nodes_falsenodeids", ints(&[-1, 0, 0])),
            ("nodes_falsenodeids", ints(&[i64::MIN, 0, 0])),
            ("nodes_nodeids", ints(&[0, 1, 1])),
            ("nodes_treeids", ints(&[0, 1, 0])),
            ("nodes_treeids", ints(&[0, 0])),
            ("nodes_values", Attribute::Floats(vec![0.5])),
            ("nodes_featureids", ints(&[-1, 0, 0])),
            ("nodes_featureids", ints(&[i64::MAX, 0, 0])),
            ("nodes_missing_value_tracks_true", ints(&[1])),
            ("target_ids", ints(&[0, 1])),
            ("target_ids", ints(&[0, -1])),
            ("target_nodeids", ints(&[1, 5])),
            ("target_treeids", ints(&[0])),
            ("base_values", Attribute::Floats(vec![0.0, 1.0])),
            ("n_targets", Attribute::Int(0)),
        ] {
            let error = op(stump(), std::slice::from_ref(&change)).error(&x());
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{change:?}: {error}");
        }
        let error = op(stump(), &[("nodes_modes", strings(&["BRANCH_XOR", "LEAF", "LEAF"]))]).error(&x());
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let error = op(stump(), &[("n_targets", Attribute::Int(i64::MAX))]).error(&x());
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
        // Two nodes that lead to each other, out of the root's reach.
        let circle = [
            ("nodes_modes", strings(&["LEAF", "BRANCH_LEQ", "BRANCH_LEQ"])),
            ("nodes_truenodeids", ints(&[0, 2, 1])),
            ("nodes_falsenodeids", ints(&[0, 0, 0])),
        ];
        let error = op(stump(), &circle).error(&x());
        assert!(error.message().contains("circle"), "{error}");
    }

    /// A chain as deep as there are nodes takes neither recursion nor long.
    #[test]
    fn a_deep_chain() {
        let depth = 100_000i64;
        let count = 2 * depth as usize + 1;
        let leaf = |i: i64| i % 2 == 1 || i == 2 * depth;
        let each = |f: &dyn Fn(i64) -> i64| Attribute::Ints((0..count as i64).map(f).collect());
        let modes: Vec<&str> = (0..count as i64).map(|i| if leaf(i) { "LEAF" } else { "BRANCH_LEQ" }).collect();
        let deep = [
            ("nodes_treeids", each(&|_| 0)),
            ("nodes_nodeids", each(&|i| i)),
            ("nodes_featureids", each(&|_| 0)),
            ("nodes_modes", strings(&modes)),
            ("nodes_values", Attribute::Floats((0..count).map(|i| -(i as f32)).collect())),
            ("nodes_truenodeids", each(&|i| if leaf(i) { 0 } else { i + 2 })),
            ("nodes_falsenodeids", each(&|i| if leaf(i) { 0 } else { i + 1 })),
            ("target_treeids", ints(&[0, 0])),
            ("target_nodeids", ints(&[2 * depth, 1])),
        ];
        let y = op(stump(), &deep).one(&[f32s(&[2, 1], vec![f32::NEG_INFINITY, 1.0])]);
        assert_eq!(numbers(&y), [10.0, 20.0]);
    }

    #[test]
    fn flat_trees_that_are_refused() {
        let tensor = |values: &[f32]| Attribute::Tensor(f32s(&[values.len()], values.to_vec()));
        let modes = |modes: &[u8]| Attribute::Tensor(Tensor::from_vec(vec![modes.len()], modes.to_vec()).unwrap());
        let with = |change: Option<(&'static str, Attribute)>| {
            let attributes = vec![
                ("n_targets", Attribute::Int(2)),
                ("tree_roots", ints(&[0])),
                ("nodes_modes", modes(&[0, 6])),
                ("nodes_featureids", ints(&[0, 1])),
                ("nodes_splits", tensor(&[0.5, 0.0])),
                ("nodes_truenodeids", ints(&[1, 1])),
                ("nodes_trueleafs", ints(&[0, 1])),
                ("nodes_falsenodeids", ints(&[0, 2])),
                ("nodes_falseleafs", ints(&[1, 1])),
                ("leaf_targetids", ints(&[0, 1, 0])),
                ("leaf_weights", tensor(&[1.0, 2.0, 4.0])),
                ("membership_values", tensor(&[3.0, -0.0, f32::NAN])),
            ];
            let mut op = op(attributes, change.as_slice());
            op.op_type = "ai.onnx.ml.TreeEnsemble";
            op
        };
        let x = || [f32s(&[5, 2], vec![1.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 2.0, 0.0, f32::NAN])];
        assert_eq!(numbers(&with(None).one(&x())), [1.0, 0.0, 0.0, 2.0, 0.0, 2.0, 4.0, 0.0, 4.0, 0.0]);
        for change in [
            ("nodes_truenodeids", ints(&[0, 1])),
            ("nodes_truenodeids", ints(&[2, 1])),
            ("nodes_truenodeids", ints(&[1, 3])),
            ("nodes_falsenodeids", ints(&[-1, 2])),
            ("tree_roots", ints(&[2])),
            ("leaf_targetids", ints(&[0, 2, 0])),
            ("leaf_targetids", ints(&[0])),
            ("membership_values", tensor(&[3.0])),
            ("membership_values", tensor(&[])),
            ("membership_values", tensor(&[3.0, f32::NAN, f32::NAN])),
            ("nodes_splits", tensor(&[0.5])),
            ("n_targets", Attribute::Int(-1)),
        ] {
            let error = with(Some(change.clone())).error(&x());
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{change:?}: {error}");
        }
        for change in [
            ("nodes_modes", modes(&[7, 6])),
            ("aggregate_function", Attribute::Int(4)),
            ("post_transform", Attribute::Int(-1)),
            ("post_transform", Attribute::Int(1)),
            ("post_transform", Attribute::Int(2)),
        ] {
            let error = with(Some(change.clone())).error(&x());
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{change:?}: {error}");
        }
    }

    /// Random attributes are refused or answered, never a panic.
    #[test]
    fn random_trees() {
        let mut random = Random::new(11);
        for _ in 0..500 {
            let mut list = |n: usize| Attribute::Ints((0..n).map(|_| random.within(0, n) as i64 - 1).collect());
            let change = [
                ("nodes_truenodeids", list(3)),
                ("nodes_falsenodeids", list(3)),
                ("nodes_nodeids", list(3)),
                ("target_nodeids", list(2)),
            ];
            let change = &change[..random.within(1, 4)];
            let _ = op(stump(), change).run(&[f32s(&[1, 1], vec![0.0])]);
        }
    }
}
