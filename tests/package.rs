//! Packages: written, read, checked, and what is told of those that are bad. `tests/package/tiny` is a package that
//! this test wrote; the browser's tests load it.
#![cfg(feature = "convert")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::data::picture::{Color, Fit, Layout};
use firebrand::graph::{Attribute, ValueType};
use firebrand::optimize::quantize::Precision;
use firebrand::package::{
    Expected, File, MANIFEST, Manifest, Metadata, Package, Preprocessing, RandomInput, Report, Sample, SampleInput,
    TaskMetadata, Tolerance, VerifyOptions, WriteOptions,
};
use firebrand::{DataType, ErrorKind, ExternalData, Model, Session, SessionOptions, Tensor};
use serde_json::{Value, json};
use support::{Builder, Random, f32s, tensor_type};

/// A picture's 100 scores: a convolution, a mean, a product.
fn tiny() -> Model {
    let mut random = Random::new(2026);
    let mut weights = |shape: &[usize], scale: f32| {
        let values = random.floats(shape.iter().product());
        f32s(shape, values.into_iter().map(|value| value * scale).collect())
    };
    let mut model = Builder::new(17)
        .input("pixels", tensor_type(DataType::Float32, &["1", "3", "8", "8"]))
        .constant("conv.weight", weights(&[16, 3, 3, 3], 0.25))
        .constant("conv.bias", weights(&[16], 0.25))
        .constant("fc.weight", weights(&[16, 100], 4.0))
        .node(
            "Conv",
            &["pixels", "conv.weight", "conv.bias"],
            &["conv"],
            &[("pads", Attribute::Ints(vec![1, 1, 1, 1])), ("kernel_shape", Attribute::Ints(vec![3, 3]))],
        )
        .node("Relu", &["conv"], &["relu"], &[])
        .node("GlobalAveragePool", &["relu"], &["mean"], &[])
        .node("Flatten", &["mean"], &["flat"], &[])
        .node("MatMul", &["flat", "fc.weight"], &["scores"], &[])
        .node("Softmax", &["scores"], &["probabilities"], &[("axis", Attribute::Int(-1))])
        .output("probabilities")
        .model();
    model.graph.outputs[0].ty = tensor_type(DataType::Float32, &["1", "100"]);
    model
}

fn metadata() -> Metadata {
    let image = Preprocessing::Image {
        size: [8, 8],
        layout: Layout::Nchw,
        color: Color::Rgb,
        fit: Fit::Cover,
        mean: vec![123.675, 116.28, 103.53],
        scale: vec![1.0 / 255.0, 0.017, 0.1],
    };
    let original = tiny().to_onnx().expect("written");
    Metadata {
        name: "tiny".into(),
        version: "1.0.0".into(),
        licence: Some("MIT OR Apache-2.0".into()),
        description: Some("A hundred scores of a small picture, of weights that mean nothing".into()),
        source: Metadata::source("tiny.onnx", "onnx", &original),
        options: serde_json::from_value(json!({ "fold": true, "quantize": null })).expect("an object"),
        preprocessing: BTreeMap::from([("pixels".to_string(), image)]),
        labels: BTreeMap::from([("probabilities".to_string(), (0..100).map(|at| format!("thing {at}")).collect())]),
        accuracy: Some(serde_json::from_value(json!({ "metric": "top-1", "cosine": 1.0 })).expect("an object")),
        ..Metadata::default()
    }
}

/// Small files, so that there are several.
fn options() -> WriteOptions {
    WriteOptions { shard_bytes: 2048, inline_below: 0, ..WriteOptions::default() }
}

fn session(model: Model) -> Session {
    Session::load_blocking(model, SessionOptions::default()).expect("a model that runs")
}

