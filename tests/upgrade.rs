//! Graphs of all opsets brought to one, and run.

#[path = "support/suite.rs"]
mod suite;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firebrand::graph::{Attribute, Graph};
use firebrand::optimize::upgrade::{OPSET, upgrade};
use firebrand::{DataType, ErrorKind, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use support::{Builder, Random, f32s, i64s};

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(path)
        .expect("cases")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("model.onnx").exists())
        .collect();
    folders.sort();
    folders
}

/// Opsets of ONNX's own nodes, those of bodies too.
fn opsets(graph: &Graph, found: &mut Vec<i64>) {
    for node in &graph.nodes {
        if node.domain.is_empty() {
            found.push(node.opset);
        }
        for attribute in node.attributes.values() {
            if let Attribute::Graph(body) = attribute {
                opsets(body, found);
            }
        }
    }
}

/// Upgrades a case's model, writes it, reads it and runs it: whether it was refused.
fn case(folder: &Path) -> Result<bool, String> {
    let model = Model::from_onnx(suite::read(&folder.join("model.onnx")), &Default::default());
    let mut model = model.map_err(|e| format!("read: {e}"))?;
    let mut before = Vec::new();
    opsets(&model.graph, &mut before);
    if let Err(error) = upgrade(&mut model.graph) {
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
        return match before.iter().any(|&opset| opset < 7) {
            true => Ok(true),
            false => Err(format!("refused: {error}")),
        };
    }
    let mut after = Vec::new();
    opsets(&model.graph, &mut after);
    let newest = before.iter().copied().max().unwrap_or(OPSET).max(OPSET);
    assert!(after.iter().all(|&opset| opset == newest), "{after:?}");
    let written = model.to_onnx().map_err(|e| format!("write: {e}"))?;
    if let Some(folder_to) = std::env::var_os("UPGRADED") {
        let name = folder.file_name().expect("a case has a name");
        std::fs::write(Path::new(&folder_to).join(name).with_extension("onnx"), &written).expect("written");
    }
    let again = Model::from_onnx(written, &Default::default()).map_err(|e| format!("read again: {e}"))?;
    let session = Session::load_blocking(again, SessionOptions::default()).map_err(|e| format!("load: {e}"))?;
    suite::check(&session, folder, 1e-3, 1e-6).map(|_| false)
}

/// Cases of opset 7 and later that are refused, with a part of the reason.
const REFUSED: [(&str, &str); 1] = [("test_scan_sum", "Scan of opset 8, which is over batches (1 node: ")];

#[test]
fn the_stored_cases_mean_the_same_at_the_newest_opset() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let passing = std::fs::read_to_string(list.join("node-cpu.txt")).expect("the list is checked in");
    let passing: Vec<&str> = passing.lines().collect();
    let mut all = Vec::new();
    for suite in ["node", "simple", "pytorch-operator", "pytorch-converted"] {
        let Some(path) = support::data(&format!("data/onnx/{suite}")) else { return };
        all.extend(folders(&path).into_iter().filter(|folder| {
            let name = folder.file_name().expect("a name").to_string_lossy();
            (suite != "node" || passing.contains(&&*name)) && !name.starts_with("test_gradient")
        }));
    }
    all.extend(folders(&list.join("cases")));
    let (mut ran, mut old) = (0, 0);
    let mut failed = BTreeMap::new();
    for folder in &all {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        match case(folder) {
            Ok(false) => ran += 1,
            Ok(true) => old += 1,
            Err(error) => match REFUSED.iter().find(|(refused, _)| *refused == name) {
                Some((_, reason)) if error.contains(reason) => {}
                _ => _ = failed.insert(name, error),
            },
        }
    }
    println!("{ran} cases give what is stored, {old} are of an opset before 7");
    let text: Vec<String> = failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), text.join("\n"));
    assert!(ran > 1300, "only {ran} cases ran");
}

