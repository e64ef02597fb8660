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
