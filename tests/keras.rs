//! Keras' files and TensorFlow.js' layers: what is imported computes what TensorFlow computes, and what cannot be is
//! refused by name.
#![cfg(feature = "convert")]

mod support;

use std::collections::HashMap;
use std::io::Read;

use firebrand::import::{ImportOptions, import};
use firebrand::{DataType, ErrorKind, ExternalData, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use serde_json::Value as Json;

/// The models that `tests/import/keras.py` made.
struct Stored {
    head: Json,
    cases: Vec<Json>,
    files: HashMap<String, Vec<u8>>,
}

impl Stored {
    fn read() -> Self {
        let packed = std::env::var("KERAS_CASES")
            .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import/keras.br").into());
        let packed = std::fs::read(packed).expect("the stored models");
        let mut raw = Vec::new();
        brotli::Decompressor::new(packed.as_slice(), 1 << 16).read_to_end(&mut raw).expect("brotli");
        let length = u32::from_le_bytes(raw[..4].try_into().expect("four bytes")) as usize;
        let head: Json = serde_json::from_slice(&raw[4..4 + length]).expect("JSON");
        let body = &raw[4 + length..];
        let files = head["files"].as_object().expect("files").iter().map(|(name, place)| {
            let number = |index: usize| place[index].as_u64().expect("a number") as usize;
            (name.clone(), body[number(0)..number(0) + number(1)].to_vec())
        });
        let files = files.collect();
        Self { cases: head["cases"].as_array().expect("cases").clone(), files, head }
    }

    fn tensors(&self, entry: &Json) -> Vec<Tensor> {
        let tensor = |entry: &Json| {
            let dtype = match entry["dtype"].as_str().expect("a dtype") {
                "float32" => DataType::Float32,
                "int32" => DataType::Int32,
                "int64" => DataType::Int64,
                "bool" => DataType::Bool,
                other => panic!("dtype {other}"),
            };
            let shape =
                entry["shape"].as_array().expect("a shape").iter().map(|n| n.as_u64().expect("a size") as usize);
            let bytes = self.files[entry["file"].as_str().expect("a file")].clone();
            Tensor::from_bytes(dtype, shape.collect(), bytes).expect("a tensor")
        };
        entry.as_array().expect("tensors").iter().map(tensor).collect()
    }

    /// The files of every form of every case: case, form, name of the file.
    fn forms(&self) -> Vec<(&Json, &str, &str)> {
        let mut all = Vec::new();
        for case in &self.cases {
            for (form, file) in case["forms"].as_object().expect("forms") {
                all.push((case, form.as_str(), file.as_str().expect("a file")));
            }
        }
        all
    }
}

fn imported(name: &str, bytes: Vec<u8>, shard: Option<&Vec<u8>>) -> firebrand::Result<Model> {
    let beside: ExternalData = shard.map(|shard| ("shard.bin".to_string(), shard.clone().into())).into_iter().collect();
    import(name, bytes.into(), &beside, &ImportOptions::default()).map(|imported| imported.model)
}

/// Through ONNX' bytes and back, then run.
fn outputs(model: &Model, inputs: &[Tensor]) -> firebrand::Result<Vec<Tensor>> {
    let again = Model::from_onnx(model.to_onnx()?, &ExternalData::new())?;
    let session = Session::load_blocking(again, SessionOptions::default())?;
    let names: Vec<String> = session.inputs().map(|input| input.name.clone()).collect();
    assert_eq!(names.len(), inputs.len(), "inputs {names:?}");
    let feeds: Vec<(String, Feed)> = names.into_iter().zip(inputs.iter().cloned().map(Feed::from)).collect();
    let outputs = session.run_blocking(feeds, RunOptions::default())?;
    Ok(outputs.into_iter().map(|(_, feed)| support::into_tensor(feed)).collect())
}

#[test]
fn models_compute_what_tensorflow_computes() {
    let stored = Stored::read();
    let mut wrong = Vec::new();
    let mut worst: f64 = 0.0;
    let forms = stored.forms();
    for (case, form, file) in &forms {
        let shard = stored.files.get(&format!("{file}.bin"));
        let expected = stored.tensors(&case["outputs"]);
        let got = imported(file, stored.files[*file].clone(), shard)
            .and_then(|model| outputs(&model, &stored.tensors(&case["inputs"])));
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                wrong.push(format!("{} ({form}): {error}", case["name"]));
                continue;
            }
        };
        if got.len() != expected.len() {
            wrong.push(format!("{} ({form}): {} outputs, expected {}", case["name"], got.len(), expected.len()));
        }
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            // Sums of this size differ by their order.
            let size = if expected.dtype() == DataType::Float32 {
                support::numbers(expected).into_iter().map(f64::abs).fold(0.0, f64::max)
            } else {
                1.0
            };
            match support::compare(got, expected, 1e-5, 1e-5 * size.max(0.1)) {
                Ok(difference) => worst = worst.max(difference / size.max(0.1)),
                Err(difference) => wrong.push(format!("{} ({form}) output {index}: {difference}", case["name"])),
            }
        }
    }
    println!("{} files, largest difference {worst:.2e} of the largest element", forms.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(forms.len() >= 100 || std::env::var("KERAS_CASES").is_ok(), "only {} files", forms.len());
}

