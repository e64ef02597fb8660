//! Passes: what they change keeps its meaning, and what they quantise is what the formulas say.

mod support;

use std::collections::BTreeMap;

use firebrand::graph::{Attribute, Graph};
use firebrand::import::model;
use firebrand::optimize::calibrate::{CalibrationMethod, observe};
use firebrand::optimize::equalize::equalize;
use firebrand::optimize::fold::fold;
use firebrand::optimize::quantize::{
    BlockOptions, IntegerOptions, Precision, correct_bias, quantize_blocks, quantize_dynamic, quantize_integer,
    to_float16, watched, weighted,
};
use firebrand::optimize::simplify::simplify;
use firebrand::{DataType, ErrorKind, ExternalData, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use support::{Builder, Random, f32s, i64s, tensor_type};

/// The first output for these inputs, of the graph as a file has it.
fn run(graph: &Graph, inputs: &[(&str, Tensor)]) -> Vec<f32> {
    let bytes = model(graph.clone()).to_onnx().expect("it can be written");
    let written = Model::from_onnx(bytes, &ExternalData::new()).expect("it can be read");
    let session = Session::load_blocking(written, SessionOptions::default()).expect("it loads");
    let feeds = inputs.iter().map(|(name, tensor)| (name.to_string(), Feed::Tensor(tensor.clone())));
    let outputs = session.run_blocking(feeds, RunOptions::default()).expect("it runs");
    match &outputs[0].1 {
        Feed::Tensor(tensor) => tensor.as_slice::<f32>().expect("float32").to_vec(),
        other => panic!("{other:?}"),
    }
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    std::iter::zip(a, b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| std::iter::zip(a, b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn operators(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.op_type.as_str()).collect()
}

fn count(graph: &Graph, op_type: &str) -> usize {
    operators(graph).iter().filter(|name| **name == op_type).count()
}

/// The four constants of a BatchNormalization.
fn norm(builder: Builder, random: &mut Random, name: &str, channels: usize) -> Builder {
    let positive =
        |random: &mut Random| f32s(&[channels], random.floats(channels).iter().map(|v| v.abs() + 0.5).collect());
    let (scale, bias, mean, variance) =
        (positive(random), random.tensor(&[channels]), random.tensor(&[channels]), positive(random));
    builder
        .constant(&format!("{name}_scale"), scale)
        .constant(&format!("{name}_bias"), bias)
        .constant(&format!("{name}_mean"), mean)
        .constant(&format!("{name}_variance"), variance)
}

fn batch_norm(builder: Builder, name: &str, input: &str, output: &str) -> Builder {
    let part = |part: &str| format!("{name}_{part}");
    let inputs = [input.to_string(), part("scale"), part("bias"), part("mean"), part("variance")];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    builder.node("BatchNormalization", &inputs, &[output], &[("epsilon", Attribute::Float(1e-3))])
}

/// Two convolutions with normalisation, a depthwise one between them, pooling and a matrix.
fn network(random: &mut Random) -> Graph {
    let builder = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["N", "3", "12", "12"]))
        .constant("w1", random.tensor(&[8, 3, 3, 3]))
        .constant("b1", random.tensor(&[8]))
        .constant("w2", random.tensor(&[8, 1, 3, 3]))
        .constant("w3", random.tensor(&[16, 8, 1, 1]))
        .constant("fc", random.tensor(&[10, 16]))
        .constant("fc_bias", random.tensor(&[10]));
    let builder = norm(builder, random, "n1", 8);
    let builder = norm(builder, random, "n2", 8);
    let builder = builder.node("Conv", &["x", "w1", "b1"], &["c1"], &[("pads", ints(&[1, 1, 1, 1]))]);
    let builder = batch_norm(builder, "n1", "c1", "bn1").node("Relu", &["bn1"], &["r1"], &[]).node(
        "Conv",
        &["r1", "w2"],
        &["c2"],
        &[("group", Attribute::Int(8)), ("strides", ints(&[2, 2]))],
    );
    batch_norm(builder, "n2", "c2", "bn2")
        .node("Relu", &["bn2"], &["r2"], &[])
        .node("Conv", &["r2", "w3"], &["c3"], &[])
        .node("HardSwish", &["c3"], &["h"], &[])
        .node("GlobalAveragePool", &["h"], &["pooled"], &[])
        .node("Flatten", &["pooled"], &["flat"], &[])
        .node("Gemm", &["flat", "fc", "fc_bias"], &["scores"], &[("transB", Attribute::Int(1))])
        .output("scores")
        .graph()
}

fn samples(random: &mut Random, count: usize) -> Vec<Vec<(String, Feed)>> {
    (0..count).map(|_| vec![("x".to_string(), Feed::Tensor(random.tensor(&[1, 3, 12, 12])))]).collect()
}

#[test]
fn simplifying_keeps_the_answer() {
    let mut random = Random::new(7);
    let graph = network(&mut random);
    let x = random.tensor(&[2, 3, 12, 12]);
    let mut simple = graph.clone();
    simplify(&mut simple).expect("it simplifies");
    assert_eq!(count(&simple, "BatchNormalization"), 0);
    assert_eq!(count(&simple, "Conv"), 3);
    let (before, after) = (run(&graph, &[("x", x.clone())]), run(&simple, &[("x", x)]));
    assert!(furthest(&before, &after) < 1e-4, "{}", furthest(&before, &after));
}

#[test]
fn a_norm_that_others_read_before_stays() {
    let mut random = Random::new(8);
    let builder = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "2", "4", "4"]))
        .constant("w", random.tensor(&[2, 2, 1, 1]));
    let builder = norm(builder, &mut random, "n", 2).node("Conv", &["x", "w"], &["c"], &[]);
    let mut graph = batch_norm(builder, "n", "c", "y").node("Add", &["y", "c"], &["z"], &[]).output("z").graph();
    let x = random.tensor(&[1, 2, 4, 4]);
    let before = run(&graph, &[("x", x.clone())]);
    simplify(&mut graph).expect("it simplifies");
    assert_eq!(count(&graph, "BatchNormalization"), 1);
    assert_eq!(before, run(&graph, &[("x", x)]));
}