fn record(model: Model) -> Vec<Sample> {
    let session = session(model);
    let random = RandomInput { seed: 1, low: -2.0, high: 2.0 };
    let drawn = SampleInput::Random { dtype: DataType::Float32, shape: vec![1, 3, 8, 8], random };
    let given = SampleInput::Given(Random::new(5).tensor(&[1, 3, 8, 8]));
    let sample = |input| {
        let inputs = vec![("pixels".to_string(), input)];
        let sample = Sample::record_blocking(&session, inputs, Tolerance::of(Precision::Float32));
        sample.expect("it runs").expect("tensors of numbers")
    };
    vec![sample(drawn), sample(given)]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/tiny")
}

/// A package in memory.
#[derive(Clone)]
struct Files(Vec<File>);

impl Files {
    fn stored() -> Self {
        let mut files: Vec<File> = std::fs::read_dir(folder())
            .expect("the stored package")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                File { name, bytes: std::fs::read(path).expect("a file") }
            })
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self(files)
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|file| file.name.as_str()).collect()
    }

    fn named(&self, start: &str) -> &File {
        self.0
            .iter()
            .find(|file| file.name.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {:?}", self.names()))
    }

    fn change(&self, start: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut changed = self.clone();
        let name = self.named(start).name.clone();
        change(&mut changed.0.iter_mut().find(|file| file.name == name).expect("it is there").bytes);
        changed
    }

    /// With a manifest in which one thing is other.
    fn edit(&self, edit: impl FnOnce(&mut Value)) -> Self {
        self.change(MANIFEST, |bytes| {
            let mut manifest: Value = serde_json::from_slice(bytes).expect("JSON");
            edit(&mut manifest);
            *bytes = serde_json::to_vec(&manifest).expect("JSON");
        })
    }

    fn without(&self, start: &str) -> Self {
        let name = self.named(start).name.clone();
        Self(self.0.iter().filter(|file| file.name != name).cloned().collect())
    }

    fn beside(&self) -> ExternalData {
        self.0.iter().map(|file| (file.name.clone(), Bytes::from(file.bytes.clone()))).collect::<HashMap<_, _>>()
    }

    fn open(&self) -> firebrand::Result<(Manifest, Model)> {
        Package::open(&self.named(MANIFEST).bytes, &self.beside())
    }

    fn verify(&self, against: Option<Model>) -> Report {
        let names = Some(self.names().into_iter().map(String::from).collect());
        Package::verify_blocking(
            &self.named(MANIFEST).bytes,
            &self.beside(),
            VerifyOptions { names, against, ..Default::default() },
        )
        .expect("an original that runs")
    }
}

fn wrong(report: &Report) -> Vec<String> {
    report.checks.iter().filter(|check| !check.ok).map(|check| format!("{}: {}", check.name, check.detail)).collect()
}

