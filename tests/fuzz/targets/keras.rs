//! Keras' files as they are, or a configuration in JSON, with an HDF5 file of weights behind it or with the weights that it
//! asks for.
#![no_main]

use firebrand::import::Alone;
use firebrand::{Error, ExternalData};
use firebrand_fuzz::imported::{archive, import};
use firebrand_fuzz::json;
use hdf5_pure::{AttrValue, FileBuilder};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use serde_json::{Value, json};

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Weights that are made up for one configuration at most.
const MOST_WEIGHTS: usize = 48;

/// Elements of all of them at most.
const MOST_ELEMENTS: usize = 1 << 18;

/// A `.h5` file without weights.
fn h5(config: &str, version: &str) -> Option<Vec<u8>> {
    let mut file = FileBuilder::new();
    file.set_attr("model_config", AttrValue::String(config.to_string()));
    file.set_attr("keras_version", AttrValue::String(version.to_string()));
    let group = file.create_group("model_weights").finish();
    file.add_group(group);
    file.finish().ok()
}

/// The names and shapes of weights.
type Weights = Vec<(String, Vec<u64>)>;

/// Adds the weights that are missing, or gives one the shape that was expected; false where the error says neither.
fn mend(weights: &mut Weights, error: &Error) -> bool {
    let text = error.message();
    if let Some((_, names)) = text.split_once(" weights are not in the file: ") {
        let names = names.split('"').skip(1).step_by(2);
        weights.extend(names.map(|name| (name.to_string(), vec![1])));
        return weights.len() <= MOST_WEIGHTS;
    }
    let Some((name, rest)) =
        text.split_once("weight \"").and_then(|(_, rest)| rest.split_once("\": expected the shape ["))
    else {
        return false;
    };
    let shape: Option<Vec<u64>> =
        rest.split(']').next().map(|sizes| sizes.split(", ").filter_map(|size| size.parse().ok()).collect());
    match (weights.iter_mut().find(|(known, _)| known == name), shape) {
        (Some((_, known)), Some(shape)) if *known != shape => *known = shape,
        _ => return false,
    }
    true
}

/// The configuration as a model of TensorFlow.js' layers, with weights of zero, as many and as large as it asks for.
fn with_weights(config: &Value) {
    let mut weights = Weights::new();
    for _ in 0..2 * MOST_WEIGHTS {
        let count = |shape: &Vec<u64>| shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size as usize));
        let total = weights.iter().try_fold(0usize, |total, (_, shape)| total.checked_add(count(shape)?));
        let Some(total) = total.filter(|&total| total <= MOST_ELEMENTS) else { return };
        let list: Vec<Value> =
            weights.iter().map(|(name, shape)| json!({ "name": name, "shape": shape, "dtype": "float32" })).collect();
        let model = json!({
            "modelTopology": { "model_config": config },
            "weightsManifest": [{ "paths": ["weights.bin"], "weights": list }],
        });
        let files: ExternalData = [("weights.bin".to_string(), vec![0; 4 * total].into())].into();
        match import("model.json", model.to_string().into_bytes(), &files, &Default::default()) {
            Some(error) if mend(&mut weights, &error) => {}
            _ => return,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let alone = |name: &str, bytes: Vec<u8>| drop(import(name, bytes, &Alone, &Default::default()));
    let Some((config, rest)) = json::split(data) else {
        return alone("model.keras", data.to_vec());
    };
    let text = &data[..data.len() - rest.len()];
    if rest.starts_with(HDF5) {
        return alone("model.keras", archive(&[("config.json", text), ("model.weights.h5", rest)]));
    }
    with_weights(&config);
    for version in ["2.15.0", "3.5.0"] {
        if let Some(file) = h5(&config.to_string(), version) {
            alone("model.h5", file);
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { json::mutate(data, size, most, seed) });
fuzz_crossover!(|a: &[u8], b: &[u8], out: &mut [u8], seed: u32| { json::cross(a, b, out, seed) });
