//! Whole models against the outputs of ONNX Runtime stored in `tests/models` (see `oracle.py`
//! there for the format).

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firebrand::{DataType, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

/// Reads a NumPy file of little-endian, row-major elements.
fn npy(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "{} is no NumPy file of version 1", path.display());
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).expect("the header is text");
    let field = |key: &str| header.split_once(key).expect("the header has every key").1.trim_start();
    let dtype = match field("'descr':").split('\'').nth(1) {
        Some("<f4") => DataType::Float32,
        Some("<i4") => DataType::Int32,
        Some("<i8") => DataType::Int64,
        Some("|u1") => DataType::Uint8,
        other => panic!("{}: dtype {other:?}", path.display()),
    };
    assert!(field("'fortran_order':").starts_with("False"));
    let shape = field("'shape':").trim_start_matches('(').split_once(')').expect("a tuple").0;
    let shape = shape.split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().expect("a size"));
    Tensor::from_bytes(dtype, shape.collect(), bytes[end..].to_vec()).expect("as many bytes as the shape asks for")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("\"{key}\" is missing in {value}"))
}

/// The input that a case describes.
fn input(case: &Path, entry: &Value) -> Tensor {
    if entry.get("file").is_some() {
        return npy(&case.join(text(entry, "file")));
    }
    let pixels = npy(&case.join(text(entry, "pixels")));
    let [height, width, 3] = *pixels.shape() else { panic!("{pixels:?}") };
    let pixels = pixels.as_slice::<u8>().expect("bytes");
    let list = |key: &str| -> Vec<f32> {
        entry[key].as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
    };
    let (mean, scale) = (list("mean"), list("scale"));
    let bgr = text(entry, "color") == "bgr";
    let value = |y: usize, x: usize, c: usize| {
        let channel = if bgr { 2 - c } else { c };
        (f32::from(pixels[(y * width + x) * 3 + channel]) - mean[c]) * scale[c]
    };
    let nchw = text(entry, "layout") == "nchw";
    let shape = if nchw { vec![1, 3, height, width] } else { vec![1, height, width, 3] };
    let values = (0..3 * height * width).map(|i| {
        if nchw {
            value(i / width % height, i % width, i / width / height)
        } else {
            value(i / 3 / width, i / 3 % width, i % 3)
        }
    });
    Tensor::from_vec(shape, values.collect()).expect("as many values as the shape asks for")
}

/// Runs all cases of a model. `probabilities` are compared absolutely, other outputs relative to
/// their largest element.
fn check(model: &str, probabilities: bool) {
    let Some(file) = support::data(&format!("models/{model}.onnx")) else { return };
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let model_file = Model::from_onnx(bytes, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let session = Session::load_blocking(model_file, SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder().join(model)).expect("cases are stored").flatten().map(|e| e.path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    let described = |case: &PathBuf| -> Value {
        let json = std::fs::read_to_string(case.join("case.json")).expect("a case has a case.json");
        serde_json::from_str(&json).expect("case.json is JSON")
    };
    for case in cases {
        let name = case.file_name().expect("a case has a name").to_string_lossy().into_owned();
        let json = described(&case);
        let entries = |key: &str| json[key].as_object().expect("an object").iter();
        let inputs: Vec<(String, Feed)> = entries("inputs").map(|(n, e)| (n.clone(), input(&case, e).into())).collect();
        let outputs =
            session.run_blocking(inputs, RunOptions::default()).unwrap_or_else(|e| panic!("{model}/{name}: {e}"));
        let outputs: BTreeMap<String, Tensor> =
            outputs.into_iter().map(|(n, feed)| (n, support::into_tensor(feed))).collect();
        for (output, entry) in entries("outputs") {
            let expected = npy(&case.join(text(entry, "file")));
            let got = outputs.get(output).unwrap_or_else(|| panic!("{model}/{name}: no output \"{output}\""));
            let largest = support::numbers(&expected).into_iter().fold(0f64, |m, v| m.max(v.abs()));
            // `noise` is how far ONNX Runtime's own answers lie apart by rounding alone; a third way
            // of rounding may lie on either side of both.
            let noise = 2.0 * entry["noise"].as_f64().unwrap_or(0.0);
            let tolerance = if probabilities { 1e-5 } else { 1e-5 * largest.max(1.0) }.max(noise);
            match support::compare(got, &expected, 0.0, tolerance) {
                Ok(difference) => println!("{model}/{name} \"{output}\": {difference:.1e} of at most {largest:.3}"),
                Err(e) => panic!("{model}/{name} \"{output}\": {e}"),
            }
        }
        if let Some(expect) = json.get("expect") {
            let values = support::numbers(&outputs[text(expect, "output")]);
            let best = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
            assert_eq!(best.map(|b| b as u64), expect["index"].as_u64(), "{model}/{name}: {}", expect["label"]);
        }
    }
}

#[test]
fn squeezenet() {
    check("squeezenet1.1", true);
}

#[test]
fn squeezenet_int8() {
    check("squeezenet1.1-int8", true);
}

#[test]
fn efficientnet() {
    check("efficientnet-lite0", true);
}

#[test]
fn efficientnet_folded() {
    check("efficientnet-lite0-folded", true);
}

#[test]
fn efficientnet_int8() {
    check("efficientnet-lite0-int8", true);
}

#[test]
fn blazeface_front() {
    check("blazeface-front", false);
}

#[test]
fn blazeface_back() {
    check("blazeface-back", false);
}

#[test]
fn magika() {
    check("magika", true);
}

#[test]
fn basic_pitch() {
    check("basic-pitch", true);
}

#[test]
fn silero_vad() {
    check("silero-vad", true);
}

#[test]
fn speech_embedding() {
    check("speech-embedding", false);
}