#[test]
fn transposed_convolutions_and_matrices_take_norms() {
    let mut random = Random::new(9);
    let builder = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "3", "5", "5"]))
        .constant("w", random.tensor(&[3, 4, 2, 2]));
    let builder = norm(builder, &mut random, "n", 4).node("ConvTranspose", &["x", "w"], &["c"], &[]);
    let deconvolution = batch_norm(builder, "n", "c", "y").output("y").graph();
    let builder = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["5", "3"]))
        .constant("w", random.tensor(&[3, 4]))
        .constant("b", random.tensor(&[4]));
    let builder = norm(builder, &mut random, "n", 4).node("Gemm", &["x", "w", "b"], &["c"], &[]);
    let matrix = batch_norm(builder, "n", "c", "y").output("y").graph();
    for (graph, shape) in [(deconvolution, vec![1, 3, 5, 5]), (matrix, vec![5, 3])] {
        let x = random.tensor(&shape);
        let mut simple = graph.clone();
        simplify(&mut simple).expect("it simplifies");
        assert_eq!(operators(&simple).len(), 1, "{:?}", operators(&simple));
        assert!(furthest(&run(&graph, &[("x", x.clone())]), &run(&simple, &[("x", x)])) < 1e-5);
    }
}

#[test]
fn pads_scales_and_shifts_go_into_a_convolution() {
    let mut random = Random::new(10);
    let graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "2", "6", "6"]))
        .constant("pads", i64s(&[8], &[0, 0, 1, 2, 0, 0, 2, 1]))
        .constant("w", random.tensor(&[4, 2, 3, 3]))
        .constant("scale", random.tensor(&[4, 1, 1]))
        .constant("shift", random.tensor(&[1, 4, 1, 1]))
        .node("Pad", &["x", "pads"], &["padded"], &[])
        .node("Conv", &["padded", "w"], &["c"], &[("pads", ints(&[1, 0, 0, 1]))])
        .node("Mul", &["scale", "c"], &["m"], &[])
        .node("Add", &["m", "shift"], &["y"], &[])
        .output("y")
        .graph();
    let x = random.tensor(&[1, 2, 6, 6]);
    let mut simple = graph.clone();
    simplify(&mut simple).expect("it simplifies");
    assert_eq!(operators(&simple), ["Conv"]);
    assert!(furthest(&run(&graph, &[("x", x.clone())]), &run(&simple, &[("x", x)])) < 1e-5);
}

