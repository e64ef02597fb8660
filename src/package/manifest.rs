//! `manifest.json`: its fields, and what they must fulfil. `pkg/schema/manifest-1.json` says the same as a JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{GRAPH, SCHEMA};
use crate::data::picture::{Color, Fit, Layout, PictureOptions};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Dim, ValueInfo, ValueType, element_count};
use crate::optimize::quantize::Precision;

/// Longer manifests are hostile.
const MOST_BYTES: usize = 1 << 24;

/// What a package is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Where the schema is; of no meaning to readers.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    /// The version of this format.
    pub schema: u32,
    /// The model's name.
    pub name: String,
    /// The model's version, as Semantic Versioning has it.
    pub version: String,
    /// The licence's SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The file that the package was made of.
    pub source: SourceFile,
    /// What made it.
    pub tool: Tool,
    /// The graph, with the smaller weights.
    pub model: FileEntry,
    /// The larger weights.
    pub weights: Vec<FileEntry>,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    pub precision: Precision,
    /// Opset version by domain; ONNX's own is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    pub sizes: Sizes,
    /// What a device must compute before it is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Golden>,
    /// What the model is for, and what its user must know for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// How near the package is to its source, as measured when it was made: numbers and texts by name. `cosine` is
    /// the least cosine of any output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Map<String, serde_json::Value>>,
}

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileEntry {
    /// Its name in the package's folder.
    pub file: String,
    pub bytes: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

/// The file that a package was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceFile {
    pub file: String,
    /// Its format, such as `onnx` or `tflite`.
    pub format: String,
    pub bytes: u64,
    pub sha256: String,
}

/// What made the package, so that it can be made again, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    pub version: String,
    /// How the tool was called.
    pub options: Map<String, serde_json::Value>,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Value {
    pub name: String,
    /// The element type; of each tensor of a sequence, of the numbers of maps.
    pub dtype: String,
    /// Sizes, and names of those known at run time only; none where any shape is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<Axis>>,
    /// A tensor where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ValueKind>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How an input's tensor is made, of a picture for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// What the places along an output's last axis stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// A value that is no tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    Sequence,
    Maps,
}

/// One dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Axis {
    Size(u64),
    /// Known at run time only; `"?"` has no name.
    Name(String),
}

/// How an input's tensor is made. Of an image, each element is `(pixel − mean[c]) × scale[c]`, with pixels in 0…255:
/// what `Tensor.fromImage` in JavaScript takes and `firebrand run --image-…` does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Preprocessing {
    Image {
        /// Height and width.
        size: [u32; 2],
        layout: Layout,
        color: Color,
        fit: Fit,
        /// Per channel, in the order of `color`: three numbers, or one of grey.
        mean: Vec<f64>,
        scale: Vec<f64>,
    },
    Audio {
        sample_rate: u32,
    },
}

impl Preprocessing {
    /// Whether it is a picture of three channels.
    pub fn has_colours(&self) -> bool {
        matches!(self, Self::Image { color: Color::Rgb | Color::Bgr, .. })
    }

    /// The same in the words of options, for an image.
    pub fn pictures(&self) -> Option<PictureOptions> {
        let Self::Image { size: [height, width], layout, color, fit, mean, scale } = self else { return None };
        let three = |given: &[f64]| match given {
            [one] => Some([*one; 3]),
            given => given.try_into().ok(),
        };
        Some(PictureOptions {
            image_size: Some((*height as usize, *width as usize)),
            image_layout: Some(*layout),
            image_color: Some(*color),
            image_mean: three(mean),
            image_scale: three(scale),
            image_fit: Some(*fit),
        })
    }
}

/// Labels, or the file of the package that has them as a JSON array of strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    Here(Vec<String>),
    File(FileEntry),
}

/// What a model is for. `docs/tasks.md` has the tasks that npm's `firebrand/tasks` knows; others are as good.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    /// Such as `image-classification`.
    pub name: String,
    /// Numbers, texts, lists that the task needs, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, serde_json::Value>,
    /// Files that the task needs beside the model, by what they are to it: a `tokenizer`, for instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileEntry>,
}

