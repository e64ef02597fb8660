//! Magnitude pruning: weights near zero become zero, which compresses well. Shapes stay; what is to run faster loses
//! whole channels instead ([`structured`](super::structured)).
//!
//! Of a weight `w` becomes `0` if `|w| < threshold`, and `w` otherwise, bit by bit. The threshold is given, or found
//! so that a share of the weights lies below it. Weights of equal magnitude stay together: those at the threshold are
//! kept, so the zeros may be fewer than asked for, and never depend on an order.
//!
//! Pruned are the float32 constants, of two dimensions or more, that Conv, ConvTranspose, Gemm, MatMul, and recurrent
//! nodes (their fused forms too) multiply by, in bodies as well; biases and normalisations are not. A constant is also
//! known behind Identity, Transpose, and what else only moves its elements. One that several nodes share is pruned
//! once, for all that use it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType, Graph, Node, Tensor};

/// Which weights become zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Those with a magnitude below this.
    Threshold(f32),
    /// Of every tensor this share, from 0 to below 1: those of the least magnitude.
    EachLayer(f64),
    /// Of all tensors together this share.
    Global(f64),
}

/// What [`prune`] is told.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    pub amount: Amount,
    /// Names of nodes and weights that are left alone; `*` stands for any characters.
    pub excluded: Vec<String>,
}

/// What became of a weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedWeight {
    pub name: String,
    /// The first node that uses it.
    pub node: String,
    pub op_type: String,
    pub elements: usize,
    pub zeros_before: usize,
    pub zeros_after: usize,
    /// Magnitudes below it became zero.
    pub threshold: f32,
    /// The L2 norm after, as a share of that before; 1 for a weight of zeros.
    pub norm_kept: f64,
}

/// What [`prune`] did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// In the order of the nodes that use them.
    pub weights: Vec<PrunedWeight>,
    /// Names of the weights that were excluded.
    pub excluded: Vec<String>,
}

impl PruneReport {
    /// Elements of all weights that were looked at, and zeros among them before and after.
    pub fn total(&self) -> (usize, usize, usize) {
        self.weights.iter().fold((0, 0, 0), |(elements, before, after), w| {
            (elements + w.elements, before + w.zeros_before, after + w.zeros_after)
        })
    }
}

/// Sets weights near zero to zero.
///
/// Errors: `InvalidArgument` for a threshold that is negative or no number, a share outside of 0 to 1, and for an
/// exclusion that matches nothing.
pub fn prune(graph: &mut Graph, options: &PruneOptions) -> Result<PruneReport> {
    match options.amount {
        Amount::Threshold(threshold) => {
            ensure!(threshold >= 0.0, InvalidArgument, "pruning: expected a threshold of 0 or more, got {threshold}")
        }
        Amount::EachLayer(share) | Amount::Global(share) => ensure!(
            (0.0..1.0).contains(&share),
            InvalidArgument,
            "pruning: expected a share of the weights from 0 to below 1, got {share}"
        ),
    }
    let mut exclusions = Exclusions::new(&options.excluded);
    let mut found = Found::default();
    let mut scopes = Vec::new();
    found.collect(graph, &mut scopes, &mut Vec::new(), &mut exclusions);
    exclusions.all_used()?;

    let mut report = PruneReport::default();
    let mut pruned: Vec<(Place, PrunedWeight)> = Vec::new();
    for (place, weight) in found.in_order() {
        if weight.excluded {
            report.excluded.push(place.name);
        } else {
            let Weight { node, op_type, .. } = weight;
            let none = PrunedWeight {
                name: place.name.clone(),
                node,
                op_type,
                elements: 0,
                zeros_before: 0,
                zeros_after: 0,
                threshold: 0.0,
                norm_kept: 1.0,
            };
            pruned.push((place, none));
        }
    }
    let shared = match options.amount {
        Amount::Threshold(threshold) => Some(threshold),
        Amount::EachLayer(_) => None,
        Amount::Global(share) => {
            let all = pruned.iter().filter_map(|(place, _)| constant(graph, place)).flat_map(floats).map(f32::abs);
            Some(least_kept(all.collect(), share))
        }
    };
    for (place, mut entry) in pruned {
        let Some(tensor) = constant(graph, &place) else { continue };
        let mut values: Vec<f32> = floats(tensor).collect();
        let threshold = match (shared, options.amount) {
            (Some(threshold), _) => threshold,
            (None, Amount::EachLayer(share)) => least_kept(values.iter().map(|v| v.abs()).collect(), share),
            (None, _) => 0.0,
        };
        entry.elements = values.len();
        entry.threshold = threshold;
        entry.zeros_before = zeros(&values);
        let before = norm(&values);
        for value in &mut values {
            if value.abs() < threshold {
                *value = 0.0;
            }
        }
        entry.zeros_after = zeros(&values);
        entry.norm_kept = if before > 0.0 { norm(&values) / before } else { 1.0 };
        let tensor = Tensor::from_vec(tensor.shape().to_vec(), values)?;
        if let Some(place) = constant_mut(graph, &place) {
            *place = tensor;
        }
        report.weights.push(entry);
    }
    Ok(report)
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|&&v| v == 0.0).count()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}