#[test]
fn a_constant_along_the_last_axis_is_no_channel() {
    let mut random = Random::new(11);
    // [4] lies on the width, whatever the number of channels.
    let mut graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "4", "4", "4"]))
        .constant("w", random.tensor(&[4, 4, 1, 1]))
        .constant("shift", random.tensor(&[4]))
        .node("Conv", &["x", "w"], &["c"], &[])
        .node("Add", &["c", "shift"], &["y"], &[])
        .output("y")
        .graph();
    let x = random.tensor(&[1, 4, 4, 4]);
    let before = run(&graph, &[("x", x.clone())]);
    simplify(&mut graph).expect("it simplifies");
    assert_eq!(before, run(&graph, &[("x", x)]));
}

#[test]
fn names_of_outputs_stay() {
    let mut random = Random::new(12);
    let mut graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["2", "3"]))
        .constant("k", random.tensor(&[3]))
        .node("Identity", &["x"], &["same"], &[])
        .node("Dropout", &["same"], &["dropped"], &[])
        .node("Transpose", &["dropped"], &["t"], &[("perm", ints(&[1, 0]))])
        .node("Transpose", &["t"], &["tt"], &[("perm", ints(&[1, 0]))])
        .node("Abs", &["tt"], &["a"], &[])
        .node("Identity", &["a"], &["y"], &[])
        .node("Neg", &["k"], &["constant"], &[])
        .output("y")
        .output("same")
        .output("constant")
        .graph();
    let x = random.tensor(&[2, 3]);
    let before = run(&graph, &[("x", x.clone())]);
    simplify(&mut graph).expect("it simplifies");
    assert_eq!(operators(&graph).iter().filter(|name| **name == "Abs").count(), 1);
    assert!(!operators(&graph).contains(&"Transpose") && !operators(&graph).contains(&"Dropout"));
    let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["y", "same", "constant"]);
    assert_eq!(before, run(&graph, &[("x", x)]));
}

#[test]
fn shapes_are_folded_and_random_numbers_are_not() {
    let mut graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["2", "3"]))
        .constant("a", i64s(&[2], &[1, 2]))
        .constant("b", i64s(&[2], &[2, 1]))
        .node("Mul", &["a", "b"], &["shape"], &[])
        .node("Reshape", &["x", "shape"], &["r"], &[])
        .node("RandomUniform", &[], &["noise"], &[("shape", ints(&[2, 2]))])
        .node("Add", &["r", "noise"], &["y"], &[])
        .output("y")
        .graph();
    graph.inputs[0].ty = tensor_type(DataType::Float32, &["4"]);
    let report = fold(&mut graph).expect("it folds");
    assert_eq!(report.total(), 1);
    assert_eq!(operators(&graph), ["Reshape", "RandomUniform", "Add"]);
}

#[test]
fn equal_constants_become_one() {
    let mut random = Random::new(13);
    let w = random.tensor(&[4, 4]);
    let mut graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["2", "4"]))
        .constant("second", w.clone())
        .constant("first", w)
        .constant("reshaped", f32s(&[16], vec![0.0; 16]))
        .node("MatMul", &["x", "second"], &["a"], &[])
        .node("MatMul", &["a", "first"], &["y"], &[])
        .output("y")
        .graph();
    let x = random.tensor(&[2, 4]);
    let before = run(&graph, &[("x", x.clone())]);
    simplify(&mut graph).expect("it simplifies");
    assert_eq!(graph.initializers.keys().collect::<Vec<_>>(), ["first"]);
    assert_eq!(before, run(&graph, &[("x", x)]));
}

fn quantized(graph: &Graph, random: &mut Random, options: &IntegerOptions) -> Graph {
    let mut graph = graph.clone();
    simplify(&mut graph).expect("it simplifies");
    let seen =
        observe(&graph, &watched(&graph).expect("values"), &samples(random, 12), options.method, &mut |_, _| Ok(()))
            .expect("ranges");
    quantize_integer(&mut graph, &seen, options).expect("it quantises");
    graph
}

