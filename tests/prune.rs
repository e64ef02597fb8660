//! Pruning: weights against a naive loop; channels by what must not change when channels of zeros go.
#![cfg(feature = "convert")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use firebrand::graph::{Attribute, Dim, Graph, Node, ValueType};
use firebrand::optimize::prune::{Amount, PruneOptions, PruneReport, prune};
use firebrand::optimize::structured::{ChannelOptions, ChannelReport, Norm, prune_channels};
use firebrand::{DataType, ErrorKind, Model, RunOptions, Session, SessionOptions, Tensor};
use support::{Builder, Random, f32s, i64s, tensor_type};

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn floats(graph: &Graph, name: &str) -> Vec<f32> {
    graph.initializers[name].as_slice::<f32>().expect("float32").to_vec()
}

fn amount(amount: Amount) -> PruneOptions {
    PruneOptions { amount, excluded: Vec::new() }
}

/// A convolution, a product, a dense layer with `fc.w` twice, a recurrent layer, a normalisation.
fn layers() -> Graph {
    let mut random = Random::new(1);
    let mut tensor = |shape: &[usize]| random.tensor(shape);
    Builder::new(17)
        .input("x", tensor_type(DataType::Float32, &["1", "3", "4", "4"]))
        .constant("conv.w", tensor(&[5, 3, 3, 3]))
        .constant("conv.b", tensor(&[5]))
        .constant("bn.scale", tensor(&[5]))
        .constant("bn.var", f32s(&[5], vec![1.0; 5]))
        .constant("mm.w", tensor(&[2, 7]))
        .constant("fc.w", tensor(&[7, 7]))
        .constant("fc.b", tensor(&[7]))
        .constant("table", tensor(&[7, 7]))
        .constant("lstm.w", tensor(&[1, 8, 7]))
        .constant("lstm.r", tensor(&[1, 8, 2]))
        .node("Conv", &["x", "conv.w", "conv.b"], &["c"], &[])
        .node("BatchNormalization", &["c", "bn.scale", "conv.b", "conv.b", "bn.var"], &["n"], &[])
        .node("MatMul", &["n", "mm.w"], &["m"], &[])
        .node("Flatten", &["m"], &["f"], &[("axis", Attribute::Int(3))])
        .node("Gemm", &["f", "fc.w", "fc.b"], &["g"], &[])
        .node("Transpose", &["fc.w"], &["fc.t"], &[])
        .node("MatMul", &["g", "fc.t"], &["h"], &[])
        .node("Add", &["h", "table_row"], &["i"], &[])
        .constant("table_row", f32s(&[1, 7], vec![0.001; 7]))
        .node("Unsqueeze", &["i", "axes"], &["s"], &[])
        .constant("axes", i64s(&[1], &[1]))
        .node("LSTM", &["s", "lstm.w", "lstm.r"], &["y"], &[("hidden_size", Attribute::Int(2))])
        .output("y")
        .graph()
}

const PRUNABLE: [&str; 5] = ["conv.w", "mm.w", "fc.w", "lstm.w", "lstm.r"];

#[test]
fn weights_below_the_threshold_become_zero_and_no_others() {
    let before = layers();
    for threshold in [0.0, 0.25, 0.5, 2.0] {
        let mut graph = before.clone();
        let report = prune(&mut graph, &amount(Amount::Threshold(threshold))).expect("pruned");
        assert_eq!(report.weights.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), PRUNABLE);
        for (name, tensor) in &before.initializers {
            let expected: Vec<u8> = match PRUNABLE.contains(&name.as_str()) {
                true => {
                    let mut values = floats(&before, name);
                    for value in &mut values {
                        if value.abs() < threshold {
                            *value = 0.0;
                        }
                    }
                    values.iter().flat_map(|v| v.to_le_bytes()).collect()
                }
                false => tensor.bytes().expect("numbers").to_vec(),
            };
            assert_eq!(graph.initializers[name].bytes().expect("numbers"), expected, "{name} below {threshold}");
        }
        for weight in &report.weights {
            let (old, new) = (floats(&before, &weight.name), floats(&graph, &weight.name));
            let norm = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            assert_eq!(weight.elements, old.len());
            assert_eq!(weight.zeros_before, old.iter().filter(|&&v| v == 0.0).count());
            assert_eq!(weight.zeros_after, new.iter().filter(|&&v| v == 0.0).count());
            assert_eq!(weight.threshold, threshold);
            assert!((weight.norm_kept - norm(&new) / norm(&old)).abs() < 1e-12);
        }
    }
}

#[test]
fn a_share_of_each_layer_goes() {
    let before = layers();
    for share in [0.0, 0.3, 0.5, 0.8, 0.999] {
        let mut graph = before.clone();
        let report = prune(&mut graph, &amount(Amount::EachLayer(share))).expect("pruned");
        for weight in &report.weights {
            let mut magnitudes: Vec<f32> = floats(&before, &weight.name).iter().map(|v| v.abs()).collect();
            magnitudes.sort_by(f32::total_cmp);
            let gone = ((magnitudes.len() as f64 * share).round() as usize).min(magnitudes.len() - 1);
            assert_eq!(weight.zeros_after, gone, "{} at {share}", weight.name);
            assert_eq!(weight.threshold, magnitudes[gone]);
        }
    }
}

#[test]
fn a_share_of_all_weights_goes() {
    let before = layers();
    let mut magnitudes: Vec<f32> = PRUNABLE.iter().flat_map(|name| floats(&before, name)).map(f32::abs).collect();
    magnitudes.sort_by(f32::total_cmp);
    for share in [0.1, 0.5, 0.8] {
        let mut graph = before.clone();
        let report = prune(&mut graph, &amount(Amount::Global(share))).expect("pruned");
        let gone = (magnitudes.len() as f64 * share).round() as usize;
        assert_eq!(report.total(), (magnitudes.len(), 0, gone));
        assert!(report.weights.iter().all(|weight| weight.threshold == magnitudes[gone]));
        assert!(report.weights.iter().any(|weight| weight.zeros_after * 10 > weight.elements));
    }
}

