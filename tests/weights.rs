//! Files of weights alone, with the graph of their architecture, against the same networks as other programs made
//! them; and files that are damaged, hostile, or no weights at all.

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use firebrand::graph::{Dim, ValueType};
use firebrand::import::weights::{self, Weights};
use firebrand::import::{Alone, Format, ImportOptions, Imported, import};
use firebrand::{DataType, Error, ErrorKind, Feed, Model, Result, RunOptions, Session, SessionOptions, Tensor};
use support::Random;

/// What `tests/weights/oracle.py` writes.
fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name)
}

/// The stored answers of one part of the oracle.
fn expected(part: &str) -> Weights {
    let (all, _) = weights::read(Format::Numpy, &read(&stored("answers.npz"))).unwrap_or_else(|e| panic!("{e}"));
    let prefix = format!("{part}/");
    let part: Weights =
        all.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_string(), t))).collect();
    assert!(!part.is_empty());
    part
}

fn weights_of(name: &str) -> Result<Weights> {
    let bytes = read(&stored(name));
    weights::read(Format::of(name, &bytes)?, &bytes).map(|(weights, _)| weights)
}

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
    assert!(
        ours[0].1.bytes() == theirs[0].1.bytes(),
        "{arch}: {:?}",
        support::compare(&ours[0].1, &theirs[0].1, 0.0, 0.0)
    );
}

#[test]
fn a_checkpoint_of_efficientnet_gives_the_same_answers_bit_by_bit() {
    same_as_prepared("models/efficientnet-lite0.pth", "efficientnet-lite0", "models/efficientnet-lite0.onnx", 1.0);
}

#[test]
fn arrays_of_squeezenet_give_the_same_answers_bit_by_bit() {
    same_as_prepared("models/squeezenet.pkl", "squeezenet1.1", "models/squeezenet1.1.onnx", 120.0);
}