/// Bytes that a client fetches before it can run: the graph and the weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sizes {
    pub raw: u64,
    /// Each file compressed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brotli: Option<u64>,
}

/// Inputs and what a trusted device makes of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Golden {
    /// The file that has the stored tensors, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<FileEntry>,
    pub samples: Vec<StoredSample>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredSample {
    pub inputs: BTreeMap<String, StoredTensor>,
    pub outputs: BTreeMap<String, StoredTensor>,
    pub tolerance: super::Tolerance,
}

/// A tensor of a golden sample: made of a seed, or a part of the data file, little-endian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredTensor {
    pub dtype: String,
    pub shape: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomInput>,
    /// Of an output, only every such element is stored, from the first on. None is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<u64>,
    /// Where it starts in the data file, a multiple of 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// An input made of a seed; `docs/package.md` has the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RandomInput {
    pub seed: u32,
    pub low: f64,
    pub high: f64,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// Errors: `InvalidManifest`, `LimitExceeded`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(!bytes.is_empty(), InvalidManifest, "it is empty (0 bytes): expected a package's manifest");
        ensure!(
            bytes.len() <= MOST_BYTES,
            LimitExceeded,
            "it has {} bytes; a manifest has at most {MOST_BYTES}",
            bytes.len()
        );
        let wrong = |error: serde_json::Error| Error::new(ErrorKind::InvalidManifest, error.to_string());
        let any: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
            Error::new(ErrorKind::InvalidManifest, format!("expected a package's manifest, which is JSON: {error}"))
        })?;
        match any.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema == u64::from(SCHEMA) => {}
            Some(schema) => bail!(
                InvalidManifest,
                "the manifest is of schema {schema}, this version of Firebrand reads {SCHEMA}: use a version that reads it"
            ),
            None => bail!(InvalidManifest, "expected a package's manifest, with a number \"schema\"; got other JSON"),
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The file: pretty-printed JSON, fields in the order of the struct's.
    ///
    /// Errors: `InvalidManifest` where a field makes no sense; what is written is always read again.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        self.check()?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(ErrorKind::InvalidManifest, format!("it cannot be written: {error}")))?;
        Ok((text + "\n").into_bytes())
    }

    /// All files of the package but the manifest itself, in a fixed order.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let labels = self.outputs.iter().filter_map(|output| match &output.labels {
            Some(Labels::File(file)) => Some(file),
            _ => None,
        });
        let golden = self.golden.iter().filter_map(|golden| golden.data.as_ref());
        let task = self.task.iter().flat_map(|task| task.files.values());
        std::iter::once(&self.model).chain(&self.weights).chain(labels).chain(golden).chain(task)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.schema == SCHEMA, InvalidManifest, "schema: expected {SCHEMA}, got {}", self.schema);
        ensure!(!self.name.trim().is_empty(), InvalidManifest, "name: expected a name, got an empty one");
        ensure!(
            is_semver(&self.version),
            InvalidManifest,
            "version: expected a version such as 1.0.0, got \"{}\"",
            self.version
        );
        ensure!(
            is_sha256(&self.source.sha256),
            InvalidManifest,
            "source.sha256: expected 64 lower-case hexadecimal digits, got \"{}\"",
            self.source.sha256
        );
        ensure!(
            self.model.file == GRAPH,
            InvalidManifest,
            "model.file: expected \"{GRAPH}\", got \"{}\"",
            self.model.file
        );
        let mut known: BTreeMap<&str, &FileEntry> = BTreeMap::new();
        for entry in self.files() {
            entry.check()?;
            // One file may serve twice, as the labels of two outputs do.
            let other = known.insert(&entry.file, entry).filter(|other| *other != entry);
            ensure!(other.is_none(), InvalidManifest, "\"{}\" is named twice, with other contents", entry.file);
        }
        let weight_names: BTreeSet<&str> = self.weights.iter().map(|entry| entry.file.as_str()).collect();
        ensure!(weight_names.len() == self.weights.len(), InvalidManifest, "weights: a file is named twice");
        for (prefix, entry) in self.named_by_content() {
            let expected = content_name(prefix, &entry.sha256);
            ensure!(entry.file == expected, InvalidManifest, "\"{}\" is to be called \"{expected}\"", entry.file);
        }
        for (where_, values, is_input) in [("inputs", &self.inputs, true), ("outputs", &self.outputs, false)] {
            let mut names = BTreeSet::new();
            for value in values {
                value.check(where_, is_input)?;
                ensure!(names.insert(&value.name), InvalidManifest, "{where_}: \"{}\" is there twice", value.name);
            }
        }
        let raw = self.weights.iter().fold(self.model.bytes, |sum, entry| sum.saturating_add(entry.bytes));
        ensure!(
            self.sizes.raw == raw,
            InvalidManifest,
            "sizes.raw: the files have {raw} bytes, got {}",
            self.sizes.raw
        );
        if let Some(task) = &self.task {
            task.check()?;
        }
        match &self.golden {
            Some(golden) => golden.check(self),
            None => Ok(()),
        }
    }

    fn named_by_content(&self) -> impl Iterator<Item = (&'static str, &FileEntry)> {
        let golden = self.golden.iter().filter_map(|golden| golden.data.as_ref());
        self.weights.iter().map(|entry| ("weights", entry)).chain(golden.map(|entry| ("golden", entry)))
    }
}