#[test]
fn equal_magnitudes_stay_together() {
    let mut graph = Builder::new(17)
        .input("x", tensor_type(DataType::Float32, &["1", "4"]))
        .constant("w", f32s(&[4, 2], vec![1.0, -1.0, 1.0, 0.5, 0.5, -2.0, 1.0, 3.0]))
        .node("MatMul", &["x", "w"], &["y"], &[])
        .output("y")
        .graph();
    prune(&mut graph, &amount(Amount::EachLayer(0.5))).expect("pruned");
    assert_eq!(floats(&graph, "w"), [1.0, -1.0, 1.0, 0.0, 0.0, -2.0, 1.0, 3.0]);
}

#[test]
fn what_is_excluded_stays() {
    let excluded = |patterns: &[&str]| -> Result<PruneReport, firebrand::Error> {
        let mut graph = layers();
        let excluded = patterns.iter().map(ToString::to_string).collect();
        let before = graph.clone();
        let report = prune(&mut graph, &PruneOptions { amount: Amount::EachLayer(0.5), excluded })?;
        for name in &report.excluded {
            assert_eq!(floats(&graph, name), floats(&before, name));
        }
        Ok(report)
    };
    assert_eq!(excluded(&["conv.*", "lstm*"]).expect("pruned").excluded, ["conv.w", "lstm.w", "lstm.r"]);
    // The second node that uses it.
    assert_eq!(excluded(&["MatMul_6"]).expect("pruned").excluded, ["fc.w"]);
    let error = excluded(&["conv.w", "layer9*"]).expect_err("nothing is called so");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("\"layer9*\"") && !error.message().contains("conv.w"), "{error}");
}

#[test]
fn amounts_that_make_no_sense_are_refused() {
    for wrong in [
        Amount::Threshold(-0.1),
        Amount::Threshold(f32::NAN),
        Amount::EachLayer(1.0),
        Amount::Global(-0.1),
        Amount::Global(f64::NAN),
    ] {
        let error = prune(&mut layers(), &amount(wrong)).expect_err("no such amount");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{wrong:?}");
    }
}

#[test]
fn weights_of_bodies_and_of_constant_nodes_are_pruned() {
    let body = |name: &str| {
        let graph = Builder::new(17)
            .constant(name, f32s(&[2, 2], vec![0.1, 1.0, 2.0, 0.2]))
            .node("MatMul", &["x", name], &["z"], &[])
            .node("MatMul", &["z", "outer"], &["out"], &[])
            .output("out");
        Attribute::Graph(graph.graph())
    };
    let value = Attribute::Tensor(f32s(&[2, 2], vec![0.3, 3.0, 4.0, 0.4]));
    let mut graph = Builder::new(17)
        .input("x", tensor_type(DataType::Float32, &["2", "2"]))
        .input("yes", tensor_type(DataType::Bool, &[]))
        .node("Constant", &[], &["outer"], &[("value", value)])
        .node("If", &["yes"], &["y"], &[("then_branch", body("a")), ("else_branch", body("b"))])
        .output("y")
        .graph();
    let report = prune(&mut graph, &amount(Amount::EachLayer(0.5))).expect("pruned");
    assert_eq!(report.weights.iter().map(|w| w.name.as_str()).collect::<BTreeSet<_>>(), ["a", "b", "outer"].into());
    assert!(report.weights.iter().all(|w| w.zeros_after == 2));
    let Attribute::Graph(then) = &graph.nodes[1].attributes["then_branch"] else { panic!("a body") };
    assert_eq!(floats(then, "a"), [0.0, 1.0, 2.0, 0.0]);
    let Attribute::Tensor(outer) = &graph.nodes[0].attributes["value"] else { panic!("a tensor") };
    assert_eq!(outer.as_slice::<f32>().expect("float32"), [0.0, 3.0, 4.0, 0.0]);
}

/// A network whose layers make zeros in their channels of odd index.
struct Net {
    builder: Builder,
    random: Random,
}

impl Net {
    fn new(opset: i64, shape: &[&str]) -> Self {
        let builder = Builder::new(opset).input("x", tensor_type(DataType::Float32, shape));
        Self { builder, random: Random::new(7) }
    }

    fn constant(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        self.builder = std::mem::take(&mut self.builder).constant(name, tensor);
        self
    }

    fn node(&mut self, op_type: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]) -> &mut Self {
        self.nodes(op_type, inputs, &[output], attributes)
    }

    fn nodes(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> &mut Self {
        self.builder = std::mem::take(&mut self.builder).node(op_type, inputs, outputs, attributes);
        self
    }

    /// A tensor with zeros at odd indices of `axis`.
    fn weights(&mut self, shape: &[usize], axis: usize) -> Tensor {
        let inner: usize = shape[axis + 1..].iter().product();
        let values = self.random.floats(shape.iter().product());
        let odd = |at: usize| at / inner % shape[axis] % 2 == 1;
        f32s(shape, values.into_iter().enumerate().map(|(at, v)| if odd(at) { 0.0 } else { v }).collect())
    }

    /// A convolution with a 3 × 3 kernel, padded, and a bias, named after its output.
    fn conv(&mut self, x: &str, name: &str, outputs: usize, each: usize, groups: usize) -> &mut Self {
        let weight = self.weights(&[outputs, each, 3, 3], 0);
        let bias = self.weights(&[outputs], 0);
        let (w, b) = (format!("{name}.w"), format!("{name}.b"));
        self.constant(&w, weight).constant(&b, bias);
        let attributes = [("pads", ints(&[1, 1, 1, 1])), ("group", Attribute::Int(groups as i64))];
        self.node("Conv", &[x, &w, &b], name, &attributes)
    }

    /// A dense layer as Gemm, weights `[outputs, inputs]`.
    fn dense(&mut self, x: &str, name: &str, outputs: usize, inputs: usize) -> &mut Self {
        let weight = self.weights(&[outputs, inputs], 0);
        let bias = self.weights(&[outputs], 0);
        let (w, b) = (format!("{name}.w"), format!("{name}.b"));
        self.constant(&w, weight).constant(&b, bias);
        self.node("Gemm", &[x, &w, &b], name, &[("transB", Attribute::Int(1))])
    }

    fn graph(&mut self, outputs: &[&str]) -> Graph {
        outputs.iter().fold(std::mem::take(&mut self.builder), |builder, output| builder.output(output)).graph()
    }
}

