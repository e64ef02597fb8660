//! TFLite files against TensorFlow Lite's interpreter (`tests/import/tflite.py`), and files that are damaged.

mod support;

use std::path::{Path, PathBuf};

use firebrand::import::{Alone, Format, ImportOptions, import};
use firebrand::onnx::Model;
use firebrand::{DataType, ErrorKind, ExternalData, Feed, Result, RunOptions, Session, SessionOptions, Tensor};
use serde_json::Value;
use support::Random;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/tflite")
}

fn json(name: &str) -> Value {
    let text = std::fs::read(cases().join(name)).expect("tests/import/tflite.py wrote it");
    serde_json::from_slice(&text).expect("JSON")
}

fn convert(bytes: &[u8]) -> Result<Model> {
    let imported = import("model.tflite", bytes.to_vec().into(), &Alone, &ImportOptions::default())?;
    assert_eq!(imported.format, Format::Tflite);
    Ok(imported.model)
}

/// Answers of the model as written to ONNX and read again.
fn answers(bytes: &[u8], inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let written = convert(bytes)?.to_onnx()?;
    run(Model::from_onnx(written, &ExternalData::new())?, inputs)
}

fn run(model: Model, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let session = Session::load_blocking(model, SessionOptions::default())?;
    let names: Vec<String> = session.inputs().map(|input| input.name.clone()).collect();
    let feeds = names.into_iter().zip(inputs.into_iter().map(Feed::Tensor)).collect::<Vec<_>>();
    let outputs = session.run_blocking(feeds, RunOptions::default())?;
    Ok(outputs.into_iter().map(|(_, feed)| support::into_tensor(feed)).collect())
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

/// The largest difference, of numbers of any type.
fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    let pairs = support::numbers(got).into_iter().zip(support::numbers(expected));
    pairs.fold(
        0.0,
        |most: f64, (g, e)| if g == e { most } else { most.max((g - e).abs()).max(f64::from(u8::from(g.is_nan()))) },
    )
}

