//! Files of weights alone, with the graph of their architecture, against the same networks as other programs made
//! them; and files that are damaged, hostile, or no weights at all.

mod support;

use std::path::Path;

use firebrand::graph::{Dim, ValueType};
use firebrand::import::{Alone, Format, ImportOptions, Imported, import};
use firebrand::{DataType, ErrorKind, Feed, Model, Result, RunOptions, Session, SessionOptions, Tensor};
use support::Random;

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn convert(name: &str, bytes: Vec<u8>, arch: Option<&str>) -> Result<Imported> {
    import(name, bytes.into(), &Alone, &ImportOptions { arch: arch.map(str::to_string) })
}

fn answers(model: Model, inputs: &[(String, Feed)]) -> Vec<(String, Tensor)> {
    let session = Session::load_blocking(model, SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let outputs = session.run_blocking(inputs.to_vec(), RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    outputs.into_iter().map(|(name, feed)| (name, support::into_tensor(feed))).collect()
}

/// Converts `weights` of the cache and compares with the model `prepared` from the same package, on random pictures.
fn same_as_prepared(weights: &str, arch: &str, prepared: &str, range: f32) {
    let (Some(weights), Some(prepared)) = (support::data(weights), support::data(prepared)) else { return };
    let name = weights.file_name().expect("a file").to_string_lossy().into_owned();
    let imported = convert(&name, read(&weights), Some(arch)).unwrap_or_else(|e| panic!("{e}"));
    // Through the file that `firebrand convert` writes.
    let written = imported.model.to_onnx().unwrap_or_else(|e| panic!("{e}"));
    let ours = Model::from_onnx(written, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let theirs = Model::from_onnx(read(&prepared), &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(ours.graph.inputs, theirs.graph.inputs);
    assert_eq!(ours.graph.outputs, theirs.graph.outputs);
    let ValueType::Tensor { shape: Some(shape), .. } = &ours.graph.inputs[0].ty else { panic!("an input has a shape") };
    let shape: Vec<usize> = shape.iter().map(|d| if let Dim::Size(size) = d { *size } else { 1 }).collect();
    let picture: Vec<f32> = Random::new(7).floats(shape.iter().product()).into_iter().map(|v| v * range).collect();
    let inputs = vec![(ours.graph.inputs[0].name.clone(), support::f32s(&shape, picture).into())];
    let (ours, theirs) = (answers(ours, &inputs), answers(theirs, &inputs));
    assert_eq!(ours[0].0, theirs[0].0);
    assert!(ours[0].1.bytes() == theirs[0].1.bytes(), "{arch}: {:?}", support::compare(&ours[0].1, &theirs[0].1, 0.0, 0.0));
}

#[test]
fn a_checkpoint_of_efficientnet_gives_the_same_answers_bit_by_bit() {
    same_as_prepared("models/efficientnet-lite0.pth", "efficientnet-lite0", "models/efficientnet-lite0.onnx", 1.0);
}

#[test]
fn arrays_of_squeezenet_give_the_same_answers_bit_by_bit() {
    same_as_prepared("models/squeezenet.pkl", "squeezenet1.1", "models/squeezenet1.1.onnx", 120.0);
}