fn model(graph: Graph) -> Model {
    Model { graph, ir_version: 9, producer: "test".into(), metadata: Vec::new() }
}

/// What a graph gives for seeded inputs, a batch of 2 where that is free.
fn answers(graph: &Graph) -> Vec<(String, Tensor)> {
    let mut random = Random::new(3);
    let feeds: Vec<_> = graph
        .inputs
        .iter()
        .map(|input| {
            let ValueType::Tensor { shape: Some(shape), .. } = &input.ty else { panic!("{input:?}") };
            let size = |dim: &Dim| if let Dim::Size(size) = dim { *size } else { 2 };
            (input.name.clone(), random.tensor(&shape.iter().map(size).collect::<Vec<_>>()).into())
        })
        .collect();
    let session =
        Session::load_blocking(model(graph.clone()), SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let outputs = session.run_blocking(feeds, RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    outputs.into_iter().map(|(name, feed)| (name, support::into_tensor(feed))).collect()
}

fn half(channel_multiple: usize) -> ChannelOptions {
    ChannelOptions { channel_multiple, ..ChannelOptions::default() }
}

/// Prunes half of the channels; what the graph gives must stay. The channels of each node before and after.
fn unchanged(what: &str, graph: &Graph, options: &ChannelOptions) -> (Graph, ChannelReport) {
    let mut pruned = graph.clone();
    let report = prune_channels(&mut pruned, options).unwrap_or_else(|e| panic!("{what}: {e}"));
    let expected = answers(graph);
    let largest = expected.iter().flat_map(|(_, t)| support::numbers(t)).fold(0f64, |most, v| most.max(v.abs()));
    assert!(largest > 1e-3, "{what}: the outputs are zeros");
    // What was written is what was meant.
    let written = model(pruned.clone()).to_onnx().unwrap_or_else(|e| panic!("{what}: {e}"));
    let reread = Model::from_onnx(written, &Default::default()).unwrap_or_else(|e| panic!("{what}: {e}"));
    for ((name, got), (_, expected)) in answers(&reread.graph).iter().zip(&expected) {
        if let Err(difference) = support::compare(got, expected, 1e-6, 1e-6 * largest.max(1.0)) {
            panic!("{what}: output {name}: {difference}");
        }
    }
    let counted: usize = pruned.initializers.values().filter(|t| t.dtype().is_float()).map(Tensor::len).sum();
    assert_eq!(counted, report.weights_after, "{what}");
    let again = {
        let mut again = graph.clone();
        assert_eq!(prune_channels(&mut again, options).expect("pruned"), report, "{what}: another time");
        model(again).to_onnx().expect("written")
    };
    assert!(again == model(pruned.clone()).to_onnx().expect("written"), "{what}: other bytes the second time");
    (pruned, report)
}

/// Channels by node, before and after.
fn widths(report: &ChannelReport) -> BTreeMap<&str, (usize, usize)> {
    report.layers.iter().map(|layer| (layer.node.as_str(), (layer.channels_before, layer.channels_after))).collect()
}

/// Prunes, and checks how many channels each layer keeps, in the order of the graph.
fn halves(what: &str, graph: &Graph, channel_multiple: usize, expected: &[usize]) -> (Graph, ChannelReport) {
    let (pruned, report) = unchanged(what, graph, &half(channel_multiple));
    let after: Vec<usize> = report.layers.iter().map(|layer| layer.channels_after).collect();
    assert_eq!(after, expected, "{what}: {:?}", report.left_alone);
    assert!(report.multiply_adds_after < report.multiply_adds_before, "{what}");
    (pruned, report)
}

#[test]
fn layers_in_a_row_lose_channels() {
    let mut net = Net::new(7, &["batch", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).node("Relu", &["a"], "ra", &[]);
    net.conv("ra", "b", 6, 8, 1).node("Relu", &["b"], "rb", &[]);
    net.conv("rb", "c", 4, 6, 1);
    let graph = net.graph(&["c"]);
    let (pruned, report) = halves("a row", &graph, 2, &[4, 4, 4]);
    assert_eq!(pruned.initializers["b.w"].shape(), [4, 4, 3, 3]);
    assert_eq!(pruned.initializers["c.w"].shape(), [4, 4, 3, 3]);
    let layer = &report.layers[1];
    assert_eq!((layer.weights_before, layer.weights_after), (6 * 8 * 9 + 6, 4 * 4 * 9 + 4));
    assert_eq!((layer.multiply_adds_before, layer.multiply_adds_after), (36 * 6 * 8 * 9, 36 * 4 * 4 * 9));
    assert_eq!(report.left_alone.len(), 1);
    assert_eq!(report.left_alone[0].nodes, [graph.nodes[4].name.clone()]);
    assert!(report.left_alone[0].reason.contains("output \"c\""), "{:?}", report.left_alone);
    // What is kept is a multiple, rounded up, and never more than there is.
    let (_, report) = unchanged("multiples of 8", &graph, &half(8));
    assert!(report.layers.iter().all(|layer| layer.channels_after == layer.channels_before));
}

impl Net {
    fn finish(&mut self, x: &str, inputs: usize) -> Graph {
        self.conv(x, "last", 3, inputs, 1);
        self.graph(&["last"])
    }
}

#[test]
fn residuals_lose_the_same_channels() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).node("Relu", &["a"], "ra", &[]);
    net.conv("ra", "b", 4, 8, 1).node("Relu", &["b"], "rb", &[]);
    net.conv("rb", "c", 8, 4, 1);
    for name in ["scale", "shift", "mean"] {
        let tensor = net.weights(&[8], 0);
        net.constant(name, tensor);
    }
    net.constant("var", f32s(&[8], vec![0.5; 8]));
    net.node("BatchNormalization", &["c", "scale", "shift", "mean", "var"], "n", &[]);
    net.node("Add", &["n", "ra"], "s", &[]);
    net.conv("s", "d", 8, 8, 1).node("Sum", &["d", "s", "ra"], "t", &[]);
    let graph = net.finish("t", 8);
    let (pruned, _) = halves("residuals", &graph, 1, &[4, 2, 4, 4, 3]);
    assert_eq!(pruned.initializers["var"].shape(), [4]);
}

#[test]
fn joined_and_split_channels_are_found_again() {
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 4, 3, 1).conv("x", "b", 8, 3, 1);
    net.node("Concat", &["a", "x", "b"], "j", &[("axis", Attribute::Int(-3))]);
    let graph = net.finish("j", 15);
    let (pruned, _) = halves("Concat", &graph, 2, &[2, 4, 3]);
    assert_eq!(pruned.initializers["last.w"].shape(), [3, 9, 3, 3]);

    for opset in [11, 13, 18] {
        for sizes in [None, Some([2i64, 6])] {
            let mut net = Net::new(opset, &["1", "3", "6", "6"]);
            net.conv("x", "a", 8, 3, 1);
            let (inputs, mut attributes) = (vec!["a", "sizes"], vec![("axis", Attribute::Int(1))]);
            match sizes {
                Some(sizes) if opset < 13 => attributes.push(("split", ints(&sizes))),
                Some(sizes) => drop(net.constant("sizes", i64s(&[2], &sizes))),
                None if opset == 18 => attributes.push(("num_outputs", Attribute::Int(2))),
                None => {}
            }
            let given = usize::from(sizes.is_some() && opset >= 13);
            net.nodes("Split", &inputs[..1 + given], &["p", "q"], &attributes);
            net.node("Concat", &["q", "p", "q"], "j", &[("axis", Attribute::Int(1))]);
            let graph = net.finish("j", if sizes.is_some() { 14 } else { 12 });
            halves(&format!("Split {sizes:?}, opset {opset}"), &graph, 1, &[4, 3]);
        }
    }

    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 4, 3, 1).conv("x", "b", 4, 3, 1);
    net.node("Concat", &["a", "b"], "j", &[("axis", Attribute::Int(2))]);
    let graph = net.finish("j", 4);
    halves("Concat along the height", &graph, 1, &[2, 2, 3]);

    // The first four of b's channels are a's, the others c's.
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 4, 3, 1).conv("x", "b", 8, 3, 1).conv("x", "c", 4, 3, 1);
    net.node("Concat", &["a", "c"], "j", &[("axis", Attribute::Int(1))]).node("Add", &["j", "b"], "s", &[]);
    let graph = net.finish("s", 8);
    halves("Concat and Add", &graph, 2, &[2, 4, 2, 3]);
}

