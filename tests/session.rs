//! What a caller may get wrong: files, graphs, inputs and outputs. Each mistake has its kind, and
//! the session answers the next good call.

mod support;

use firebrand::graph::{Attribute, Graph, ValueType};
use firebrand::runtime::{Fate, NodeFate};
use firebrand::{DataType, DeviceKind, Error, ErrorKind, Feed, Model, Result, RunOptions, Session, Tensor};
use support::{Builder, bools, f32s, i64s, into_tensor, numbers, tensor_type};

fn refused<T>(result: Result<T>, kind: ErrorKind, parts: &[&str]) {
    match result {
        Ok(_) => panic!("expected {kind}, got an answer"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            for part in parts {
                assert!(error.to_string().contains(part), "{part:?} is missing in: {error}");
            }
        }
    }
}

/// A protobuf field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A protobuf field of a number.
fn number(number: u8, value: u64) -> Vec<u8> {
    let mut out = vec![number << 3];
    varint(value, &mut out);
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `y = x + w`, with `w` the given TensorProto.
fn file(weight: &[u8]) -> Vec<u8> {
    let info = |name: &str| {
        let shape = field(2, &field(1, &number(1, 2)));
        let tensor = field(1, &[number(1, 1), shape].concat());
        [field(1, name.as_bytes()), field(2, &tensor)].concat()
    };
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat();
    let graph =
        [field(1, &node), field(2, b"g"), field(5, weight), field(11, &info("x")), field(12, &info("y"))].concat();
    // The opset last: a file cut before it is recognised.
    [number(1, 8), field(7, &graph), field(8, &number(2, 13))].concat()
}

fn weight(dims: &[i64], rest: &[Vec<u8>]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d as u64)).collect();
    [dims, number(2, 1), field(8, b"w"), rest.concat()].concat()
}

fn good() -> Vec<u8> {
    let bytes: Vec<u8> = [1f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    file(&weight(&[2], &[field(9, &bytes)]))
}

fn read(bytes: Vec<u8>) -> Result<Model> {
    Model::from_onnx(bytes, &Default::default())
}

#[test]
fn a_whole_file_runs() {
    let session = Session::load_blocking(read(good()).unwrap_or_else(|e| panic!("{e}")), Default::default());
    let session = session.unwrap_or_else(|e| panic!("{e}"));
    let outputs = session.run_blocking([("x".into(), f32s(&[2], vec![10.0, 20.0]).into())], RunOptions::default());
    let outputs = outputs.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(numbers(&into_tensor(outputs[0].1.clone())), [11.0, 22.0]);
}

#[test]
fn files_that_are_no_models_are_told_apart() {
    refused(read(Vec::new()), ErrorKind::EmptyFile, &["0 bytes"]);
    refused(read(b"<!DOCTYPE html><html></html>".to_vec()), ErrorKind::NotAModel, &["HTML"]);
    refused(read(b"\xef\xbb\xbf  <html>".to_vec()), ErrorKind::NotAModel, &["HTML"]);
    refused(read(b"{\"error\": 404}".to_vec()), ErrorKind::NotAModel, &["JSON"]);
    refused(read(b"version https://git-lfs.github.com/spec/v1\noid".to_vec()), ErrorKind::NotAModel, &["LFS"]);
    for bytes in [&b"Not found\n"[..], b"PK\x03\x04zip", b"\x89PNG\r\n", b"\n\n\n\n", b"hello", &[0; 64], &[0xff; 64]] {
        refused(read(bytes.to_vec()), ErrorKind::NotAModel, &["not an ONNX model"]);
    }
}

#[test]
fn a_file_cut_anywhere_is_called_truncated() {
    let whole = good();
    for length in 1..whole.len() {
        refused(read(whole[..length].to_vec()), ErrorKind::Truncated, &["cut short"]);
        let _ = firebrand::onnx::inspect(whole[..length].to_vec());
    }
}

#[test]
fn weights_of_impossible_sizes_are_refused() {
    let raw = |n: usize| field(9, &vec![0; n]);
    refused(read(file(&weight(&[-2], &[raw(8)]))), ErrorKind::InvalidModel, &["initializer \"w\"", "negative"]);
    refused(read(file(&weight(&[i64::MAX, 2], &[raw(8)]))), ErrorKind::LimitExceeded, &["larger than memory"]);
    refused(read(file(&weight(&[1 << 40, 1 << 40], &[raw(8)]))), ErrorKind::LimitExceeded, &[]);
    refused(read(file(&weight(&[2], &[raw(7)]))), ErrorKind::InvalidModel, &["8 bytes", "7 bytes"]);
    refused(read(file(&weight(&[1 << 20], &[raw(4)]))), ErrorKind::InvalidModel, &["got 4 bytes"]);
    refused(read(file(&weight(&[1; 100], &[raw(4)]))), ErrorKind::LimitExceeded, &["100 dimensions"]);
}

fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries = entries.iter().map(|(k, v)| field(13, &[field(1, k.as_bytes()), field(2, v.as_bytes())].concat()));
    file(&weight(&[2], &[entries.flatten().collect(), number(14, 1)]))
}