#[test]
fn a_task_and_its_files_are_a_part_of_the_package() {
    let terms = File { name: "elsewhere/terms.json".into(), bytes: b"[\"a\"]\n".to_vec() };
    let task = TaskMetadata {
        name: "tea-leaf-reading".into(),
        parameters: serde_json::from_value(json!({ "threshold": 0.5, "cups": ["small"] })).expect("an object"),
        files: BTreeMap::from([("terms".to_string(), terms)]),
    };
    let metadata = Metadata { task: Some(task), ..metadata() };
    let files = Files(Package::write(&tiny(), &metadata, &[], &options()).expect("written"));
    let (manifest, _) = files.open().expect("a package");
    let task = manifest.task.clone().expect("a task");
    assert_eq!((task.name.as_str(), &task.parameters["threshold"]), ("tea-leaf-reading", &json!(0.5)));
    let entry = &task.files["terms"];
    assert_eq!(entry.file, format!("terms-{}.json", entry.sha256));
    assert_eq!(files.named("terms-").name, entry.file);
    assert_eq!(wrong(&files.verify(None)), Vec::<String>::new());
    let again = Manifest::parse(&manifest.to_json().expect("written")).expect("read");
    assert_eq!(again, manifest);

    let damaged = files.change("terms-", |bytes| bytes[2] ^= 1);
    assert!(
        wrong(&damaged.verify(None)).iter().any(|said| said.contains("terms-")),
        "{:?}",
        wrong(&damaged.verify(None))
    );
    let wrong_name = files.edit(|manifest| manifest["task"]["name"] = json!("Tea leaf reading"));
    let wrong_file = files.edit(|manifest| manifest["task"]["files"]["terms"]["file"] = json!("terms.json"));
    let wrong_field = files.edit(|manifest| manifest["task"]["colour"] = json!("red"));
    for (files, said) in [(wrong_name, "task.name"), (wrong_file, "task.files"), (wrong_field, "colour")] {
        let error = files.open().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidManifest);
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// Set FIREBRAND_WRITE_PACKAGE to write it afresh, golden outputs of this machine's included.
#[test]
fn the_stored_package_is_what_is_written_today() {
    if std::env::var_os("FIREBRAND_WRITE_PACKAGE").is_some() {
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).expect("a folder");
        for file in Package::write(&tiny(), &metadata(), &record(tiny()), &options()).expect("written") {
            std::fs::write(folder().join(file.name), file.bytes).expect("written");
        }
    }
    let stored = Files::stored();
    let (manifest, _) = stored.open().expect("a package");
    // The last bits of sums depend on the machine; so the outputs are taken as they were stored.
    let samples = Package::samples(&manifest, &stored.beside()).expect("samples");
    let mut written = Package::write(&tiny(), &metadata(), &samples, &options()).expect("written");
    assert_eq!(written.last().expect("files").name, MANIFEST);
    written.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(written.iter().map(|file| &file.name).collect::<Vec<_>>(), stored.names());
    for (written, stored) in written.iter().zip(&stored.0) {
        assert!(written.bytes == stored.bytes, "{}: other bytes than those stored", stored.name);
    }
    assert_eq!(manifest.weights.len(), 2);
    assert_eq!(samples.len(), 2);
    assert!(stored.0.iter().map(|file| file.bytes.len()).sum::<usize>() < 20_000, "it is to be small");
}

#[test]
fn a_package_computes_what_its_model_does() {
    let stored = Files::stored();
    assert_eq!(wrong(&stored.verify(Some(tiny()))), Vec::<String>::new());
    let report = stored.verify(Some(tiny()));
    let comparison = report.comparison.expect("it was asked for");
    assert!(comparison.within_claim && comparison.samples == 2 && !comparison.random);
    assert_eq!((comparison.outputs[0].cosine, comparison.outputs[0].agreement), (1.0, Some(1.0)));
    assert!(comparison.outputs[0].max_difference <= 1e-6);

    let (manifest, model) = stored.open().expect("a package");
    assert_eq!((manifest.name.as_str(), manifest.inputs[0].name.as_str()), ("tiny", "pixels"));
    for sample in Package::samples(&manifest, &stored.beside()).expect("samples") {
        assert!(sample.check_blocking(&session(model.clone())).expect("right") < 1e-5);
    }
}

#[test]
fn an_original_that_is_another_model_is_told() {
    let stored = Files::stored();
    let mut other = tiny();
    let weight = f32s(&[16, 100], Random::new(9).floats(1600).into_iter().map(|value| value * 4.0).collect());
    other.graph.initializers.insert("fc.weight".into(), weight);
    let report = stored.verify(Some(other));
    assert!(!report.comparison.as_ref().expect("compared").within_claim);
    assert_eq!(wrong(&report).len(), 1, "{:?}", wrong(&report));
    let mut other = tiny();
    other.graph.inputs[0].name = "image".into();
    other.graph.nodes[0].inputs[0] = "image".into();
    assert!(wrong(&stored.verify(Some(other)))[0].contains("other inputs: image; the package has pixels"));
}