#[test]
fn groups_of_convolutions_stay_equal() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).conv("a", "d", 8, 1, 8).node("Clip", &["d", "low", "high"], "r", &[]);
    net.constant("low", f32s(&[], vec![0.0])).constant("high", f32s(&[], vec![6.0]));
    let graph = net.finish("r", 8);
    let (pruned, _) = halves("depthwise", &graph, 2, &[4, 4, 3]);
    assert!(matches!(pruned.nodes[1].attributes["group"], Attribute::Int(4)));

    // Two outputs for each input, zeros where the input is.
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 4, 3, 1);
    let twice = net.weights(&[4, 2, 9], 0);
    let twice = f32s(&[8, 1, 3, 3], twice.as_slice::<f32>().expect("float32").to_vec());
    net.constant("d.w", twice);
    net.node("Conv", &["a", "d.w"], "d", &[("group", Attribute::Int(4))]);
    let graph = net.finish("d", 8);
    halves("depthwise, twice as many outputs", &graph, 1, &[2, 4, 3]);

    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).conv("a", "g", 12, 4, 2);
    let graph = net.finish("g", 12);
    let (pruned, _) = halves("two groups", &graph, 1, &[4, 6, 3]);
    assert_eq!(pruned.initializers["g.w"].shape(), [6, 2, 3, 3]);
    assert!(matches!(pruned.nodes[1].attributes["group"], Attribute::Int(2)));
}

#[test]
fn shuffled_channels_lose_whole_groups() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    let weight = net.weights(&[2, 108], 0);
    net.constant("w", f32s(&[8, 3, 3, 3], weight.as_slice::<f32>().expect("float32").to_vec()));
    net.node("Conv", &["x", "w"], "a", &[("pads", ints(&[1, 1, 1, 1]))]);
    net.constant("to", i64s(&[5], &[1, 2, 4, 6, 6])).constant("back", i64s(&[4], &[1, 8, 6, 6]));
    net.node("Reshape", &["a", "to"], "s", &[]).node("Transpose", &["s"], "t", &[("perm", ints(&[0, 2, 1, 3, 4]))]);
    net.node("Reshape", &["t", "back"], "u", &[]);
    let (pruned, _) = halves("channel shuffle", &net.finish("u", 8), 1, &[4, 3]);
    assert_eq!(floats(&pruned, "w").len(), 108);
}

