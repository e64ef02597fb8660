//! Keras' files as graphs: `.h5` and `.hdf5` of Keras 2 and 3, and `.keras`. Layers become ONNX' operators one by one;
//! inputs and outputs keep Keras' names, shapes and order of dimensions.

mod array;
mod emit;
mod hdf5;
mod layers;
mod network;
mod settings;
mod weights;

use std::io::{Cursor, Read};

use bytes::Bytes;
use serde_json::Value as Json;

pub(super) use array::Array;
use emit::Emitter;
pub(super) use emit::Flavour;
use hdf5::Hdf5;
pub(super) use hdf5::SIGNATURE;
pub(super) use weights::Weights;

use crate::error::{Result, bail, ensure};
use crate::graph::Graph;

/// The part of a `.keras` file that says what the model is.
pub(super) const CONFIG: &str = "config.json";

/// The part of a `.keras` file that has the weights.
const WEIGHTS: &str = "model.weights.h5";

/// How often larger than the archive what is in it may be.
const MOST_UNPACKED: u64 = 256;

/// A graph, and what is worth knowing of how it was made.
pub(super) type Made = (Graph, Vec<String>);

/// Reads a `.h5` file of a whole model.
///
/// Errors: `NotAModel` where it has weights only, `InvalidModel`, `UnsupportedOperator`, `Unsupported`,
/// `LimitExceeded`.
pub(super) fn h5(bytes: Bytes) -> Result<Made> {
    let file = Hdf5::open(bytes.to_vec())?;
    let text = |name: &str| -> Result<Option<String>> { Ok(file.strings("", name)?.map(|parts| parts.concat())) };
    let Some(config) = text("model_config")? else {
        bail!(
            NotAModel,
            "the HDF5 file has no \"model_config\": it holds weights without the model; save the whole with model.save()"
        )
    };
    let config = json("model_config", config.as_bytes())?;
    let flavour = match text("keras_version")? {
        Some(version) if !version.starts_with(['0', '1', '2']) => Flavour::Keras3,
        _ => Flavour::Keras2,
    };
    let root = if file.has_group("model_weights") { "model_weights" } else { "" };
    let weights = Weights::legacy(file, root)?;
    model(&config, weights, flavour)
}

/// Reads a `.keras` file.
///
/// Errors: as [`h5`], and `Truncated`.
pub(super) fn archive(bytes: Bytes) -> Result<Made> {
    let size = bytes.len() as u64;
    let mut archive = match zip::ZipArchive::new(Cursor::new(bytes)) {
        Ok(archive) => archive,
        Err(error) => bail!(InvalidModel, "the .keras file is no whole zip file: {error}"),
    };
    let config = member(&mut archive, CONFIG, size)?;
    let config = json(CONFIG, &config)?;
    let metadata = match archive.index_for_name("metadata.json") {
        Some(_) => json("metadata.json", &member(&mut archive, "metadata.json", size)?)?,
        None => Json::Null,
    };
    let version = metadata.get("keras_version").and_then(Json::as_str).unwrap_or("3");
    let flavour = if version.starts_with('3') { Flavour::Keras3 } else { Flavour::Keras2 };
    let weights =
        Weights::Tree(Hdf5::open(member(&mut archive, WEIGHTS, size)?).map_err(|error| error.in_file(WEIGHTS))?);
    model(&config, weights, flavour)
}

fn member(archive: &mut zip::ZipArchive<Cursor<Bytes>>, name: &str, size: u64) -> Result<Vec<u8>> {
    let member = match archive.by_name(name) {
        Ok(member) => member,
        Err(error) => bail!(InvalidModel, "the .keras file has no readable \"{name}\": {error}"),
    };
    let most = size.saturating_mul(MOST_UNPACKED);
    let mut bytes = Vec::new();
    match member.take(most + 1).read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => bail!(InvalidModel, "\"{name}\" of the .keras file cannot be read: {error}"),
    }
    ensure!(bytes.len() as u64 <= most, LimitExceeded, "\"{name}\" unpacks to more than {most} bytes");
    Ok(bytes)
}