fn all_equal(got: &Weights, expected: &Weights) {
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let got = &got[name];
        if got.dtype() == DataType::BFloat16 {
            assert_eq!((got.shape(), support::numbers(got)), (expected.shape(), support::numbers(expected)), "{name}");
        } else if let Err(error) = support::compare(got, expected, 0.0, 0.0) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn checkpoints_of_both_formats_hold_what_was_saved() {
    let expected = expected("state");
    for (name, note) in [("state.pth", Format::PyTorch), ("state-legacy.pth", Format::PyTorch)] {
        assert_eq!(Format::of("weights", &read(&stored(name))), Ok(note), "{name}, told by its bytes");
        all_equal(&weights_of(name).unwrap_or_else(|e| panic!("{name}: {e}")), &expected);
    }
}

#[test]
fn arrays_of_every_protocol_hold_what_was_saved() {
    let expected = expected("arrays");
    for name in ["arrays-2.pkl", "arrays-3.pkl", "arrays-4.pkl", "arrays-5.pkl"] {
        all_equal(&weights_of(name).unwrap_or_else(|e| panic!("{name}: {e}")), &expected);
    }
    let nested = [("plain", "layers.0"), ("fortran", "layers.1.b")];
    let flat: Weights = weights_of("arrays.npz").expect("read").into_iter().collect();
    let renamed = |name: String| nested.iter().find(|(n, _)| *n == name).map_or(name.clone(), |(_, n)| n.to_string());
    all_equal(&flat.into_iter().map(|(name, t)| (renamed(name), t)).collect(), &expected);
}

/// Runs a converted file on what the oracle ran and gives the largest difference.
fn near(imported: Imported, answers: &Weights, output: &str, tolerance: f64) {
    let written = imported.model.to_onnx().unwrap_or_else(|e| panic!("{e}"));
    let model = Model::from_onnx(written, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<(String, Feed)> =
        model.graph.inputs.iter().map(|i| (i.name.clone(), answers[&i.name].clone().into())).collect();
    let got = self::answers(model, &inputs);
    assert_eq!(got.len(), 1);
    match support::compare(&got[0].1, &answers[output], tolerance, tolerance) {
        Ok(largest) => println!("{output}: {largest:.1e}"),
        Err(error) => panic!("{output}: {error}"),
    }
}

#[test]
fn a_bert_takes_its_sizes_from_its_weights() {
    let bytes = read(&stored("bert.safetensors"));
    let imported = convert("bert.safetensors", bytes.clone(), Some(r#"{"arch": "bert", "heads": 3}"#));
    let imported = imported.unwrap_or_else(|e| panic!("{e}"));
    assert!(imported.notes.iter().any(|note| note.contains("made float32")), "{:?}", imported.notes);
    near(imported, &expected("bert"), "last_hidden_state", 2e-5);
    let error = convert("bert.safetensors", bytes, Some("bert")).expect_err("a width of 24 says nothing of heads");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("heads"), "{error}");
}

#[test]
fn minilm_answers_as_the_onnx_file_of_it_does() {
    let cache = support::cache();
    let (weights, prepared) = (cache.join("models/minilm.safetensors"), cache.join("bench/models/minilm/f32.onnx"));
    if !weights.exists() || !prepared.exists() {
        println!("skipped: {} or {} is missing; make bench prepares them", weights.display(), prepared.display());
        return;
    }
    let imported = convert("minilm.safetensors", read(&weights), Some("minilm")).unwrap_or_else(|e| panic!("{e}"));
    let theirs = Model::from_onnx(read(&prepared), &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let ids = [101, 1016, 1012, 3946, 1997, 9385, 6105, 1012, 3395, 102, 0, 0];
    let mask = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0];
    let inputs: Vec<(String, Feed)> = [("input_ids", ids), ("attention_mask", mask), ("token_type_ids", [0; 12])]
        .into_iter()
        .map(|(name, values)| (name.to_string(), support::i64s(&[1, 12], &values).into()))
        .collect();
    let (ours, theirs) = (answers(imported.model, &inputs), answers(theirs, &inputs));
    match support::compare(&ours[0].1, &theirs[0].1, 0.0, 2e-5) {
        Ok(largest) => println!("minilm: {largest:.1e}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_described_network_is_built_as_it_is_described() {
    let bytes = read(&stored("described.npz"));
    let description = String::from_utf8(read(&stored("description.json"))).expect("text");
    let imported = convert("described.npz", bytes.clone(), Some(&description)).unwrap_or_else(|e| panic!("{e}"));
    near(imported, &expected("described"), "output", 1e-5);
    for (from, to, says) in [
        ("\"leaky_relu\"", "\"leaky_rel\"", "layer 13 (leaky_rel): no such layer (did you mean leaky_relu?)"),
        ("\"slope\"", "\"slop\"", "layer 13 (leaky_relu): it has no \"slop\""),
        ("\"with\": \"before\"", "\"with\": \"after\"", "layer 7 (add): no layer before is named \"after\""),
        ("\"kernel\": 2", "\"kernel\": -2", "layer 8 (max_pool): \"kernel\" is to be a whole number"),
        ("\"input\"", "\"inputs\"", "\"input\" is to be the input's shape"),
        ("\"fc2\"", "\"fc3\"", "1 missing: \"fc3.weight\"; 1 that it has no place for: \"fc2.weight\""),
        ("\"layers\": [", "\"layers\": {", "is no JSON"),
    ] {
        assert!(description.contains(from));
        let error = convert("described.npz", bytes.clone(), Some(&description.replacen(from, to, 1)));
        let error = error.map(|_| ()).expect_err("a wrong description");
        assert!(error.message().contains(says), "{from} → {to}: {error}");
    }
}

/// A safetensors file.
fn safetensors(tensors: &[(String, Tensor)]) -> Vec<u8> {
    let mut data = Vec::new();
    let entries: serde_json::Map<String, serde_json::Value> = tensors
        .iter()
        .map(|(name, tensor)| {
            let start = data.len();
            data.extend_from_slice(tensor.bytes().expect("numbers"));
            let dtype = if tensor.dtype() == DataType::Int64 { "I64" } else { "F32" };
            let entry =
                serde_json::json!({"dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, data.len()]});
            (name.clone(), entry)
        })
        .collect();
    let header = serde_json::Value::Object(entries).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// The formula of `tests/weights/oracle.py`: numbers between -0.5 and 0.5 that follow from a name.
fn noise(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(2166136261u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16777619));
    (0..count as u32).map(move |index| {
        let mut x = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9));
        for (shift, factor) in [(16, 0x85EB_CA6Bu32), (13, 0xC2B2_AE35)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        x ^= x >> 16;
        f64::from(x >> 8) / f64::from(1 << 24) - 0.5
    })
}

/// A network whose weights are the formula's, by torchvision's names.
fn formula(arch: &str) {
    let shapes: serde_json::Value = serde_json::from_slice(&read(&stored("networks.json"))).expect("JSON");
    let shapes = shapes[arch].as_object().expect("the network's weights");
    let mut tensors: Vec<(String, Tensor)> = shapes
        .iter()
        .map(|(name, shape)| {
            let sizes = shape.as_array().expect("a shape").iter().map(|d| d.as_u64().expect("a size") as usize);
            let shape: Vec<usize> = sizes.collect();
            let fan = shape[1..].iter().product::<usize>() as f64;
            let is_scale = name.ends_with("running_var") || shape.len() == 1 && name.ends_with("weight");
            let values = noise(name, shape.iter().product()).map(|u| {
                (if is_scale {
                    1.0 + 0.5 * u
                } else if shape.len() > 1 {
                    u * (24.0 / fan).sqrt()
                } else {
                    u
                }) as f32
            });
            (name.clone(), support::f32s(&shape, values.collect()))
        })
        .collect();
    // What every normalisation of PyTorch counts, and no graph needs.
    tensors.push(("bn1.num_batches_tracked".to_string(), support::i64s(&[], &[5])));
    let imported = convert("net.safetensors", safetensors(&tensors), Some(arch)).unwrap_or_else(|e| panic!("{e}"));
    let picture = noise("input", 3 * 224 * 224).map(|v| v as f32).collect();
    let mut expected = expected("networks");
    expected.insert("input".to_string(), support::f32s(&[1, 3, 224, 224], picture));
    near(imported, &expected, arch, 1e-3);
}

#[test]
fn resnet18_by_torchvisions_names() {
    formula("resnet18");
}

#[test]
fn resnet34_by_torchvisions_names() {
    formula("resnet34");
}

#[test]
fn resnet50_by_torchvisions_names() {
    formula("resnet50");
}

#[test]
fn mobilenet_by_torchvisions_names() {
    formula("mobilenetv2");
}

fn error(name: &str, bytes: Vec<u8>, arch: Option<&str>) -> Error {
    convert(name, bytes, arch).map(|_| ()).expect_err("a file that is refused")
}

fn says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn weights_without_an_architecture_are_told_apart_from_a_model() {
    let bytes = read(&stored("bert.safetensors"));
    let none = error("bert.safetensors", bytes.clone(), None);
    let parts =
        ["weights alone", "--arch", "names are of bert or minilm", "bert.embeddings.LayerNorm.bias", "resnet18"];
    says(&none, ErrorKind::InvalidArgument, &parts);
    let wrong = error("bert.safetensors", bytes, Some("bertt"));
    says(&wrong, ErrorKind::InvalidArgument, &["\"bertt\" is not known (did you mean bert?)", "squeezenet1.1"]);
}

#[test]
fn all_weights_that_do_not_fit_are_named_at_once() {
    let mut tensors: BTreeMap<String, Tensor> = weights_of("bert.safetensors").expect("read");
    tensors.retain(|_, tensor| matches!(tensor.dtype(), DataType::Float32 | DataType::Int64));
    tensors.insert("bert.encoder.layer.0.attention.self.query.bias".into(), support::f32s(&[7], vec![0.0; 7]));
    tensors.insert("classifier.weight".into(), support::f32s(&[1, 1], vec![0.0]));
    let words = support::f32s(&[40, 24], vec![0.0; 960]);
    tensors.insert("bert.embeddings.word_embeddings.weight".into(), words);
    let bytes = safetensors(&tensors.into_iter().collect::<Vec<_>>());
    let wrong = error("bert.safetensors", bytes, Some(r#"{"arch": "bert", "heads": 3}"#));
    says(
        &wrong,
        ErrorKind::InvalidModel,
        &[
            "missing: ",
            "\"bert.encoder.layer.0.attention.self.key.bias\"",
            "\"bert.encoder.layer.1.output.dense.bias\"",
            "query.bias\": expected float [24], got float32 [7]",
            "no place for: \"classifier.weight\"",
        ],
    );
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let mut tensors = weights_of("described.npz").expect("read");
    tensors.remove("features.1.num_batches_tracked");
    tensors.remove("block.1.num_batches_tracked");
    for name in ["fc1.bias", "features.0.bias"] {
        let count = tensors[name].len();
        tensors.insert(name.into(), support::f32s(&[count], vec![f32::NAN; count]));
    }
    let description = String::from_utf8(read(&stored("description.json"))).expect("text");
    let bytes = safetensors(&tensors.into_iter().collect::<Vec<_>>());
    let wrong = error("net.safetensors", bytes, Some(&description));
    says(&wrong, ErrorKind::InvalidModel, &["\"fc1.bias\" (10 of 10)", "\"features.0.bias\" (8 of 8)"]);
}

/// A pickle of protocol 2 with `program` in it.
fn pickle(program: &[u8]) -> Vec<u8> {
    [b"\x80\x02", program, b"."].concat()
}

/// A zip file, its members stored.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in members {
        let sizes = [(crc(data)).to_le_bytes(), (data.len() as u32).to_le_bytes(), (data.len() as u32).to_le_bytes()];
        let lengths = [(name.len() as u16).to_le_bytes(), [0, 0]].concat();
        let shared = [&[10, 0, 0, 0, 0, 0, 0, 0, 33, 0][..], &sizes.concat(), &lengths].concat();
        let offset = bytes.len() as u32;
        directory
            .extend([b"PK\x01\x02\x0a\x00", &shared[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &shared[..], name.as_bytes(), data].concat());
    }
    let (count, start) = ((members.len() as u16).to_le_bytes(), bytes.len() as u32);
    let length = (directory.len() as u32).to_le_bytes();
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &length, &start.to_le_bytes(), &[0, 0]].concat());
    bytes
}

fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

#[test]
fn every_name_that_a_pickle_may_not_have_is_told_and_nothing_runs() {
    let plain = pickle(b"(cposix\nsystem\nX\x04\x00\x00\x00true\x85Rcbuiltins\neval\n)Rc__main__\nNet\n)\x81l");
    let zipped = zip(&[("archive/data.pkl", &plain), ("archive/version", b"3\n")]);
    for (name, bytes) in [("a.pkl", plain), ("a.pth", zipped)] {
        let refused = error(name, bytes, None);
        let parts = ["\"posix.system\"", "\"builtins.eval\"", "\"__main__.Net\"", "nothing was run", "state_dict"];
        says(&refused, ErrorKind::Unsupported, &parts);
    }
    let script = zip(&[
        ("net/data.pkl", b"\x80\x02}."),
        ("net/code/net.py", b"class Net"),
        ("net/constants.pkl", b"\x80\x02)."),
    ]);
    says(&error("net.pt", script, None), ErrorKind::Unsupported, &["TorchScript", "torch.onnx.export"]);
}

/// `program` around a tensor of `shape` and `strides` over a storage that claims `count` floats; the archive has 4.
fn tensor_of(count: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let int = |value: i32| [b"J", &value.to_le_bytes()[..]].concat();
    let ints = |values: &[i32]| [b"(", &values.iter().flat_map(|&v| int(v)).collect::<Vec<_>>()[..], b"t"].concat();
    let storage = [b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu", &int(count)[..], b"tQ"].concat();
    let tensor =
        [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], &int(offset), &ints(shape), &ints(strides), b"\x89}tR"]
            .concat();
    let data = pickle(&[b"}U\x01w", &tensor[..], b"s"].concat());
    zip(&[("a/data.pkl", &data), ("a/data/0", &[0; 16])])
}

#[test]
fn hostile_sizes_are_refused_before_anything_is_allocated() {
    let huge = i32::MAX;
    for (bytes, kind, part) in [
        (tensor_of(4, 0, &[5], &[1]), ErrorKind::InvalidModel, "reaches past its storage of 4"),
        (tensor_of(4, 1, &[4], &[1]), ErrorKind::InvalidModel, "reaches past"),
        (tensor_of(huge, 0, &[huge], &[1]), ErrorKind::InvalidModel, "reaches past its storage of 4"),
        (tensor_of(4, 0, &[huge, huge, huge], &[0, 0, 0]), ErrorKind::LimitExceeded, "larger than memory"),
        (tensor_of(4, 0, &[huge], &[0]), ErrorKind::LimitExceeded, "hostile"),
        (tensor_of(4, 0, &[2, 2], &[1]), ErrorKind::InvalidModel, "another length"),
        (tensor_of(4, -1, &[2], &[1]), ErrorKind::InvalidModel, "not where PyTorch puts them"),
        (tensor_of(4, 0, &[-2], &[1]), ErrorKind::InvalidModel, "not where PyTorch puts them"),
        (tensor_of(4, 0, &[2, 2], &[huge, huge]), ErrorKind::InvalidModel, "reaches past"),
    ] {
        let refused = error("a.pth", bytes, Some("resnet18"));
        says(&refused, kind, &["\"w\"", part]);
    }
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &[0; 16]].concat();
    for (text, kind, part) in [
        (
            r#"{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#,
            ErrorKind::Truncated,
            "\"a\" spans bytes 0 to 20",
        ),
        (r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,20]}}"#, ErrorKind::InvalidModel, "16 bytes"),
        (r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#, ErrorKind::InvalidModel, "\"a\""),
        (
            r#"{"a":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,16]}}"#,
            ErrorKind::InvalidModel,
            "larger than memory",
        ),
        (r#"{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}"#, ErrorKind::InvalidModel, "F4 [4]"),
        (r#"{"a":{"dtype":"F32","shape":[4]}}"#, ErrorKind::InvalidModel, "data_offsets"),
        (r#"{"a":4}"#, ErrorKind::InvalidModel, "not as it must be"),
        (
            r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}}"#,
            ErrorKind::InvalidModel,
            "\"a\" and \"b\" share bytes",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}"#,
            ErrorKind::InvalidModel,
            "\"a\" is there twice",
        ),
        ("{}", ErrorKind::InvalidModel, "no tensors"),
    ] {
        says(&error("a.safetensors", header(text), Some("bert")), kind, &[part]);
    }
    let long = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    says(&error("a.safetensors", long, None), ErrorKind::InvalidModel, &["at most 100000000"]);
    let deep = "[".repeat(100_000);
    says(&error("a.safetensors", header(&deep), None), ErrorKind::InvalidModel, &["not as it must be"]);
    // Bytes that claim to be four gigabytes.
    says(&error("a.pkl", pickle(b"B\xff\xff\xff\xff"), None), ErrorKind::Truncated, &["cut short"]);
}

#[test]
fn pickles_that_hold_themselves_or_double_at_every_step_end() {
    // A list in itself.
    let own = pickle(b"]q\x00h\x00a");
    says(&error("a.pkl", own, None), ErrorKind::LimitExceeded, &[]);
    // 100,000 lists in each other.
    let deep = pickle(&[&b"]".repeat(100_000)[..], &b"a".repeat(99_999)].concat());
    says(&error("a.pkl", deep, None), ErrorKind::LimitExceeded, &["deep"]);
    // A million bytes, and text for a thousand copies of them.
    let encode = b"c_codecs\nencode\nh\x00U\x06latin1\x86R0".repeat(1000);
    let text = [b"X", &1_000_000u32.to_le_bytes()[..], &b"a".repeat(1_000_000), b"q\x00"].concat();
    let copies = pickle(&[text, encode].concat());
    says(&error("a.pkl", copies, None), ErrorKind::LimitExceeded, &["copies more than"]);
    // Names of two long texts each.
    let long = |key: u8| [b"X\x58\x02\x00\x00", &b"a".repeat(600)[..], b"q", &[key], b"0"].concat();
    let names = pickle(&[&long(0)[..], &long(1), b"h\x00h\x01\x93"].concat());
    says(&error("a.pkl", names, None), ErrorKind::LimitExceeded, &["longer ones"]);
    // Eight million lists.
    let many = pickle(&b"]".repeat(8_000_000));
    says(&error("a.pkl", many, None), ErrorKind::LimitExceeded, &["many more than weights have"]);
    // Ten lists, each with the one before a hundred times: 10^20 places.
    let mut program = b"]q\x00".to_vec();
    for level in 1..=10u8 {
        program.extend([&b"]("[..], &[b'h', level - 1].repeat(100), b"eq", &[level]].concat());
    }
    says(&error("a.pkl", pickle(&program), None), ErrorKind::LimitExceeded, &["hostile"]);
}

/// Zeros, deflated as far as that goes: a literal, then `count` times "258 more of the byte before", in 13 bits each.
fn zeros(count: usize) -> Vec<u8> {
    let mut bits = vec![1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    for _ in 0..count {
        bits.extend([1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
    bits.extend([0; 7]);
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | bit)).collect()
}

#[test]
fn archives_that_inflate_without_end_are_refused() {
    let deflated = |data: &[u8], declared: u32| {
        let mut bytes = zip(&[("w.npy", data)]);
        let directory = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").expect("a directory");
        for (method, size) in [(8, 22), (directory + 10, directory + 24)] {
            bytes[method] = 8;
            bytes[size..size + 4].copy_from_slice(&declared.to_le_bytes());
        }
        bytes
    };
    // 1 GiB out of 7 MB, which the archive says.
    let refused = error("a.npz", deflated(&zeros((1 << 30) / 258), (1 << 30) / 258 * 258 + 1), Some("bert"));
    says(&refused, ErrorKind::LimitExceeded, &["\"w.npy\"", "hostile"]);
    // 26 MB, which it does not say.
    let refused = error("a.npz", deflated(&zeros(100_000), 100), Some("bert"));
    says(&refused, ErrorKind::InvalidModel, &["\"w.npy\"", "larger than its declared"]);
}

const FILES: [&str; 8] = [
    "state.pth",
    "state-legacy.pth",
    "arrays-2.pkl",
    "arrays-3.pkl",
    "arrays-4.pkl",
    "arrays-5.pkl",
    "arrays.npz",
    "bert.safetensors",
];

#[test]
fn files_that_are_cut_short_are_refused_wherever_they_are_cut() {
    for name in FILES {
        let bytes = read(&stored(name));
        let step = (bytes.len() / 300).max(1);
        for end in (0..bytes.len()).step_by(step) {
            let cut = convert(name, bytes[..end].to_vec(), Some("bert"));
            let error = cut.map(|_| ()).expect_err("a file that is cut short");
            assert_ne!(error.kind(), ErrorKind::Internal, "{name}, {end} bytes: {error}");
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let seconds = std::env::var("SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let start = Instant::now();
    let files: Vec<(&str, Vec<u8>)> = FILES.into_iter().map(|name| (name, read(&stored(name)))).collect();
    let (mut tried, mut kept) = (0u64, 0u64);
    let mut slowest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(seconds) {
        let (name, original) = &files[tried as usize % files.len()];
        let mut random = Random::new(seed ^ tried);
        let mut bytes = original.clone();
        for _ in 0..random.within(1, 4) {
            let at = random.within(0, bytes.len() - 1);
            match random.within(0, 4) {
                0 => bytes[at] ^= 1 << random.within(0, 7),
                1 => bytes[at] = random.bits() as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.within(0, 4)],
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let from = random.within(0, bytes.len() - 1);
                    bytes[at] = bytes[from];
                }
            }
        }
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| convert(name, bytes, Some(r#"{"arch": "bert", "heads": 3}"#)))) {
            Ok(Ok(_)) => kept += 1,
            Ok(Err(error)) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
            Err(_) => panic!("{name}: a panic with SEED={}", seed ^ tried),
        }
        slowest = slowest.max(began.elapsed());
        tried += 1;
    }
    println!("{tried} damaged files tried, {kept} still converted; the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(kept > 0, "no damaged file was converted: the test does not reach the graphs");
}

#[cfg(feature = "cli")]
#[test]
fn the_command_line_reads_descriptions_in_both_notations() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("weights");
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    let convert = |arch: &str| {
        let output = folder.join(arch).with_extension(format!("{}.onnx", &arch[arch.len() - 4..]));
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_firebrand"))
            .arg("convert")
            .arg(stored("described.npz"))
            .arg("--arch")
            .arg(stored(arch))
            .arg("-o")
            .arg(&output)
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), said, std::fs::read(output).unwrap_or_default())
    };
    let (json, toml) = (convert("description.json"), convert("description.toml"));
    assert_eq!((json.0, json.1.as_str()), (Some(0), ""));
    assert_eq!((toml.0, toml.1.as_str()), (Some(0), ""));
    assert!(json.2 == toml.2 && !json.2.is_empty(), "one description, one file");
    let (code, said, _) = convert("no-description.json");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no-description.json"), "{said}");
}