#[test]
fn transposed_convolutions_lose_channels() {
    for groups in [1, 2, 8] {
        let mut net = Net::new(17, &["1", "3", "5", "5"]);
        net.conv("x", "a", 8, 3, 1);
        let each = if groups == 8 { 1 } else { 4 };
        let weight = match groups {
            8 => net.weights(&[8, each, 2, 2], 0),
            _ => net.weights(&[8, each, 2, 2], 1),
        };
        let bias = net.weights(&[each * groups], 0);
        net.constant("t.w", weight).constant("t.b", bias);
        let attributes = [("strides", ints(&[2, 2])), ("group", Attribute::Int(groups as i64))];
        net.node("ConvTranspose", &["a", "t.w", "t.b"], "t", &attributes);
        let graph = net.finish("t", each * groups);
        halves(&format!("ConvTranspose of {groups} groups"), &graph, 1, &[4, each * groups / 2, 3]);
    }
}

#[test]
fn a_channel_is_a_block_of_columns_behind_flatten() {
    for (what, op_type, shape, opset) in [
        ("Flatten", "Flatten", None, 9),
        ("Reshape to −1", "Reshape", Some([0i64, -1]), 13),
        ("Reshape to a number", "Reshape", Some([-1, 72]), 13),
    ] {
        let mut net = Net::new(opset, &["batch", "3", "6", "6"]);
        net.conv("x", "a", 8, 3, 1).node(
            "MaxPool",
            &["a"],
            "p",
            &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))],
        );
        match shape {
            Some(shape) => drop(net.constant("shape", i64s(&[2], &shape)).node(op_type, &["p", "shape"], "f", &[])),
            None => drop(net.node(op_type, &["p"], "f", &[])),
        }
        net.dense("f", "h", 6, 72).node("Tanh", &["h"], "th", &[]).dense("th", "y", 3, 6);
        let graph = net.graph(&["y"]);
        let (pruned, _) = halves(what, &graph, 1, &[4, 3, 3]);
        assert_eq!(pruned.initializers["h.w"].shape(), [3, 36], "{what}");
    }
}

#[test]
fn a_flattened_size_that_the_model_computes_follows() {
    let mut net = Net::new(13, &["batch", "3", "4", "4"]);
    net.conv("x", "a", 8, 3, 1).node("Shape", &["a"], "s", &[]);
    net.constant("zero", i64s(&[1], &[0])).constant("rest", i64s(&[1], &[-1]));
    net.node("Gather", &["s", "zero"], "n", &[]).node("Concat", &["n", "rest"], "to", &[("axis", Attribute::Int(0))]);
    net.node("Reshape", &["a", "to"], "f", &[]).dense("f", "y", 3, 128);
    halves("a computed shape", &net.graph(&["y"]), 1, &[4, 3]);
}

#[test]
fn pooled_channels_are_inputs_of_dense_layers() {
    for (what, op_type) in [("Flatten", "Flatten"), ("Squeeze", "Squeeze"), ("Reshape", "Reshape")] {
        let mut net = Net::new(13, &["1", "3", "6", "6"]);
        net.conv("x", "a", 8, 3, 1).node("GlobalAveragePool", &["a"], "p", &[]);
        net.constant("axes", i64s(&[2], &[2, 3])).constant("shape", i64s(&[2], &[1, 8]));
        match op_type {
            "Flatten" => net.node(op_type, &["p"], "f", &[]),
            "Squeeze" => net.node(op_type, &["p", "axes"], "f", &[]),
            _ => net.node(op_type, &["p", "shape"], "f", &[]),
        };
        let (weight, bias) = (net.weights(&[8, 6], 1), net.weights(&[6], 0));
        net.constant("h.w", weight).constant("h.b", bias);
        net.node("MatMul", &["f", "h.w"], "m", &[]).node("Add", &["m", "h.b"], "h", &[]);
        net.node("Relu", &["h"], "r", &[]);
        let weight = net.weights(&[6, 3], 1);
        net.constant("y.w", weight).node("MatMul", &["r", "y.w"], "y", &[]);
        let (pruned, _) = halves(what, &net.graph(&["y"]), 1, &[4, 3, 3]);
        assert_eq!(pruned.initializers["h.b"].shape(), [3], "{what}");
    }
}

#[test]
fn what_works_on_each_channel_is_followed_through() {
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1);
    let slope = net.weights(&[8, 1, 1], 0);
    let factor = net.weights(&[1, 8, 1, 1], 1);
    net.constant("slope", slope).constant("factor", factor);
    net.constant("pads", i64s(&[8], &[0, 0, 1, 1, 0, 0, 0, 2]))
        .constant("scales", f32s(&[4], vec![1.0, 1.0, 2.0, 2.0]));
    net.constant("sizes", i64s(&[4], &[1, 8, 7, 9])).constant("one", f32s(&[1], vec![0.5]));
    net.node("PRelu", &["a", "slope"], "b", &[]).node("Mul", &["factor", "b"], "c", &[]);
    net.node("Mul", &["c", "one"], "d", &[]).node("Pad", &["d", "pads"], "e", &[]);
    net.node("Resize", &["e", "", "scales"], "f", &[]).node("Resize", &["f", "", "", "sizes"], "g", &[]);
    net.node("HardSwish", &["g"], "h", &[]).node("AveragePool", &["h"], "i", &[("kernel_shape", ints(&[2, 2]))]);
    net.node("ReduceMean", &["i"], "j", &[("axes", ints(&[-2]))]).node("Mul", &["i", "j"], "k", &[]);
    net.node("Softmax", &["k"], "l", &[("axis", Attribute::Int(3))]).node("Mul", &["l", "k"], "m", &[]);
    // HardSwish came with opset 14.
    let mut graph = net.finish("m", 8);
    graph.opsets.insert(String::new(), 14);
    graph.nodes.iter_mut().for_each(|node| node.opset = 14);
    halves("each channel on its own", &graph, 1, &[4, 3]);
}