/// The least magnitude that stays when `share` of them goes.
fn least_kept(mut magnitudes: Vec<f32>, share: f64) -> f32 {
    if magnitudes.is_empty() {
        return 0.0;
    }
    let gone = ((magnitudes.len() as f64 * share).round() as usize).min(magnitudes.len() - 1);
    *magnitudes.select_nth_unstable_by(gone, f32::total_cmp).1
}

/// The elements of a float32 tensor.
pub(super) fn floats(tensor: &Tensor) -> impl Iterator<Item = f32> + '_ {
    let bytes = tensor.bytes().filter(|_| tensor.dtype() == DataType::Float32).unwrap_or_default();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Patterns of names, and which of them have matched.
pub(super) struct Exclusions<'a>(Vec<(&'a str, bool)>);

impl<'a> Exclusions<'a> {
    pub fn new(patterns: &'a [String]) -> Self {
        Self(patterns.iter().map(|pattern| (pattern.as_str(), false)).collect())
    }

    /// Whether one of `names` is excluded.
    pub fn has(&mut self, names: &[&str]) -> bool {
        let mut any = false;
        for (pattern, used) in &mut self.0 {
            if names.iter().any(|name| matches(pattern, name)) {
                (any, *used) = (true, true);
            }
        }
        any
    }

    /// Errors: `InvalidArgument` naming the patterns that have matched nothing.
    pub fn all_used(&self) -> Result<()> {
        let unused: Vec<String> = self.0.iter().filter(|(_, used)| !used).map(|(p, _)| format!("\"{p}\"")).collect();
        if !unused.is_empty() {
            let unused = unused.join(", ");
            bail!(InvalidArgument, "pruning: no node with weights and no weight is named {unused}, to be excluded");
        }
        Ok(())
    }
}

/// Whether `name` is `pattern`, in which `*` stands for any characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pattern.contains('*').then(|| parts.next_back()).flatten() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The inputs of a node that hold weights where they are constant.
pub(super) fn weight_inputs(node: &Node) -> &'static [usize] {
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("", "Conv" | "ConvTranspose" | "DeformConv") | ("com.microsoft", "FusedConv" | "Attention") => &[1],
        ("", "Gemm" | "MatMul") | ("com.microsoft", "FusedGemm" | "FusedMatMul") => &[0, 1],
        ("", "LSTM" | "GRU" | "RNN") => &[1, 2],
        _ => &[],
    }
}

/// Where a constant is: the bodies on the way, each by its node and attribute, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    bodies: Vec<(usize, String)>,
    name: String,
}

/// A weight's first use.
struct Weight {
    at: usize,
    node: String,
    op_type: String,
    excluded: bool,
}

#[derive(Default)]
struct Found(BTreeMap<Place, Weight>);

impl Found {
    /// Goes through the nodes of `graph`, which is at `bodies`; `scopes` are the graphs around it.
    fn collect<'g>(
        &mut self,
        graph: &'g Graph,
        scopes: &mut Vec<Scope<'g>>,
        bodies: &mut Vec<(usize, String)>,
        exclusions: &mut Exclusions,
    ) {
        scopes.push(Scope::of(graph));
        for (index, node) in graph.nodes.iter().enumerate() {
            for &input in weight_inputs(node) {
                let Some(place) = node.inputs.get(input).and_then(|name| source(scopes, bodies, name)) else {
                    continue;
                };
                let excluded = exclusions.has(&[&node.name, &place.name]);
                let at = self.0.len();
                let weight = self.0.entry(place).or_insert_with(|| Weight {
                    at,
                    node: node.name.clone(),
                    op_type: node.op_type.clone(),
                    excluded: false,
                });
                weight.excluded |= excluded;
            }
            let mut attributes: Vec<(&String, &Attribute)> = node.attributes.iter().collect();
            attributes.sort_unstable_by_key(|(name, _)| *name);
            for (name, attribute) in attributes {
                if let Attribute::Graph(body) = attribute {
                    bodies.push((index, name.clone()));
                    self.collect(body, scopes, bodies, exclusions);
                    bodies.pop();
                }
            }
        }
        scopes.pop();
    }

    fn in_order(self) -> Vec<(Place, Weight)> {
        let mut all: Vec<(Place, Weight)> = self.0.into_iter().collect();
        all.sort_by_key(|(_, weight)| weight.at);
        all
    }
}