fn cached(path: &str) -> Option<Vec<u8>> {
    support::data(path).map(|path| std::fs::read(path).expect("a readable file"))
}

#[test]
fn emotions_of_faces_are_those_of_tensorflow() {
    let Some(bytes) = cached("models/emotion_model.hdf5") else { return };
    let stored = Stored::read();
    let emotions = &stored.head["emotions"];
    let pixels = &stored.files[emotions["pixels"].as_str().expect("a file")];
    let faces: Vec<f32> = pixels.iter().map(|&pixel| (f32::from(pixel) / 255.0 - 0.5) * 2.0).collect();
    let faces = Tensor::from_vec(vec![pixels.len() / 4096, 64, 64, 1], faces).expect("faces");
    let model = imported("emotion_model.hdf5", bytes, None).expect("imported");
    let transposes = model.graph.nodes.iter().filter(|node| node.op_type == "Transpose").count();
    assert_eq!(transposes, 1, "convolutions from end to end have their channels turned once");
    let input = &model.graph.inputs[0];
    assert_eq!((input.name.as_str(), input.ty.to_string().as_str()), ("input_1", "float32 [N, 64, 64, 1]"));
    let output = &model.graph.outputs[0];
    assert_eq!((output.name.as_str(), output.ty.to_string().as_str()), ("predictions", "float32 [N, 7]"));
    let got = outputs(&model, &[faces]).expect("run").remove(0);
    let expected = stored.tensors(&Json::Array(vec![emotions["output"].clone()])).remove(0);
    let difference = support::compare(&got, &expected, 1e-5, 1e-6).unwrap_or_else(|e| panic!("{e}"));
    println!("largest difference {difference:.2e}");
    let happy = support::numbers(&got)[3];
    assert!(happy > 0.9, "the astronaut smiles: {happy}");
}

/// What `tests/import/tfjs.mjs` made.
fn tensorflow_js() -> Json {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import/tfjs.json")).expect("stored answers");
    serde_json::from_slice(&text).expect("JSON")
}

fn listed(entry: &Json) -> Tensor {
    let numbers = |key: &str| entry[key].as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number"));
    let shape = numbers("shape").map(|n| n as usize).collect();
    Tensor::from_vec(shape, numbers("values").map(|n| n as f32).collect()).expect("a tensor")
}

#[test]
fn photos_are_enlarged_as_in_tensorflow_js() {
    let Some(json) = cached("models/esrgan-slim/model.json") else { return };
    let Some(shard) = cached("models/esrgan-slim/group1-shard1of1.bin") else { return };
    let stored = tensorflow_js();
    let beside: ExternalData = [("group1-shard1of1.bin".to_string(), shard.into())].into();
    let model = import("model.json", json.into(), &beside, &ImportOptions::default()).expect("imported").model;
    let transposes = model.graph.nodes.iter().filter(|node| node.op_type == "Transpose").count();
    assert_eq!(transposes, 2, "channels are turned at the ends only");
    let output = &model.graph.outputs[0];
    assert_eq!((output.name.as_str(), output.ty.to_string().as_str()), ("SR", "float32 [N, ?, ?, 3]"));
    let got = outputs(&model, &[listed(&stored["esrgan"]["input"])]).expect("run").remove(0);
    let expected = listed(&stored["esrgan"]["output"]);
    let size = support::numbers(&expected).into_iter().map(f64::abs).fold(0.0, f64::max);
    let difference = support::compare(&got, &expected, 1e-5, 1e-5 * size).unwrap_or_else(|e| panic!("{e}"));
    println!("largest difference {difference:.2e}, largest element {size:.2}");
}

