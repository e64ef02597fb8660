//! Models written as ONNX and read again.

mod support;

use firebrand::graph::{Attribute, Graph};
use firebrand::{DataType, ExternalData, Model, Tensor};

/// Everything that a graph holds, in an order that does not depend on its maps'.
fn described(graph: &Graph) -> String {
    let tensor = |t: &Tensor| format!("{t:?} {:?} {:?}", t.bytes(), t.strings());
    let mut initializers: Vec<String> = graph.initializers.iter().map(|(n, t)| format!("{n}: {}", tensor(t))).collect();
    initializers.sort();
    let nodes = graph.topological_order().expect("an order").into_iter().map(|index| {
        let node = &graph.nodes[index];
        let mut attributes: Vec<String> = node
            .attributes
            .iter()
            .map(|(name, value)| match value {
                Attribute::Tensor(t) => format!("{name}: {}", tensor(t)),
                Attribute::Graph(g) => format!("{name}: {:?} {:?}", g.inputs, g.nodes.len()),
                value => format!("{name}: {value:?}"),
            })
            .collect();
        attributes.sort();
        format!("{} {} {} {:?} {:?} {attributes:?}", node.name, node.op_type, node.opset, node.inputs, node.outputs)
    });
    format!("{:?} {:?} {:?} {initializers:?}", graph.inputs, graph.outputs, nodes.collect::<Vec<_>>())
}

fn reread(model: &Model) -> Model {
    Model::from_onnx(model.to_onnx().expect("written"), &ExternalData::new()).expect("what was written is read")
}

#[test]
fn what_is_written_is_what_was_read() {
    let Some(suite) = support::data("data/onnx/node") else { return };
    let mut folders: Vec<_> = std::fs::read_dir(suite).expect("cases").flatten().map(|e| e.path()).collect();
    folders.sort();
    let mut written = 0;
    for folder in folders {
        let Ok(bytes) = std::fs::read(folder.join("model.onnx")) else { continue };
        let Ok(model) = Model::from_onnx(bytes, &ExternalData::new()) else { continue };
        if model.graph.topological_order().is_err() {
            continue;
        }
        let once = match model.to_onnx() {
            Ok(once) => once,
            // A function's own opset, or an attribute of no supported operator.
            Err(error) if error.kind() == firebrand::ErrorKind::Unsupported => continue,
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        let again = reread(&model);
        assert_eq!(described(&model.graph), described(&again.graph), "{}", folder.display());
        assert!(again.to_onnx().expect("written") == once, "{}: other bytes the second time", folder.display());
        written += 1;
    }
    assert!(written > 1000, "only {written} cases were written");
}

#[test]
fn large_weights_go_to_files_of_their_own() {
    let nibbles = Tensor::from_bytes(DataType::Uint4, vec![3, 1001], (0..3003).map(|i| (i % 16) as u8).collect());
    let model = support::Builder::new(21)
        .input("x", support::tensor_type(DataType::Float32, &["N", "600"]))
        .constant("a", support::f32s(&[600], (0..600).map(|i| i as f32).collect()))
        .constant("b", support::f32s(&[600], vec![2.0; 600]))
        .constant("small", support::f32s(&[1], vec![3.0]))
        .constant("nibbles", nibbles.expect("4-bit integers"))
        .node("Add", &["x", "a"], &["y"], &[])
        .node("Mul", &["y", "b"], &["z"], &[])
        .node("Mul", &["z", "small"], &["out"], &[])
        .output("out")
        .model();
    for (largest, expected) in [(1 << 20, 1), (2500, 3), (1, 3)] {
        let (bytes, files) =
            model.to_onnx_with_external(largest, |b| format!("weights-{}-{}.bin", b.len(), b[6])).expect("written");
        assert_eq!(files.len(), expected, "files of at most {largest} bytes");
        let external: ExternalData = files.into_iter().map(|f| (f.location, f.bytes.into())).collect();
        let again = Model::from_onnx(bytes, &external).expect("read");
        assert_eq!(described(&model.graph), described(&again.graph));
    }
}

#[test]
fn equal_models_give_equal_bytes() {
    let model = || {
        (0..40)
            .fold(support::Builder::new(17), |b, i| b.constant(&format!("c{i}"), support::f32s(&[1], vec![i as f32])))
            .node(
                "Sum",
                &["c1", "c2"],
                &["y"],
                &[("a", Attribute::Int(1)), ("b", Attribute::Int(2)), ("c", Attribute::Int(3))],
            )
            .output("y")
            .model()
    };
    let first = model().to_onnx().expect("written");
    for _ in 0..8 {
        assert!(model().to_onnx().expect("written") == first);
    }
}