#[test]
fn every_file_is_held_to_its_hash() {
    let stored = Files::stored();
    for (start, opens) in [("graph", false), ("weights", false), ("golden", true), ("labels", true)] {
        let name = stored.named(start).name.clone();
        for (what, changed) in [
            ("a bit", stored.change(start, |bytes| bytes[9] ^= 1)),
            ("its end", stored.change(start, |bytes| bytes.truncate(20))),
            ("more", stored.change(start, |bytes| bytes.push(0))),
            ("a web page", stored.change(start, |bytes| *bytes = b"<!doctype html>".to_vec())),
        ] {
            let found = wrong(&changed.verify(None));
            assert!(found[0].starts_with("file: ") && found[0].contains(&name), "{what}, {name}: {found:?}");
            match changed.open() {
                Ok(_) => assert!(opens, "{what}, {name}"),
                Err(error) => assert_eq!((error.kind(), opens), (ErrorKind::Integrity, false), "{what}, {name}"),
            }
        }
        let gone = stored.without(start);
        assert!(wrong(&gone.verify(None))[0].contains(&name), "{name}");
        if !opens {
            assert_eq!(gone.open().unwrap_err().kind(), ErrorKind::MissingExternalData);
        }
    }
    let mut more = stored.clone();
    more.0.push(File { name: "weights-old.bin".into(), bytes: vec![1] });
    assert_eq!(wrong(&more.verify(None)), ["folder: files that do not belong to the package: weights-old.bin"]);
}

#[test]
fn golden_outputs_that_do_not_come_out_are_told() {
    let mut samples = record(tiny());
    let mut scores = samples[1].outputs[0].1.elements.as_slice::<f32>().expect("floats").to_vec();
    scores[17] += 0.5;
    let tensor = Tensor::from_vec(vec![1, 100], scores).expect("100 scores");
    samples[1].outputs[0].1 = Expected::of(&tensor).expect("numbers");
    let files = Files(Package::write(&tiny(), &metadata(), &samples, &options()).expect("written"));
    let found = wrong(&files.verify(None));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("golden sample: sample 2 of 2: output \"probabilities\": element 17: expected "));
}