fn json(name: &str, bytes: &[u8]) -> Result<Json> {
    match serde_json::from_slice(bytes) {
        Ok(json) => Ok(json),
        Err(error) => bail!(InvalidModel, "{name} is no JSON: {error}"),
    }
}

/// Writes the model that `config` describes: the class and configuration that Keras' `to_json` gives.
///
/// Errors: `UnsupportedOperator` naming every layer without a counterpart, `Unsupported` for a class of its own,
/// `InvalidModel` where it contradicts itself or weights are missing, each named, `LimitExceeded`.
pub(super) fn model(config: &Json, weights: Weights, flavour: Flavour) -> Result<Made> {
    network::check(config)?;
    let name = config.get("config").and_then(|config| config.get("name")).and_then(Json::as_str).unwrap_or("model");
    let mut emitter = Emitter::new(name, weights, flavour);
    network::write(&mut emitter, config)?;
    let missing = emitter.missing_weights();
    let notes = emitter.notes.into_iter().collect();
    let graph = emitter.builder.finish();
    match (graph, missing) {
        (Err(error), Some(_)) if error.kind() == crate::ErrorKind::UnsupportedOperator => Err(error),
        (_, Some(missing)) => Err(missing),
        (graph, None) => {
            let mut graph = graph?;
            name_outputs(&mut graph, &emitter.outputs);
            Ok((graph, notes))
        }
    }
}

