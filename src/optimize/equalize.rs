//! Cross-layer equalisation: two convolutions, one after the other, have their channels scaled so that each is as wide
//! in the first weight as in the second, which changes nothing in float32 and much where one scale has to serve a
//! whole weight (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019).

use super::PassReport;
use super::rewrite::{Links, constant, floats, input, int, is};
use crate::graph::{Graph, Node, Tensor};

/// Rounds over all pairs; the ranges hardly change after these.
const ROUNDS: usize = 20;

/// Channels are scaled by no more than this either way: a channel that is almost dead would blow up the other side.
const MOST: f64 = 1e4;

/// Equalises the pairs of convolutions with nothing between them, or an activation that is homogeneous (Relu,
/// LeakyRelu): a bound such as Relu6's does not go along with a scale, so its neighbours are left.
pub fn equalize(graph: &mut Graph) -> PassReport {
    let mut report = PassReport::new("equalize");
    let pairs = pairs(graph);
    for _ in 0..ROUNDS {
        for &(first, second) in &pairs {
            scale_pair(graph, first, second);
        }
    }
    pairs.iter().for_each(|_| report.count("pairs of convolutions equalised"));
    report
}

fn pairs(graph: &Graph) -> Vec<(usize, usize)> {
    let links = Links::of(graph);
    let own = |node: &Node| {
        is(node, "Conv")
            && constant(graph, node, 1).is_some_and(|w| w.as_slice::<f32>().is_some() && w.shape().len() > 2)
            && input(node, 1).is_some_and(|name| links.readers(name).len() == 1)
            && input(node, 2).is_none_or(|name| floats(graph, node, 2).is_some() && links.readers(name).len() == 1)
    };
    let mut found = Vec::new();
    for (first, node) in graph.nodes.iter().enumerate().filter(|(_, node)| own(node)) {
        let Some(mut reader) = links.only_reader(&node.outputs[0]) else { continue };
        let between = &graph.nodes[reader];
        if is(between, "Relu") || is(between, "LeakyRelu") {
            let Some(after) = links.only_reader(&between.outputs[0]) else { continue };
            reader = after;
        }
        let second = &graph.nodes[reader];
        if !own(second) || !links.only_reader_is_data(graph, reader) {
            continue;
        }
        let outputs = constant(graph, node, 1).map_or(0, |w| w.shape()[0]);
        let group = int(second, "group", 1).max(1) as usize;
        let inputs = constant(graph, second, 1).map_or(0, |w| w.shape()[1] * group);
        if outputs == inputs {
            found.push((first, reader));
        }
    }
    found
}

impl Links {
    /// Whether the node reads a value that is made, not its weight, as its data.
    fn only_reader_is_data(&self, graph: &Graph, index: usize) -> bool {
        input(&graph.nodes[index], 0).is_some_and(|name| self.producer(name).is_some())
    }
}

fn scale_pair(graph: &mut Graph, first: usize, second: usize) {
    let group = int(&graph.nodes[second], "group", 1).max(1) as usize;
    let weight = |index: usize| constant(graph, &graph.nodes[index], 1);
    let (Some(a), Some(b)) = (weight(first), weight(second)) else { return };
    let (Some(left), Some(right)) = (a.as_slice::<f32>(), b.as_slice::<f32>()) else { return };
    let (a_shape, b_shape) = (a.shape().to_vec(), b.shape().to_vec());
    let channels = a_shape[0];
    let a_inner: usize = a_shape[1..].iter().product();
    let kernel: usize = b_shape[2..].iter().product();
    let per_group = b_shape[0] / group.max(1);
    // The input channel that an element of the second weight is multiplied with.
    let channel = |at: usize| {
        let (output, rest) = (at / (b_shape[1] * kernel), at % (b_shape[1] * kernel));
        output / per_group.max(1) * b_shape[1] + rest / kernel
    };
    let (mut wide, mut next) = (vec![0f64; channels], vec![0f64; channels]);
    left.iter().enumerate().for_each(|(at, v)| wide[at / a_inner] = wide[at / a_inner].max(f64::from(v.abs())));
    right.iter().enumerate().for_each(|(at, v)| next[channel(at)] = next[channel(at)].max(f64::from(v.abs())));
    let factor = |(&a, &b): (&f64, &f64)| match a > 0.0 && b > 0.0 {
        true => (a / b).sqrt().clamp(1.0 / MOST, MOST),
        false => 1.0,
    };
    let factors: Vec<f64> = std::iter::zip(&wide, &next).map(factor).collect();
    let scaled_left: Vec<f32> =
        left.iter().enumerate().map(|(at, &v)| (f64::from(v) / factors[at / a_inner]) as f32).collect();
    let scaled_right: Vec<f32> =
        right.iter().enumerate().map(|(at, &v)| (f64::from(v) * factors[channel(at)]) as f32).collect();
    let bias: Option<Vec<f32>> = floats(graph, &graph.nodes[first], 2)
        .map(|bias| std::iter::zip(bias, &factors).map(|(&v, f)| (f64::from(v) / f) as f32).collect());
    let mut replace = |index: usize, at: usize, shape: Vec<usize>, values: Vec<f32>| {
        let name = graph.nodes[index].inputs[at].clone();
        if let Ok(tensor) = Tensor::from_vec(shape, values) {
            graph.initializers.insert(name, tensor);
        }
    };
    replace(first, 1, a_shape, scaled_left);
    replace(second, 1, b_shape, scaled_right);
    if let Some(bias) = bias {
        replace(first, 2, vec![channels], bias);
    }
}
