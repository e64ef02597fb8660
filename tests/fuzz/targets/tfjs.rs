//! A `model.json` of TensorFlow.js, layers or graph, with the bytes of its weights behind it, or zeros.
#![no_main]

use firebrand::ExternalData;
use firebrand_fuzz::imported::import;
use firebrand_fuzz::json;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use serde_json::Value;

/// What is made up of zeros at most.
const MOST_ZEROS: u64 = 1 << 20;

/// The bytes that a group of the manifest asks for.
fn size(group: &Value) -> u64 {
    let weight = |weight: &Value| {
        let shape = weight["shape"].as_array().map_or(&[][..], |shape| shape);
        let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(size.as_u64()?)).unwrap_or(0);
        let dtype = weight["quantization"]["dtype"].as_str().or(weight["dtype"].as_str());
        count.saturating_mul(match dtype {
            Some("uint8" | "bool") => 1,
            Some("uint16" | "float16") => 2,
            _ => 4,
        })
    };
    group["weights"].as_array().into_iter().flatten().map(weight).fold(0, u64::saturating_add).min(MOST_ZEROS)
}

/// The files that the manifest names: of each group, the first has all of its bytes.
fn files(model: &Value, given: &[u8]) -> ExternalData {
    let mut files = ExternalData::new();
    for group in model["weightsManifest"].as_array().into_iter().flatten() {
        let names = group["paths"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (index, name) in names.enumerate() {
            let bytes = match (index, given.is_empty()) {
                (0, true) => vec![0; size(group) as usize],
                (0, false) => given.to_vec(),
                _ => Vec::new(),
            };
            files.insert(name.to_string(), bytes.into());
        }
    }
    files
}

fuzz_target!(|data: &[u8]| {
    let Some((model, rest)) = json::split(data) else {
        import("model.json", data.to_vec(), &ExternalData::new(), &Default::default());
        return;
    };
    let given = rest.strip_prefix(b"\0").unwrap_or(&[]);
    import("model.json", data[..data.len() - rest.len()].to_vec(), &files(&model, given), &Default::default());
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { json::mutate(data, size, most, seed) });
fuzz_crossover!(|a: &[u8], b: &[u8], out: &mut [u8], seed: u32| { json::cross(a, b, out, seed) });