#[test]
fn channels_are_followed_to_the_last_axis_and_back() {
    let mut net = Net::new(13, &["1", "6", "6", "3"]);
    net.node("Transpose", &["x"], "t", &[("perm", ints(&[0, 3, 1, 2]))]).conv("t", "a", 8, 3, 1);
    net.node("Transpose", &["a"], "u", &[("perm", ints(&[0, 2, 3, 1]))]);
    let (bias, weight) = (net.weights(&[8], 0), net.weights(&[8, 4], 1));
    net.constant("bias", bias).constant("w", weight);
    net.node("Add", &["u", "bias"], "v", &[]).node("MatMul", &["v", "w"], "m", &[]).node("Relu", &["m"], "r", &[]);
    net.node("Transpose", &["r"], "n", &[("perm", ints(&[0, 3, 1, 2]))]);
    let graph = net.finish("n", 4);
    let (pruned, _) = halves("NHWC", &graph, 1, &[4, 2, 3]);
    assert_eq!(pruned.initializers["bias"].shape(), [4]);
    assert_eq!(pruned.initializers["w"].shape(), [4, 2]);
}

#[test]
fn squeeze_and_excitation_is_followed_through() {
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).node("GlobalAveragePool", &["a"], "p", &[]);
    net.conv("p", "s", 4, 8, 1).node("Relu", &["s"], "r", &[]).conv("r", "e", 8, 4, 1);
    net.node("Sigmoid", &["e"], "g", &[]).node("Mul", &["a", "g"], "m", &[]);
    halves("squeeze and excitation", &net.finish("m", 8), 1, &[4, 2, 4, 3]);

    // A map of one channel for all.
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).conv("a", "one", 1, 8, 1).node("Sigmoid", &["one"], "g", &[]);
    net.node("Mul", &["g", "a"], "m", &[]);
    halves("one channel for all", &net.finish("m", 8), 1, &[4, 1, 3]);
}

#[test]
fn a_dense_layer_that_becomes_an_image_loses_whole_channels() {
    let mut net = Net::new(13, &["1", "5"]);
    // Four elements for each channel.
    let weight = net.weights(&[8, 4, 5], 0);
    let weight = f32s(&[32, 5], weight.as_slice::<f32>().expect("float32").to_vec());
    net.constant("w", weight).node("Gemm", &["x", "w"], "d", &[("transB", Attribute::Int(1))]);
    net.constant("shape", i64s(&[4], &[-1, 8, 2, 2])).node("Reshape", &["d", "shape"], "i", &[]);
    halves("Gemm to an image", &net.finish("i", 8), 1, &[16, 3]);
}

#[test]
fn constants_that_several_nodes_share_are_cut_for_each() {
    let mut net = Net::new(13, &["1", "3", "6", "6"]);
    // One bias for two layers that keep other channels, one weight for two layers that are tied by it.
    net.constant("zeros", f32s(&[8], vec![0.0; 8]));
    let (w, v) = (net.weights(&[8, 3, 1, 1], 0), net.weights(&[8, 8, 1, 1], 0));
    net.constant("w", w.clone()).constant("v", v);
    let shifted: Vec<f32> = w.as_slice::<f32>().expect("float32").to_vec();
    let shifted: Vec<f32> = shifted[3..].iter().chain(&shifted[..3]).copied().collect();
    net.constant("u", f32s(&[8, 3, 1, 1], shifted));
    net.node("Conv", &["x", "w", "zeros"], "a", &[]).node("Conv", &["x", "u", "zeros"], "b", &[]);
    net.node("Conv", &["a", "v", "zeros"], "c", &[]).node("Conv", &["c", "v", "zeros"], "d", &[]);
    net.node("Concat", &["d", "b"], "j", &[("axis", Attribute::Int(1))]);
    let graph = net.finish("j", 16);
    let (pruned, _) = halves("shared constants", &graph, 1, &[4, 4, 4, 4, 3]);
    let biases: BTreeSet<&str> = pruned.nodes.iter().filter_map(|n| n.inputs.get(2)).map(String::as_str).collect();
    assert_eq!(biases.len(), 3, "two cuts of the zeros, and the last bias: {biases:?}");
    assert_eq!(pruned.nodes[2].inputs[1], pruned.nodes[3].inputs[1]);
    assert_eq!(pruned.initializers.len(), 7 - 1 + 1);
}

#[test]
fn weights_behind_constant_and_identity_nodes_are_found() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    let (weight, bias) = (net.weights(&[8, 3, 1, 1], 0), net.weights(&[8], 0));
    net.constant("bias", bias).node("Constant", &[], "w", &[("value", Attribute::Tensor(weight))]);
    net.node("Identity", &["bias"], "i", &[]).node("Identity", &["i"], "b", &[]);
    net.node("Conv", &["x", "w", "b"], "a", &[]).node(
        "Constant",
        &[],
        "low",
        &[("value_float", Attribute::Float(0.0))],
    );
    net.node("Clip", &["a", "low"], "r", &[]);
    let (pruned, report) = halves("Constant and Identity", &net.finish("r", 8), 1, &[4, 3]);
    assert_eq!((report.weights_before, report.weights_after), (24 + 8 + 1 + 219, 12 + 4 + 1 + 111));
    assert_eq!(pruned.nodes.iter().map(|n| n.op_type.as_str()).collect::<Vec<_>>(), ["Conv", "Clip", "Conv"]);
}

