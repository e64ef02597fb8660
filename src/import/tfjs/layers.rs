//! Models of TensorFlow.js' layers, which are Keras': the configuration in `model.json`, the weights by name.

use serde_json::Value as Json;

use super::shards;
use crate::error::{Result, bail};
use crate::import::Beside;
use crate::import::keras::{self, Array, Flavour, Made, Weights};

/// Reads the model in `json`, the content of `model.json`.
///
/// Errors: as [`keras::model`], and those of the weights: `Truncated`, `MissingExternalData`, `Io`.
pub fn read(json: &Json, beside: &dyn Beside) -> Result<Made> {
    let Some(topology) = json.get("modelTopology") else { bail!(NotAModel, "the JSON has no \"modelTopology\"") };
    // Converted from Keras, or saved by TensorFlow.js itself.
    let config = topology.get("model_config").unwrap_or(topology);
    let Some(manifest) = json.get("weightsManifest") else {
        bail!(InvalidModel, "the model has no \"weightsManifest\"")
    };
    let mut arrays = Vec::new();
    for (name, tensor) in shards::read(manifest, beside)? {
        let data = match (tensor.as_slice::<f32>(), tensor.as_slice::<i32>()) {
            (Some(floats), _) => floats.to_vec(),
            (_, Some(ints)) => ints.iter().map(|&value| value as f32).collect(),
            _ => tensor.bytes().unwrap_or_default().iter().map(|&value| f32::from(value)).collect(),
        };
        arrays.push((name, Array::new(tensor.shape().to_vec(), data)?));
    }
    keras::model(config, Weights::named(arrays), Flavour::TensorFlowJs)
}