#[test]
fn layers_compute_what_tensorflow_js_computes() {
    for case in tensorflow_js()["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("a name");
        let shards = case["shards"].as_array().expect("shards").iter().zip(["a.bin", "b.bin"]);
        let beside: ExternalData =
            shards.map(|(s, name)| (name.to_string(), base64(s.as_str().expect("text")).into())).collect();
        let json = case["model"].as_str().expect("a model").as_bytes().to_vec();
        let model =
            import("model.json", json.into(), &beside, &ImportOptions::default()).map(|imported| imported.model);
        let got = model.and_then(|model| outputs(&model, &[listed(&case["input"])]));
        let got = got.unwrap_or_else(|error| panic!("{name}: {error}")).remove(0);
        support::compare(&got, &listed(&case["output"]), 1e-5, 1e-5).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|&d| d == c);
    let bits = text.bytes().filter_map(digit).fold((Vec::new(), 0u32, 0), |(mut bytes, mut held, mut count), digit| {
        held = held << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((held >> count) as u8);
        }
        (bytes, held & 0xffff, count)
    });
    bits.0
}

/// A model of TensorFlow.js' layers with no weights, of `layers` one behind the other.
fn sequential(layers: Json) -> Json {
    serde_json::json!({
        "format": "layers-model",
        "modelTopology": { "model_config": { "class_name": "Sequential", "config": { "name": "m", "layers": layers } } },
        "weightsManifest": [],
    })
}

fn refusal(json: &Json) -> firebrand::Error {
    match imported("model.json", json.to_string().into_bytes(), None) {
        Ok(model) => panic!("expected an error, got {:?}", model.graph.nodes),
        Err(error) => error,
    }
}

fn layer(class: &str, name: &str, settings: Json) -> Json {
    let mut config = settings;
    config["name"] = name.into();
    serde_json::json!({ "class_name": class, "config": config })
}

#[test]
fn everything_without_a_counterpart_is_named_at_once() {
    let error = refusal(&sequential(serde_json::json!([
        layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 4, 4, 2] })),
        layer("Lambda", "first", serde_json::json!({})),
        layer("ConvLSTM2D", "second", serde_json::json!({})),
        layer("Lambda", "third", serde_json::json!({})),
        layer(
            "TimeDistributed",
            "fourth",
            serde_json::json!({ "layer": layer("MyLayer", "mine", serde_json::json!({})) })
        ),
    ])));
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
    assert_eq!(
        error.message(),
        "not supported by the importer: ConvLSTM2D (1 time: \"second\"), Lambda (2 times: \"first\", \"third\"), \
         MyLayer (1 time: \"fourth/mine\")"
    );
}

#[test]
fn settings_without_a_counterpart_are_named_with_their_layers() {
    let mut layers =
        vec![layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 4], "dtype": "int32" }))];
    let embedding = serde_json::json!({ "input_dim": 2, "output_dim": 3, "mask_zero": true });
    layers.push(layer("Embedding", "words", embedding));
    layers.push(layer("GlobalAveragePooling1D", "mean", serde_json::json!({})));
    let mut model = sequential(layers.into());
    model["weightsManifest"] = serde_json::json!([
        { "paths": ["shard.bin"], "weights": [{ "name": "words/embeddings", "shape": [2, 3], "dtype": "float32" }] }
    ]);
    let error = imported("model.json", model.to_string().into_bytes(), Some(&vec![0; 24])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
    assert!(
        error.message().contains(
            "GlobalAveragePooling1D with a mask (of an Embedding with mask_zero, or of Masking) (1 time: \"mean\")"
        ),
        "{error}"
    );
    let stateful = refusal(&sequential(serde_json::json!([
        layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [2, 4, 3] })),
        layer("LSTM", "memory", serde_json::json!({ "units": 2, "stateful": true })),
    ])));
    assert!(stateful.message().contains("LSTM with stateful (1 time: \"memory\")"), "{stateful}");
}