#[test]
fn weight_files_are_found_checked_and_kept_beside_the_model() {
    let missing = read(external(&[("location", "w.bin")]));
    assert_eq!(missing.as_ref().err().and_then(Error::file), Some("w.bin"));
    refused(missing, ErrorKind::MissingExternalData, &["w.bin"]);
    for path in ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w.bin", "http://x/w"] {
        refused(read(external(&[("location", path)])), ErrorKind::InvalidModel, &["beside the model"]);
    }
    let given = |length: usize| [("w.bin".to_string(), vec![0u8; length].into())].into();
    let with = |entries: &[(&str, &str)], length| Model::from_onnx(external(entries), &given(length));
    assert!(with(&[("location", "w.bin"), ("offset", "4"), ("length", "8")], 12).is_ok());
    refused(with(&[("location", "w.bin"), ("offset", "8")], 12), ErrorKind::Truncated, &["8–16", "ends at 12"]);
    let most = usize::MAX.to_string();
    refused(with(&[("location", "w.bin"), ("offset", &most)], 12), ErrorKind::Truncated, &[]);
    refused(with(&[("location", "w.bin"), ("length", "-1")], 12), ErrorKind::InvalidModel, &["length"]);
    refused(with(&[("location", "w.bin"), ("length", "4")], 12), ErrorKind::InvalidModel, &["got 4 bytes"]);
}

#[test]
fn graphs_nested_too_deep_are_refused() {
    let mut body = field(2, b"g");
    for _ in 0..40 {
        let attribute = [field(1, b"body"), field(6, &body), vec![0xa0, 0x01, 5]].concat();
        body = field(1, &[field(4, b"If"), field(5, &attribute)].concat());
    }
    let model = [number(1, 8), field(7, &body), field(8, &number(2, 13))].concat();
    let error = read(model.clone()).err().unwrap_or_else(|| panic!("read"));
    assert!(matches!(error.kind(), ErrorKind::LimitExceeded | ErrorKind::InvalidModel), "{error}");
    let _ = firebrand::onnx::inspect(model);
}

fn order(graph: Graph) -> Result<Vec<usize>> {
    graph.topological_order()
}

fn float_input(dims: &[&str]) -> ValueType {
    tensor_type(DataType::Float32, dims)
}

#[test]
fn nodes_are_put_in_order_and_impossible_orders_refused() {
    let graph = || Builder::new(13).input("x", float_input(&["2"]));
    let ordered = graph().node("Relu", &["a"], &["y"], &[]).node("Neg", &["x"], &["a"], &[]).output("y");
    assert_eq!(order(ordered.graph()).ok(), Some(vec![1, 0]));
    let cycle = graph().node("Relu", &["b"], &["a"], &[]).node("Neg", &["a"], &["b"], &[]).output("a");
    refused(order(cycle.graph()), ErrorKind::InvalidModel, &["cycle"]);
    let missing = graph().node("Relu", &["z"], &["y"], &[]).output("y");
    refused(order(missing.graph()), ErrorKind::InvalidModel, &["\"z\"", "nothing makes"]);
    let twice = graph().node("Relu", &["x"], &["y"], &[]).node("Neg", &["x"], &["y"], &[]).output("y");
    refused(order(twice.graph()), ErrorKind::InvalidModel, &["made twice"]);
    let input_again = graph().node("Relu", &["x"], &["x"], &[]).output("x");
    refused(order(input_again.graph()), ErrorKind::InvalidModel, &["made twice"]);
    let no_output = graph().node("Relu", &["x"], &["y"], &[]).output("z");
    refused(order(no_output.graph()), ErrorKind::InvalidModel, &["\"z\""]);
}

#[test]
fn operators_are_refused_all_at_once_and_by_name() {
    let graph = Builder::new(13)
        .input("x", float_input(&["2"]))
        .node("Foo", &["x"], &["a"], &[])
        .node("Foo", &["a"], &["b"], &[])
        .node("Bar", &["b"], &["y"], &[])
        .output("y");
    refused(
        graph.load(),
        ErrorKind::UnsupportedOperator,
        &["Bar (1 node: \"Bar_2\")", "Foo (2 nodes: \"Foo_0\", \"Foo_1\")"],
    );
    let relu =
        |opset| Builder::new(opset).input("x", float_input(&["2"])).node("Relu", &["x"], &["y"], &[]).output("y");
    refused(relu(0).load(), ErrorKind::InvalidModel, &["opset 0"]);
    refused(relu(99).load(), ErrorKind::Unsupported, &["opset 99"]);
    let attribute = Builder::new(13)
        .input("x", float_input(&["2"]))
        .node("Relu", &["x"], &["y"], &[("slope", Attribute::Float(0.1))])
        .output("y");
    refused(attribute.load(), ErrorKind::Unsupported, &["Relu_0", "slope"]);
    let dtypes = Builder::new(13)
        .input("x", float_input(&["2"]))
        .constant("i", i64s(&[2], &[1, 2]))
        .node("Add", &["x", "i"], &["y"], &[])
        .output("y");
    refused(dtypes.load(), ErrorKind::DtypeMismatch, &["Add_0", "expected float32", "got int64"]);
}