#[test]
fn manifests_that_make_no_sense_are_refused_by_what_is_wrong() {
    let stored = Files::stored();
    let refused = |expected: &str, edit: &dyn Fn(&mut Value)| {
        let error = stored.edit(edit).open().err().unwrap_or_else(|| panic!("{expected}: it was opened"));
        assert_eq!(error.kind(), ErrorKind::InvalidManifest, "{expected}: {error}");
        assert!(error.to_string().contains(expected), "{expected:?} is not in {error}");
        let report = stored.edit(edit).verify(None);
        assert!(!report.is_ok(), "{expected}");
    };
    refused("schema 2", &|m| m["schema"] = json!(2));
    refused("number \"schema\"", &|m| m["schema"] = json!("1"));
    refused("unknown field `colour`", &|m| m["colour"] = json!("red"));
    refused("missing field `weights`", &|m| drop(m.as_object_mut().expect("fields").remove("weights")));
    refused("version: expected", &|m| m["version"] = json!("1.0"));
    refused("name: expected", &|m| m["name"] = json!(" "));
    refused("is no name of a package's file", &|m| m["weights"][0]["file"] = json!("../weights.bin"));
    refused("is to be called \"weights-", &|m| m["weights"][0]["file"] = json!("weights.bin"));
    refused("hexadecimal", &|m| m["model"]["sha256"] = json!("ABC"));
    refused("named twice", &|m| {
        let first = m["weights"][0].clone();
        m["weights"].as_array_mut().expect("an array").push(first);
    });
    refused("which is not named", &|m| {
        let gone = m["weights"].as_array_mut().expect("an array").remove(0)["bytes"].as_u64().expect("a number");
        m["sizes"]["raw"] = json!(m["sizes"]["raw"].as_u64().expect("a number") - gone);
    });
    refused("sizes.raw", &|m| m["sizes"]["raw"] = json!(1));
    refused("inputs: they are not those", &|m| m["inputs"][0]["shape"][2] = json!(9));
    refused("no dtype \"float99\"", &|m| m["inputs"][0]["dtype"] = json!("float99"));
    refused("has no pixels", &|m| m["inputs"][0]["preprocessing"]["size"] = json!([0, 8]));
    refused("mean: expected a number for each channel (1), got 3", &|m| {
        m["inputs"][0]["preprocessing"]["color"] = json!("GRAY");
    });
    refused("scale: expected a number for each channel (3), got 1", &|m| {
        m["inputs"][0]["preprocessing"]["scale"] = json!([1]);
    });
    refused("golden.samples[0]: the model has no input \"x\"", &|m| {
        let input = m["golden"]["samples"][0]["inputs"]["pixels"].clone();
        m["golden"]["samples"][0]["inputs"]["x"] = input;
    });
    let output =
        |m: &mut Value, field: &str, value: Value| m["golden"]["samples"][0]["outputs"]["probabilities"][field] = value;
    refused("expected 400 bytes, got 4", &|m| output(m, "bytes", json!(4)));
    refused("of a golden file of", &|m| output(m, "offset", json!(1u64 << 40)));
    refused("of a golden file of", &|m| output(m, "offset", json!(u64::MAX - 7)));
    refused("of a golden file of", &|m| output(m, "offset", json!(4)));
    refused("a golden tensor has no dtype \"float8e5m2\"", &|m| output(m, "dtype", json!("float8e5m2")));
    refused("stride: expected 1 or more", &|m| output(m, "stride", json!(0)));
    refused("tolerance: expected numbers of 0 or more", &|m| {
        m["golden"]["samples"][0]["tolerance"]["relative"] = json!(-1);
    });
    for (bytes, expected) in
        [(&b""[..], "empty"), (b"<!doctype html>", "which is JSON"), (b"[]", "other JSON"), (b"\xff", "JSON")]
    {
        let error = Manifest::parse(bytes).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidManifest && error.to_string().contains(expected), "{error}");
    }
    let huge = stored.edit(|m| m["golden"]["samples"][0]["inputs"]["pixels"]["shape"] = json!([u64::MAX, u64::MAX]));
    assert_eq!(huge.open().unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn mutated_packages_end_in_errors() {
    let stored = Files::stored();
    let mut random = Random::new(77);
    for _ in 0..400 {
        let mutate = |bytes: &mut Vec<u8>| {
            for _ in 0..random.within(1, 4) {
                let at = random.within(0, bytes.len() - 1);
                match random.within(0, 3) {
                    0 => bytes[at] = random.within(0, 255) as u8,
                    1 => bytes[at] = b'0' + random.within(0, 9) as u8,
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"0123456789{}[],\":-e."[random.within(0, 19)]),
                }
            }
        };
        let changed = stored.change(MANIFEST, mutate);
        let manifest = &changed.named(MANIFEST).bytes;
        if let Ok((manifest, _)) = changed.open() {
            // What was changed is a text then, or a number that fits.
            let _ = Package::samples(&manifest, &changed.beside());
            assert!(manifest.to_json().is_ok());
        } else {
            let _ = Manifest::parse(manifest);
        }
    }
}

#[test]
fn a_small_model_is_one_file() {
    let files = Package::write(&tiny(), &metadata(), &[], &WriteOptions::default()).expect("written");
    let files = Files(files);
    assert_eq!(files.names().iter().filter(|name| name.starts_with("weights")).count(), 0);
    let (manifest, model) = files.open().expect("a package");
    assert!(manifest.weights.is_empty() && manifest.golden.is_none());
    assert_eq!(model.graph.initializers.len(), 3);
    assert_eq!(wrong(&files.verify(Some(tiny()))), Vec::<String>::new());
    assert!(
        files.verify(Some(tiny())).comparison.expect("compared").random,
        "without golden samples, inputs are made up"
    );
}

