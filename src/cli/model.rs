//! Model files, and the weight files beside them.

use std::path::{Component, Path, PathBuf};

use firebrand::import::{self, Beside, Format, ImportOptions, Imported};
use firebrand::onnx::{self, Inspection};
use firebrand::package::{MANIFEST, Manifest, Package};
use firebrand::{Error, ExternalData, GraphOptimizationLevel, Model, Session, SessionOptions};

use super::convert::{Folder, architecture};
use super::failure::{Failure, Outcome};
use super::host;
use super::package::manifest_of;

/// Reads a file that the user named. The failure says which one and why.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    host::read(path).map_err(|error| Failure::io(path, &error))
}

/// Reads a model's file.
pub fn read_model(path: &Path) -> Outcome<bytes::Bytes> {
    if host::is_dir(path) {
        let failure = Failure::input(format!(
            "{}: expected a model's file, or a package, got a folder without {MANIFEST}",
            path.display()
        ));
        return Err(match host::exists(&path.join("saved_model.pb")) {
            true => failure.hint("a SavedModel of TensorFlow is to be saved as .keras or .tflite, or exported as ONNX"),
            false => failure,
        });
    }
    read(path).map(Into::into)
}

/// What the model in `bytes`, read from `path`, says of itself.
pub fn inspect(path: &Path, bytes: &bytes::Bytes) -> Outcome<Inspection> {
    onnx::inspect(bytes.clone()).map_err(|error| bad(path, error))
}

/// How a model is loaded.
#[derive(clap::Args)]
pub struct LoadArguments {
    /// What is done to the graph at load: all, or nothing but computing what depends on constants alone
    #[arg(long, value_name = "LEVEL", value_parser = GraphOptimizationLevel::NAMES, default_value = "all")]
    graph_optimization_level: String,
    /// How many threads share the work of a node [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl LoadArguments {
    fn options(&self) -> SessionOptions {
        let level = GraphOptimizationLevel::from_name(&self.graph_optimization_level);
        SessionOptions {
            graph_optimization_level: level.unwrap_or_default(),
            intra_op_num_threads: self.threads.map_or(0, usize::from),
            ..SessionOptions::default()
        }
    }
}

/// Reads the model at `path`, a file or a package, and gets it ready to run.
pub fn load(path: &Path, arguments: &LoadArguments) -> Outcome<(Option<Manifest>, Session)> {
    let (manifest, model) = open(path)?;
    Ok((manifest, session(path, model, arguments)?))
}

/// Gets the model that was read from `path` ready to run.
pub fn session(path: &Path, model: Model, arguments: &LoadArguments) -> Outcome<Session> {
    Session::load_blocking(model, arguments.options()).map_err(|error| bad(path, error))
}

/// Reads the model at `path`: a file of any format, or a package, whose files are all verified.
pub fn open(path: &Path) -> Outcome<(Option<Manifest>, Model)> {
    match manifest_of(path) {
        Some(manifest) => {
            let opened = Package::open(&read(&manifest)?, &Folder(&manifest));
            opened.map(|(manifest, model)| (Some(manifest), model)).map_err(|error| bad(path, error))
        }
        None => {
            let bytes = read_model(path)?;
            let model = match format(path, &bytes)? {
                Format::Onnx => onnx(path, bytes)?,
                _ => import(path, bytes, None, &Folder(path))?.model,
            };
            Ok((None, model))
        }
    }
}

/// The format of the file at `path`.
pub fn format(path: &Path, bytes: &[u8]) -> Outcome<Format> {
    Format::of(&file_name(path), bytes).map_err(|error| bad(path, error))
}

/// Reads the model in `bytes`, of whatever format, with the files beside it.
pub fn import(path: &Path, bytes: bytes::Bytes, arch: Option<&str>, beside: &dyn Beside) -> Outcome<Imported> {
    let imported = import::import(&file_name(path), bytes, beside, &import_options(arch)?);
    imported.map_err(|error| of_import(path, error))
}

/// Why the model at `path` cannot be converted: the model's fault, but for an architecture that is missing or unknown.
pub fn of_import(path: &Path, error: Error) -> Failure {
    match error.kind() {
        firebrand::ErrorKind::InvalidArgument => Failure::input(error.in_file(path.display().to_string()).to_string()),
        _ => bad(path, error),
    }
}

/// What an importer is told.
pub fn import_options(arch: Option<&str>) -> Outcome<ImportOptions> {
    Ok(ImportOptions { arch: arch.map(architecture).transpose()? })
}

/// A path's last part; empty where it has none.
pub fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn onnx(path: &Path, bytes: bytes::Bytes) -> Outcome<Model> {
    let mut external = ExternalData::new();
    for location in inspect(path, &bytes)?.external_files {
        let beside = beside(path, &location)?;
        if let Ok(data) = host::read(&beside) {
            external.insert(location, data.into());
        }
    }
    Model::from_onnx(bytes, &external).map_err(|error| match error.kind() {
        firebrand::ErrorKind::MissingExternalData => bad(path, error)
            .hint("a model's weight files belong into its own folder, under the names that it gives them"),
        _ => bad(path, error),
    })
}

/// Where the weight file that a model at `path` calls `location` is.
///
/// A model names files in its own folder or below. Links are followed: caches keep models as
/// links to where the bytes are, and a link is made by the user, not by the model.
pub fn beside(path: &Path, location: &str) -> Outcome<PathBuf> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || location.contains('\\') || !Path::new(location).components().all(inside) {
        return Err(Failure::model(format!(
            "{}: its weight file \"{location}\" is outside of the model's folder, which no model may read",
            path.display()
        )));
    }
    Ok(path.parent().unwrap_or(Path::new("")).join(location))
}

/// What is wrong with the model at `path`.
pub fn bad(path: &Path, error: Error) -> Failure {
    if error.kind() == firebrand::ErrorKind::Internal {
        return Failure::defect(&error.to_string());
    }
    let kind = error.kind();
    let failure = Failure::model(error.in_file(path.display().to_string()).to_string());
    match kind {
        firebrand::ErrorKind::NotAModel => failure.hint(FORMATS),
        _ => failure,
    }
}

const FORMATS: &str = "models are ONNX, Keras (.h5, .keras), TFLite, TensorFlow.js (model.json), or weights with --arch \
    (.safetensors, .pth, .npz)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_files_stay_in_the_models_folder() {
        let model = Path::new("models/a.onnx");
        assert_eq!(beside(model, "w.bin").unwrap(), Path::new("models/w.bin"));
        assert_eq!(beside(model, "./data/w.bin").unwrap(), Path::new("models/./data/w.bin"));
        for escape in ["../w.bin", "/etc/passwd", "data/../../w.bin", "", "..\\w.bin"] {
            assert_eq!(beside(model, escape).unwrap_err().code(), 2, "{escape}");
        }
    }
}