#[test]
fn operators_give_what_the_interpreter_gives() {
    let all = json("cases.json");
    let mut wrong = Vec::new();
    for (name, case) in all.as_object().expect("cases") {
        let bytes = std::fs::read(cases().join(format!("{name}.tflite"))).expect("a model");
        let list = |key: &str| case[key].as_array().expect("a list").iter().map(tensor).collect::<Vec<_>>();
        let (inputs, expected) = (list("inputs"), list("outputs"));
        let outputs = match answers(&bytes, inputs) {
            Ok(outputs) => outputs,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(outputs.len(), expected.len(), "{name}");
        for (at, (got, expected)) in outputs.iter().zip(&expected).enumerate() {
            if got.shape() != expected.shape() || got.dtype() != expected.dtype() {
                wrong.push(format!("{name} {at}: expected {expected:?}, got {got:?}"));
                continue;
            }
            let largest = support::numbers(expected).into_iter().fold(1f64, |most, v| most.max(v.abs()));
            // One step of a quantised output; rounding, of others.
            let allowed = match (case["loose"].as_f64(), case["step"].as_f64(), expected.dtype().is_float()) {
                (_, Some(_), false) => 1.0,
                (Some(loose), ..) => loose,
                (_, _, true) => 1e-5 * largest,
                _ => 0.0,
            };
            let found = difference(got, expected);
            if found > allowed {
                wrong.push(format!("{name} {at}: {found:.2e} of at most {largest:.2}, {allowed:.0e} allowed"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A model that set-up fetched; none where tests may do without.
fn fetched(name: &str) -> Option<Vec<u8>> {
    let path = support::data(&format!("models/{name}"))?;
    Some(std::fs::read(path).expect("a readable model"))
}

/// The pixels of a stored photo, as the recipe has them: a square from `first` to `end`, every `stride`-th.
fn photo(recipe: &Value, channels: std::ops::Range<usize>) -> Tensor {
    let file = recipe["file"].as_str().expect("a file");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/images").join(file);
    let bytes = std::fs::read(path).expect("a stored photo");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (pixels, side) = (&bytes[start..], ((bytes.len() - start) / 3).isqrt());
    let crop: Vec<usize> =
        recipe["crop"].as_array().expect("three").iter().map(|v| v.as_u64().unwrap_or(0) as usize).collect();
    let number = |key: &str| recipe[key].as_f64().expect("a number") as f32;
    let lines: Vec<usize> = (crop[0]..crop[1]).step_by(crop[2]).collect();
    let mut values = Vec::new();
    for &y in &lines {
        for &x in &lines {
            values.extend(
                channels.clone().map(|c| f32::from(pixels[(y * side + x) * 3 + c]) * number("scale") + number("shift")),
            );
        }
    }
    support::f32s(&[1, lines.len(), lines.len(), channels.len()], values)
}

/// Compares a fetched model with the interpreter's stored answers; gives the outputs.
fn compare(name: &str, channels: std::ops::Range<usize>, relative: f64) -> Option<Vec<Tensor>> {
    let bytes = fetched(&format!("{name}.tflite"))?;
    let case = &json("models.json")[name];
    let outputs =
        answers(&bytes, vec![photo(&case["input"], channels)]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = case["outputs"].as_array().expect("outputs");
    assert_eq!(outputs.len(), expected.len());
    for (at, (got, expected)) in outputs.iter().zip(expected).enumerate() {
        let shape: Vec<usize> =
            expected["shape"].as_array().expect("sizes").iter().map(|v| v.as_u64().unwrap_or(0) as usize).collect();
        assert_eq!(got.shape(), shape, "{name} {at}");
        let stride = expected["stride"].as_u64().expect("a stride") as usize;
        let stored: Vec<f64> =
            expected["data"].as_array().expect("numbers").iter().map(|v| v.as_f64().expect("a number")).collect();
        let got: Vec<f64> = support::numbers(got).into_iter().step_by(stride).collect();
        assert_eq!(got.len(), stored.len());
        let largest = stored.iter().fold(0f64, |most, v| most.max(v.abs()));
        let found = got.iter().zip(&stored).fold(0f64, |most, (g, e)| most.max((g - e).abs()));
        println!("{name} {at}: {found:.1e} of at most {largest:.3}");
        assert!(found <= relative * largest.max(1.0), "{name} {at}: {found:.2e} of at most {largest:.3}");
    }
    Some(outputs)
}

#[test]
fn blazeface_gives_what_the_interpreter_gives() {
    compare("blazeface-short-range", 0..3, 1e-5);
}

#[test]
fn selfie_segmentation_gives_what_the_interpreter_gives() {
    compare("selfie-segmentation", 0..3, 1e-5);
}

#[test]
fn hand_landmarks_are_what_the_interpreter_gives() {
    compare("hand-landmark-lite", 0..3, 1e-5);
}

#[test]
fn palm_detection_gives_what_the_interpreter_gives() {
    compare("palm-detection-lite", 0..3, 1e-5);
}

#[test]
fn emotions_are_the_interpreters() {
    // The interpreter quantises activations before it multiplies them by int8 weights, so numbers differ a little.
    let Some(outputs) = compare("fer", 1..2, 0.05) else { return };
    let best = |values: &[f64]| (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    let expected: Vec<f64> = json("models.json")["fer"]["outputs"][0]["data"]
        .as_array()
        .expect("seven")
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    assert_eq!(best(&support::numbers(&outputs[0])), best(&expected));
}

/// The same network in both formats, on random inputs; `order` says which of the ONNX file's outputs each is.
fn pair(name: &str, onnx: &str, shape: &[usize], order: &[usize], relative: f64) {
    let (Some(tflite), Some(onnx)) = (fetched(&format!("{name}.tflite")), fetched(&format!("{onnx}.onnx"))) else {
        return;
    };
    let input = Random::new(7).tensor(shape);
    let outputs = answers(&tflite, vec![input.clone()]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = Model::from_onnx(onnx, &ExternalData::new()).expect("a model");
    let expected = run(model, vec![input]).expect("answers");
    for (at, &other) in order.iter().enumerate() {
        let largest = support::numbers(&expected[other]).into_iter().fold(0f64, |most, v| most.max(v.abs()));
        let found = difference(&outputs[at], &expected[other]);
        println!("{name} {at}: {found:.1e} of at most {largest:.3}, {:?} and {:?}", outputs[at], expected[other]);
        assert_eq!(outputs[at].len(), expected[other].len());
        assert!(found <= relative * largest.max(1.0), "{name} {at}: {found:.2e} of at most {largest:.3}");
    }
}

#[test]
fn basic_pitch_gives_what_its_onnx_file_gives() {
    pair("basic-pitch", "basic-pitch", &[2, 43844, 1], &[0, 1, 2], 1e-4);
}

#[test]
fn speech_embedding_gives_what_its_onnx_file_gives() {
    pair("speech-embedding", "speech-embedding", &[1, 76, 32, 1], &[0], 1e-4);
}

#[test]
fn blazeface_gives_what_its_onnx_file_gives() {
    let (Some(tflite), Some(onnx)) = (fetched("blazeface-short-range.tflite"), fetched("blazeface-front.onnx")) else {
        return;
    };
    let input = photo(&json("models.json")["blazeface-short-range"]["input"], 0..3);
    let outputs = answers(&tflite, vec![input.clone()]).expect("answers");
    // The ONNX file gives the two scales apart: scores, then boxes.
    let parts = run(Model::from_onnx(onnx, &ExternalData::new()).expect("a model"), vec![input]).expect("answers");
    for (got, columns) in outputs.iter().zip([16, 1]) {
        let expected: Vec<f64> =
            parts.iter().filter(|part| part.shape().last() == Some(&columns)).flat_map(support::numbers).collect();
        let got = support::numbers(got);
        assert_eq!(got.len(), expected.len());
        let largest = expected.iter().fold(1f64, |most, v| most.max(v.abs()));
        let found = got.iter().zip(&expected).fold(0f64, |most, (g, e)| most.max((g - e).abs()));
        assert!(found <= 1e-4 * largest, "{found:.2e} of at most {largest:.3}");
    }
}

fn error(bytes: &[u8]) -> firebrand::Error {
    convert(bytes).expect_err("no model comes of it")
}

fn stored(name: &str) -> Vec<u8> {
    std::fs::read(cases().join(format!("{name}.tflite"))).expect("a model")
}

#[test]
fn operators_without_a_counterpart_are_all_named_with_counts() {
    let Some(bytes) = fetched("face-landmark-attention.tflite") else { return };
    let error = error(&bytes);
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
    for part in
        ["Landmarks2TransformMatrix (3 times", "TransformTensorBilinear (3 times", "TransformLandmarks (5 times"]
    {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_file_cut_short_is_an_error_at_every_length() {
    for name in ["dense", "int8", "sparse", "while"] {
        let bytes = stored(name);
        for end in (0..bytes.len()).step_by(7) {
            let kind = match import("model.tflite", bytes[..end].to_vec().into(), &Alone, &ImportOptions::default()) {
                Err(error) => error.kind(),
                // What is behind the last table that is read may be missing.
                Ok(_) => continue,
            };
            let expected = [ErrorKind::EmptyFile, ErrorKind::Truncated, ErrorKind::InvalidModel, ErrorKind::NotAModel];
            assert!(expected.contains(&kind), "{name} cut at {end}: {kind}");
        }
        assert_eq!(error(&bytes[..bytes.len() / 2]).kind(), ErrorKind::Truncated, "{name}");
    }
}

#[test]
fn weights_that_are_not_numbers_are_named() {
    let mut bytes = stored("dense");
    // The largest buffer is the weights: look for the run of bytes that is read as plausible numbers.
    let plausible = |at: usize| {
        bytes.get(at..at + 60).is_some_and(|run| {
            run.chunks(4).all(|c| {
                let v = f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
                v.abs() > 0.005 && v.abs() <= 2.0
            })
        })
    };
    let at = (0..bytes.len()).step_by(4).find(|&at| plausible(at)).expect("fifteen weights between -2 and 2");
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = error(&bytes);
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert!(error.to_string().contains("NaN") && error.to_string().contains("(1 of 15)"), "{error}");
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    for name in ["int8", "while", "layout", "if"] {
        let written = || convert(&stored(name)).expect("a model").to_onnx().expect("written");
        assert_eq!(written(), written(), "{name}");
    }
}

/// Files with bytes changed, cut off or moved must give a model or an error, soon.
#[test]
fn damaged_files_never_panic() {
    let mut names: Vec<String> = json("cases.json").as_object().expect("cases").keys().cloned().collect();
    names.sort();
    let files: Vec<(String, Vec<u8>)> = names.into_iter().map(|name| (name.clone(), stored(&name))).collect();
    let number = |key: &str| std::env::var(key).ok().and_then(|s| s.parse::<u64>().ok());
    let (seed, seconds) = (number("SEED").unwrap_or(0), number("SECONDS").unwrap_or(10));
    let start = std::time::Instant::now();
    let (mut tried, mut read, mut ran) = (0u64, 0u64, 0u64);
    let mut panics = Vec::new();
    std::panic::set_hook(Box::new(|_| {}));
    'time: for round in 0.. {
        for (name, original) in &files {
            if start.elapsed().as_secs() >= seconds {
                break 'time;
            }
            let mut bytes = original.clone();
            mutate(&mut Random::new(seed ^ (round << 32) ^ tried), &mut bytes);
            let before = std::time::Instant::now();
            let attempt = std::panic::catch_unwind(|| {
                let Ok(model) = convert(&bytes) else { return (false, false) };
                let options = SessionOptions { max_tensor_bytes: 1 << 22, ..SessionOptions::default() };
                (true, Session::load_blocking(model, options).is_ok())
            });
            match attempt {
                Ok((was_read, was_loaded)) => {
                    read += u64::from(was_read);
                    ran += u64::from(was_loaded);
                }
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    let changed: Vec<String> = (0..original.len())
                        .filter(|&i| bytes.get(i) != Some(&original[i]))
                        .take(6)
                        .map(|i| format!("{i}:{:?}", bytes.get(i)))
                        .collect();
                    panics.push(format!("{name}, bytes {}: {}", changed.join(" "), text.unwrap_or_default()));
                }
            }
            if before.elapsed().as_secs() > 5 {
                panics.push(format!("{name}, round {round}, number {tried}: took {:?}", before.elapsed()));
            }
            tried += 1;
        }
    }
    let _ = std::panic::take_hook();
    println!("{tried} damaged files tried, {read} still read, {ran} still loaded");
    assert!(panics.is_empty(), "{} panics of {tried}:\n{}", panics.len(), panics[..panics.len().min(20)].join("\n"));
    assert!(read > 0 && ran > 0, "no damaged file was read: the test does not reach the operators");
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.within(1, 4) {
        let at = random.within(0, bytes.len() - 1);
        match random.within(0, 6) {
            0 => bytes[at] ^= 1 << random.within(0, 7),
            1 => bytes[at] = random.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.within(0, 4)],
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 if bytes.len() > 16 => bytes.truncate(at.max(8)),
            5 if at + 4 <= bytes.len() => {
                let large = [u32::MAX, i32::MAX as u32, 1 << 20, 1 << 28, 0][random.within(0, 4)];
                bytes[at..at + 4].copy_from_slice(&large.to_le_bytes());
            }
            _ => {
                let other = random.within(0, bytes.len() - 1);
                bytes.swap(at, other);
            }
        }
    }
}