#[test]
fn int8_computes_on_codes_and_stays_near() {
    let mut random = Random::new(14);
    let graph = network(&mut random);
    let x = random.tensor(&[4, 3, 12, 12]);
    let before = run(&graph, &[("x", x.clone())]);
    for method in
        [CalibrationMethod::Minmax, CalibrationMethod::Percentile, CalibrationMethod::Mse, CalibrationMethod::Entropy]
    {
        let integer = quantized(&graph, &mut random, &IntegerOptions { method, ..IntegerOptions::default() });
        let found = cosine(&before, &run(&integer, &[("x", x.clone())]));
        assert!(found > 0.995, "{method:?}: {found}");
        let session = Session::load_blocking(model(integer), SessionOptions::default()).expect("it loads");
        let float: Vec<String> = session
            .info()
            .nodes
            .iter()
            .filter(|node| ["Conv", "Gemm", "HardSwish", "GlobalAveragePool"].contains(&node.op_type.as_str()))
            .filter_map(|node| match &node.fate {
                firebrand::runtime::Fate::Runs { as_op, .. } if *as_op == node.op_type => Some(node.name.clone()),
                _ => None,
            })
            .collect();
        assert!(float.is_empty(), "still in float32: {float:?}");
    }
}

#[test]
fn weights_are_rounded_to_steps_of_their_scale() {
    let mut random = Random::new(15);
    for per_channel in [true, false] {
        let graph = network(&mut random);
        let integer = quantized(&graph, &mut random, &IntegerOptions { per_channel, ..IntegerOptions::default() });
        let mut simple = graph.clone();
        simplify(&mut simple).expect("it simplifies");
        for name in ["w1", "w2", "w3", "fc"] {
            let original = &simple.initializers[name];
            let codes = integer.initializers[&format!("{name}_quantized")].as_slice::<i8>().expect("int8").to_vec();
            let scales = integer.initializers[&format!("{name}_scale")].as_slice::<f32>().expect("float32").to_vec();
            let values = original.as_slice::<f32>().expect("float32");
            let (outputs, each) = (original.shape()[0], values.len() / original.shape()[0]);
            assert_eq!(scales.len(), if per_channel { outputs } else { 1 });
            for output in 0..outputs {
                let row = &values[output * each..][..each];
                let scale = scales[if per_channel { output } else { 0 }];
                let all = if per_channel { row } else { values };
                let largest = all.iter().fold(0f32, |most, v| most.max(v.abs()));
                assert_eq!(scale, largest / 127.0);
                for (at, &w) in row.iter().enumerate() {
                    let expected = (w / scale).round_ties_even();
                    assert_eq!(f32::from(codes[output * each + at]), expected, "{name} {output} {at}");
                }
            }
        }
    }
}

#[test]
fn excluded_layers_stay_in_float32() {
    let mut random = Random::new(16);
    let graph = network(&mut random);
    let name = graph.nodes.iter().find(|node| node.op_type == "Gemm").expect("a Gemm").name.clone();
    let excluded = BTreeMap::from([(name.clone(), "because".to_string())]);
    let integer = quantized(&graph, &mut random, &IntegerOptions { excluded, ..IntegerOptions::default() });
    let gemm = integer.nodes.iter().find(|node| node.name == name).expect("it is there");
    assert_eq!(gemm.inputs[1], "fc");
    assert!(integer.initializers.contains_key("w1_quantized"));
}

