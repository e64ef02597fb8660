//! A model and what is known of it as a package's files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::golden::{Sample, store};
use super::manifest::{
    FileEntry, Golden, Labels, Manifest, Preprocessing, Sizes, SourceFile, Task, Tool, Value, content_name,
};
use super::{GRAPH, MANIFEST, Package, SCHEMA, SCHEMA_NAME, sha256};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::graph::ValueInfo;
use crate::onnx::Model;
use crate::optimize::quantize::Precision;

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the package's folder.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What a package says of its model beside what the model itself tells.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The model's name.
    pub name: String,
    /// The model's version, as Semantic Versioning has it.
    pub version: String,
    pub licence: Option<String>,
    pub author: Option<String>,
    pub description: Option<String>,
    /// The file that the model was made of; [`Metadata::source`] describes one that is there.
    pub source: SourceFile,
    /// How the tool was called, such that calling it so again gives the same package: no times, no paths.
    pub options: Map<String, serde_json::Value>,
    pub precision: Precision,
    /// How inputs are made, by name.
    pub preprocessing: BTreeMap<String, Preprocessing>,
    /// What the places along an output's last axis stand for, by the output's name.
    pub labels: BTreeMap<String, Vec<String>>,
    /// What the model is for.
    pub task: Option<TaskMetadata>,
    /// How near the model is to its source, as measured.
    pub accuracy: Option<Map<String, serde_json::Value>>,
}

/// What a model is for, and what its user must know for that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskMetadata {
    /// Such as `image-classification`.
    pub name: String,
    /// Numbers, texts, lists that the task needs, by name.
    pub parameters: Map<String, serde_json::Value>,
    /// Files that the task needs beside the model, by what they are to it; their names give the ending alone.
    #[serde(skip)]
    pub files: BTreeMap<String, File>,
}

impl Metadata {
    /// Describes the file that a model was made of.
    pub fn source(file: &str, format: &str, bytes: &[u8]) -> SourceFile {
        SourceFile {
            file: file.to_string(),
            format: format.to_string(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }
}

/// How a package is laid out.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// A weight file has at most this many bytes, or one tensor.
    pub shard_bytes: usize,
    /// A model whose whole file is smaller has no weight files.
    pub inline_below: usize,
    /// At which quality (0 to 11) files are compressed to tell `sizes.brotli`; not at all where there is none.
    pub brotli_quality: Option<u32>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { shard_bytes: 4 << 20, inline_below: 1 << 20, brotli_quality: Some(9) }
    }
}

impl Package {
    /// The package's files, the manifest last, so that a folder that has it has all. Golden samples come of
    /// [`Sample::record`] on a session of this very model.
    ///
    /// Errors: those of [`Model::to_onnx`]; `InvalidManifest` for metadata that make no sense, such as labels of an
    /// output that the model does not have; `Unsupported` for golden samples that cannot be stored.
    pub fn write(model: &Model, metadata: &Metadata, samples: &[Sample], options: &WriteOptions) -> Result<Vec<File>> {
        let mut files = Vec::new();
        let mut whole = model.graph.weight_bytes() < options.inline_below;
        let mut inside = Vec::new();
        if whole {
            inside = model.to_onnx()?;
            whole = inside.len() < options.inline_below;
        }
        let mut weights = Vec::new();
        if whole {
            files.push(File { name: GRAPH.to_string(), bytes: inside });
        } else {
            let name = |bytes: &[u8]| content_name("weights", &sha256(bytes));
            let (graph, shards) = model.to_onnx_with_external(options.shard_bytes, name)?;
            files.push(File { name: GRAPH.to_string(), bytes: graph });
            for shard in shards {
                weights.push(FileEntry::of(shard.location.clone(), &shard.bytes));
                files.push(File { name: shard.location, bytes: shard.bytes });
            }
        }
        let sizes = sizes(&files, options.brotli_quality);
        let mut outputs = values("output", &model.graph.outputs)?;
        let inputs = with_preprocessing(values("input", &model.graph.inputs)?, &metadata.preprocessing)?;
        files.extend(add_labels(&mut outputs, &metadata.labels)?);
        let task = metadata.task.as_ref().map(|task| with_files(task, &mut files));

        let golden = if samples.is_empty() {
            None
        } else {
            let (samples, data) = store(samples)?;
            let entry = FileEntry::of(content_name("golden", &sha256(&data)), &data);
            let has_data = !data.is_empty();
            if has_data {
                files.push(File { name: entry.file.clone(), bytes: data });
            }
            Some(Golden { data: has_data.then_some(entry), samples })
        };
        let domain = |name: &str| if name.is_empty() { "ai.onnx".to_string() } else { name.to_string() };
        let manifest = Manifest {
            schema_name: Some(SCHEMA_NAME.to_string()),
            schema: SCHEMA,
            name: metadata.name.clone(),
            version: metadata.version.clone(),
            licence: metadata.licence.clone(),
            author: metadata.author.clone(),
            description: metadata.description.clone(),
            source: metadata.source.clone(),
            tool: Tool {
                name: "firebrand".to_string(),
                version: crate::VERSION.to_string(),
                options: metadata.options.clone(),
            },
            model: FileEntry::of(GRAPH, &files[0].bytes),
            weights,
            inputs,
            outputs,
            precision: metadata.precision,
            opsets: model.graph.opsets.iter().map(|(name, &version)| (domain(name), version)).collect(),
            sizes,
            golden,
            task,
            accuracy: metadata.accuracy.clone(),
        };
        files.push(File { name: MANIFEST.to_string(), bytes: manifest.to_json()? });
        Ok(files)
    }
}