#[test]
fn classes_of_their_own_are_refused() {
    let mut model = sequential(serde_json::json!([]));
    model["modelTopology"]["model_config"]["class_name"] = "MyModel".into();
    let error = refusal(&model);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("MyModel") && error.message().contains("Functional"), "{error}");
}

#[test]
fn missing_weights_are_all_named() {
    let error = refusal(&sequential(serde_json::json!([
        layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 4] })),
        layer("Dense", "a", serde_json::json!({ "units": 3, "use_bias": false })),
    ])));
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert_eq!(error.message(), "1 weights are not in the file: \"a/kernel\"");
    // A size that no weights are there for is not allocated.
    for units in [i64::from(i32::MAX), 1 << 40, i64::MAX] {
        let error = refusal(&sequential(serde_json::json!([
            layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, i32::MAX] })),
            layer("Dense", "a", serde_json::json!({ "units": units })),
        ])));
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    }
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let mut model = sequential(serde_json::json!([
        layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 1] })),
        layer("Dense", "a", serde_json::json!({ "units": 2, "use_bias": false })),
    ]));
    model["weightsManifest"] = serde_json::json!([
        { "paths": ["shard.bin"], "weights": [{ "name": "a/kernel", "shape": [1, 2], "dtype": "float32" }] }
    ]);
    let shard: Vec<u8> = [1.0, f32::NAN].iter().flat_map(|value| value.to_le_bytes()).collect();
    let error = imported("model.json", model.to_string().into_bytes(), Some(&shard)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert!(error.message().contains("\"a/kernel\" (1 of 2)"), "{error}");
    let short = imported("model.json", model.to_string().into_bytes(), Some(&vec![0; 7])).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Truncated);
    let none = imported("model.json", model.to_string().into_bytes(), None).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::MissingExternalData);
}

#[test]
fn cycles_and_lost_layers_are_found() {
    let model = |calls: [Json; 2]| {
        serde_json::json!({
            "format": "layers-model",
            "modelTopology": { "class_name": "Model", "config": {
                "name": "m",
                "layers": [
                    { "class_name": "InputLayer", "name": "x", "config": { "batch_input_shape": [null, 4] }, "inbound_nodes": [] },
                    { "class_name": "Add", "name": "a", "config": {}, "inbound_nodes": [calls[0]] },
                    { "class_name": "ReLU", "name": "b", "config": {}, "inbound_nodes": [calls[1]] },
                ],
                "input_layers": [["x", 0, 0]],
                "output_layers": [["b", 0, 0]],
            } },
            "weightsManifest": [],
        })
    };
    let cycle =
        refusal(&model([serde_json::json!([["x", 0, 0, {}], ["b", 0, 0, {}]]), serde_json::json!([["a", 0, 0, {}]])]));
    assert_eq!(cycle.kind(), ErrorKind::InvalidModel);
    assert!(cycle.message().contains("cycle: \"a\", \"b\""), "{cycle}");
    let lost =
        refusal(&model([serde_json::json!([["x", 0, 0, {}], ["y", 0, 0, {}]]), serde_json::json!([["a", 0, 0, {}]])]));
    assert!(lost.message().contains("\"y\", which is no layer"), "{lost}");
    let call =
        refusal(&model([serde_json::json!([["x", 0, 0, {}], ["x", 1, 0, {}]]), serde_json::json!([["a", 0, 0, {}]])]));
    assert!(call.message().contains("call 1 of \"x\""), "{call}");
    let output =
        refusal(&model([serde_json::json!([["x", 0, 0, {}], ["x", 0, 3, {}]]), serde_json::json!([["a", 0, 0, {}]])]));
    assert!(output.message().contains("no output 3"), "{output}");
}

