//! TensorFlow.js graph models against TensorFlow (`tests/import/tfjs_graph.py`), and files that are damaged.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::import::{Beside, Format, ImportOptions, import};
use firebrand::{DataType, ErrorKind, ExternalData, Feed, Model, Result, RunOptions, Session, SessionOptions, Tensor};
use serde_json::Value;
use support::Random;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/tfjs-graph")
}

fn stored(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("tests/import/tfjs_graph.py wrote it")
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&stored(name)).expect("JSON")
}

/// The shards beside a model, each shortened by so many bytes.
struct Shards(usize);

impl Beside for Shards {
    fn read(&self, name: &str) -> Result<Bytes> {
        match std::fs::read(folder().join(name)) {
            Ok(bytes) => Ok(Bytes::from(bytes[..bytes.len() - self.0.min(bytes.len())].to_vec())),
            Err(_) => firebrand::import::Alone.read(name),
        }
    }
}

fn convert(bytes: &[u8]) -> Result<Model> {
    import("model.json", bytes.to_vec().into(), &Shards(0), &ImportOptions::default()).map(|imported| imported.model)
}

fn tensor(entry: &Value) -> Tensor {
    let numbers = |key: &str| entry[key].as_array().expect("a list").clone();
    let shape = numbers("shape").iter().map(|v| v.as_u64().expect("a size") as usize).collect();
    let data = numbers("data");
    let dtype = DataType::from_name(entry["dtype"].as_str().expect("a type")).expect("a known type");
    if dtype == DataType::Float32 {
        let real = |v: &Value| v.as_f64().expect("a number") as f32;
        return Tensor::from_vec(shape, data.iter().map(real).collect()).expect("as many as the shape asks for");
    }
    let bytes = data.iter().flat_map(|v| v.as_i64().expect("an integer").to_le_bytes().into_iter().take(dtype.size()));
    Tensor::from_bytes(dtype, shape, bytes.collect()).expect("as many as the shape asks for")
}

fn answers(bytes: &[u8], inputs: Vec<(String, Feed)>) -> Result<HashMap<String, Tensor>> {
    let written = convert(bytes)?.to_onnx()?;
    let model = Model::from_onnx(written, &ExternalData::new())?;
    let session = Session::load_blocking(model, SessionOptions::default())?;
    let outputs = session.run_blocking(inputs, RunOptions::default())?;
    Ok(outputs.into_iter().map(|(name, feed)| (name, support::into_tensor(feed))).collect())
}