/// What a file of the package is called after what it holds.
pub(super) fn content_name(prefix: &str, sha256: &str) -> String {
    let ending = if prefix == "labels" { "json" } else { "bin" };
    format!("{prefix}-{sha256}.{ending}")
}

impl FileEntry {
    /// The entry of a file that is there.
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { file: name.into(), bytes: bytes.len() as u64, sha256: super::sha256(bytes) }
    }

    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_plain = !self.file.is_empty()
            && self.file.len() <= 255
            && !self.file.starts_with('.')
            && self.file.chars().all(plain)
            && self.file != super::MANIFEST;
        ensure!(
            is_plain,
            InvalidManifest,
            "\"{}\" is no name of a package's file: expected letters, digits, \".\", \"_\" and \"-\" alone",
            self.file
        );
        ensure!(
            is_sha256(&self.sha256),
            InvalidManifest,
            "\"{}\": sha256: expected 64 lower-case hexadecimal digits, got \"{}\"",
            self.file,
            self.sha256
        );
        Ok(())
    }

    /// Checks that these are the file's bytes.
    ///
    /// Errors: `Integrity`.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        ensure!(
            bytes.len() as u64 == self.bytes,
            Integrity,
            "\"{}\": expected {} bytes, got {}: the file is from another build, or was cut short; publish the whole folder again",
            self.file,
            self.bytes,
            bytes.len()
        );
        let got = super::sha256(bytes);
        ensure!(
            got == self.sha256,
            Integrity,
            "\"{}\": expected SHA-256 {}, got {got}: the file is from another build, or was changed; publish the whole folder again",
            self.file,
            self.sha256
        );
        Ok(())
    }
}

impl Task {
    fn check(&self) -> Result<()> {
        ensure!(
            is_kebab(&self.name),
            InvalidManifest,
            "task.name: expected lower-case letters, digits and \"-\", as in \"image-classification\", got \"{}\"",
            self.name
        );
        for (name, entry) in &self.files {
            ensure!(
                is_kebab(name) && entry.file.starts_with(&format!("{name}-{}.", entry.sha256)),
                InvalidManifest,
                "task.files: \"{name}\" is lower-case letters, digits and \"-\", and its file is called \"{name}-{}.\" and an ending; got \"{}\"",
                entry.sha256,
                entry.file
            );
        }
        Ok(())
    }
}

/// Whether this is words of lower-case letters and digits, joined by `-`.
fn is_kebab(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64 && text.split('-').all(|word| !word.is_empty() && word.chars().all(plain))
}