#[test]
fn what_is_not_understood_is_left_alone_and_named() {
    let reason = |net: &mut Net, outputs: &[&str], expected: &[usize], word: &str| {
        let graph = net.graph(outputs);
        let mut pruned = graph.clone();
        let report = prune_channels(&mut pruned, &half(1)).unwrap_or_else(|e| panic!("{word}: {e}"));
        let after: Vec<usize> = report.layers.iter().map(|layer| layer.channels_after).collect();
        assert_eq!(after, expected, "{word}: {:?}", report.left_alone);
        assert!(report.left_alone.iter().any(|left| left.reason.contains(word)), "{word}: {:?}", report.left_alone);
        for ((_, got), (_, expected)) in answers(&pruned).iter().zip(answers(&graph)) {
            support::compare(got, &expected, 1e-6, 1e-6).unwrap_or_else(|e| panic!("{word}: {e}"));
        }
    };
    let start = || {
        let mut net = Net::new(17, &["1", "3", "6", "6"]);
        net.conv("x", "a", 8, 3, 1);
        net
    };
    let mut net = start();
    net.node("DepthToSpace", &["a"], "d", &[("blocksize", Attribute::Int(2))]).conv("d", "b", 4, 2, 1);
    net.conv("b", "c", 3, 4, 1);
    reason(&mut net, &["c"], &[8, 2, 3], "(DepthToSpace) is not an operator");
    let mut net = start();
    net.node("LRN", &["a"], "d", &[("size", Attribute::Int(3))]).conv("d", "c", 3, 8, 1);
    reason(&mut net, &["c"], &[8, 3], "mixes the channels");
    let mut net = start();
    net.node("Relu", &["a"], "r", &[]).conv("r", "c", 3, 8, 1);
    reason(&mut net, &["c", "r"], &[8, 3], "output \"r\"");
    let mut net = start();
    net.constant("from", i64s(&[1], &[0])).constant("to", i64s(&[1], &[4])).constant("axes", i64s(&[1], &[1]));
    net.node("Slice", &["a", "from", "to", "axes"], "s", &[]).conv("s", "c", 3, 4, 1);
    reason(&mut net, &["c"], &[8, 3], "takes a part of the channels");
    let mut net = start();
    net.constant("to", i64s(&[4], &[1, 6, 8, 6])).node("Reshape", &["a", "to"], "s", &[]).conv("s", "c", 3, 6, 1);
    reason(&mut net, &["c"], &[8, 3], "another order");
    let mut net = start();
    net.node("Conv", &["x", "a.w"], "again", &[("pads", ints(&[1, 1, 1, 1]))]).conv("a", "c", 3, 8, 1);
    net.node("Shape", &["again"], "unused", &[]);
    reason(&mut net, &["c", "again"], &[8, 8, 3], "output \"again\"");
    // An outer value of a body.
    let mut net = start();
    let body = || Attribute::Graph(Builder::new(17).node("Relu", &["a"], &["o"], &[]).output("o").graph());
    net.constant("yes", support::bools(&[], &[true]));
    net.node("If", &["yes"], "i", &[("then_branch", body()), ("else_branch", body())]).conv("i", "c", 3, 8, 1);
    reason(&mut net, &["c"], &[8, 3], "(If)");
    // Added to what has as many channels, but no layer that makes them.
    let mut net = Net::new(17, &["1", "8", "6", "6"]);
    net.conv("x", "a", 8, 8, 1).node("Add", &["a", "x"], "s", &[]).conv("s", "c", 3, 8, 1);
    reason(&mut net, &["c"], &[8, 3], "takes \"x\"");
}

#[test]
fn excluded_layers_keep_their_channels() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1).conv("a", "b", 8, 8, 1).conv("b", "c", 8, 8, 1);
    let graph = net.finish("c", 8);
    let options = |pattern: &str| ChannelOptions { excluded: vec![pattern.into()], ..half(1) };
    let (_, report) = unchanged("excluded", &graph, &options("b.*"));
    assert_eq!(widths(&report).into_values().map(|(_, after)| after).collect::<Vec<_>>(), [4, 8, 4, 3]);
    assert!(report.left_alone.iter().any(|left| left.reason == "excluded"), "{:?}", report.left_alone);
    let error = prune_channels(&mut graph.clone(), &options("b")).expect_err("no such node");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("\"b\""), "{error}");
}

#[test]
fn channels_with_the_least_norm_go() {
    for (norm, kept) in [(Norm::L1, [1usize, 3]), (Norm::L2, [0, 3])] {
        // By L1 1.2 > 1.0, by L2 1.0 > 0.6.
        let values = vec![1.0f32, 0.0, 0.0, 0.4, 0.4, -0.4, 0.1, 0.1, 0.1, 3.0, 3.0, 3.0];
        let mut net = Net::new(17, &["1", "3", "2", "2"]);
        net.constant("w", f32s(&[4, 3, 1, 1], values.clone())).node("Conv", &["x", "w"], "a", &[]);
        net.constant("v", f32s(&[1, 4, 1, 1], vec![1.0; 4])).node("Conv", &["a", "v"], "y", &[]);
        let mut graph = net.graph(&["y"]);
        prune_channels(&mut graph, &ChannelOptions { norm, ..half(1) }).expect("pruned");
        let expected: Vec<f32> = kept.iter().flat_map(|&at| values[at * 3..at * 3 + 3].to_vec()).collect();
        assert_eq!(floats(&graph, "w"), expected, "{norm:?}");
    }
}