/// Gives the outputs the names in `wanted`: what turns a layer's output has another than the layer.
fn name_outputs(graph: &mut Graph, wanted: &[String]) {
    for (index, wanted) in wanted.iter().enumerate() {
        let Some(name) = graph.outputs.get(index).map(|output| output.name.clone()) else { return };
        let made =
            |graph: &Graph, value: &str| graph.nodes.iter().position(|node| node.outputs.iter().any(|o| o == value));
        let free = !graph.inputs.iter().any(|input| input.name == *wanted)
            && !graph.initializers.contains_key(wanted)
            && !graph.outputs.iter().any(|output| output.name == *wanted);
        if name == *wanted || !free {
            continue;
        }
        // An Identity that is there for the name alone.
        let mut current = name.clone();
        if let Some(identity) = made(graph, &name).filter(|&node| graph.nodes[node].op_type == "Identity") {
            let source = graph.nodes[identity].inputs.first().cloned().unwrap_or_default();
            if made(graph, &source).is_some() && !graph.outputs.iter().any(|output| output.name == source) {
                graph.nodes.remove(identity);
                graph.outputs[index].name.clone_from(&source);
                current = source;
            }
        }
        // The two change names, so that none is there twice.
        let swap = |value: &mut String| {
            if *value == current {
                value.clone_from(wanted);
            } else if value == wanted {
                value.clone_from(&current);
            }
        };
        for node in &mut graph.nodes {
            swap(&mut node.name);
            node.inputs.iter_mut().chain(&mut node.outputs).for_each(swap);
        }
        graph.outputs.iter_mut().for_each(|output| swap(&mut output.name));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    fn layer(class: &str, from: &[&str], config: Json, arguments: Json) -> Json {
        let tensor =
            |layer: &&str| json!({ "class_name": "__keras_tensor__", "config": { "keras_history": [layer, 0, 0] } });
        let values: Vec<Json> = from.iter().map(tensor).collect();
        let args = if class == "Stack" { json!([values]) } else { json!(values) };
        let module = if config.get("trainable").is_some() { "keras.layers" } else { "keras.src.ops.numpy" };
        let nodes = if from.is_empty() { json!([]) } else { json!([{ "args": args, "kwargs": arguments }]) };
        json!({ "class_name": class, "module": module, "name": class, "config": config, "inbound_nodes": nodes })
    }

    /// What comes of `layers` behind an input of `shape`, the last of them giving the output.
    fn imported(shape: Json, layers: &[Json]) -> Result<Made> {
        let input = layer("InputLayer", &[], json!({ "batch_shape": shape, "trainable": true }), json!({}));
        let all: Vec<&Json> = std::iter::once(&input).chain(layers).collect();
        let last = all[all.len() - 1]["name"].clone();
        let config = json!({
            "class_name": "Functional",
            "config": { "layers": all, "input_layers": [["InputLayer", 0, 0]], "output_layers": [[last, 0, 0]] },
        });
        model(&config, Weights::named(Vec::new()), Flavour::Keras3)
    }

    /// The kind of error that one layer behind an input of `shape` is refused with.
    fn refused(shape: Json, class: &str, config: Json, arguments: Json) -> ErrorKind {
        let made = imported(shape, &[layer(class, &["InputLayer"], config, arguments)]);
        made.expect_err(class).kind()
    }

    #[test]
    fn scalars_are_no_input_of_layers() {
        let sum = || layer("Sum", &["InputLayer"], json!({}), json!({}));
        imported(json!([null, 3]), &[sum()]).expect("a sum of all is a scalar");
        for class in ["Flatten", "Masking", "GlobalAveragePooling1D", "PReLU"] {
            let behind = layer(class, &["Sum"], json!({ "trainable": true }), json!({}));
            let error = imported(json!([null, 3]), &[sum(), behind]).expect_err(class);
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{class}: {error}");
        }
        let reshape = layer("Reshape", &["Sum"], json!({ "newshape": [-1, 1] }), json!({}));
        let error = imported(json!([null, 3]), &[sum(), reshape]).expect_err("a scalar has no batch");
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperator, "{error}");
        let turned = layer("Transpose", &["Sum"], json!({}), json!({}));
        imported(json!([null, 3]), &[sum(), turned]).expect("a scalar is its own transpose");
    }

    #[test]
    fn values_of_different_ranks_are_not_stacked() {
        let sum = layer("Sum", &["InputLayer"], json!({}), json!({}));
        let stack = layer("Stack", &["InputLayer", "Sum"], json!({ "axis": 2 }), json!({}));
        let error = imported(json!([null, 3]), &[sum, stack]).expect_err("ranks 2 and 0");
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    }

    #[test]
    fn indices_have_one_ellipsis() {
        let key = json!({ "class_name": "__tuple__", "items": ["...", "..."] });
        assert_eq!(refused(json!([null, 3]), "GetItem", json!({}), json!({ "key": key })), ErrorKind::InvalidModel);
    }

    #[test]
    fn equations_name_every_dimension() {
        let config = json!({ "equation": "a1b,bc->ac", "output_shape": [4], "trainable": true });
        assert_eq!(refused(json!([null, 3]), "EinsumDense", config, json!({})), ErrorKind::InvalidModel);
    }

    #[test]
    fn sizes_that_no_weight_has_fill_no_memory() {
        let huge = 2_000_000_000u64;
        for (class, shape, config) in [
            ("BatchNormalization", json!([null, huge]), json!({ "scale": false, "trainable": true })),
            ("LayerNormalization", json!([null, huge]), json!({ "scale": false, "center": false, "trainable": true })),
            (
                "GroupNormalization",
                json!([null, 1, huge]),
                json!({ "groups": 1, "scale": false, "center": false, "trainable": true }),
            ),
            (
                "Normalization",
                json!([null, huge, huge, huge]),
                json!({ "axis": [1, 2, 3], "mean": 0, "variance": 1, "trainable": true }),
            ),
            ("Split", json!([null, huge]), json!({ "indices_or_sections": huge, "axis": 1 })),
            ("Repeat", json!([null, huge]), json!({ "repeats": 2, "axis": 1 })),
        ] {
            assert_eq!(refused(shape, class, config, json!({})), ErrorKind::UnsupportedOperator, "{class}");
        }
    }
}
