//! The weights of a TensorFlow.js model: a manifest of groups, each of the bytes of its files one after another, with
//! the tensors in them in order. Codes of 8 and 16 bits become the floats that they stand for.

use half::f16;
use serde_json::Value as Json;

use crate::error::{Result, bail, ensure};
use crate::graph::{Tensor, element_count};
use crate::import::Beside;

/// How the bytes of a weight are stored.
enum Stored {
    Float32,
    Float16,
    Int32,
    Bool,
    /// Codes of a byte or two, and what they stand for: `code * scale + min`.
    Codes {
        wide: bool,
        scale: f64,
        min: f64,
        whole: bool,
    },
}

impl Stored {
    fn of(weight: &Json, name: &str) -> Result<Self> {
        let dtype = weight.get("dtype").and_then(Json::as_str).unwrap_or("");
        if let Some(quantization) = weight.get("quantization").filter(|q| !q.is_null()) {
            let code = quantization.get("dtype").and_then(Json::as_str).unwrap_or("");
            let number = |key: &str| quantization.get(key).and_then(Json::as_f64).filter(|n| n.is_finite());
            return match (code, number("scale"), number("min")) {
                ("float16", _, _) => Ok(Self::Float16),
                ("uint8" | "uint16", Some(scale), Some(min)) => {
                    Ok(Self::Codes { wide: code == "uint16", scale, min, whole: dtype == "int32" })
                }
                _ => bail!(
                    Unsupported,
                    "weight \"{name}\": expected a quantization of uint8, uint16 or float16, got {quantization}"
                ),
            };
        }
        Ok(match dtype {
            "float32" => Self::Float32,
            "float16" => Self::Float16,
            "int32" => Self::Int32,
            "bool" => Self::Bool,
            other => {
                bail!(Unsupported, "weight \"{name}\" is of the dtype \"{other}\"; expected float32, int32 or bool")
            }
        })
    }

    fn size(&self) -> usize {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Float16 => 2,
            Self::Bool => 1,
            Self::Codes { wide, .. } => 1 + usize::from(*wide),
        }
    }

    fn tensor(&self, shape: Vec<usize>, bytes: &[u8]) -> Result<Tensor> {
        match self {
            Self::Float32 => {
                Tensor::from_vec(shape, bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Self::Float16 => {
                Tensor::from_vec(shape, bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect())
            }
            Self::Int32 => {
                Tensor::from_vec(shape, bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
            }
            Self::Bool => {
                let bytes = bytes.iter().map(|&b| u8::from(b != 0)).collect();
                Tensor::from_bytes(crate::graph::DataType::Bool, shape, bytes)
            }
            Self::Codes { wide, scale, min, whole } => {
                let code = |index: usize| match wide {
                    true => u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]),
                    false => u16::from(bytes[index]),
                };
                let values = (0..bytes.len() / self.size()).map(|index| f64::from(code(index)) * scale + min);
                match whole {
                    true => Tensor::from_vec(shape, values.map(|value| value.round() as i32).collect()),
                    false => Tensor::from_vec(shape, values.map(|value| value as f32).collect()),
                }
            }
        }
    }
}

/// Whether a manifest's path leads to a file beside the model or below.
fn inside(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "..";
    !path.contains(['\\', ':']) && path.split('/').all(part)
}

