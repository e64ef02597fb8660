//! Keras' files and TensorFlow.js' layers: what is imported computes what TensorFlow computes, and what cannot be is
//! refused by name.
#![cfg(feature = "convert")]

mod support;

use std::collections::HashMap;
use std::io::Read;

use firebrand::import::{ImportOptions, import};
use firebrand::{DataType, ExternalData, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
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