#[test]
fn graphs_give_what_tensorflow_gives() {
    let mut wrong = Vec::new();
    for (name, case) in json("cases.json").as_object().expect("cases") {
        let object = |key: &str| case[key].as_object().expect("tensors").clone();
        let inputs = object("inputs").iter().map(|(name, entry)| (name.clone(), Feed::Tensor(tensor(entry)))).collect();
        let outputs = match answers(&stored(&format!("{name}.json")), inputs) {
            Ok(outputs) => outputs,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(outputs.len(), object("outputs").len(), "{name}");
        for (output, entry) in object("outputs") {
            let expected = tensor(&entry);
            let Some(got) = outputs.get(&output) else {
                wrong.push(format!("{name}: no output \"{output}\""));
                continue;
            };
            if let Err(difference) = support::compare(got, &expected, 1e-5, 1e-5) {
                wrong.push(format!("{name} \"{output}\": {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn error(bytes: &[u8]) -> firebrand::Error {
    convert(bytes).expect_err("no model comes of it")
}

/// A stored model with some text in place of other text.
fn changed(name: &str, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(stored(name)).expect("JSON is text");
    assert!(text.contains(from), "{name} has no {from}");
    text.replace(from, to).into_bytes()
}

#[test]
fn the_format_is_told_by_the_content() {
    assert_eq!(Format::of("anything", &stored("network.json")).expect("a format"), Format::TfjsGraph);
}

#[test]
fn operators_without_a_counterpart_are_all_named_with_counts() {
    let bytes = changed("network.json", "\"op\":\"LeakyRelu\"", "\"op\":\"Strange\"");
    let bytes =
        String::from_utf8(bytes).expect("text").replace("\"op\":\"Softmax\"", "\"op\":\"Stranger\"").into_bytes();
    let error = error(&bytes);
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
    assert!(
        error.to_string().contains("Strange (1 time: ") && error.to_string().contains("Stranger (1 time: "),
        "{error}"
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for (name, from, to, kind, says) in [
        ("network.json", "network.bin", "other.bin", ErrorKind::MissingExternalData, "other.bin"),
        ("network.json", "network.bin", "../network.bin", ErrorKind::InvalidModel, "no file beside"),
        (
            "fused-product.json",
            "\"name\":\"w0\",\"shape\"",
            "\"name\":\"v\",\"shape\"",
            ErrorKind::InvalidModel,
            "\"w0\"",
        ),
        ("fused-product.json", "[\"x\",\"w0\",\"w1\"]", "[\"y\",\"w0\",\"w1\"]", ErrorKind::InvalidModel, "cycle"),
        ("fused-product.json", "[\"x\",\"w0\",\"w1\"]", "[\"z\",\"w0\",\"w1\"]", ErrorKind::InvalidModel, "\"z\""),
        ("fused-product.json", "\"shape\":[4,5]", "\"shape\":[4000000000,5]", ErrorKind::Truncated, "\"w0\""),
        ("uint8.json", "\"dtype\":\"uint8\"", "\"dtype\":\"uint7\"", ErrorKind::Unsupported, "uint7"),
    ] {
        let error = error(&changed(name, from, to));
        assert_eq!(error.kind(), kind, "{to}: {error}");
        assert!(error.to_string().contains(says), "{to}: {error}");
    }
    let bytes = stored("network.json");
    assert_eq!(error(&bytes[..bytes.len() - 20]).kind(), ErrorKind::Truncated);
    let short = import("model.json", bytes.into(), &Shards(1), &ImportOptions::default());
    assert_eq!(short.expect_err("a shard is too short").kind(), ErrorKind::Truncated);
}

#[test]
fn damaged_graphs_never_panic() {
    let mut names: Vec<String> = json("cases.json").as_object().expect("cases").keys().cloned().collect();
    names.sort();
    let files: Vec<(String, Vec<u8>)> =
        names.into_iter().map(|name| (name.clone(), stored(&format!("{name}.json")))).collect();
    let number = |key: &str| std::env::var(key).ok().and_then(|s| s.parse::<u64>().ok());
    let (seed, seconds) = (number("SEED").unwrap_or(0), number("SECONDS").unwrap_or(5));
    let start = std::time::Instant::now();
    let (mut tried, mut loaded) = (0u64, 0u64);
    let mut panics = Vec::new();
    std::panic::set_hook(Box::new(|_| {}));
    'time: for round in 0.. {
        for (name, original) in &files {
            if start.elapsed().as_secs() >= seconds {
                break 'time;
            }
            let mut bytes = original.clone();
            let mut random = Random::new(seed ^ (round << 32) ^ tried);
            // Digits and letters for others: JSON that is none is told at once, and tests nothing.
            for _ in 0..random.within(1, 4) {
                let at = random.within(0, bytes.len() - 1);
                let digits = bytes[at].is_ascii_digit();
                let letter = bytes[at].is_ascii_alphabetic();
                match random.within(0, 9) {
                    0 => bytes[at] = random.bits() as u8,
                    _ if digits => bytes[at] = b'0' + (random.bits() % 10) as u8,
                    _ if letter => bytes[at] = bytes[random.within(0, original.len() - 1)],
                    _ => {}
                }
            }
            let attempt = std::panic::catch_unwind(|| {
                let Ok(model) = convert(&bytes) else { return false };
                let options = SessionOptions { max_tensor_bytes: 1 << 22, ..SessionOptions::default() };
                Session::load_blocking(model, options).is_ok()
            });
            match attempt {
                Ok(was_loaded) => loaded += u64::from(was_loaded),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    panics.push(format!("{name}, number {tried}: {}", text.unwrap_or_default()));
                }
            }
            tried += 1;
        }
    }
    let _ = std::panic::take_hook();
    println!("{tried} damaged graphs tried, {loaded} still loaded");
    assert!(panics.is_empty(), "{} panics of {tried}:\n{}", panics.len(), panics[..panics.len().min(20)].join("\n"));
    assert!(loaded > 0, "no damaged graph was read: the test does not reach the operators");
}