impl Value {
    /// What a graph declares, without preprocessing and labels. None for what is not declared.
    pub(super) fn of(info: &ValueInfo) -> Option<Self> {
        fn of_type(ty: &ValueType) -> Option<Value> {
            let tensor = |dtype: DataType, shape: Option<&Vec<Dim>>| {
                let axis = |dim: &Dim| match dim {
                    Dim::Size(size) => Axis::Size(*size as u64),
                    Dim::Name(name) => Axis::Name(name.clone()),
                };
                Value {
                    name: String::new(),
                    dtype: dtype.name().to_string(),
                    shape: shape.map(|dims| dims.iter().map(axis).collect()),
                    kind: None,
                    optional: false,
                    preprocessing: None,
                    labels: None,
                }
            };
            match ty {
                ValueType::Tensor { dtype, shape } => Some(tensor(*dtype, shape.as_ref())),
                ValueType::Optional(inner) => Some(Value { optional: true, ..of_type(inner)? }),
                ValueType::Sequence(inner) => match &**inner {
                    ValueType::Map(_, numbers) => Some(Value { kind: Some(ValueKind::Maps), ..tensor(*numbers, None) }),
                    ValueType::Tensor { dtype, shape } => {
                        Some(Value { kind: Some(ValueKind::Sequence), ..tensor(*dtype, shape.as_ref()) })
                    }
                    _ => None,
                },
                ValueType::Map(..) | ValueType::Unknown => None,
            }
        }
        Some(Self { name: info.name.clone(), ..of_type(&info.ty)? })
    }

    fn check(&self, where_: &str, is_input: bool) -> Result<()> {
        let at = format!("{where_}: \"{}\"", self.name);
        ensure!(!self.name.is_empty(), InvalidManifest, "{where_}: a name is empty");
        ensure!(
            DataType::from_name(&self.dtype).is_some(),
            InvalidManifest,
            "{at}: there is no dtype \"{}\"",
            self.dtype
        );
        ensure!(is_input || self.preprocessing.is_none(), InvalidManifest, "{at}: an output has no preprocessing");
        ensure!(!is_input || self.labels.is_none(), InvalidManifest, "{at}: an input has no labels");
        match &self.preprocessing {
            Some(Preprocessing::Image { size, color, mean, scale, .. }) => {
                ensure!(!size.contains(&0), InvalidManifest, "{at}: a picture of size {size:?} has no pixels");
                for (name, given) in [("mean", mean), ("scale", scale)] {
                    let channels = color.channels();
                    ensure!(
                        given.len() == channels,
                        InvalidManifest,
                        "{at}: {name}: expected a number for each channel ({channels}), got {}",
                        given.len()
                    );
                }
                ensure!(
                    mean.iter().chain(scale).all(|number| number.is_finite()),
                    InvalidManifest,
                    "{at}: mean and scale are numbers"
                );
            }
            Some(Preprocessing::Audio { sample_rate: 0 }) => bail!(InvalidManifest, "{at}: sampleRate is 0"),
            _ => {}
        }
        Ok(())
    }
}

impl Golden {
    fn check(&self, manifest: &Manifest) -> Result<()> {
        ensure!(!self.samples.is_empty(), InvalidManifest, "golden.samples: expected one sample or more, got none");
        let available = self.data.as_ref().map_or(0, |data| data.bytes);
        let inputs: BTreeSet<&str> = manifest.inputs.iter().map(|value| value.name.as_str()).collect();
        let outputs: BTreeSet<&str> = manifest.outputs.iter().map(|value| value.name.as_str()).collect();
        for (index, sample) in self.samples.iter().enumerate() {
            let at = format!("golden.samples[{index}]");
            ensure!(!sample.outputs.is_empty(), InvalidManifest, "{at}: it has no outputs");
            sample.tolerance.check().map_err(|error| Error::new(error.kind(), format!("{at}: {}", error.message())))?;
            let named = |known: &BTreeSet<&str>, names: &BTreeMap<String, StoredTensor>| {
                names.keys().find(|name| !known.contains(name.as_str())).cloned()
            };
            for (what, unknown) in
                [("input", named(&inputs, &sample.inputs)), ("output", named(&outputs, &sample.outputs))]
            {
                if let Some(name) = unknown {
                    bail!(InvalidManifest, "{at}: the model has no {what} \"{name}\"");
                }
            }
            for (name, tensor) in &sample.inputs {
                tensor.check(&format!("{at}: input \"{name}\""), true, available)?;
            }
            for (name, tensor) in &sample.outputs {
                tensor.check(&format!("{at}: output \"{name}\""), false, available)?;
            }
        }
        Ok(())
    }
}

