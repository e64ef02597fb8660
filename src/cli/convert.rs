//! `firebrand convert`: a model of any format as an ONNX file.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::import::{Beside, Imported};
use firebrand::{Error, ErrorKind};

use super::failure::{Failure, Outcome, io_in_words};
use super::{bytes_in_words, host, model, print, print_json, write};

/// Writes a model of any format as ONNX
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The ONNX file to write [default: the model's name with .onnx, in this folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// The model to read.
#[derive(clap::Args)]
pub struct SourceArguments {
    /// The model's file; files that it refers to lie beside it
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The architecture that a file of weights alone belongs to, or a file (.json, .toml) that describes it
    #[arg(long, value_name = "NAME|FILE")]
    pub arch: Option<String>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    model: &'a Path,
    format: &'static str,
    output: &'a Path,
    bytes: usize,
    notes: &'a [String],
}

/// The files beside the model at a path.
pub struct Folder<'a>(pub &'a Path);

impl Beside for Folder<'_> {
    fn read(&self, name: &str) -> firebrand::Result<Bytes> {
        let missing = |said: String| Error::new(ErrorKind::MissingExternalData, said);
        let path = model::beside(self.0, name).map_err(|failure| missing(failure.message().to_string()))?;
        match host::read(&path) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => {
                let why = io_in_words(&path, &error);
                Err(missing(format!("the model needs its file \"{name}\" beside it: {why}")))
            }
        }
    }
}

/// Reads the model that the arguments name.
pub fn read(source: &SourceArguments) -> Outcome<Imported> {
    let path = &source.model;
    model::import(path, model::read_model(path)?, source.arch.as_deref(), &Folder(path))
}

/// An architecture's name, or the JSON of the file that describes one.
pub fn architecture(given: &str) -> Outcome<String> {
    let path = Path::new(given);
    let toml = match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("json") => false,
        Some("toml") => true,
        _ => return Ok(given.to_string()),
    };
    let unread = |error: String| Failure::input(format!("{}: {error}", path.display()));
    let bytes = host::read(path).map_err(|error| unread(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unread("expected text in UTF-8".to_string()))?;
    if !toml {
        return Ok(text);
    }
    let value: serde_json::Value = toml::from_str(&text).map_err(|error| unread(error.to_string()))?;
    Ok(value.to_string())
}

/// Refuses to write over the model that is read.
pub fn refuse_same(output: &Path, model: &Path) -> Outcome<()> {
    match host::same_file(output, model) {
        true => Err(Failure::input(format!("{}: the output is the input itself", output.display()))
            .hint("name another file with -o")),
        false => Ok(()),
    }
}

/// Converts, and says what was written.
pub fn convert(arguments: &Arguments) -> Outcome<()> {
    let imported = read(&arguments.source)?;
    let path = &arguments.source.model;
    let written = imported.model.to_onnx().map_err(|error| model::bad(path, error))?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(stem).with_extension("onnx"));
    refuse_same(&output, path)?;
    write(&output, &written)?;
    let format = imported.format.as_str();
    if arguments.json {
        let notes = &imported.notes;
        return print_json(&Report { model: path, format, output: &output, bytes: written.len(), notes });
    }
    if arguments.quiet {
        return Ok(());
    }
    let notes: String = imported.notes.iter().map(|note| format!("  {note}\n")).collect();
    print(&format!("{}  {}, from {format}\n{notes}", output.display(), bytes_in_words(written.len() as u64)))
}