/// The weights that `manifest` lists, by name, in its order. The files are read through `beside`.
///
/// Errors: `InvalidModel`, `Unsupported`, `Truncated` where the files end before the weights, and those of `beside`.
pub fn read(manifest: &Json, beside: &dyn Beside) -> Result<Vec<(String, Tensor)>> {
    let Some(groups) = manifest.as_array() else { bail!(InvalidModel, "\"weightsManifest\" is no list") };
    let mut tensors = Vec::new();
    for group in groups {
        let paths = group.get("paths").and_then(Json::as_array).map_or(&[][..], |paths| paths);
        let mut bytes = Vec::new();
        for path in paths {
            match path.as_str() {
                Some(path) if inside(path) => bytes.extend_from_slice(&beside.read(path)?),
                _ => bail!(InvalidModel, "the weights are in {path}, which is no file beside the model"),
            }
        }
        let weights = group.get("weights").and_then(Json::as_array).map_or(&[][..], |weights| weights);
        let mut at = 0;
        for weight in weights {
            let Some(name) = weight.get("name").and_then(Json::as_str) else {
                bail!(InvalidModel, "a weight has no name")
            };
            let size = |size: &Json| size.as_u64().and_then(|size| usize::try_from(size).ok());
            let shape = weight.get("shape").and_then(Json::as_array).map(|shape| shape.iter().map(size).collect());
            let Some(Some(shape)) = shape else { bail!(InvalidModel, "weight \"{name}\" has no shape") };
            let shape: Vec<usize> = shape;
            let stored = Stored::of(weight, name)?;
            let end = element_count(&shape)?.checked_mul(stored.size()).and_then(|length| length.checked_add(at));
            ensure!(
                end.is_some_and(|end| end <= bytes.len()),
                Truncated,
                "weight \"{name}\" of shape {shape:?} begins at byte {at}, its files have {} bytes: a download is probably \
                 cut short",
                bytes.len()
            );
            let end = end.unwrap_or(at);
            tensors.push((name.to_string(), stored.tensor(shape, &bytes[at..end])?));
            at = end;
        }
        ensure!(
            at == bytes.len(),
            InvalidModel,
            "the weights of {paths:?} take {at} bytes, the files have {}: they belong to another model",
            bytes.len()
        );
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::onnx::ExternalData;

    fn read_one(weight: Json, bytes: &[u8]) -> Result<Tensor> {
        let manifest = json!([{ "paths": ["a.bin", "b.bin"], "weights": [weight] }]);
        let (a, b) = bytes.split_at(bytes.len() / 2);
        let files: ExternalData = [("a.bin", a), ("b.bin", b)]
            .map(|(name, bytes)| (name.to_string(), bytes.to_vec().into()))
            .into_iter()
            .collect();
        read(&manifest, &files).map(|mut tensors| tensors.remove(0).1)
    }

    #[test]
    fn codes_are_what_they_stand_for() {
        let weight = |dtype: &str| {
            json!({
                "name": "w", "shape": [2], "dtype": "float32", "quantization": { "dtype": dtype, "scale": 0.5, "min": -1.0 }
            })
        };
        let floats = |weight, bytes: &[u8]| read_one(weight, bytes).unwrap().as_slice::<f32>().unwrap().to_vec();
        assert_eq!(floats(weight("uint8"), &[0, 255]), [-1.0, 126.5]);
        assert_eq!(floats(weight("uint16"), &[1, 0, 255, 255]), [-0.5, 32766.5]);
        assert_eq!(floats(weight("float16"), &[0, 0x3c, 0, 0xc0]), [1.0, -2.0]);
        assert_eq!(floats(json!({ "name": "w", "shape": [], "dtype": "float32" }), &1.5f32.to_le_bytes()), [1.5]);
    }

    #[test]
    fn shards_of_another_size_are_refused() {
        let weight = || json!({ "name": "w", "shape": [3], "dtype": "float32" });
        assert_eq!(read_one(weight(), &[0; 11]).unwrap_err().kind(), crate::ErrorKind::Truncated);
        assert_eq!(read_one(weight(), &[0; 13]).unwrap_err().kind(), crate::ErrorKind::InvalidModel);
        let huge = json!({ "name": "w", "shape": [4_000_000_000u64, 4_000_000_000u64], "dtype": "float32" });
        assert!(read_one(huge, &[0; 8]).is_err());
    }

    #[test]
    fn paths_stay_beside_the_model() {
        assert!(inside("group1-shard1of1.bin") && inside("./weights/a.bin"));
        for path in ["../a", "/a", "a/../b", "https://a/b", "c:\\a", ""] {
            assert!(!inside(path), "{path}");
        }
    }
}