impl StoredTensor {
    /// The dtype, and the dimensions as numbers of this machine.
    pub(super) fn described(&self) -> Result<(DataType, Vec<usize>)> {
        let dtype = DataType::from_name(&self.dtype).filter(|dtype| super::golden::is_storable(*dtype));
        let Some(dtype) = dtype else { bail!(InvalidManifest, "a golden tensor has no dtype \"{}\"", self.dtype) };
        let shape = self.shape.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
        let Ok(shape) = shape else { bail!(LimitExceeded, "a tensor of shape {:?} is larger than memory", self.shape) };
        Ok((dtype, shape))
    }

    fn check(&self, at: &str, is_input: bool, available: u64) -> Result<()> {
        let named = |error: Error| Error::new(error.kind(), format!("{at}: {}", error.message()));
        let (dtype, shape) = self.described().map_err(named)?;
        let count = element_count(&shape).map_err(named)?;
        match (&self.random, self.offset, self.bytes) {
            (Some(random), None, None) => {
                ensure!(is_input && self.stride.is_none(), InvalidManifest, "{at}: only an input may be random");
                super::golden::check_random(dtype, random).map_err(named)
            }
            (None, Some(offset), Some(bytes)) => {
                let stride = self.stride.unwrap_or(1);
                ensure!(stride > 0, InvalidManifest, "{at}: stride: expected 1 or more, got 0");
                ensure!(stride == 1 || !is_input, InvalidManifest, "{at}: an input is stored whole");
                let stored = (count as u64).div_ceil(stride).saturating_mul(dtype.size() as u64);
                ensure!(bytes == stored, InvalidManifest, "{at}: expected {stored} bytes, got {bytes}");
                ensure!(
                    offset.is_multiple_of(8) && offset.checked_add(bytes).is_some_and(|end| end <= available),
                    InvalidManifest,
                    "{at}: bytes {offset} to {} of a golden file of {available} bytes",
                    offset.saturating_add(bytes)
                );
                Ok(())
            }
            _ => bail!(InvalidManifest, "{at}: expected \"random\", or \"offset\" and \"bytes\""),
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Semantic Versioning 2.0.0: `1.2.3`, `1.2.3-rc.1+build`.
fn is_semver(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let before_part = |part: &str| identifier(part) && (!part.bytes().all(|b| b.is_ascii_digit()) || number(part));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|before| before.split('.').all(before_part))
        && build.is_none_or(|build| build.split('.').all(identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semantic() {
        for right in ["0.0.1", "1.20.300", "1.0.0-rc.1", "1.0.0-x-y.0+build.007", "1.0.0+a"] {
            assert!(is_semver(right), "{right}");
        }
        for wrong in ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.x", "1.0.0-", "1.0.0-01", "1.0.0+", "v1.0.0", "1.0.0-ä"]
        {
            assert!(!is_semver(wrong), "{wrong}");
        }
    }

    #[test]
    fn names_stay_in_the_folder() {
        let entry = |file: &str| FileEntry::of(file, b"x").check();
        assert!(entry("weights-00.bin").is_ok());
        for wrong in ["", "..", ".hidden", "a/b", "a\\b", "/etc/passwd", "manifest.json", "a b", "ä.bin", "c:x"] {
            assert_eq!(entry(wrong).unwrap_err().kind(), ErrorKind::InvalidManifest, "{wrong}");
        }
    }
}