#[test]
fn weights_alone_are_stored_in_int8_and_computed_with_as_they_round() {
    let mut random = Random::new(40);
    let graph = network(&mut random);
    let names = |graph: &Graph| weighted(graph).into_iter().map(|index| graph.nodes[index].name.clone()).collect();
    let names: Vec<String> = names(&graph);
    let options = IntegerOptions {
        excluded: names.iter().map(|name| (name.clone(), "because".to_string())).collect(),
        weight_only: names.into_iter().collect(),
        ..IntegerOptions::default()
    };
    let mut coded = graph.clone();
    simplify(&mut coded).expect("it simplifies");
    let mut rounded = coded.clone();
    let layers = quantize_integer(&mut coded, &BTreeMap::new(), &options).expect("it quantises");
    assert!(layers.iter().all(|layer| layer.precision == Precision::WeightOnly));
    assert_eq!(count(&coded, "QuantizeLinear"), 0);

    for name in ["w1", "w2", "w3", "fc"] {
        assert!(!coded.initializers.contains_key(name));
        let original = &rounded.initializers[name];
        let values = original.as_slice::<f32>().expect("float32");
        let each = values.len() / original.shape()[0];
        let restored = values.chunks(each).flat_map(|row| {
            let scale = row.iter().fold(0f32, |most, w| most.max(w.abs())) / 127.0;
            row.iter().map(move |w| (w / scale).round_ties_even() * scale)
        });
        let restored = f32s(original.shape(), restored.collect());
        rounded.initializers.insert(name.to_string(), restored);
    }
    let x = random.tensor(&[4, 3, 12, 12]);
    let difference = furthest(&run(&rounded, &[("x", x.clone())]), &run(&coded, &[("x", x)]));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn a_bias_without_weights_is_kept() {
    let graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "3", "12", "12"]))
        .constant("w", f32s(&[2, 3, 1, 1], vec![0.0, 0.0, 0.0, 0.5, -0.25, 1.0]))
        .constant("b", f32s(&[2], vec![0.3, -0.7]))
        .constant("w2", f32s(&[2, 2, 1, 1], vec![1.0, 0.5, -1.0, 1.0]))
        .node("Conv", &["x", "w", "b"], &["c"], &[])
        .node("Conv", &["c", "w2"], &["y"], &[])
        .output("y")
        .graph();
    let mut random = Random::new(17);
    let x = random.tensor(&[1, 3, 12, 12]);
    let before = run(&graph, &[("x", x.clone())]);
    let integer = quantized(&graph, &mut random, &IntegerOptions::default());
    assert!(furthest(&before, &run(&integer, &[("x", x)])) < 0.03);
}

#[test]
fn integers_among_the_values_are_left_alone() {
    // An Add of int64 shapes is no Add of activations.
    let mut random = Random::new(18);
    let graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "3", "12", "12"]))
        .constant("w", random.tensor(&[4, 3, 1, 1]))
        .node("Conv", &["x", "w"], &["c"], &[])
        .node("Shape", &["c"], &["s"], &[])
        .node("Add", &["s", "s"], &["twice"], &[])
        .node("Sub", &["twice", "s"], &["once"], &[])
        .node("Reshape", &["c", "once"], &["y"], &[])
        .output("y")
        .graph();
    let integer = quantized(&graph, &mut random, &IntegerOptions::default());
    let x = random.tensor(&[1, 3, 12, 12]);
    assert!(cosine(&run(&graph, &[("x", x.clone())]), &run(&integer, &[("x", x)])) > 0.999);
}

#[test]
fn a_sample_that_is_no_number_is_named() {
    let mut random = Random::new(19);
    let mut graph = network(&mut random);
    simplify(&mut graph).expect("it simplifies");
    let bad = vec![vec![("x".to_string(), Feed::Tensor(f32s(&[1, 3, 12, 12], vec![f32::NAN; 432])))]];
    let error = observe(&graph, &watched(&graph).expect("values"), &bad, CalibrationMethod::Minmax, &mut |_, _| Ok(()))
        .expect_err("NaN has no range");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("\"x\""), "{error}");
}

