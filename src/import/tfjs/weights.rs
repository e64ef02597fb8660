//! The weights of a TensorFlow.js model: a manifest of groups, each of the bytes of its files one after another, with
//! the tensors in them in order. Codes of 8 and 16 bits become the numbers that they stand for.

use std::collections::BTreeMap;

use half::f16;
use serde_json::Value as Json;

use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};
use crate::import::Beside;

/// The weights that `manifest` lists, by name. The files are read through `beside`.
///
/// Errors: `InvalidModel`, `Unsupported`, `Truncated` where the files end before the weights, and those of `beside`.
pub fn read_weights(manifest: &Json, beside: &dyn Beside) -> Result<BTreeMap<String, Tensor>> {
    let Some(groups) = manifest.as_array() else { bail!(InvalidModel, "\"weightsManifest\" is no list") };
    let mut tensors = BTreeMap::new();
    for group in groups {
        let mut bytes = Vec::new();
        for path in group["paths"].as_array().into_iter().flatten() {
            let inside =
                |path: &&str| !path.contains(['\\', ':']) && path.split('/').all(|p| !p.is_empty() && p != "..");
            let Some(path) = path.as_str().filter(inside) else {
                bail!(InvalidModel, "the weights are in {path}, which is no file beside the model")
            };
            bytes.extend_from_slice(&beside.read(path)?);
        }
        let mut rest = &bytes[..];
        for weight in group["weights"].as_array().into_iter().flatten() {
            let Some(name) = weight["name"].as_str() else { bail!(InvalidModel, "a weight has no name") };
            let size = |size: &Json| size.as_u64().and_then(|size| usize::try_from(size).ok());
            let shape = weight["shape"].as_array().and_then(|shape| shape.iter().map(size).collect::<Option<Vec<_>>>());
            let Some(shape) = shape else { bail!(InvalidModel, "weight \"{name}\" has no shape") };
            let (dtype, codes) = (weight["dtype"].as_str().unwrap_or(""), &weight["quantization"]);
            let stored = codes["dtype"].as_str().unwrap_or(dtype);
            let width = match stored {
                "float32" | "int32" => 4,
                "float16" | "uint16" => 2,
                "uint8" | "bool" => 1,
                other => bail!(Unsupported, "weight \"{name}\" is stored as \"{other}\""),
            };
            let length = element_count(&shape)?.saturating_mul(width);
            ensure!(
                length <= rest.len(),
                Truncated,
                "weight \"{name}\" of shape {shape:?} takes {length} bytes, its files have {} left; are they cut short?",
                rest.len()
            );
            let (own, other) = rest.split_at(length);
            rest = other;
            tensors.insert(name.to_string(), tensor(name, dtype, codes, shape, own)?);
        }
        ensure!(rest.is_empty(), InvalidModel, "the files of weights have {} bytes too many", rest.len());
    }
    Ok(tensors)
}

fn tensor(name: &str, dtype: &str, codes: &Json, shape: Vec<usize>, bytes: &[u8]) -> Result<Tensor> {
    let number = |key: &str| codes[key].as_f64().filter(|number| number.is_finite());
    let (scale, min) = (number("scale"), number("min"));
    let pairs = bytes.as_chunks::<2>().0;
    let values: Vec<f64> = match (codes["dtype"].as_str(), dtype, scale, min) {
        (None, "float32", ..) => return Tensor::from_bytes(DataType::Float32, shape, bytes.to_vec()),
        (None, "int32", ..) => return Tensor::from_bytes(DataType::Int32, shape, bytes.to_vec()),
        (None, "bool", ..) => {
            return Tensor::from_bytes(DataType::Bool, shape, bytes.iter().map(|&b| u8::from(b != 0)).collect());
        }
        (Some("float16"), "float32", ..) | (None, "float16", ..) => {
            let halves = pairs.iter().map(|&pair| f16::from_le_bytes(pair).to_f32());
            return Tensor::from_vec(shape, halves.collect());
        }
        (Some("uint8"), _, Some(scale), Some(min)) => bytes.iter().map(|&c| f64::from(c) * scale + min).collect(),
        (Some("uint16"), _, Some(scale), Some(min)) => {
            pairs.iter().map(|&pair| f64::from(u16::from_le_bytes(pair)) * scale + min).collect()
        }
        _ => bail!(InvalidModel, "weight \"{name}\" of {dtype} has the quantization {codes}"),
    };
    match dtype {
        "float32" => Tensor::from_vec(shape, values.into_iter().map(|value| value as f32).collect()),
        "int32" => Tensor::from_vec(shape, values.into_iter().map(|value| value.round() as i32).collect()),
        other => bail!(Unsupported, "weight \"{name}\" of {other} has a quantization"),
    }
}