fn picture() -> Session {
    let builder = Builder::new(13)
        .input("pixels", float_input(&["N", "3", "4", "5"]))
        .input("scale", float_input(&["N", "1", "1", "1"]))
        .node("Mul", &["pixels", "scale"], &["scaled"], &[])
        .node("Relu", &["scaled"], &["positive"], &[])
        .output("scaled")
        .output("positive");
    builder.load().unwrap_or_else(|e| panic!("{e}"))
}

fn feeds(pixels: Tensor, scale: Tensor) -> Vec<(String, Feed)> {
    vec![("pixels".into(), pixels.into()), ("scale".into(), scale.into())]
}

#[test]
fn wrong_inputs_are_named_and_the_next_call_is_answered() {
    let session = picture();
    let (pixels, scale) = (|| f32s(&[2, 3, 4, 5], vec![1.0; 120]), || f32s(&[2, 1, 1, 1], vec![2.0, -1.0]));
    let run = |inputs: Vec<(String, Feed)>| session.run_blocking(inputs, RunOptions::default());
    let good = || assert_eq!(run(feeds(pixels(), scale())).map(|o| o.len()).ok(), Some(2));

    refused(
        run(vec![("pixel".into(), pixels().into())]),
        ErrorKind::UnknownInput,
        &["\"pixel\"", "did you mean \"pixels\""],
    );
    good();
    refused(
        run(vec![("pixels".into(), pixels().into())]),
        ErrorKind::MissingInput,
        &["\"scale\" (float32 [N, 1, 1, 1])"],
    );
    good();
    let mut extra = feeds(pixels(), scale());
    extra.push(("other".into(), scale().into()));
    refused(run(extra), ErrorKind::UnknownInput, &["\"other\""]);
    let mut twice = feeds(pixels(), scale());
    twice.push(("scale".into(), scale().into()));
    refused(run(twice), ErrorKind::InvalidArgument, &["twice"]);
    refused(
        run(feeds(i64s(&[1], &[1]), scale())),
        ErrorKind::DtypeMismatch,
        &["\"pixels\"", "expected float32", "got int64 [1]"],
    );
    refused(
        run(feeds(f32s(&[2, 4, 5, 3], vec![0.0; 120]), scale())),
        ErrorKind::ShapeMismatch,
        &["expected float32 [N, 3, 4, 5]", "got float32 [2, 4, 5, 3]", "NHWC"],
    );
    refused(run(feeds(f32s(&[3, 4, 5], vec![0.0; 60]), scale())), ErrorKind::ShapeMismatch, &["batch dimension"]);
    refused(
        run(feeds(pixels(), f32s(&[1, 1, 1, 1], vec![1.0]))),
        ErrorKind::ShapeMismatch,
        &["\"scale\": N is 1", "\"pixels\" has N = 2"],
    );
    refused(
        run(vec![("pixels".into(), Feed::Sequence(DataType::Float32, vec![])), ("scale".into(), scale().into())]),
        ErrorKind::DtypeMismatch,
        &["expected a tensor, float32 [N, 3, 4, 5], got a sequence"],
    );
    good();
}

