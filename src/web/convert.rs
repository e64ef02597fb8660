//! The converter for JavaScript: files by name in, a model's or a package's files out. Options and reports are JSON.

use bytes::Bytes;
use js_sys::{Array, Function, Object, Uint8Array};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use super::{invalid, set};
use crate::build::BuildOptions;
use crate::build::publish::{PackageOptions, Source, publish};
use crate::build::report::Report;
use crate::data::dataset::{DatasetOptions, Files};
use crate::data::picture::PictureOptions;
use crate::data::supply::Supply;
use crate::import::{ImportOptions, Imported, import};
use crate::onnx::ExternalData;
use crate::package::WriteOptions;
use crate::{Error, ErrorKind};

/// Everything that a build is told.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Options {
    arch: Option<String>,
    build: BuildOptions,
    package: PackageOptions,
    pictures: PictureOptions,
    labels: Option<Vec<i64>>,
}

fn options(json: &str) -> Result<Options, JsValue> {
    serde_json::from_str(json).map_err(|error| invalid(format!("options: {error}")))
}

/// The files of an object, by name.
struct JsFiles {
    /// The option that has them.
    option: &'static str,
    files: Vec<(String, Uint8Array)>,
}

impl JsFiles {
    fn new(option: &'static str, files: &Object) -> Self {
        let file = |entry: JsValue| {
            let entry: Array = entry.unchecked_into();
            Some((entry.get(0).as_string()?, entry.get(1).dyn_into::<Uint8Array>().ok()?))
        };
        Self { option, files: Object::entries(files).iter().filter_map(file).collect() }
    }

    fn external(&self) -> ExternalData {
        self.files.iter().map(|(name, bytes)| (name.clone(), bytes.to_vec().into())).collect()
    }
}

impl Files for JsFiles {
    fn place(&self) -> String {
        self.option.to_string()
    }

    fn names(&self) -> crate::Result<Vec<String>> {
        Ok(self.files.iter().map(|(name, _)| name.clone()).collect())
    }

    fn read(&self, name: &str) -> crate::Result<Bytes> {
        match self.files.iter().find(|(known, _)| known == name) {
            Some((_, bytes)) => Ok(bytes.to_vec().into()),
            None => Err(Error::new(ErrorKind::Io, format!("there is no file \"{name}\""))),
        }
    }
}

fn read(name: &str, bytes: &Bytes, beside: &Object, options: &Options) -> Result<Imported, JsValue> {
    let options = ImportOptions { arch: options.arch.clone() };
    Ok(import(name, bytes.clone(), &JsFiles::new("externalData", beside).external(), &options)
        .map_err(|error| error.in_file(name))?)
}

/// Reads a model of any format: `{ model, format, notes }`, the model as ONNX.
#[wasm_bindgen]
pub fn convert(name: &str, model: &Uint8Array, beside: &Object, json: &str) -> Result<JsValue, JsValue> {
    let imported = read(name, &model.to_vec().into(), beside, &options(json)?)?;
    let value = Object::new().into();
    set(&value, "model", &Uint8Array::from(&imported.model.to_onnx()?[..]))?;
    set(&value, "format", &imported.format.as_str().into())?;
    set(&value, "notes", &imported.notes.iter().map(|note| JsValue::from(note.as_str())).collect::<Array>())?;
    Ok(value)
}

/// Makes a package: `{ files: { name, bytes }[], report, html }`, the report in JSON. `data` and `calibrate` are files
/// by name; without both, agreement is measured on random numbers. `on_progress(step, done, total)` ends the build
/// where it gives `false` or throws.
#[wasm_bindgen]
pub fn build(
    name: &str,
    model: &Uint8Array,
    beside: &Object,
    json: &str,
    data: Option<Object>,
    calibrate: Option<Object>,
    on_progress: &Function,
) -> Result<JsValue, JsValue> {
    let mut options = options(json)?;
    let bytes = Bytes::from(model.to_vec());
    let imported = read(name, &bytes, beside, &options)?;
    let about_samples = DatasetOptions {
        pictures: options.pictures.clone(),
        labels: options.labels.take(),
        classes: options.package.classes.clone(),
    };
    let data = data.as_ref().map(|files| JsFiles::new("data", files));
    let calibrate = calibrate.as_ref().map(|files| JsFiles::new("calibrate", files));
    let supply =
        Supply::open(&imported.model, options.build.quantize, data.as_ref(), calibrate.as_ref(), about_samples)?;
    // What the command line says where it is told nothing, so that both give the same package.
    options.package.pictures = Some(options.pictures);
    options.package.samples_are_pictures = supply.are_pictures();
    options.package.shard_bytes.get_or_insert(WriteOptions::default().shard_bytes);
    let mut told = |step: &str, done: usize, total: usize| -> crate::Result<()> {
        let answer = on_progress.call3(&JsValue::NULL, &step.into(), &(done as f64).into(), &(total as f64).into());
        match answer {
            Ok(answer) if answer != JsValue::FALSE => Ok(()),
            _ => Err(Error::new(ErrorKind::Aborted, "the build was ended by its caller")),
        }
    };
    let source = Source { name, bytes: &bytes };
    let (built, files) = publish(source, &imported, &options.build, &options.package, &supply.data(), &mut told)?;

    let report = Report::of_package(&built, name, &imported, &files)?;
    let in_json = serde_json::to_string(&report)
        .map_err(|error| JsValue::from(Error::new(ErrorKind::Internal, error.to_string())))?;

    let list = Array::new();
    for file in &files {
        let entry = Object::new().into();
        set(&entry, "name", &file.name.as_str().into())?;
        set(&entry, "bytes", &Uint8Array::from(&file.bytes[..]))?;
        list.push(&entry);
    }
    let value = Object::new().into();
    set(&value, "files", &list)?;
    set(&value, "report", &in_json.into())?;
    set(&value, "html", &report.to_html().into())?;
    Ok(value)
}

/// The command line: `arguments` begin with the program's name; the exit code.
#[cfg(all(feature = "cli", target_family = "wasm"))]
#[wasm_bindgen(js_name = runCommand)]
pub fn run_command(arguments: Vec<String>, host: crate::cli::Host) -> u8 {
    crate::cli::with_host(host, || crate::cli::main(arguments.into_iter().map(Into::into).collect()))
}
