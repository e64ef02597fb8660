//! Trained models of other formats as a [`Model`]: bytes in, a graph of ONNX operators out. Nothing in a file is
//! trusted, nothing in it is run; what has no counterpart is refused by name, all of it at once.

mod arch;
pub mod builder;
mod keras;
mod tensorflow;
mod tfjs;
pub mod tflite;
pub mod weights;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result, bail};
use crate::graph::{DataType, Graph, Tensor};
use crate::onnx::{ExternalData, Model, inspect};

/// A format that models are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Onnx,
    Safetensors,
    PyTorch,
    Numpy,
    Tflite,
    /// TensorFlow.js' graph models: `model.json` with its shards.
    TfjsGraph,
    /// Keras' `.h5` and `.hdf5`.
    KerasH5,
    /// Keras' `.keras`.
    Keras,
    /// TensorFlow.js' layers: `model.json` with its shards.
    TfjsLayers,
}

impl Format {
    /// The name that reports and manifests have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
            Self::PyTorch => "pytorch",
            Self::Numpy => "numpy",
            Self::Tflite => "tflite",
            Self::TfjsGraph => "tfjs-graph",
            Self::KerasH5 => "keras-h5",
            Self::Keras => "keras",
            Self::TfjsLayers => "tfjs-layers",
        }
    }

    /// Tells a file's format by its first bytes and, where they say nothing, by its name.
    ///
    /// Errors: `EmptyFile`, `NotAModel`.
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            bail!(EmptyFile, "the model file is empty (0 bytes)");
        }
        if tflite::is_tflite(bytes) {
            return Ok(Self::Tflite);
        }
        if bytes.starts_with(keras::SIGNATURE) {
            return Ok(Self::KerasH5);
        }
        if let Some(format) = weights::format(name, bytes) {
            return Ok(format);
        }
        if bytes.starts_with(ZIP) {
            if zip_has(bytes, keras::CONFIG) {
                return Ok(Self::Keras);
            }
            bail!(NotAModel, "a zip file without {}, weights or arrays: it is no model", keras::CONFIG);
        }
        if tfjs::graph::is_graph_model(bytes) {
            return Ok(Self::TfjsGraph);
        }
        if json_has(bytes, "modelTopology") {
            return Ok(Self::TfjsLayers);
        }
        Ok(Self::Onnx)
    }
}

/// The first bytes of a zip file.
const ZIP: &[u8] = b"PK\x03\x04";

/// Whether a zip file lists `name`, which its end does in plain text.
fn zip_has(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).rev().any(|window| window == name.as_bytes())
}

/// Whether `bytes` are a JSON object that has the key `key` somewhere.
fn json_has(bytes: &[u8], key: &str) -> bool {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let key = format!("\"{key}\"");
    start.starts_with(b"{") && start.windows(key.len()).any(|window| window == key.as_bytes())
}

/// The files beside the one that is read: weight files and shards, by the names that it has for them.
pub trait Beside {
    /// The bytes of the file `name`, a relative path without `..`.
    ///
    /// Errors: `MissingExternalData` where there is none, `Io`.
    fn read(&self, name: &str) -> Result<Bytes>;
}

/// No files beside.
pub struct Alone;

impl Beside for Alone {
    fn read(&self, name: &str) -> Result<Bytes> {
        bail!(MissingExternalData, "the model needs its file \"{name}\", which was not given")
    }
}

impl Beside for ExternalData {
    fn read(&self, name: &str) -> Result<Bytes> {
        match self.get(name) {
            Some(bytes) => Ok(bytes.clone()),
            None => Alone.read(name),
        }
    }
}

/// What an importer is told beside the file.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The architecture that a file of weights alone belongs to: its name, or a description in JSON.
    pub arch: Option<String>,
}

/// A model, and what is worth knowing of how it was read.
#[derive(Debug, Clone)]
pub struct Imported {
    pub model: Model,
    pub format: Format,
    /// What was left out or changed on the way, a sentence each.
    pub notes: Vec<String>,
}

/// Reads a model of any format. `name` is the file's own; `beside` has the files that it refers to.
///
/// Errors: `EmptyFile`, `NotAModel`, `Truncated`, `InvalidModel` (weights that are not numbers among it, each named),
/// `UnsupportedOperator` with everything that has no counterpart, `Unsupported`, `MissingExternalData`,
/// `LimitExceeded`, `Io`.
pub fn import(name: &str, bytes: Bytes, beside: &dyn Beside, options: &ImportOptions) -> Result<Imported> {
    let format = Format::of(name, &bytes)?;
    let (model, notes) = match format {
        Format::Onnx => (onnx(bytes, beside)?, Vec::new()),
        Format::Safetensors | Format::PyTorch | Format::Numpy => {
            let (weights, mut notes) = weights::read(format, &bytes)?;
            (self::model(arch::build(&weights, options.arch.as_deref(), &mut notes)?), notes)
        }
        Format::Tflite => made(tflite::read(&bytes)?),
        Format::KerasH5 => made(keras::h5(bytes)?),
        Format::Keras => made(keras::archive(bytes)?),
        Format::TfjsLayers => made(tfjs::layers::read(&json(&bytes)?, beside)?),
        Format::TfjsGraph => (self::model(tfjs::graph::read(&bytes, beside)?), Vec::new()),
    };
    refuse_nan(&model.graph)?;
    Ok(Imported { model, format, notes })
}

fn made((graph, notes): (Graph, Vec<String>)) -> (Model, Vec<String>) {
    (model(graph), notes)
}

fn json(bytes: &[u8]) -> Result<serde_json::Value> {
    match serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
        Ok(json) => Ok(json),
        Err(error) => bail!(Truncated, "the JSON is not whole: {error}; the download is probably cut short"),
    }
}

fn onnx(bytes: Bytes, beside: &dyn Beside) -> Result<Model> {
    let files = inspect(bytes.clone())?.external_files;
    let external = files.into_iter().map(|file| beside.read(&file).map(|bytes| (file, bytes)));
    Model::from_onnx(bytes, &external.collect::<Result<ExternalData>>()?)
}

/// A model of `graph`, written by this program.
pub fn model(graph: Graph) -> Model {
    Model { graph, ir_version: 0, producer: format!("firebrand {}", crate::VERSION), metadata: Vec::new() }
}

/// Refuses weights with NaN: what is computed from them is wrong without a word.
fn refuse_nan(graph: &Graph) -> Result<()> {
    let mut bad: Vec<String> = graph
        .initializers
        .iter()
        .filter_map(|(name, tensor)| match nans(tensor) {
            0 => None,
            count => Some(format!("\"{name}\" ({count} of {})", tensor.len())),
        })
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    bad.sort_unstable();
    Err(Error::new(
        ErrorKind::InvalidModel,
        format!("weights are not numbers (NaN): {}; the training has diverged, or the file is damaged", bad.join(", ")),
    ))
}

fn nans(tensor: &Tensor) -> usize {
    match tensor.dtype() {
        DataType::Float32 => tensor.as_slice::<f32>().map_or(0, |v| v.iter().filter(|v| v.is_nan()).count()),
        DataType::Float64 => tensor.as_slice::<f64>().map_or(0, |v| v.iter().filter(|v| v.is_nan()).count()),
        DataType::Float16 => tensor.as_slice::<half::f16>().map_or(0, |v| v.iter().filter(|v| v.is_nan()).count()),
        DataType::BFloat16 => tensor.as_slice::<half::bf16>().map_or(0, |v| v.iter().filter(|v| v.is_nan()).count()),
        _ => 0,
    }
}