struct Scope<'g> {
    graph: &'g Graph,
    makers: HashMap<&'g str, &'g Node>,
}

impl<'g> Scope<'g> {
    fn of(graph: &'g Graph) -> Self {
        let made = graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |name| (name.as_str(), node)));
        Self { graph, makers: made.collect() }
    }
}

/// The weight that `name` is, or is made of by moving its elements.
fn source(scopes: &[Scope], bodies: &[(usize, String)], name: &str) -> Option<Place> {
    let mut name = name;
    let mut depth = scopes.len();
    // No longer than a way that meets every node once.
    let mut left: usize = scopes.iter().map(|scope| scope.graph.nodes.len() + 1).sum();
    while left > 0 {
        left -= 1;
        depth = (0..depth).rev().find(|&at| {
            scopes[at].makers.contains_key(name)
                || scopes[at].graph.initializers.contains_key(name)
                || scopes[at].graph.inputs.iter().any(|input| input.name == name)
        })? + 1;
        let scope = &scopes[depth - 1];
        if let Some(tensor) = scope.graph.initializers.get(name) {
            return is_weight(tensor).then(|| Place { bodies: bodies[..depth - 1].to_vec(), name: name.to_string() });
        }
        let node = scope.makers.get(name)?;
        name = match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Constant") => match node.attributes.get("value") {
                Some(Attribute::Tensor(tensor)) if is_weight(tensor) => {
                    return Some(Place { bodies: bodies[..depth - 1].to_vec(), name: name.to_string() });
                }
                _ => return None,
            },
            ("", "Identity" | "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten") => node.inputs.first()?,
            _ => return None,
        };
    }
    None
}

fn is_weight(tensor: &Tensor) -> bool {
    tensor.dtype() == DataType::Float32 && tensor.shape().len() >= 2
}

fn constant<'g>(graph: &'g Graph, place: &Place) -> Option<&'g Tensor> {
    let mut graph = graph;
    for (node, attribute) in &place.bodies {
        match graph.nodes.get(*node)?.attributes.get(attribute)? {
            Attribute::Graph(body) => graph = body,
            _ => return None,
        }
    }
    match graph.initializers.get(&place.name) {
        Some(tensor) => Some(tensor),
        None => match graph.nodes.iter().find(|node| node.outputs.contains(&place.name))?.attributes.get("value")? {
            Attribute::Tensor(tensor) => Some(tensor),
            _ => None,
        },
    }
}

fn constant_mut<'g>(graph: &'g mut Graph, place: &Place) -> Option<&'g mut Tensor> {
    let mut graph = graph;
    for (node, attribute) in &place.bodies {
        match graph.nodes.get_mut(*node)?.attributes.get_mut(attribute)? {
            Attribute::Graph(body) => graph = body,
            _ => return None,
        }
    }
    match graph.initializers.get_mut(&place.name) {
        Some(tensor) => Some(tensor),
        None => {
            let node = graph.nodes.iter_mut().find(|node| node.outputs.contains(&place.name))?;
            match node.attributes.get_mut("value")? {
                Attribute::Tensor(tensor) => Some(tensor),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("conv1", "conv1", true),
            ("conv1", "conv10", false),
            ("conv*", "conv10", true),
            ("*conv", "a/conv", true),
            ("*.weight", "a.weights", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} of {name}");
        }
    }

    #[test]
    fn the_least_kept_leaves_the_share_below_it() {
        assert_eq!(least_kept(vec![3.0, 1.0, 2.0, 4.0], 0.5), 3.0);
        assert_eq!(least_kept(vec![3.0, 1.0, 2.0, 4.0], 0.0), 1.0);
        assert_eq!(least_kept(vec![2.0, 2.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(least_kept(vec![1.0], 0.99), 1.0);
        assert_eq!(least_kept(vec![], 0.5), 0.0);
    }
}