#[test]
fn only_the_outputs_asked_for_are_computed() {
    let session = picture();
    let inputs = || feeds(f32s(&[1, 3, 4, 5], vec![-1.0; 60]), f32s(&[1, 1, 1, 1], vec![2.0]));
    let run = |names: &[&str]| {
        let count = std::cell::Cell::new(0);
        let on_node = |_: usize, total: usize| count.set(total);
        let outputs = Some(names.iter().map(ToString::to_string).collect());
        let options = RunOptions { outputs, on_node: Some(&on_node), ..RunOptions::default() };
        session.run_blocking(inputs(), options).map(|outputs| (outputs, count.get()))
    };
    let (outputs, nodes) = run(&["scaled"]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((outputs.len(), nodes), (1, 1));
    assert_eq!(numbers(&into_tensor(outputs[0].1.clone()))[0], -2.0);
    let (outputs, nodes) = run(&["positive", "scaled"]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((outputs[0].0.as_str(), outputs[1].0.as_str(), nodes), ("positive", "scaled", 2));
    refused(run(&["positiv"]), ErrorKind::UnknownOutput, &["did you mean \"positive\""]);
    refused(run(&[]), ErrorKind::InvalidArgument, &["no output"]);
}

#[test]
fn the_fate_of_every_node_is_told() {
    let model = Builder::new(17).input("x", tensor_type(DataType::Float32, &["2"]));
    let model = model.constant("w", f32s(&[2], vec![1.0, 4.0]));
    let model = model.node("Add", &["x", "root"], &["y"], &[]).node("Sqrt", &["w"], &["root"], &[]).output("y");
    let session = model.load().unwrap_or_else(|e| panic!("{e}"));
    let of =
        |name: &str, op_type: &str, fate| NodeFate { name: name.into(), op_type: op_type.into(), fate, note: None };
    let runs = Fate::Runs { as_op: "Add".into(), device: DeviceKind::Cpu };
    assert_eq!(session.info().nodes, [of("Sqrt_1", "Sqrt", Fate::Folded), of("Add_0", "Add", runs)]);
}

#[test]
fn a_value_used_twice_and_one_given_through_stay_whole() {
    let builder = Builder::new(13)
        .input("x", float_input(&["2"]))
        .node("Add", &["x", "x"], &["double"], &[])
        .node("Neg", &["x"], &["negative"], &[])
        .node("Relu", &["negative"], &["unused"], &[])
        .output("double")
        .output("negative")
        .output("x");
    let session = builder.load().unwrap_or_else(|e| panic!("{e}"));
    let x = f32s(&[2], vec![1.0, -2.0]);
    for _ in 0..2 {
        let outputs = session.run_blocking([("x".into(), x.clone().into())], RunOptions::default());
        let outputs = outputs.unwrap_or_else(|e| panic!("{e}"));
        let values: Vec<Vec<f64>> = outputs.into_iter().map(|(_, f)| numbers(&into_tensor(f))).collect();
        assert_eq!(values, [vec![2.0, -4.0], vec![-1.0, 2.0], vec![1.0, -2.0]]);
    }
}

#[test]
fn a_node_that_asks_for_too_much_memory_is_refused() {
    let builder = Builder::new(13)
        .input("shape", tensor_type(DataType::Int64, &["2"]))
        .node("ConstantOfShape", &["shape"], &["y"], &[])
        .output("y");
    let session = builder.load().unwrap_or_else(|e| panic!("{e}"));
    let run =
        |dims: [i64; 2]| session.run_blocking([("shape".into(), i64s(&[2], &dims).into())], RunOptions::default());
    refused(run([1 << 20, 1 << 20]), ErrorKind::LimitExceeded, &["ConstantOfShape_0", "limit"]);
    refused(run([i64::MAX, i64::MAX]), ErrorKind::LimitExceeded, &["larger than memory"]);
    refused(run([-1, 2]), ErrorKind::InvalidArgument, &["negative"]);
    assert!(run([2, 2]).is_ok());

    let builder = Builder::new(13)
        .input("x", tensor_type(DataType::String, &["1"]))
        .input("shape", tensor_type(DataType::Int64, &["1"]))
        .node("Expand", &["x", "shape"], &["y"], &[])
        .output("y");
    let session = builder.load().unwrap_or_else(|e| panic!("{e}"));
    let run = |length: usize, times: i64| {
        let x = Tensor::from_strings(vec![1], vec!["x".repeat(length)]).expect("one");
        session.run_blocking(
            [("x".into(), x.into()), ("shape".into(), i64s(&[1], &[times]).into())],
            RunOptions::default(),
        )
    };
    refused(run(1, 1 << 29), ErrorKind::LimitExceeded, &["Expand_0", "limit"]);
    refused(run(1 << 20, 1 << 13), ErrorKind::LimitExceeded, &["strings", "limit"]);
    assert!(run(1 << 20, 2).is_ok());
}

#[test]
fn data_must_fit_its_shape() {
    refused(Tensor::from_vec(vec![2, 2], vec![1f32; 3]), ErrorKind::DataLengthMismatch, &["4 elements", "got 3"]);
    refused(
        Tensor::from_bytes(DataType::Int16, vec![2], vec![0; 3]),
        ErrorKind::DataLengthMismatch,
        &["4 bytes", "3 bytes"],
    );
    refused(Tensor::from_bytes(DataType::Bool, vec![1], vec![2]), ErrorKind::InvalidArgument, &["0 and 1"]);
    refused(Tensor::from_strings(vec![2], vec![]), ErrorKind::DataLengthMismatch, &["got 0"]);
    assert_eq!(bools(&[2], &[true, false]).bytes(), Some(&[1, 0][..]));
}