#[test]
fn metadata_of_values_that_are_not_there_is_refused() {
    let mut labels = metadata();
    labels.labels.insert("scores".into(), vec!["a".into()]);
    let mut preprocessing = metadata();
    preprocessing.preprocessing.insert("image".into(), Preprocessing::Audio { sample_rate: 16_000 });
    let mut version = metadata();
    version.version = "one".into();
    for (metadata, expected) in
        [(labels, "no output \"scores\""), (preprocessing, "no input \"image\""), (version, "version")]
    {
        let error = Package::write(&tiny(), &metadata, &[], &options()).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidManifest && error.to_string().contains(expected), "{error}");
    }
    let mut untyped = tiny();
    untyped.graph.outputs[0].ty = ValueType::Unknown;
    assert_eq!(Package::write(&untyped, &metadata(), &[], &options()).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn one_tensor_that_changes_its_size_leaves_most_files_as_they_were() {
    let model = |of_layer_7: usize| {
        let names: Vec<String> = (0..200).map(|layer| format!("layer{layer}.weight")).collect();
        let mut builder = Builder::new(17).input("x", tensor_type(DataType::Float32, &["1"]));
        for (layer, name) in names.iter().enumerate() {
            let count = if layer == 7 { of_layer_7 } else { 500 + layer };
            builder = builder.constant(name, Random::new(layer as u64).tensor(&[count]));
        }
        let mut model = builder.node("Identity", &["x"], &["y"], &[]).output("y").model();
        model.graph.outputs[0].ty = tensor_type(DataType::Float32, &["1"]);
        model
    };
    let write = |model: &Model| {
        let options = WriteOptions { shard_bytes: 32 << 10, ..options() };
        let files = Files(
            Package::write(
                model,
                &Metadata { labels: BTreeMap::new(), preprocessing: BTreeMap::new(), ..metadata() },
                &[],
                &options,
            )
            .expect("written"),
        );
        files.names().into_iter().filter(|name| name.starts_with("weights")).map(String::from).collect::<Vec<_>>()
    };
    let (before, after) = (write(&model(507)), write(&model(1700)));
    assert!(before.len() >= 15, "{}", before.len());
    let kept = before.iter().filter(|name| after.contains(name)).count();
    assert!(kept * 4 >= before.len() * 3, "{kept} of {} files stay", before.len());
}

/// The built program, on packages in folders.
#[cfg(feature = "cli")]
mod program {
    use std::ffi::OsStr;
    use std::process::{Command, Stdio};

    use super::*;

    fn firebrand<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> (i32, String, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_firebrand")).args(arguments).stdin(Stdio::null()).output();
        let done = done.expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let err = text(done.stderr);
        assert!(!err.contains("internal error"), "{err}");
        (done.status.code().expect("it ends by itself"), text(done.stdout), err)
    }

    /// A folder of one test with these files.
    fn put(name: &str, files: &Files) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        for file in &files.0 {
            std::fs::write(folder.join(&file.name), &file.bytes).expect("written");
        }
        folder
    }

    fn path(path: &Path) -> &str {
        path.to_str().expect("UTF-8")
    }

    #[test]
    fn build_writes_the_task_of_its_configuration() {
        let config = "model = \"tiny.onnx\"\nsample-rate = 8000\n\
            [task]\nname = \"tea-leaf-reading\"\n\
            [task.parameters]\nthreshold = 0.5\n[task.files]\nterms = \"terms.json\"\n";
        let file = |name: &str, bytes: &[u8]| File { name: name.into(), bytes: bytes.to_vec() };
        let model = tiny().to_onnx().expect("written");
        let files = [file("tiny.onnx", &model), file("tea.toml", config.as_bytes()), file("terms.json", b"[]")];
        let folder = put("task", &Files(files.to_vec()));
        let (config, output) = (folder.join("tea.toml"), folder.join("out"));
        let build = ["build", "--config", path(&config), "-o", path(&output), "--no-report", "--quiet"];
        let (code, _, err) = firebrand(build);
        assert_eq!((code, err.as_str()), (0, ""));
        let manifest = Manifest::parse(&std::fs::read(output.join(MANIFEST)).expect("a manifest")).expect("read");
        assert_eq!(manifest.inputs[0].preprocessing, Some(Preprocessing::Audio { sample_rate: 8000 }));
        let task = manifest.task.expect("a task");
        assert_eq!((task.name.as_str(), &task.parameters["threshold"]), ("tea-leaf-reading", &json!(0.5)));
        assert_eq!(std::fs::read(output.join(&task.files["terms"].file)).expect("a file"), b"[]");

        let (code, out, _) = firebrand(["inspect", path(&output)]);
        assert!(code == 0 && out.contains("tea-leaf-reading"), "{out}");

        let wrong = [
            (vec!["--task-parameters", "{"], "--task-parameters: expected a JSON object"),
            (vec!["--task-file", "terms.json"], "--task-file: expected NAME=FILE"),
            (vec!["--task-file", "terms=nowhere.json"], "nowhere.json"),
            (vec!["--task", "Tea Leaves"], "task.name"),
        ];
        for (more, said) in wrong {
            let (code, _, err) = firebrand(build.into_iter().chain(more));
            assert!(code == 1 && err.contains(said), "{code}: {err}");
        }
    }

    #[test]
    fn verify_says_what_is_right_and_what_is_not() {
        let stored = Files::stored();
        for package in [folder(), folder().join(MANIFEST)] {
            let (code, out, err) = firebrand(["verify", path(&package)]);
            assert_eq!((code, err.as_str()), (0, ""), "{out}");
            assert!(out.contains("✓ golden sample  sample 2 of 2"), "{out}");
        }
        let bad = put("bad", &stored.change("weights", |bytes| bytes[0] ^= 1));
        let (code, out, err) = firebrand(["verify", path(&bad), "--json"]);
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((code, &report["ok"]), (2, &json!(false)), "{err}");
        assert!(report["checks"][1]["detail"].as_str().expect("a text").contains("expected SHA-256"), "{out}");
        assert!(err.starts_with("error: ") && err.contains("the package is bad: file"), "{err}");
        let (code, _, err) = firebrand(["verify", path(&put("none", &Files(Vec::new())))]);
        assert!(code == 1 && err.contains("expected a package's folder"), "{err}");
    }

    #[test]
    fn verify_compares_with_the_original_and_exits_with_3_where_it_is_further_than_claimed() {
        let model = |name: &str, model: &Model| {
            let folder =
                put(name, &Files(vec![File { name: "tiny.onnx".into(), bytes: model.to_onnx().expect("written") }]));
            folder.join("tiny.onnx")
        };
        let (code, out, err) = firebrand(["verify", path(&folder()), "--against", path(&model("same", &tiny()))]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("2 inputs") && out.contains("top-1 agrees in 100.0 %"), "{out}");
        let mut other = tiny();
        other.graph.initializers.insert("fc.weight".into(), Random::new(9).tensor(&[16, 100]));
        let (code, out, err) = firebrand(["verify", path(&folder()), "--against", path(&model("other", &other))]);
        assert!(code == 3 && err.contains("further from its original than its manifest claims"), "{out}{err}");
        let bad = put("bad-and-far", &Files::stored().change("labels", |bytes| bytes[3] ^= 1));
        let (code, ..) = firebrand(["verify", path(&bad), "--against", path(&model("other", &other))]);
        assert_eq!(code, 2, "a bad package is worse than one that is far off");
    }

    #[test]
    fn packages_are_models_for_inspect_and_run() {
        let (code, out, err) = firebrand(["inspect", path(&folder()), "--plan", "--json"]);
        assert_eq!((code, err.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((&report["manifest"]["name"], &report["nodeCount"]), (&json!("tiny"), &json!(6)), "{out}");
        assert_eq!(report["files"].as_array().expect("files").len(), 2);
        let (_, out, _) = firebrand(["inspect", path(&folder())]);
        assert!(out.contains("tiny 1.0.0") && out.contains("made of    tiny.onnx (onnx, 8.5 KiB)"), "{out}");

        let input = put("input", &Files(Vec::new())).join("x.json");
        let row = vec![0.5; 8];
        std::fs::write(&input, json!([vec![vec![row; 8]; 3]]).to_string()).expect("written");
        let (code, out, err) = firebrand(["run", path(&folder().join(MANIFEST)), "--input", path(&input), "--json"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        // The labels are a file of the package.
        let report: Value = serde_json::from_str(&out).expect("JSON");
        let output = report["outputs"].as_array().expect("outputs").iter().find(|o| o["name"] == "probabilities");
        let top = output.expect("probabilities")["top"].as_array().expect("the largest");
        assert_eq!(top.len(), 5);
        assert!(top.iter().all(|one| one["label"] == json!(format!("thing {}", one["index"]))), "{out}");
        let renamed = put("other-labels", &Files::stored().change("labels", |bytes| bytes[3] ^= 1));
        let (code, _, err) = firebrand(["run", path(&renamed), "--input", path(&input)]);
        assert!(code == 2 && err.contains("labels-") && err.contains("expected SHA-256"), "{err}");
        let bad = put("bad-to-run", &Files::stored().change("weights", |bytes| bytes[0] ^= 1));
        let (code, out, err) = firebrand(["run", path(&bad), "--input", path(&input)]);
        assert!(code == 2 && out.is_empty() && err.contains("expected SHA-256"), "{err}");
    }

    #[test]
    fn diff_tells_what_changed() {
        let mut other = tiny();
        let mut weight = other.graph.initializers["fc.weight"].as_slice::<f32>().expect("floats").to_vec();
        weight[5] += 0.25;
        other.graph.initializers.insert("fc.weight".into(), f32s(&[16, 100], weight));
        other.graph.nodes.retain(|node| node.op_type != "Softmax");
        other.graph.outputs[0].name = "scores".into();
        let metadata = Metadata { version: "1.1.0".into(), labels: BTreeMap::new(), ..metadata() };
        let other = put("other-version", &Files(Package::write(&other, &metadata, &[], &options()).expect("written")));
        let (code, out, err) = firebrand(["diff", path(&folder()), path(&other), "--json"]);
        assert_eq!((code, err.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(report["operators"], json!([{ "name": "Softmax", "before": 1, "after": null }]));
        assert_eq!(report["weights"]["same"], json!(2));
        assert_eq!(report["weights"]["changed"][0]["name"], json!("fc.weight"));
        assert!((report["weights"]["changed"][0]["maxDifference"].as_f64().expect("a number") - 0.25).abs() < 1e-6);
        assert_eq!(report["outputs"].as_array().expect("outputs").len(), 2);
        let fields = report["manifest"].as_array().expect("fields");
        assert!(fields.contains(&json!({ "name": "version", "before": "1.0.0", "after": "1.1.0" })), "{out}");
        let (_, out, _) = firebrand(["diff", path(&folder()), path(&other)]);
        assert!(out.contains("Softmax  1  →  –") && out.contains("2 the same, 1 changed"), "{out}");
        // A package beside the very model that is in it.
        let (_, out, _) = firebrand(["diff", path(&folder()), path(&folder().join("graph.onnx"))]);
        assert!(out.contains("3 the same, 0 changed") && !out.contains("Manifest"), "{out}");
    }
}

#[test]
fn a_tensor_of_a_seed_takes_no_more_memory_than_models_need() {
    let random = RandomInput { seed: 1, low: -1.0, high: 1.0 };
    let input = |rows| SampleInput::Random { dtype: DataType::Float32, shape: vec![rows, 1 << 20], random };
    let error = input(17).tensor().expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(input(1).tensor().expect("made").len(), 1 << 20);
}