#[test]
fn correcting_biases_brings_the_mean_back() {
    let mut random = Random::new(20);
    let mut graph = network(&mut random);
    simplify(&mut graph).expect("it simplifies");
    // Inputs with a mean, coarse weights: there is something to make up for.
    let shifted = |random: &mut Random| {
        let x = random.tensor(&[1, 3, 12, 12]);
        f32s(&[1, 3, 12, 12], x.as_slice::<f32>().expect("float32").iter().map(|v| v + 2.0).collect())
    };
    let data: Vec<Vec<(String, Feed)>> =
        (0..8).map(|_| vec![("x".to_string(), Feed::Tensor(shifted(&mut random)))]).collect();
    let options = IntegerOptions { per_channel: false, reduce_range: true, ..IntegerOptions::default() };
    let seen =
        observe(&graph, &watched(&graph).expect("values"), &data, options.method, &mut |_, _| Ok(())).expect("ranges");
    let x = shifted(&mut random);
    let before = run(&graph, &[("x", x.clone())]);
    let error = |graph: &Graph| -> f64 {
        let mut graph = graph.clone();
        quantize_integer(&mut graph, &seen, &options).expect("it quantises");
        let after = run(&graph, &[("x", x.clone())]);
        std::iter::zip(&before, &after).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    let plain = error(&graph);
    let mut corrected = graph.clone();
    assert!(correct_bias(&mut corrected, &seen, &options).expect("it corrects") >= 3);
    assert!(error(&corrected) < plain, "{} of {plain}", error(&corrected));
}

#[test]
fn equalising_changes_nothing_in_float32_and_much_at_one_scale() {
    let mut random = Random::new(21);
    let uneven = |random: &mut Random, shape: &[usize], base: f32| {
        let each: usize = shape[1..].iter().product();
        let values = random.floats(shape[0] * each);
        f32s(shape, values.iter().enumerate().map(|(at, v)| v * base.powi((at / each % 5) as i32 - 2)).collect())
    };
    let (w1, w2) = (uneven(&mut random, &[8, 3, 3, 3], 10.0), uneven(&mut random, &[8, 1, 3, 3], 0.1));
    let graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["N", "3", "12", "12"]))
        .constant("w1", w1)
        .constant("b1", random.tensor(&[8]))
        .constant("w2", w2)
        .constant("w3", random.tensor(&[4, 8, 1, 1]))
        .node("Conv", &["x", "w1", "b1"], &["c1"], &[])
        .node("Relu", &["c1"], &["r1"], &[])
        .node("Conv", &["r1", "w2"], &["c2"], &[("group", Attribute::Int(8))])
        .node("Conv", &["c2", "w3"], &["y"], &[])
        .output("y")
        .graph();
    let x = random.tensor(&[1, 3, 12, 12]);
    let before = run(&graph, &[("x", x.clone())]);
    let mut equal = graph.clone();
    assert_eq!(equalize(&mut equal).total(), 2);
    let after = run(&equal, &[("x", x.clone())]);
    let largest = before.iter().fold(0f32, |most, v| most.max(v.abs()));
    assert!(furthest(&before, &after) < 1e-5 * largest, "{}", furthest(&before, &after));
    let options = IntegerOptions { per_channel: false, ..IntegerOptions::default() };
    let error = |graph: &Graph, random: &mut Random| {
        furthest(&before, &run(&quantized(graph, random, &options), &[("x", x.clone())]))
    };
    assert!(error(&equal, &mut random) < error(&graph, &mut random));
}

/// A block of a transformer: products by constants and of activations, softmax, an embedding.
fn transformer(random: &mut Random) -> Graph {
    let width = 64;
    let matrix = |random: &mut Random| {
        let values = random.floats(width * width);
        f32s(&[width, width], values.iter().map(|v| v / 8.0).collect())
    };
    let mut builder = Builder::new(21)
        .input("ids", tensor_type(DataType::Int64, &["1", "L"]))
        .constant("table", random.tensor(&[400, width]))
        .constant("bias", random.tensor(&[width]));
    for name in ["q", "k", "v", "o"] {
        let w = matrix(random);
        builder = builder.constant(&format!("w{name}"), w);
    }
    builder
        .node("Gather", &["table", "ids"], &["e"], &[])
        .node("MatMul", &["e", "wq"], &["q"], &[])
        .node("MatMul", &["e", "wk"], &["k"], &[])
        .node("MatMul", &["e", "wv"], &["v0"], &[])
        .node("Add", &["v0", "bias"], &["v"], &[])
        .node("Transpose", &["k"], &["kt"], &[("perm", ints(&[0, 2, 1]))])
        .node("MatMul", &["q", "kt"], &["scores"], &[])
        .node("Softmax", &["scores"], &["p"], &[])
        .node("MatMul", &["p", "v"], &["mixed"], &[])
        .node("MatMul", &["mixed", "wo"], &["y"], &[])
        .output("y")
        .graph()
}

