//! Lowered graphs against the same graphs run node by node: fused and quantised steps must give what
//! their nodes give, and must have been made.

mod support;

use firebrand::graph::{Attribute, ValueType};
use firebrand::runtime::Fate;
use firebrand::{DataType, Feed, GraphOptimizationLevel, RunOptions, Session, SessionOptions, Tensor};
use support::{Builder, Random, compare, f32s, i64s, into_tensor};

fn any(dtype: DataType) -> ValueType {
    ValueType::Tensor { dtype, shape: None }
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn text(value: &str) -> Attribute {
    Attribute::String(value.as_bytes().to_vec())
}

fn codes(dtype: DataType, shape: &[usize], values: Vec<i32>) -> Tensor {
    let bytes = values.into_iter().map(|v| v as u8).collect();
    Tensor::from_bytes(dtype, shape.to_vec(), bytes).expect("as many as the shape asks for")
}

/// Runs the graph node by node and lowered, gives the largest difference, and checks that the steps
/// that run are `steps`.
fn lowered(build: impl Fn() -> Builder, feeds: &[(&str, Tensor)], steps: &[&str], relative: f64, absolute: f64) -> f64 {
    let session = |level| {
        let options = SessionOptions { graph_optimization_level: level, ..SessionOptions::default() };
        Session::load_blocking(build().model(), options).unwrap_or_else(|e| panic!("{e}"))
    };
    let run = |session: &Session| -> Vec<(String, Tensor)> {
        let feeds: Vec<(String, Feed)> = feeds.iter().map(|(n, t)| (n.to_string(), t.clone().into())).collect();
        let outputs = session.run_blocking(feeds, RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        outputs.into_iter().map(|(name, feed)| (name, into_tensor(feed))).collect()
    };
    let plain = session(GraphOptimizationLevel::Disabled);
    let quick = session(GraphOptimizationLevel::All);
    let mut found: Vec<String> = (quick.info().nodes.into_iter())
        .filter_map(|node| if let Fate::Runs { as_op, .. } = node.fate { Some(as_op) } else { None })
        .collect();
    found.sort();
    let mut expected: Vec<&str> = steps.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "the steps");
    let mut largest = 0f64;
    for ((name, got), (_, expected)) in run(&quick).iter().zip(run(&plain)) {
        match compare(got, &expected, relative, absolute) {
            Ok(difference) => largest = largest.max(difference),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    largest
}

fn close(build: impl Fn() -> Builder, feeds: &[(&str, Tensor)], steps: &[&str]) {
    lowered(build, feeds, steps, 1e-5, 1e-5);
}

/// Scales are powers of two here, so that float32 computes exactly what integers do.
fn equal(build: impl Fn() -> Builder, feeds: &[(&str, Tensor)], steps: &[&str]) {
    lowered(build, feeds, steps, 0.0, 0.0);
}

#[test]
fn a_convolution_takes_its_normalisation_and_activation_along() {
    let mut random = Random::new(1);
    let (w, b) = (random.tensor(&[6, 4, 3, 3]), random.tensor(&[6]));
    let norm: Vec<Tensor> = (0..3).map(|_| random.tensor(&[6])).collect();
    let variance = f32s(&[6], (0..6).map(|_| random.float().abs() + 0.1).collect());
    let x = random.tensor(&[2, 4, 9, 7]);
    for after in ["Relu", "Clip", "Sigmoid", "Silu", "Tanh", "HardSwish"] {
        let build = || {
            let builder = Builder::new(17)
                .input("x", any(DataType::Float32))
                .constant("w", w.clone())
                .constant("b", b.clone())
                .constant("scale", norm[0].clone())
                .constant("shift", norm[1].clone())
                .constant("mean", norm[2].clone())
                .constant("variance", variance.clone())
                .constant("low", f32s(&[], vec![0.0]))
                .constant("high", f32s(&[], vec![0.5]))
                .node("Conv", &["x", "w", "b"], &["c"], &[("pads", ints(&[1, 0, 1, 2])), ("strides", ints(&[2, 1]))])
                .node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], &["n"], &[]);
            let builder = match after {
                "Clip" => builder.node("Clip", &["n", "low", "high"], &["y"], &[]),
                "Silu" => builder.node("Sigmoid", &["n"], &["s"], &[]).node("Mul", &["s", "n"], &["y"], &[]),
                other => builder.node(other, &["n"], &["y"], &[]),
            };
            builder.output("y")
        };
        close(build, &[("x", x.clone())], &["FusedConv"]);
    }
}

#[test]
fn a_residual_is_added_in_the_same_step_whatever_it_broadcasts_to() {
    let mut random = Random::new(2);
    let (w, x) = (random.tensor(&[5, 3, 1, 1]), random.tensor(&[1, 3, 4, 6]));
    for residual in [vec![1, 5, 4, 6], vec![5, 1, 1], vec![2, 5, 4, 6], vec![6]] {
        let build = || {
            Builder::new(17)
                .input("x", any(DataType::Float32))
                .input("r", any(DataType::Float32))
                .constant("w", w.clone())
                .node("Conv", &["x", "w"], &["c"], &[])
                .node("Add", &["r", "c"], &["a"], &[])
                .node("Relu", &["a"], &["y"], &[])
                .output("y")
        };
        close(build, &[("x", x.clone()), ("r", random.tensor(&residual))], &["FusedConv"]);
    }
}

#[test]
fn what_a_caller_or_another_node_needs_is_not_fused_away() {
    let mut random = Random::new(3);
    let (w, x) = (random.tensor(&[5, 3, 1, 1]), random.tensor(&[1, 3, 4, 6]));
    let base = || {
        Builder::new(17)
            .input("x", any(DataType::Float32))
            .constant("w", w.clone())
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Relu", &["c"], &["y"], &[])
            .output("y")
    };
    close(|| base().output("c"), &[("x", x.clone())], &["FusedConv", "Relu"]);
    close(|| base().node("Neg", &["c"], &["z"], &[]).output("z"), &[("x", x.clone())], &["FusedConv", "Relu", "Neg"]);
}

#[test]
fn convolutions_of_every_kind_are_packed() {
    let mut random = Random::new(4);
    for (x, w, group, kernel) in [
        (vec![2, 8, 7, 9], vec![8, 1, 3, 3], 8, 2),
        (vec![1, 8, 7, 9], vec![16, 1, 5, 5], 8, 2),
        (vec![1, 6, 7, 9], vec![9, 2, 3, 2], 3, 2),
        (vec![2, 5, 11], vec![4, 5, 3], 1, 1),
        (vec![1, 3, 8, 8], vec![10, 3, 1, 1], 1, 2),
    ] {
        let (weight, input) = (random.tensor(&w), random.tensor(&x));
        let build = || {
            Builder::new(17)
                .input("x", any(DataType::Float32))
                .constant("w", weight.clone())
                .node(
                    "Conv",
                    &["x", "w"],
                    &["y"],
                    &[
                        ("group", Attribute::Int(group)),
                        ("auto_pad", text("SAME_UPPER")),
                        ("strides", ints(&vec![2; kernel])),
                    ],
                )
                .output("y")
        };
        close(build, &[("x", input)], &["FusedConv"]);
    }
}

#[test]
fn matrix_products_take_bias_residual_and_activation_along() {
    let mut random = Random::new(5);
    let (w, b) = (random.tensor(&[12, 7]), random.tensor(&[7]));
    let (x, r) = (random.tensor(&[2, 5, 12]), random.tensor(&[2, 5, 7]));
    let build = || {
        Builder::new(20)
            .input("x", any(DataType::Float32))
            .input("r", any(DataType::Float32))
            .constant("w", w.clone())
            .constant("b", b.clone())
            .node("MatMul", &["x", "w"], &["m"], &[])
            .node("Add", &["b", "m"], &["a"], &[])
            .node("Add", &["a", "r"], &["s"], &[])
            .node("Gelu", &["s"], &["y"], &[])
            .output("y")
    };
    close(build, &[("x", x), ("r", r)], &["FusedMatMul"]);

    let (w, x) = (random.tensor(&[7, 12]), random.tensor(&[3, 12]));
    let build = || {
        let scaled = [("transB", Attribute::Int(1)), ("alpha", Attribute::Float(0.5)), ("beta", Attribute::Float(2.0))];
        Builder::new(17)
            .input("x", any(DataType::Float32))
            .constant("w", w.clone())
            .constant("b", b.clone())
            .node("Gemm", &["x", "w", "b"], &["g"], &scaled)
            .node("Relu", &["g"], &["y"], &[])
            .output("y")
    };
    close(build, &[("x", x)], &["FusedMatMul"]);
}

#[test]
fn patterns_of_exporters_become_the_operators_they_spell_out() {
    let mut random = Random::new(6);
    let (scale, bias, x) = (random.tensor(&[16]), random.tensor(&[16]), random.tensor(&[2, 3, 16]));
    let build = || {
        Builder::new(17)
            .input("x", any(DataType::Float32))
            .constant("two", f32s(&[], vec![2.0]))
            .constant("eps", f32s(&[], vec![1e-5]))
            .constant("scale", scale.clone())
            .constant("bias", bias.clone())
            .node("ReduceMean", &["x"], &["m"], &[("axes", ints(&[-1]))])
            .node("Sub", &["x", "m"], &["d"], &[])
            .node("Pow", &["d", "two"], &["q"], &[])
            .node("ReduceMean", &["q"], &["v"], &[("axes", ints(&[-1]))])
            .node("Add", &["v", "eps"], &["e"], &[])
            .node("Sqrt", &["e"], &["s"], &[])
            .node("Div", &["d", "s"], &["n"], &[])
            .node("Mul", &["n", "scale"], &["g"], &[])
            .node("Add", &["g", "bias"], &["y"], &[])
            .output("y")
    };
    close(build, &[("x", x.clone())], &["LayerNormalization"]);
    for half_first in [false, true] {
        let build = || {
            let builder = Builder::new(17)
                .input("x", any(DataType::Float32))
                .constant("root", f32s(&[], vec![std::f32::consts::SQRT_2]))
                .constant("one", f32s(&[], vec![1.0]))
                .constant("half", f32s(&[], vec![0.5]))
                .node("Div", &["x", "root"], &["d"], &[])
                .node("Erf", &["d"], &["e"], &[])
                .node("Add", &["e", "one"], &["a"], &[]);
            let builder = if half_first {
                builder.node("Mul", &["x", "half"], &["h"], &[]).node("Mul", &["h", "a"], &["y"], &[])
            } else {
                builder.node("Mul", &["x", "a"], &["h"], &[]).node("Mul", &["h", "half"], &["y"], &[])
            };
            builder.output("y")
        };
        close(build, &[("x", x.clone())], &["Gelu"]);
    }
}

/// `name` dequantised with scale 2^`exponent` and a zero point of `dtype`.
fn dequantized(builder: Builder, name: &str, dtype: DataType, exponent: i32, zero: i32) -> Builder {
    let (scale, point, real) = (format!("{name}_scale"), format!("{name}_zero"), format!("{name}_real"));
    builder.constant(&scale, f32s(&[], vec![2f32.powi(exponent)])).constant(&point, codes(dtype, &[], vec![zero])).node(
        "DequantizeLinear",
        &[name, &scale, &point],
        &[&real],
        &[],
    )
}

/// `name` quantised to `name_codes`, and that dequantised to `name_real`.
fn requantized(builder: Builder, name: &str, dtype: DataType, exponent: i32, zero: i32) -> Builder {
    let (scale, point, out) = (format!("{name}_scale"), format!("{name}_zero"), format!("{name}_codes"));
    let real = format!("{name}_real");
    builder
        .constant(&scale, f32s(&[], vec![2f32.powi(exponent)]))
        .constant(&point, codes(dtype, &[], vec![zero]))
        .node("QuantizeLinear", &[name, &scale, &point], &[&out], &[])
        .node("DequantizeLinear", &[&out, &scale, &point], &[&real], &[])
}

fn random_codes(random: &mut Random, low: i32, high: i32, count: usize) -> Vec<i32> {
    (0..count).map(|_| random.within(0, (high - low) as usize) as i32 + low).collect()
}

#[test]
fn quantised_convolutions_give_the_codes_of_the_float_graph() {
    let mut random = Random::new(7);
    for dtype in [DataType::Uint8, DataType::Int8] {
        let zero = |z: i32| if dtype == DataType::Int8 { z - 128 } else { z };
        for (channels, outputs, group) in [(3, 8, 1), (8, 8, 8), (16, 5, 1), (6, 4, 2), (6, 12, 6)] {
            for (relu, weights) in [(false, DataType::Int8), (true, DataType::Int8), (true, DataType::Uint8)] {
                let shape = [outputs, channels / group, 3, 3];
                let range = if weights == DataType::Int8 { (-128, 127) } else { (0, 255) };
                let w = codes(weights, &shape, random_codes(&mut random, range.0, range.1, shape.iter().product()));
                let points = if weights == DataType::Int8 { vec![0; outputs] } else { vec![128; outputs] };
                let scales = (0..outputs).map(|_| 2f32.powi(-(random.within(5, 7) as i32))).collect();
                let scales = f32s(&[outputs], scales);
                let bias = f32s(&[outputs], (0..outputs).map(|_| random.within(0, 64) as f32 / 16.0 - 2.0).collect());
                let x = f32s(&[2, channels, 6, 7], (0..2 * channels * 42).map(|_| random.float() * 4.0).collect());
                let build = || {
                    let builder = Builder::new(17)
                        .input("x", any(DataType::Float32))
                        .constant("w", w.clone())
                        .constant("w_scale", scales.clone())
                        .constant("w_zero", codes(weights, &[outputs], points.clone()))
                        .constant("b", bias.clone());
                    let builder = requantized(builder, "x", dtype, -5, zero(131))
                        .node("DequantizeLinear", &["w", "w_scale", "w_zero"], &["wr"], &[("axis", Attribute::Int(0))])
                        .node(
                            "Conv",
                            &["x_real", "wr", "b"],
                            &["c"],
                            &[("pads", ints(&[1, 1, 1, 1])), ("group", Attribute::Int(group as i64))],
                        );
                    let builder = if relu { builder.node("Relu", &["c"], &["y"], &[]) } else { builder };
                    let name = if relu { "y" } else { "c" };
                    requantized(builder, name, dtype, -3, zero(100)).output(&format!("{name}_real"))
                };
                let steps = ["QuantizeLinear", "QuantizedConv", "DequantizeLinear"];
                equal(build, &[("x", x)], &steps);
            }
        }
    }
}

#[test]
fn codes_flow_through_moves_sums_means_and_tables() {
    let mut random = Random::new(8);
    let x = f32s(&[1, 8, 4, 4], (0..128).map(|_| random.float() * 4.0).collect());
    let build = || {
        let builder = Builder::new(17).input("x", any(DataType::Float32)).constant("shape", i64s(&[2], &[1, -1]));
        let builder = requantized(builder, "x", DataType::Uint8, -5, 128).node(
            "MaxPool",
            &["x_real"],
            &["p"],
            &[("kernel_shape", ints(&[3, 3])), ("pads", ints(&[1, 1, 1, 1]))],
        );
        let builder = requantized(builder, "p", DataType::Uint8, -5, 128).node("HardSwish", &["p_real"], &["h"], &[]);
        let builder = requantized(builder, "h", DataType::Uint8, -6, 20)
            .node("Add", &["h_real", "x_real"], &["a"], &[])
            .node("Relu", &["a"], &["r"], &[]);
        let builder = requantized(builder, "r", DataType::Uint8, -5, 0).node(
            "Concat",
            &["r_real", "h_real"],
            &["j"],
            &[("axis", Attribute::Int(1))],
        );
        let builder =
            requantized(builder, "j", DataType::Uint8, -5, 10).node("GlobalAveragePool", &["j_real"], &["g"], &[]);
        let builder =
            requantized(builder, "g", DataType::Uint8, -6, 7).node("Reshape", &["g_real", "shape"], &["f"], &[]);
        builder.output("f")
    };
    let steps = [
        "QuantizeLinear",
        "MaxPool",
        "Table",
        "QuantizedBinary",
        "Concat",
        "QuantizedAveragePool",
        "Reshape",
        "DequantizeLinear",
    ];
    // The table that brings a part of the Concat to its scale is no node's.
    equal(build, &[("x", x)], &steps);
}

#[test]
fn products_of_codes_end_in_float_where_nothing_quantises_them() {
    let mut random = Random::new(9);
    let w = codes(DataType::Int8, &[10, 6], random_codes(&mut random, -128, 127, 60));
    let b = f32s(&[6], (0..6).map(|i| i as f32 - 2.5).collect());
    let x = f32s(&[4, 10], (0..40).map(|_| random.float() * 4.0).collect());
    let build = || {
        let builder =
            Builder::new(17).input("x", any(DataType::Float32)).constant("w", w.clone()).constant("b", b.clone());
        let builder = dequantized(requantized(builder, "x", DataType::Int8, -5, 3), "w", DataType::Int8, -6, 0);
        builder.node("MatMul", &["x_real", "w_real"], &["m"], &[]).node("Add", &["m", "b"], &["y"], &[]).output("y")
    };
    equal(build, &[("x", x)], &["QuantizeLinear", "QuantizedMatMul"]);
}

#[test]
fn dynamic_quantisation_is_one_step_per_product() {
    let mut random = Random::new(10);
    let w = codes(DataType::Int8, &[10, 6], random_codes(&mut random, -128, 127, 60));
    let b = random.tensor(&[6]);
    let x = random.tensor(&[2, 4, 10]);
    for per_column in [false, true] {
        let scales = if per_column { random.tensor(&[6]) } else { f32s(&[1], vec![0.01]) };
        let zeros = codes(DataType::Int8, if per_column { &[6] } else { &[] }, vec![0; if per_column { 6 } else { 1 }]);
        let build = || {
            Builder::new(17)
                .input("x", any(DataType::Float32))
                .constant("w", w.clone())
                .constant("w_scale", scales.clone())
                .constant("w_zero", zeros.clone())
                .constant("b", b.clone())
                .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
                .node("MatMulInteger", &["q", "w", "z", "w_zero"], &["m"], &[])
                .node("Cast", &["m"], &["f"], &[("to", Attribute::Int(1))])
                .node("Mul", &["s", "w_scale"], &["k"], &[])
                .node("Mul", &["f", "k"], &["r"], &[])
                .node("Add", &["r", "b"], &["y"], &[])
                .output("y")
        };
        lowered(build, &[("x", x.clone())], &["DynamicQuantizeLinear", "DynamicQuantizeMatMul"], 1e-6, 1e-6);
    }
}

#[test]
fn a_bias_that_does_not_fit_is_the_operators_to_refuse() {
    let mut random = Random::new(11);
    let one = |v: f32| f32s(&[], vec![v]);
    let byte = |v: i32| codes(DataType::Uint8, &[], vec![v]);
    let w = codes(DataType::Int8, &[4, 3, 1, 1], random_codes(&mut random, -128, 127, 12));
    let x = codes(DataType::Uint8, &[1, 3, 2, 2], random_codes(&mut random, 0, 255, 12));
    let run = |scales: usize, biases: usize| {
        let bias = Tensor::from_vec(vec![biases], vec![100i32; biases]).expect("as many");
        let model = Builder::new(17)
            .input("x", any(DataType::Uint8))
            .constant("xs", one(0.5))
            .constant("xz", byte(128))
            .constant("w", w.clone())
            .constant("ws", f32s(&[scales], vec![0.25; scales]))
            .constant("wz", codes(DataType::Int8, &[scales], vec![0; scales]))
            .constant("ys", one(64.0))
            .constant("yz", byte(100))
            .constant("b", bias)
            .node("QLinearConv", &["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], &["y"], &[])
            .output("y")
            .model();
        let session = Session::load_blocking(model, SessionOptions::default())?;
        session.run_blocking([("x".to_string(), x.clone().into())], RunOptions::default())
    };
    assert!(run(4, 4).is_ok() && run(1, 4).is_ok());
    for (scales, biases) in [(2, 4), (4, 5), (1, 3)] {
        let error = run(scales, biases).expect_err("they do not fit");
        assert_eq!(error.kind(), firebrand::ErrorKind::ShapeMismatch, "{error}");
    }
}

#[test]
fn signed_codes_stay_signed_where_no_zero_point_says_so() {
    let mut random = Random::new(13);
    let mut signed = || codes(DataType::Int8, &[2, 8], random_codes(&mut random, -128, 127, 16));
    let (a, b) = (signed(), signed());
    let run = |level| {
        let model = Builder::new(17)
            .input("a", any(DataType::Int8))
            .input("b", any(DataType::Int8))
            .constant("scale", f32s(&[], vec![0.5]))
            .node("com.microsoft.QLinearAdd", &["a", "scale", "", "b", "scale", "", "scale"], &["y"], &[])
            .output("y")
            .model();
        let options = SessionOptions { graph_optimization_level: level, ..SessionOptions::default() };
        let session = Session::load_blocking(model, options).expect("it loads");
        let feeds = [("a".to_string(), a.clone().into()), ("b".to_string(), b.clone().into())];
        let outputs = session.run_blocking(feeds, RunOptions::default()).expect("it runs");
        into_tensor(outputs[0].1.clone())
    };
    let (plain, quick) = (run(GraphOptimizationLevel::Disabled), run(GraphOptimizationLevel::All));
    let sums: Vec<i8> = std::iter::zip(a.as_slice::<i8>().expect("int8"), b.as_slice::<i8>().expect("int8"))
        .map(|(a, b)| a.saturating_add(*b))
        .collect();
    assert_eq!(plain.as_slice::<i8>().expect("int8"), sums);
    assert_eq!(quick.as_slice::<i8>().expect("int8"), sums);
}

#[test]
fn numbers_that_cropping_writes_outside_of_an_image_are_no_codes() {
    let mut random = Random::new(12);
    let x = f32s(&[1, 1, 4, 4], (0..16).map(|_| random.float() * 4.0).collect());
    let build = || {
        let builder = Builder::new(17)
            .input("x", any(DataType::Float32))
            .constant("roi", f32s(&[8], vec![0.0, 0.0, -1.0, 0.0, 1.0, 1.0, 2.0, 1.0]))
            .constant("sizes", i64s(&[4], &[1, 1, 6, 4]));
        let crop = [
            ("mode", text("nearest")),
            ("coordinate_transformation_mode", text("tf_crop_and_resize")),
            ("extrapolation_value", Attribute::Float(1.5)),
        ];
        requantized(builder, "x", DataType::Uint8, -5, 128)
            .node("Resize", &["x_real", "roi", "", "sizes"], &["y"], &crop)
            .output("y")
    };
    equal(build, &[("x", x)], &["QuantizeLinear", "DequantizeLinear", "Resize"]);
}

#[test]
fn weights_of_four_bits_stay_packed() {
    let mut random = Random::new(13);
    for (rows, depth, columns, block) in [(1, 64, 40, 16), (3, 70, 33, 32), (20, 130, 48, 64)] {
        let blocks = usize::div_ceil(depth, block);
        let bytes = |random: &mut Random, shape: &[usize]| {
            codes(DataType::Uint8, shape, random_codes(random, 0, 255, shape.iter().product()))
        };
        let weight = bytes(&mut random, &[columns, blocks, block / 2]);
        let zeros = bytes(&mut random, &[columns * blocks.div_ceil(2)]);
        let scales = random.tensor(&[columns * blocks]);
        let (bias, x) = (random.tensor(&[columns]), random.tensor(&[1, rows, depth]));
        let residual = random.tensor(&[1, rows, columns]);
        for inputs in [&["x", "w", "s"][..], &["x", "w", "s", "z"], &["x", "w", "s", "z", "", "b"]] {
            let build = || {
                let sizes = [("K", depth), ("N", columns), ("block_size", block), ("bits", 4), ("accuracy_level", 4)];
                let attributes: Vec<(&str, Attribute)> =
                    sizes.iter().map(|(name, size)| (*name, Attribute::Int(*size as i64))).collect();
                Builder::new(17)
                    .input("x", any(DataType::Float32))
                    .input("r", any(DataType::Float32))
                    .constant("w", weight.clone())
                    .constant("s", scales.clone())
                    .constant("z", zeros.clone())
                    .constant("b", bias.clone())
                    .node("com.microsoft.MatMulNBits", inputs, &["m"], &attributes)
                    .node("Add", &["m", "r"], &["a"], &[])
                    .node("Relu", &["a"], &["y"], &[])
                    .output("y")
            };
            let feeds = [("x", x.clone()), ("r", residual.clone())];
            lowered(build, &feeds, &["FusedMatMulNBits"], 1e-4, 1e-3);
            let session = build().load().unwrap_or_else(|e| panic!("{e}"));
            // Whole vectors of columns, and a float32 scale for each block.
            let most = columns.next_multiple_of(16) * (depth.div_ceil(8) * 4 + blocks * 8 + 4) + 128;
            assert!(session.info().weight_bytes <= most, "{} of {most} bytes", session.info().weight_bytes);
        }
    }
}

#[test]
fn dynamic_quantisation_is_one_step_per_convolution() {
    let mut random = Random::new(14);
    for (weights, group, relu) in [(DataType::Int8, 1, false), (DataType::Uint8, 4, true), (DataType::Int8, 2, true)] {
        let (channels, outputs) = (4, 8);
        let range = if weights == DataType::Int8 { (-128, 127) } else { (0, 255) };
        let shape = [outputs, channels / group, 3, 3];
        let w = codes(weights, &shape, random_codes(&mut random, range.0, range.1, shape.iter().product()));
        let x = random.tensor(&[2, channels, 6, 7]);
        for per_channel in [false, true] {
            let scales = if per_channel { random.tensor(&[outputs, 1, 1]) } else { f32s(&[], vec![0.01]) };
            let zeros = codes(weights, &[], vec![if weights == DataType::Int8 { 0 } else { 131 }]);
            let bias = random.tensor(&[1, outputs, 1, 1]);
            let build = || {
                let attributes = [("pads", ints(&[1, 1, 1, 1])), ("group", Attribute::Int(group as i64))];
                let builder = Builder::new(17)
                    .input("x", any(DataType::Float32))
                    .constant("w", w.clone())
                    .constant("w_scale", scales.clone())
                    .constant("w_zero", zeros.clone())
                    .constant("b", bias.clone())
                    .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
                    .node("ConvInteger", &["q", "w", "z", "w_zero"], &["c"], &attributes)
                    .node("Cast", &["c"], &["f"], &[("to", Attribute::Int(1))])
                    .node("Mul", &["s", "w_scale"], &["k"], &[])
                    .node("Mul", &["f", "k"], &["r"], &[])
                    .node("Add", &["r", "b"], &["a"], &[]);
                let builder = if relu { builder.node("Relu", &["a"], &["y"], &[]) } else { builder };
                builder.output(if relu { "y" } else { "a" })
            };
            equal(build, &[("x", x.clone())], &["DynamicQuantizeLinear", "DynamicQuantizeConv"]);
        }
    }
}

#[test]
fn integer_convolutions_by_constants_give_the_very_sums() {
    let mut random = Random::new(15);
    for (dtype, weights) in [(DataType::Uint8, DataType::Int8), (DataType::Int8, DataType::Uint8)] {
        let code = |random: &mut Random, dtype: DataType, shape: &[usize]| {
            let low = if dtype == DataType::Int8 { -128 } else { 0 };
            codes(dtype, shape, random_codes(random, low, low + 255, shape.iter().product()))
        };
        let w = code(&mut random, weights, &[6, 2, 3]);
        let (zero, zeros) = (code(&mut random, dtype, &[]), code(&mut random, weights, &[6]));
        let x = code(&mut random, dtype, &[2, 4, 9]);
        let build = || {
            Builder::new(17)
                .input("x", any(dtype))
                .input("z", any(dtype))
                .constant("w", w.clone())
                .constant("w_zero", zeros.clone())
                .node("ConvInteger", &["x", "w", "z", "w_zero"], &["y"], &[("group", Attribute::Int(2))])
                .output("y")
        };
        equal(build, &[("x", x), ("z", zero)], &["PackedConvInteger"]);
    }
}

/// Why the node of `op_type` is what it is.
fn note(builder: Builder, op_type: &str) -> Option<String> {
    let nodes = builder.load().unwrap_or_else(|e| panic!("{e}")).info().nodes;
    nodes.into_iter().find(|node| node.op_type == op_type).unwrap_or_else(|| panic!("there is no {op_type}")).note
}

#[test]
fn a_node_that_stays_float_beside_quantisation_has_the_reason_in_its_note() {
    let mut random = Random::new(16);
    let zeros = |dtype: DataType, shape: &[usize]| {
        Tensor::from_bytes(dtype, shape.to_vec(), vec![0; shape.iter().product::<usize>() * dtype.size()])
            .expect("fits")
    };
    let start = || Builder::new(21).input("x", any(DataType::Float32)).input("w", any(DataType::Float32));
    let input = || requantized(start(), "x", DataType::Uint8, -5, 128);
    let convolved = |builder: Builder, weight: &str, rank: usize| {
        let w = codes(DataType::Int8, &vec![1; rank], vec![3]);
        dequantized(builder.constant("v", w), "v", DataType::Int8, -6, 0)
            .node("Conv", &["x_real", weight], &["c"], &[])
            .output("c")
    };
    assert_eq!(note(convolved(input(), "v_real", 4), "Conv"), None);
    assert_eq!(note(convolved(input(), "w", 4), "Conv").as_deref(), Some("the weights are not constant"));
    assert_eq!(note(convolved(input(), "v_real", 5), "Conv").as_deref(), Some("a kernel of 3 dimensions"));
    let float = input().constant("f", random.tensor(&[1, 1, 1, 1]));
    assert_eq!(note(convolved(float, "f", 4), "Conv").as_deref(), Some("the weights are float32"));

    // Quantised otherwise than in 8 bits, or otherwise than as a whole.
    let written = |builder: Builder, point: Tensor, block: i64| {
        let quantised = [("block_size", Attribute::Int(block)), ("axis", Attribute::Int(1))];
        builder.constant("p", point).node("QuantizeLinear", &["x", "s", "p"], &["q"], &quantised).node(
            "DequantizeLinear",
            &["q", "s", "p"],
            &["x_real"],
            &quantised,
        )
    };
    let one = || start().constant("s", f32s(&[], vec![0.5]));
    let wide = || convolved(written(one(), zeros(DataType::Uint16, &[]), 0), "v_real", 4);
    for op_type in ["Conv", "QuantizeLinear"] {
        assert_eq!(note(wide(), op_type).as_deref(), Some("uint16 activations"), "{op_type}");
    }
    let many = start().constant("s", f32s(&[2], vec![0.5; 2]));
    let many = convolved(written(many, zeros(DataType::Uint8, &[2]), 0), "v_real", 4);
    assert_eq!(note(many, "Conv").as_deref(), Some("activations with a scale per channel"));
    let blocks = start().constant("s", f32s(&[1, 2, 1, 1], vec![0.5; 2]));
    let blocks = convolved(written(blocks, zeros(DataType::Uint8, &[1, 2, 1, 1]), 2), "v_real", 4);
    assert_eq!(note(blocks, "Conv").as_deref(), Some("scale per block"));
    let free = start().input("s", any(DataType::Float32));
    let free = convolved(written(free, zeros(DataType::Uint8, &[]), 0), "v_real", 4);
    assert_eq!(note(free, "Conv").as_deref(), Some("the scale is not constant"));

    // What is read and written.
    let doubled = || input().node("Add", &["x_real", "x_real"], &["a"], &[]);
    assert_eq!(note(doubled().output("a"), "Add").as_deref(), Some("nothing quantises the output"));
    let both = || requantized(doubled(), "a", DataType::Uint8, -4, 128).output("a_real");
    assert_eq!(note(both(), "Add"), None);
    let asked = both().output("a");
    assert_eq!(note(asked, "Add").as_deref(), Some("the caller may ask for the output in float32"));
    let shared = both().node("Softmax", &["a"], &["m"], &[]).output("m");
    assert_eq!(note(shared, "Add").as_deref(), Some("the output has another consumer"));
    let mixed = requantized(input().node("Add", &["x_real", "w"], &["a"], &[]), "a", DataType::Uint8, -4, 128);
    assert_eq!(note(mixed.output("a_real"), "Add").as_deref(), Some("an input is float32"));

    let soft = requantized(input().node("Softmax", &["x_real"], &["m"], &[]), "m", DataType::Uint8, -8, 0);
    assert_eq!(note(soft.output("m_real"), "Softmax").as_deref(), Some("the operator has no 8-bit form"));
    let alone = input().node("Sigmoid", &["x_real"], &["g"], &[]).output("g");
    assert_eq!(note(alone, "Sigmoid").as_deref(), Some("nothing quantises the output"));
    let linear = input()
        .constant("sizes", i64s(&[4], &[1, 1, 6, 4]))
        .node("Resize", &["x_real", "", "", "sizes"], &["r"], &[("mode", text("linear"))])
        .output("r");
    let why = "it computes elements, as \"nearest\" without cropping would not";
    assert_eq!(note(linear, "Resize").as_deref(), Some(why));
    // Nothing is quantised here.
    assert_eq!(note(start().node("Add", &["x", "w"], &["y"], &[]).output("y"), "Add"), None);
}

/// Attention of `q` `[2, queries, 3, head]`, and `k` and `v` of as many heads, as exporters write it: where it is scaled,
/// and whether there is a mask `m`.
fn attention(scaled: &str, masked: bool) -> Builder {
    let swap = |last: [i64; 2]| [("perm", ints(&[0, 2, last[0], last[1]]))];
    let mut builder = Builder::new(17)
        .constant("root", f32s(&[], vec![2.5]))
        .constant("factor", f32s(&[1], vec![0.4]))
        .node("Transpose", &["q"], &["qt"], &swap([1, 3]))
        .node("Transpose", &["k"], &["kt"], &swap([3, 1]))
        .node("Transpose", &["v"], &["vt"], &swap([1, 3]));
    for name in ["q", "k", "v"] {
        builder = builder.input(name, any(DataType::Float32));
    }
    let (mut q, mut k, mut scores) = ("qt", "kt", "p");
    if scaled == "inputs" {
        builder = builder.node("Div", &["qt", "root"], &["qs"], &[]).node("Mul", &["factor", "kt"], &["ks"], &[]);
        (q, k) = ("qs", "ks");
    }
    builder = builder.node("MatMul", &[q, k], &["p"], &[]);
    if scaled == "Div" {
        builder = builder.node("Div", &["p", "root"], &["s"], &[]);
        scores = "s";
    } else if scaled == "Mul" {
        builder = builder.node("Mul", &["factor", "p"], &["s"], &[]);
        scores = "s";
    }
    if masked {
        builder = builder.input("m", any(DataType::Float32)).node("Add", &["m", scores], &["a"], &[]);
        scores = "a";
    }
    builder
        .node("Softmax", &[scores], &["w"], &[("axis", Attribute::Int(3))])
        .node("MatMul", &["w", "vt"], &["o"], &[])
        .node("Transpose", &["o"], &["y"], &swap([1, 3]))
        .output("y")
}

/// As [`lowered`], to the rounding of results that are averages of numbers up to 1.
fn attends(build: impl Fn() -> Builder, feeds: &[(&str, Tensor)], steps: &[&str]) {
    lowered(build, feeds, steps, 0.0, 1e-6);
}

/// `q`, `k` and `v` of [`attention`].
fn heads(random: &mut Random, [queries, keys, head, width]: [usize; 4]) -> Vec<(&'static str, Tensor)> {
    let mut of = |places: usize, size: usize| random.tensor(&[2, places, 3, size]);
    vec![("q", of(queries, head)), ("k", of(keys, head)), ("v", of(keys, width))]
}

const ATTENTION: [&str; 5] = ["FusedAttention", "Transpose", "Transpose", "Transpose", "Transpose"];

#[test]
fn attention_is_one_step_wherever_it_is_scaled_and_masked() {
    let mut random = Random::new(17);
    for scaled in ["", "Div", "Mul", "inputs"] {
        for sizes in [[17, 21, 8, 5], [1, 40, 16, 16], [3, 5, 1, 1], [2, 1, 4, 3], [130, 130, 32, 32]] {
            let feeds = heads(&mut random, sizes);
            attends(|| attention(scaled, false), &feeds, &ATTENTION);
            let [queries, keys, ..] = sizes;
            for mask in [
                vec![2, 1, 1, keys],
                vec![2, 1, queries, keys],
                vec![3, queries, keys],
                vec![queries, keys],
                vec![keys],
                vec![queries, 1],
                vec![],
            ] {
                let mask = ("m", random.tensor(&mask));
                attends(|| attention(scaled, true), &[&feeds[..], &[mask]].concat(), &ATTENTION);
            }
        }
    }
    let nodes = attention("Div", true).load().unwrap_or_else(|e| panic!("{e}")).info().nodes;
    let fused = nodes.iter().filter(|node| matches!(node.fate, Fate::Fused { .. })).count();
    assert_eq!(fused, 4, "the division, the sum, the softmax and a product");
}

#[test]
fn many_queries_are_computed_block_by_block() {
    let mut random = Random::new(18);
    let feeds = heads(&mut random, [301, 1500, 8, 8]);
    let mask = ("m", random.tensor(&[301, 1500]));
    attends(|| attention("Div", true), &[&feeds[..], &[mask]].concat(), &ATTENTION);
}

#[test]
fn what_a_mask_hides_is_as_hidden_as_in_separate_steps() {
    let mut random = Random::new(19);
    for queries in [2, 9] {
        let feeds = heads(&mut random, [queries, 7, 4, 4]);
        let mut values = random.floats(queries * 7);
        // A row of which all is hidden, one of which some is, and one with NaN where there is room.
        values[..10].fill(f32::NEG_INFINITY);
        if let Some(value) = values.get_mut(20) {
            *value = f32::NAN;
        }
        let mask = ("m", f32s(&[queries, 7], values));
        attends(|| attention("Mul", true), &[&feeds[..], &[mask]].concat(), &ATTENTION);
    }
}

#[test]
fn attention_of_other_shapes_gives_what_its_steps_give() {
    let mut random = Random::new(20);
    let build = |masked: bool| {
        let mut builder = Builder::new(17);
        for name in ["q", "k", "v"] {
            builder = builder.input(name, any(DataType::Float32));
        }
        builder = builder.constant("factor", f32s(&[], vec![0.5])).node("MatMul", &["q", "k"], &["p"], &[]);
        builder = builder.node("Mul", &["p", "factor"], &["s"], &[]);
        if masked {
            builder = builder.input("m", any(DataType::Float32)).node("Add", &["s", "m"], &["a"], &[]);
        }
        builder
            .node("Softmax", &[if masked { "a" } else { "s" }], &["w"], &[])
            .node("MatMul", &["w", "v"], &["y"], &[])
            .output("y")
    };
    for [q, k, v] in [
        [vec![6, 4], vec![4, 7], vec![7, 5]],
        [vec![3, 6, 4], vec![3, 4, 7], vec![3, 7, 5]],
        [vec![2, 3, 6, 4], vec![2, 1, 4, 7], vec![1, 3, 7, 5]],
        [vec![1, 1, 6, 4], vec![2, 3, 4, 7], vec![2, 3, 7, 5]],
        [vec![1, 3, 6, 4], vec![1, 3, 4, 7], vec![2, 3, 7, 5]],
        [vec![2, 1, 2, 6, 4], vec![2, 1, 2, 4, 7], vec![2, 1, 2, 7, 5]],
        [vec![3, 6, 4], vec![4, 7], vec![7]],
        [vec![4], vec![3, 4, 7], vec![7, 5]],
        [vec![2, 0, 4], vec![2, 4, 7], vec![2, 7, 5]],
        [vec![2, 6, 4], vec![2, 4, 0], vec![2, 0, 5]],
        [vec![2, 6, 0], vec![2, 0, 7], vec![2, 7, 5]],
    ] {
        let feeds = [("q", random.tensor(&q)), ("k", random.tensor(&k)), ("v", random.tensor(&v))];
        attends(|| build(false), &feeds, &["FusedAttention"]);
    }
    // A mask for more heads than there are.
    let mut feeds: Vec<_> = [("q", vec![1, 1, 6, 4]), ("k", vec![1, 1, 4, 7]), ("v", vec![1, 1, 7, 5])]
        .map(|(name, shape)| (name, random.tensor(&shape)))
        .into();
    feeds.push(("m", random.tensor(&[2, 3, 6, 7])));
    attends(|| build(true), &feeds, &["FusedAttention"]);
}

#[test]
fn scores_that_something_else_needs_are_not_fused_away() {
    let mut random = Random::new(21);
    let feeds = heads(&mut random, [6, 7, 4, 4]);
    let plain = ["Div", "MatMul", "MatMul", "Softmax", "Transpose", "Transpose", "Transpose", "Transpose"];
    for needed in ["p", "s", "w"] {
        attends(|| attention("Div", false).output(needed), &feeds, &plain);
        let user = || attention("Div", false).node("Neg", &[needed], &["z"], &[]).output("z");
        attends(user, &feeds, &[&plain[..], &["Neg"]].concat());
    }
    // Its factor stays a step.
    let steps = [&ATTENTION[..], &["Div"]].concat();
    attends(|| attention("inputs", false).output("qs"), &feeds, &steps);
}

/// Rotary embedding of `x` as exporters write it, with halves of 4 elements along `axis`.
fn rotary(axis: i64) -> Builder {
    Builder::new(17)
        .input("x", any(DataType::Float32))
        .input("cos", any(DataType::Float32))
        .input("sin", any(DataType::Float32))
        .constant("zero", i64s(&[1], &[0]))
        .constant("one", i64s(&[1], &[1]))
        .constant("half", i64s(&[1], &[4]))
        .constant("end", i64s(&[1], &[i64::MAX]))
        .constant("axis", i64s(&[1], &[axis]))
        .node("Transpose", &["x"], &["t"], &[("perm", ints(&[0, 2, 1, 3]))])
        .node("Mul", &["t", "cos"], &["c"], &[])
        .node("Slice", &["t", "zero", "half", "axis", "one"], &["a"], &[])
        .node("Slice", &["t", "half", "end", "axis", "one"], &["b"], &[])
        .node("Neg", &["b"], &["n"], &[])
        .node("Concat", &["n", "a"], &["r"], &[("axis", Attribute::Int(-1))])
        .node("Mul", &["r", "sin"], &["s"], &[])
        .node("Add", &["c", "s"], &["y"], &[])
        .output("y")
}

#[test]
fn rotary_embedding_is_one_step() {
    let mut random = Random::new(22);
    let steps = ["FusedRotary", "Transpose"];
    for columns in [8, 7, 3, 1, 40] {
        let x = random.tensor(&[2, 5, 3, columns]);
        for angles in [vec![2, 1, 5, columns], vec![1, 1, 5, columns], vec![5, columns], vec![2, 3, 5, columns]] {
            let mut feeds = vec![("x", x.clone()), ("cos", random.tensor(&angles)), ("sin", random.tensor(&angles))];
            equal(|| rotary(-1), &feeds, &steps);
            equal(|| rotary(3), &feeds, &steps);
            // What gives more, or has no rows.
            feeds[1].1 = random.tensor(&[2, 1, 1, 1, 1]);
            feeds[2].1 = random.tensor(&[5, 1]);
            equal(|| rotary(-1), &feeds, &steps);
        }
    }
    let feeds = [[0, 5, 3, 8], [1, 1, 5, 8], [1, 1, 5, 8]].map(|shape| random.tensor(&shape));
    let feeds: Vec<_> = ["x", "cos", "sin"].into_iter().zip(feeds).collect();
    equal(|| rotary(-1), &feeds, &steps);
    let nodes = rotary(-1).load().unwrap_or_else(|e| panic!("{e}")).info().nodes;
    assert_eq!(nodes.iter().filter(|node| matches!(node.fate, Fate::Fused { .. })).count(), 6);
}

#[test]
fn halves_that_something_else_needs_are_not_fused_away() {
    let mut random = Random::new(23);
    let feeds = [[2, 5, 3, 8], [1, 1, 5, 8], [1, 1, 5, 8]].map(|shape| random.tensor(&shape));
    let feeds: Vec<_> = ["x", "cos", "sin"].into_iter().zip(feeds).collect();
    let plain = ["Transpose", "Mul", "Slice", "Slice", "Neg", "Concat", "Mul", "Add"];
    for needed in ["c", "a", "b", "n", "r", "s"] {
        equal(|| rotary(-1).output(needed), &feeds, &plain);
    }
    let build = || rotary(-1).node("Neg", &["r"], &["z"], &[]).output("z");
    equal(build, &feeds, &[&plain[..], &["Neg"]].concat());
    equal(|| rotary(-1).output("t"), &feeds, &["FusedRotary", "Transpose"]);
}
