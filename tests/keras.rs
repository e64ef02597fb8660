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
        Self { cases: head["cases"].as_array().expect("cases").clone(), files: files.collect() }
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