#[test]
fn transformers_are_quantised_without_calibration() {
    let mut random = Random::new(22);
    let graph = transformer(&mut random);
    let ids = i64s(&[1, 7], &[1, 5, 399, 0, 250, 17, 42]);
    let before = run(&graph, &[("ids", ids.clone())]);

    let mut dynamic = graph.clone();
    let layers = quantize_dynamic(&mut dynamic, &[]).expect("it quantises");
    assert_eq!(layers.iter().filter(|layer| layer.precision == Precision::Dynamic).count(), 5);
    assert_eq!(count(&dynamic, "MatMulInteger"), 4);
    assert_eq!(count(&dynamic, "DynamicQuantizeLinear"), 2, "values that several nodes read are quantised once");
    let found = cosine(&before, &run(&dynamic, &[("ids", ids.clone())]));
    assert!(found > 0.999, "{found}");
    assert!(dynamic.weight_bytes() < graph.weight_bytes() * 3 / 10);

    for block_size in [32, 64] {
        let mut blocks = graph.clone();
        let options = BlockOptions { block_size, excluded: Vec::new() };
        assert_eq!(quantize_blocks(&mut blocks, &options).expect("it quantises").len(), 4);
        let found = cosine(&before, &run(&blocks, &[("ids", ids.clone())]));
        assert!(found > 0.98, "blocks of {block_size}: {found}");
    }
    let options = BlockOptions { block_size: 20, excluded: Vec::new() };
    assert_eq!(
        quantize_blocks(&mut graph.clone(), &options).expect_err("no such block").kind(),
        ErrorKind::InvalidArgument
    );

    let mut halves = graph.clone();
    to_float16(&mut halves).expect("it converts");
    assert!(halves.weight_bytes() < graph.weight_bytes() * 52 / 100);
    assert!(cosine(&before, &run(&halves, &[("ids", ids)])) > 0.999_99);
}

#[test]
fn weights_that_float16_cannot_hold_are_named() {
    let mut graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["1", "300"]))
        .constant("huge", f32s(&[300, 1], vec![1e6; 300]))
        .node("MatMul", &["x", "huge"], &["y"], &[])
        .output("y")
        .graph();
    let error = to_float16(&mut graph).expect_err("out of range");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("\"huge\""), "{error}");
}

#[test]
fn blocks_of_four_bits_are_what_a_loop_computes() {
    let mut random = Random::new(23);
    let (depth, outputs, block) = (70, 5, 32);
    let graph = Builder::new(21)
        .input("x", tensor_type(DataType::Float32, &["3", "70"]))
        .constant("w", random.tensor(&[depth, outputs]))
        .node("MatMul", &["x", "w"], &["y"], &[])
        .output("y")
        .graph();
    let mut blocks = graph.clone();
    quantize_blocks(&mut blocks, &BlockOptions { block_size: block, excluded: Vec::new() }).expect("it quantises");
    let part = |name: &str| &blocks.initializers[name];
    let (codes, zeros) = (part("w_int4").bytes().expect("bytes"), part("w_zero_points").bytes().expect("bytes"));
    let scales = part("w_scales").as_slice::<f32>().expect("float32");
    let original = graph.initializers["w"].as_slice::<f32>().expect("float32");
    let count = depth.div_ceil(block);
    let weight = |k: usize, n: usize| {
        let at = n * count + k / block;
        let byte = codes[at * block / 2 + k % block / 2];
        let zero = zeros[n * count.div_ceil(2) + k / block / 2];
        let nibble = |byte: u8, odd: bool| f32::from(if odd { byte >> 4 } else { byte & 15 });
        (nibble(byte, k % 2 == 1) - nibble(zero, k / block % 2 == 1)) * scales[at]
    };
    for n in 0..outputs {
        for k in 0..depth {
            // A block's range is at most 2, cut down to 0.7 of it at most, in 15 steps.
            let off = (weight(k, n) - original[k * outputs + n]).abs();
            assert!(off < 0.4, "{k} {n}: {off}");
        }
    }
    let x = random.tensor(&[3, depth]);
    let rows = x.as_slice::<f32>().expect("float32");
    let expected: Vec<f32> = (0..3 * outputs)
        .map(|i| (0..depth).map(|k| rows[i / outputs * depth + k] * weight(k, i % outputs)).sum())
        .collect();
    assert!(furthest(&expected, &run(&blocks, &[("x", x)])) < 1e-4);
}