#[test]
fn models_in_models_without_end_are_refused() {
    let mut inner = layer("ReLU", "end", serde_json::json!({}));
    for depth in 0..40 {
        inner = serde_json::json!({ "class_name": "Sequential", "config": { "name": format!("d{depth}"), "layers": [inner] } });
    }
    let error = refusal(&sequential(serde_json::json!([
        layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 4] })),
        inner,
    ])));
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    // Each model has the one in it eight times.
    let mut inner = layer("ReLU", "end", serde_json::json!({}));
    for depth in 0..7 {
        let copies: Vec<Json> = (0..8).map(|_| inner.clone()).collect();
        inner = serde_json::json!({ "class_name": "Sequential", "config": { "name": format!("d{depth}"), "layers": copies } });
        if inner.to_string().len() > 1 << 20 {
            break;
        }
    }
    let start = std::time::Instant::now();
    let _ = imported(
        "model.json",
        sequential(serde_json::json!([
            layer("InputLayer", "x", serde_json::json!({ "batch_input_shape": [null, 4] })),
            inner,
        ]))
        .to_string()
        .into_bytes(),
        None,
    );
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn other_files_are_told_apart() {
    let stored = Stored::read();
    let h5 = |name: &str| stored.files[name].clone();
    let kind = |name: &str, bytes: Vec<u8>| imported(name, bytes, None).unwrap_err().kind();
    assert_eq!(kind("x.h5", Vec::new()), ErrorKind::EmptyFile);
    let whole = h5("conv1d.3.h5");
    assert!(matches!(kind("x.h5", whole[..1000].to_vec()), ErrorKind::InvalidModel | ErrorKind::NotAModel));
    let archive = h5("conv1d.3.keras");
    assert_eq!(kind("x.keras", archive[..archive.len() / 2].to_vec()), ErrorKind::InvalidModel);
    assert_eq!(kind("x.keras", b"PK\x03\x04 and nothing else".to_vec()), ErrorKind::NotAModel);
    let json = h5("conv1d.json");
    assert_eq!(kind("model.json", json[..json.len() / 2].to_vec()), ErrorKind::Truncated);
    // The weights alone, as `save_weights` writes them.
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive)).expect("a zip file");
    let mut weights = Vec::new();
    zip.by_name("model.weights.h5").expect("weights").read_to_end(&mut weights).expect("read");
    let error = imported("x.weights.h5", weights, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAModel);
    assert!(error.message().contains("weights without the model"), "{error}");
}

/// Changes a few bytes, or cuts the file off.
fn damage(random: &mut support::Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.within(1, 6) {
        let at = random.within(0, bytes.len() - 1);
        match random.within(0, 6) {
            0 => bytes[at] ^= 1 << random.within(0, 7),
            1 => bytes[at] = random.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.within(0, 4)],
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 => {
                let end = (at + random.within(1, 8)).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
            5 if random.within(0, 3) == 0 && bytes.len() > 64 => bytes.truncate(at.max(64)),
            _ => {
                let other = random.within(0, bytes.len() - 1);
                bytes.swap(at, other);
            }
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let stored = Stored::read();
    let forms = stored.forms();
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let seconds = std::env::var("SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let start = std::time::Instant::now();
    let (mut tried, mut imported_still, mut slowest) = (0u64, 0u64, std::time::Duration::ZERO);
    let mut panics = Vec::new();
    'time: for round in 0u64.. {
        for (_, form, file) in &forms {
            if start.elapsed().as_secs() > seconds {
                break 'time;
            }
            let mut random = support::Random::new(seed ^ (round << 32) ^ tried);
            let mut bytes = stored.files[*file].clone();
            damage(&mut random, &mut bytes);
            let shard = stored.files.get(&format!("{file}.bin"));
            let began = std::time::Instant::now();
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| imported(file, bytes, shard))) {
                Ok(result) => imported_still += u64::from(result.is_ok()),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    panics
                        .push(format!("{file} ({form}), round {round}, number {tried}: {}", text.unwrap_or_default()));
                }
            }
            slowest = slowest.max(began.elapsed());
            tried += 1;
        }
    }
    println!("{tried} damaged files tried, {imported_still} still imported, the slowest in {slowest:?}");
    assert!(panics.is_empty(), "{} panics of {tried}:\n{}", panics.len(), panics[..panics.len().min(40)].join("\n"));
    assert!(imported_still > 0, "no damaged file was imported: the test does not reach the layers");
    assert!(slowest.as_secs() < 10, "a damaged file took {slowest:?}");
}