#[test]
fn a_normalisation_counts_as_if_it_were_folded() {
    let mut net = Net::new(17, &["1", "1", "2", "2"]);
    net.constant("w", f32s(&[4, 1, 1, 1], vec![1.0, 2.0, 3.0, 4.0])).node("Conv", &["x", "w"], "a", &[]);
    net.constant("scale", f32s(&[4], vec![8.0, 1.0, 1.0, 0.1])).constant("none", f32s(&[4], vec![0.0; 4]));
    net.constant("var", f32s(&[4], vec![1.0; 4]));
    net.node("BatchNormalization", &["a", "scale", "none", "none", "var"], "n", &[]);
    net.constant("v", f32s(&[1, 4, 1, 1], vec![1.0; 4])).node("Conv", &["n", "v"], "y", &[]);
    let mut graph = net.graph(&["y"]);
    prune_channels(&mut graph, &half(1)).expect("pruned");
    assert_eq!(floats(&graph, "w"), [1.0, 3.0]);
}

#[test]
fn ratios_that_make_no_sense_are_refused() {
    let mut net = Net::new(17, &["1", "3", "6", "6"]);
    net.conv("x", "a", 8, 3, 1);
    let graph = net.finish("a", 8);
    for (ratio, channel_multiple) in [(1.0, 8), (-0.5, 8), (f64::NAN, 8), (0.5, 0)] {
        let options = ChannelOptions { ratio, channel_multiple, ..ChannelOptions::default() };
        let error = prune_channels(&mut graph.clone(), &options).expect_err("no such ratio");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    let mut early = graph;
    early.opsets.insert(String::new(), 6);
    let error = prune_channels(&mut early, &half(8)).expect_err("too early an opset");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Zeros in every odd channel of every convolution with a bias, but for those of `kept`.
fn zero_odd_channels(graph: &mut Graph, kept: &[&str]) {
    let layers: Vec<Node> =
        graph.nodes.iter().filter(|n| n.op_type == "Conv" && !kept.contains(&n.name.as_str())).cloned().collect();
    for layer in layers {
        for name in &layer.inputs[1..] {
            let tensor = &graph.initializers[name];
            let inner: usize = tensor.shape()[1..].iter().product();
            let mut values = floats(graph, name);
            values.iter_mut().enumerate().filter(|(at, _)| at / inner % 2 == 1).for_each(|(_, value)| *value = 0.0);
            let tensor = f32s(tensor.shape(), values);
            graph.initializers.insert(name.clone(), tensor);
        }
    }
}

/// A whole model with zeros in half of its channels loses most of them, and answers as before.
fn whole(file: &str, last: &str, weights_left: f64) {
    let Some(path) = support::data(file) else { return };
    let mut graph =
        Model::from_onnx(std::fs::read(path).expect("readable"), &Default::default()).expect("a model").graph;
    zero_odd_channels(&mut graph, &[last]);
    let (_, report) = unchanged(file, &graph, &half(8));
    assert_eq!(report.left_alone.iter().map(|left| left.nodes.concat()).collect::<Vec<_>>(), [last], "{file}");
    for layer in report.layers.iter().filter(|layer| layer.node != last) {
        assert_eq!(layer.channels_after, (layer.channels_before / 2).next_multiple_of(8), "{file}: {}", layer.node);
    }
    let left = report.weights_after as f64 / report.weights_before as f64;
    assert!((left - weights_left).abs() < 0.01, "{file}: {left}");
}

#[test]
fn squeezenet_without_its_zeros_answers_as_before() {
    whole("models/squeezenet1.1.onnx", "conv10", 0.355);
}

#[test]
fn efficientnet_without_its_zeros_answers_as_before() {
    whole("models/efficientnet-lite0-folded.onnx", "_fc", 0.331);
}

#[test]
fn whatever_is_pruned_never_panics() {
    let mut random = Random::new(11);
    let small = |net: &mut Net| -> Vec<u8> {
        net.conv("x", "a", 8, 3, 1).conv("a", "d", 8, 1, 8).conv("d", "g", 4, 4, 2);
        net.nodes("Split", &["g"], &["p", "q"], &[("axis", Attribute::Int(1))]);
        net.node("Concat", &["q", "p", "x"], "j", &[("axis", Attribute::Int(1))]);
        net.node("Transpose", &["j"], "t", &[("perm", ints(&[0, 2, 3, 1]))]);
        net.constant("shape", i64s(&[2], &[1, 112])).node("Reshape", &["t", "shape"], "f", &[]).dense("f", "y", 3, 112);
        model(net.graph(&["y"])).to_onnx().expect("written")
    };
    let whole = small(&mut Net::new(13, &["1", "3", "4", "4"]));
    let started = Instant::now();
    let mut pruned = 0;
    for round in 0..4000 {
        if started.elapsed() > Duration::from_secs(5) {
            break;
        }
        let mut bytes = whole.clone();
        for _ in 0..random.within(0, 3) {
            let at = random.within(0, bytes.len() - 1);
            match random.within(0, 3) {
                0 => bytes[at] ^= 1 << random.within(0, 7),
                1 => bytes[at] = random.bits() as u8,
                2 => bytes[at] = bytes[at].wrapping_add(1),
                _ => bytes.truncate(at.max(8)),
            }
        }
        let done = catch_unwind(AssertUnwindSafe(|| {
            let Ok(model) = Model::from_onnx(bytes, &Default::default()) else { return false };
            let _ = prune(&mut model.graph.clone(), &amount(Amount::Global(0.5)));
            let mut graph = model.graph.clone();
            prune_channels(&mut graph, &half(1)).is_ok()
        }));
        pruned += usize::from(done.unwrap_or_else(|_| panic!("round {round}")));
    }
    assert!(pruned > 20, "only {pruned} models were pruned");
}