fn sizes(files: &[File], quality: Option<u32>) -> Sizes {
    let raw = files.iter().map(|file| file.bytes.len() as u64).sum();
    Sizes { raw, brotli: quality.map(|quality| files.iter().map(|file| compressed(&file.bytes, quality)).sum()) }
}

/// How many bytes these are once compressed.
fn compressed(bytes: &[u8], quality: u32) -> u64 {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: quality.min(11) as i32,
        size_hint: bytes.len(),
        ..Default::default()
    };
    // Neither end of it can fail.
    let _ = brotli::BrotliCompress(&mut &bytes[..], &mut count, &parameters);
    count.0
}

fn values(what: &str, infos: &[ValueInfo]) -> Result<Vec<Value>> {
    let value = |info: &ValueInfo| {
        Value::of(info).ok_or_else(|| {
            let message =
                format!("{what} \"{}\" is declared {}: a package declares what it takes and gives", info.name, info.ty);
            Error::new(ErrorKind::Unsupported, message)
        })
    };
    infos.iter().map(value).collect()
}

fn with_preprocessing(mut inputs: Vec<Value>, given: &BTreeMap<String, Preprocessing>) -> Result<Vec<Value>> {
    for (name, preprocessing) in given {
        let input = inputs.iter_mut().find(|input| input.name == *name);
        let Some(input) = input else { return Err(unknown("preprocessing", "input", name)) };
        input.preprocessing = Some(preprocessing.clone());
    }
    Ok(inputs)
}

/// More labels than this are a file of their own.
const MOST_LABELS_HERE: usize = 64;

fn add_labels(outputs: &mut [Value], given: &BTreeMap<String, Vec<String>>) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut known = BTreeSet::new();
    for (name, labels) in given {
        let output = outputs.iter_mut().find(|output| output.name == *name);
        let Some(output) = output else { return Err(unknown("labels", "output", name)) };
        ensure!(!labels.is_empty(), InvalidManifest, "labels: output \"{name}\" has an empty list of them");
        if labels.len() <= MOST_LABELS_HERE {
            output.labels = Some(Labels::Here(labels.clone()));
            continue;
        }
        let text = serde_json::to_string(labels)
            .map_err(|error| Error::new(ErrorKind::InvalidManifest, format!("labels: {error}")))?;
        let bytes = (text + "\n").into_bytes();
        let entry = FileEntry::of(content_name("labels", &sha256(&bytes)), &bytes);
        if known.insert(entry.file.clone()) {
            files.push(File { name: entry.file.clone(), bytes });
        }
        output.labels = Some(Labels::File(entry));
    }
    Ok(files)
}

/// The manifest's part for a task, whose files join those of the package.
fn with_files(task: &TaskMetadata, files: &mut Vec<File>) -> Task {
    let mut entries = BTreeMap::new();
    for (name, File { name: given, bytes }) in &task.files {
        let ending = given.rsplit_once('.').map_or("bin", |(_, ending)| ending);
        let entry = FileEntry::of(format!("{name}-{}.{ending}", sha256(bytes)), bytes);
        files.push(File { name: entry.file.clone(), bytes: bytes.clone() });
        entries.insert(name.clone(), entry);
    }
    Task { name: task.name.clone(), parameters: task.parameters.clone(), files: entries }
}

fn unknown(what: &str, kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::InvalidManifest, format!("{what}: the model has no {kind} \"{name}\""))
}