/// A node of an old opset: operator, attributes, inputs (given at run time, their shapes not declared, or constant).
struct Old {
    op_type: &'static str,
    opset: i64,
    attributes: Vec<(&'static str, Attribute)>,
    inputs: Vec<Tensor>,
    constants: Vec<Tensor>,
    outputs: usize,
}

fn old(
    op_type: &'static str,
    opset: i64,
    attributes: &[(&'static str, Attribute)],
    inputs: impl IntoIterator<Item = Tensor>,
) -> Old {
    let inputs = inputs.into_iter().collect();
    Old { op_type, opset, attributes: attributes.to_vec(), inputs, constants: Vec::new(), outputs: 1 }
}

impl Old {
    fn constants(self, constants: &[Tensor]) -> Self {
        Self { constants: constants.to_vec(), ..self }
    }

    fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// `shapes`: whether shapes are declared; `hidden`: whether an operator that tells nothing of its output comes
    /// before.
    fn model(&self, shapes: bool, hidden: bool) -> (Model, Vec<(String, Feed)>) {
        let mut builder = Builder::new(self.opset);
        let mut names = Vec::new();
        let mut feeds = Vec::new();
        for (index, tensor) in self.inputs.iter().enumerate() {
            let name = format!("in{index}");
            let dims: Vec<String> = tensor.shape().iter().map(ToString::to_string).collect();
            let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
            let declared = match shapes {
                true => support::tensor_type(tensor.dtype(), &dims),
                false => firebrand::graph::ValueType::Tensor { dtype: tensor.dtype(), shape: None },
            };
            builder = builder.input(&name, declared);
            feeds.push((name.clone(), Feed::Tensor(tensor.clone())));
            names.push(name);
        }
        if hidden {
            builder = builder.node("Sin", &["in0"], &["sin"], &[]);
            names[0] = "sin".to_string();
        }
        for (index, tensor) in self.constants.iter().enumerate() {
            let name = format!("constant{index}");
            builder = builder.constant(&name, tensor.clone());
            names.push(name);
        }
        let outputs: Vec<String> = (0..self.outputs).map(|i| format!("out{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let output_names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        builder = builder.node(self.op_type, &names, &output_names, &self.attributes);
        for output in output_names {
            builder = builder.output(output);
        }
        (builder.model(), feeds)
    }
}

fn run(model: Model, feeds: &[(String, Feed)]) -> Vec<Tensor> {
    let session = Session::load_blocking(model, SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let outputs = session.run_blocking(feeds.to_vec(), RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    outputs.into_iter().map(|(_, feed)| support::into_tensor(feed)).collect()
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn word(value: &str) -> Attribute {
    Attribute::String(value.as_bytes().to_vec())
}

/// Nodes of the versions whose meaning changed.
fn changed() -> Vec<Old> {
    let mut random = Random::new(5);
    let x = random.tensor(&[2, 3, 4]);
    let image = random.tensor(&[1, 2, 5, 6]);
    let (int, float) = (Attribute::Int, Attribute::Float);
    let mut all = Vec::new();
    for op_type in ["Softmax", "LogSoftmax", "Hardmax"] {
        all.push(old(op_type, 7, &[], [x.clone()]));
        all.push(old(op_type, 7, &[], [random.tensor(&[3, 4])]));
        for (opset, axis) in [(7, 0), (9, 1), (10, 2), (11, -1), (11, -2), (12, -3), (12, 1)] {
            all.push(old(op_type, opset, &[("axis", int(axis))], [x.clone()]));
        }
    }
    let wide = f32s(&[6], vec![-3.0, -0.5, 0.25, 2.0, f32::INFINITY, f32::NEG_INFINITY]);
    for dtype in [DataType::Float32, DataType::Float64, DataType::Float16] {
        let values = support::numbers(&wide);
        let typed = match dtype {
            DataType::Float32 => wide.clone(),
            DataType::Float64 => Tensor::from_vec(vec![6], values).expect("as many"),
            _ => Tensor::from_vec(vec![6], values.into_iter().map(half).collect::<Vec<_>>()).expect("as many"),
        };
        for opset in [7, 10] {
            all.push(old("Clip", opset, &[], [typed.clone()]));
            all.push(old("Clip", opset, &[("min", float(0.0))], [typed.clone()]));
            all.push(old("Clip", opset, &[("max", float(1.5)), ("min", float(-1.0))], [typed.clone()]));
        }
        all.push(old("Pad", 7, &[("pads", ints(&[1, 2])), ("value", float(0.5))], [typed.clone()]));
        all.push(old("Dropout", 7, &[("ratio", float(0.3))], [typed.clone()]).outputs(2));
        all.push(old("Dropout", 10, &[("ratio", float(0.3))], [typed]).outputs(2));
    }
    all.push(old("Pad", 10, &[("pads", ints(&[0, 1, 1, 0, 1, 0])), ("mode", word("reflect"))], [x.clone()]));
    all.push(old("Pad", 7, &[("pads", ints(&[0, 0, -1, 0, 1, 0]))], [x.clone()]));
    for mode in ["nearest", "linear"] {
        let scales = [1.0, 1.0, 2.0, 1.5];
        let attributes = [("mode", word(mode)), ("scales", Attribute::Floats(scales.to_vec()))];
        all.push(old("Upsample", 7, &attributes, [image.clone()]));
        let given = f32s(&[4], scales.to_vec());
        all.push(old("Upsample", 9, &[("mode", word(mode))], [image.clone(), given.clone()]));
        all.push(old("Upsample", 9, &[("mode", word(mode))], [image.clone()]).constants(&[given]));
        for scales in [[1.0, 1.0, 2.0, 1.5], [1.0, 1.0, 0.6, 0.4], [1.0, 1.0, 1.7, 0.7], [1.0, 1.0, 1.0, 1.0]] {
            let given = f32s(&[4], scales.to_vec());
            all.push(old("Resize", 10, &[("mode", word(mode))], [image.clone(), given.clone()]));
            all.push(old("Resize", 10, &[("mode", word(mode))], [image.clone()]).constants(&[given]));
        }
    }
    let tf = ("coordinate_transformation_mode", word("tf_half_pixel_for_nn"));
    for scales in [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 0.6, 1.3]] {
        let rest = [f32s(&[0], vec![]), f32s(&[4], scales.to_vec())];
        all.push(old("Resize", 11, &[tf.clone(), ("nearest_mode", word("floor"))], [image.clone()]).constants(&rest));
        all.push(old("Resize", 11, std::slice::from_ref(&tf), [image.clone()]).constants(&rest));
    }
    let sized = [f32s(&[0], vec![]), f32s(&[0], vec![]), i64s(&[4], &[1, 2, 7, 3])];
    all.push(old("Resize", 12, &[("mode", word("linear"))], [image.clone()]).constants(&sized));
    all.push(old(
        "Slice",
        7,
        &[("starts", ints(&[1, 0])), ("ends", ints(&[2, 1000])), ("axes", ints(&[2, 0]))],
        [x.clone()],
    ));
    all.push(old("Slice", 9, &[("starts", ints(&[0, -2])), ("ends", ints(&[1, -1]))], [x.clone()]));
    all.push(old("TopK", 7, &[("k", int(2))], [x.clone()]).outputs(2));
    all.push(old("TopK", 9, &[("k", int(2)), ("axis", int(1))], [x.clone()]).outputs(2));
    all.push(old("Split", 7, &[("axis", int(2)), ("split", ints(&[1, 3]))], [x.clone()]).outputs(2));
    all.push(old("Split", 11, &[("axis", int(-1))], [x.clone()]).outputs(2));
    all.push(old("Split", 13, &[("axis", int(2))], [x.clone()]).outputs(4));
    let ones = random.tensor(&[1, 3, 1]);
    all.push(old("Squeeze", 7, &[], [ones.clone()]));
    all.push(old("Squeeze", 11, &[("axes", ints(&[-1]))], [ones]));
    all.push(old("Unsqueeze", 7, &[("axes", ints(&[0, 4]))], [x.clone()]));
    let positive = f32s(&[2, 3, 4], random.floats(24).into_iter().map(|v| v.abs() + 0.1).collect());
    for op_type in [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    ] {
        for opset in [7, 11, if op_type == "ReduceSum" { 12 } else { 17 }] {
            all.push(old(op_type, opset, &[], [positive.clone()]));
            all.push(old(op_type, opset, &[("axes", ints(&[1, 2])), ("keepdims", int(0))], [positive.clone()]));
        }
    }
    let each = || f32s(&[3], vec![0.5, 1.0, 2.0]);
    let norm = [x.clone(), each(), each(), each(), each()];
    all.push(old("BatchNormalization", 7, &[("spatial", int(1)), ("epsilon", float(0.01))], norm.clone()));
    all.push(old("BatchNormalization", 9, &[("momentum", float(0.8))], norm.clone()).outputs(3));
    let signal = random.tensor(&[2, 5, 4, 2]);
    all.push(old("DFT", 17, &[("axis", int(2))], [signal.clone()]));
    all.push(old("DFT", 17, &[("inverse", int(1))], [signal]).constants(&[i64s(&[], &[4])]));
    let places = random.tensor(&[1, 3, 3, 2]);
    for mode in ["bilinear", "nearest", "bicubic"] {
        all.push(old("GridSample", 16, &[("mode", word(mode))], [image.clone(), places.clone()]));
    }
    all.push(old("GridSample", 16, &[], [image.clone(), places]));
    let four = random.tensor(&[2, 4, 3, 3]);
    let group = [four, f32s(&[2], vec![0.5, 2.0]), f32s(&[2], vec![1.0, -1.0])];
    all.push(old("GroupNormalization", 18, &[("num_groups", int(2))], group));
    let regions = [image.clone(), f32s(&[1, 4], vec![0.5, 0.5, 4.0, 3.5]), i64s(&[1], &[0])];
    all.push(old("RoiAlign", 10, &[("output_height", int(2)), ("output_width", int(3))], regions));
    let scattered = [f32s(&[5], vec![1.0; 5]), i64s(&[2], &[1, 3]), f32s(&[2], vec![7.0, 8.0])];
    all.push(old("Scatter", 9, &[], scattered));
    all
}

fn half(value: f64) -> half::f16 {
    half::f16::from_f64(value)
}

#[test]
fn what_changed_its_form_gives_the_same_bits() {
    let all = changed();
    for node in &all {
        for (shapes, hidden) in [(true, false), (false, false), (true, true)] {
            let (model, feeds) = node.model(shapes, hidden);
            let said = format!("{} of opset {}, {:?}", node.op_type, node.opset, node.attributes);
            let mut upgraded = model.clone();
            let changes = upgrade(&mut upgraded.graph).unwrap_or_else(|e| panic!("{said}: {e}"));
            assert!(changes.keys().all(|op_type| op_type == node.op_type), "{said}: {changes:?}");
            let mut found = Vec::new();
            opsets(&upgraded.graph, &mut found);
            assert!(found.iter().all(|&opset| opset == OPSET), "{said}");
            let written = upgraded.to_onnx().unwrap_or_else(|e| panic!("{said}: {e}"));
            if let Some(folder) = std::env::var_os("UPGRADED") {
                let name = format!("{}-{}-{:p}-{shapes}-{hidden}", node.op_type, node.opset, node);
                let before = model.to_onnx().expect("written");
                std::fs::write(Path::new(&folder).join(&name).with_extension("before"), before).expect("written");
                std::fs::write(Path::new(&folder).join(&name).with_extension("after"), &written).expect("written");
            }
            let again = Model::from_onnx(written, &Default::default()).unwrap_or_else(|e| panic!("{said}: {e}"));
            let (before, after) = (run(model, &feeds), run(again, &feeds));
            assert_eq!(before.len(), after.len(), "{said}");
            for (before, after) in before.iter().zip(&after) {
                if let Err(error) = support::compare(after, before, 0.0, 0.0) {
                    panic!("{said}, shapes {shapes}, hidden {hidden}: {error}");
                }
            }
        }
    }
    assert!(all.len() > 120, "{} nodes", all.len());
}

#[test]
fn bodies_are_brought_to_the_same_opset() {
    let body = |value: f32| {
        let clip = [("max", Attribute::Float(value))];
        let builder = Builder::new(10).node("Clip", &["x"], &["clipped"], &clip);
        Attribute::Graph(builder.node("Softmax", &["clipped"], &["y"], &[]).output("y").graph())
    };
    let attributes = [("then_branch", body(0.5)), ("else_branch", body(0.25))];
    let model = Builder::new(10)
        .input("x", support::tensor_type(DataType::Float32, &["2", "3", "4"]))
        .input("which", support::tensor_type(DataType::Bool, &[]))
        .node("If", &["which"], &["out"], &attributes)
        .output("out")
        .model();
    let mut upgraded = model.clone();
    let changes = upgrade(&mut upgraded.graph).expect("upgraded");
    assert_eq!(changes, BTreeMap::from([("Clip".to_string(), 2), ("Softmax".to_string(), 2)]));
    let again = Model::from_onnx(upgraded.to_onnx().expect("written"), &Default::default()).expect("read");
    let x = Random::new(3).tensor(&[2, 3, 4]);
    for which in [true, false] {
        let feeds = [("x".to_string(), x.clone().into()), ("which".to_string(), support::bools(&[], &[which]).into())];
        let (before, after) = (run(model.clone(), &feeds), run(again.clone(), &feeds));
        assert_eq!(before[0].bytes(), after[0].bytes());
    }
}

#[test]
fn nodes_of_one_graph_may_be_of_several_opsets() {
    let mut model = Builder::new(13)
        .input("x", support::tensor_type(DataType::Float32, &["2", "6"]))
        .constant("axes", i64s(&[1], &[0]))
        .node("Unsqueeze", &["x", "axes"], &["a"], &[])
        .node("Unsqueeze", &["a"], &["b"], &[("axes", ints(&[0]))])
        .node("Relu", &["b"], &["c"], &[])
        .output("c")
        .model();
    // As a function of opset 11 leaves it.
    model.graph.nodes[1].opset = 11;
    assert_eq!(model.to_onnx().expect_err("two opsets").kind(), ErrorKind::Unsupported);
    upgrade(&mut model.graph).expect("upgraded");
    assert_eq!(model.graph.opsets[""], OPSET);
    assert!(model.to_onnx().is_ok());
    // What is newer is not made older.
    model.graph.nodes[2].opset = 23;
    upgrade(&mut model.graph).expect("upgraded");
    assert_eq!(model.graph.opsets[""], 23);
}

#[test]
fn all_that_has_no_counterpart_is_named_at_once() {
    let mut model = Builder::new(9)
        .input("x", support::tensor_type(DataType::Float32, &["2", "3"]))
        .constant("c", f32s(&[3], vec![1.0; 3]))
        .node("BatchNormalization", &["x", "c", "c", "c", "c"], &["a"], &[("spatial", Attribute::Int(0))])
        .node("BatchNormalization", &["a", "c", "c", "c", "c"], &["b", "", "", "mean"], &[])
        .node("Relu", &["b"], &["d"], &[])
        .node("Relu", &["d"], &["e"], &[])
        .node("Relu", &["mean"], &["f"], &[])
        .output("e")
        .output("f")
        .model();
    model.graph.nodes[2].opset = 6;
    model.graph.nodes[3].opset = 24;
    let before = format!("{:?}", model.graph.nodes);
    let error = upgrade(&mut model.graph).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
    for part in [
        "BatchNormalization of opset 9 with spatial = 0 (1 node: \"BatchNormalization_0\")",
        "BatchNormalization of opset 9 whose saved mean or variance is used (1 node: \"BatchNormalization_1\")",
        "Relu of opset 6 (1 node: \"Relu_2\")",
        "Relu of opset 24 (1 node: \"Relu_3\")",
    ] {
        assert!(error.message().contains(part), "{part:?} is not in: {error}");
    }
    assert_eq!(before, format!("{:?}", model.graph.nodes), "the graph is as it was");
}
