//! `firebrand inspect`: what a model file says of itself.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use firebrand::Error;
use firebrand::import::{Beside, Format, import};
use firebrand::onnx::{Inspection, IoInfo, OperatorUse};
use firebrand::package::{Manifest, SourceFile};
use firebrand::runtime::{Fate, NodeFate};
use serde::Serialize;

use super::convert::{Folder, SourceArguments};
use super::failure::{Failure, Outcome};
use super::package::manifest_of;
use super::{FAINT, HEADING, WARNING, bytes_in_words, feed, host, model, print, print_json, styled, thousands, width};

/// Says what a model takes, gives, is made of and weighs, and whether Firebrand can run it
///
/// A model of another format than ONNX is described as what it is converted to; its weight files must be there. What
/// can be said is printed for a model with unsupported operators too; they are then named on standard error, and the
/// exit code is 2.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Load the model too, and say what becomes of each node; weight files must be there
    #[arg(long)]
    plan: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    loading: model::LoadArguments,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a Path,
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// Operators that Firebrand does not have.
    unsupported: Vec<String>,
    /// The weight files again, with their sizes.
    files: &'a [WeightFile],
    /// What was left out or changed by converting, a sentence each.
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a [NodeFate]>,
}

/// What is known of a model that cannot be converted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    model: &'a Path,
    format: &'static str,
    /// Those that are not supported.
    operators: &'a [OperatorUse],
    file_bytes: usize,
    unsupported: Vec<&'a str>,
    files: &'a [WeightFile],
}

#[derive(Clone, Serialize)]
struct WeightFile {
    location: String,
    /// `null` where the file is missing or may not be read.
    bytes: Option<u64>,
}

/// Prints the report; fails when the model is bad or unsupported.
pub fn inspect(arguments: &Arguments) -> Outcome<()> {
    let path = &arguments.source.model;
    if let Some(manifest) = manifest_of(path) {
        let parsed = Manifest::parse(&model::read(&manifest)?).map_err(|error| model::bad(&manifest, error))?;
        let graph = manifest.with_file_name(&parsed.model.file);
        let bytes = Folder(&manifest).read(&parsed.model.file).map_err(|error| model::bad(path, error))?;
        return describe_onnx(arguments, &graph, &bytes, Some(&parsed));
    }
    let bytes = model::read_model(path)?;
    match model::format(path, &bytes)? {
        Format::Onnx => describe_onnx(arguments, path, &bytes, None),
        format => describe_converted(arguments, bytes, format),
    }
}

/// An ONNX file, whose weight files need not be there.
fn describe_onnx(arguments: &Arguments, path: &Path, bytes: &Bytes, manifest: Option<&Manifest>) -> Outcome<()> {
    let inspection = model::inspect(path, bytes)?;
    let weight_file = |location: &String| WeightFile {
        location: location.clone(),
        bytes: model::beside(path, location)
            .ok()
            .and_then(|beside| host::metadata(&beside).ok())
            .filter(|metadata| metadata.is_file)
            .map(|metadata| metadata.len),
    };
    let files: Vec<WeightFile> = inspection.external_files.iter().map(weight_file).collect();
    let unsupported: Vec<&OperatorUse> = inspection.operators.iter().filter(|o| !o.supported).collect();
    let plan = match arguments.plan && unsupported.is_empty() {
        true => Some(model::load(&arguments.source.model, &arguments.loading)?.1.info().nodes),
        false => None,
    };
    tell(
        arguments,
        path,
        &Report {
            model: &arguments.source.model,
            format: Format::Onnx.as_str(),
            manifest,
            inspection: &inspection,
            unsupported: unsupported.iter().map(|o| full_name(o)).collect(),
            files: &files,
            notes: None,
            plan: plan.as_deref(),
        },
    )?;
    if unsupported.is_empty() { Ok(()) } else { Err(refused(path, unsupported.into_iter())) }
}

fn refused<'a>(path: &Path, unsupported: impl Iterator<Item = &'a OperatorUse>) -> Failure {
    let nodes = |o: &OperatorUse| {
        let names = o.nodes.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        format!("{} ({} {}: {names})", full_name(o), o.count, if o.count == 1 { "node" } else { "nodes" })
    };
    let list: Vec<String> = unsupported.map(nodes).collect();
    Failure::model(format!("{}: unsupported operators: {}", path.display(), list.join(", ")))
}

/// The folder of a model, and what was read from it.
struct Noting<'a> {
    folder: Folder<'a>,
    files: RefCell<Vec<WeightFile>>,
}

impl Beside for Noting<'_> {
    fn read(&self, name: &str) -> firebrand::Result<Bytes> {
        let read = self.folder.read(name);
        let bytes = read.as_ref().ok().map(|bytes| bytes.len() as u64);
        self.files.borrow_mut().push(WeightFile { location: name.to_string(), bytes });
        read
    }
}

/// A file of another format, as the ONNX that it becomes.
fn describe_converted(arguments: &Arguments, bytes: Bytes, format: Format) -> Outcome<()> {
    let path = &arguments.source.model;
    let noting = Noting { folder: Folder(path), files: RefCell::new(Vec::new()) };
    let file_bytes = bytes.len();
    let options = model::import_options(arguments.source.arch.as_deref())?;
    let imported = match import(&model::file_name(path), bytes, &noting, &options) {
        Ok(imported) => imported,
        Err(error) if !error.unsupported().is_empty() => {
            return refuse(arguments, format, file_bytes, &noting.files.take(), &error);
        }
        Err(error) => return Err(model::of_import(path, error)),
    };
    let files = noting.files.take();
    let converted = imported.model.to_onnx().map_err(|error| model::bad(path, error))?;
    let mut inspection = model::inspect(path, &converted.into())?;
    inspection.file_bytes = file_bytes;
    inspection.external_files = files.iter().map(|file| file.location.clone()).collect();
    let plan = match arguments.plan {
        true => Some(model::session(path, imported.model, &arguments.loading)?.info().nodes),
        false => None,
    };
    tell(
        arguments,
        path,
        &Report {
            model: path,
            format: format.as_str(),
            manifest: None,
            inspection: &inspection,
            unsupported: Vec::new(),
            files: &files,
            notes: Some(&imported.notes),
            plan: plan.as_deref(),
        },
    )
}

fn refuse(
    arguments: &Arguments,
    format: Format,
    file_bytes: usize,
    files: &[WeightFile],
    error: &Error,
) -> Outcome<()> {
    let path = &arguments.source.model;
    let operator = |(name, places): &(String, Vec<String>)| OperatorUse {
        name: name.clone(),
        domain: String::new(),
        count: places.len(),
        supported: false,
        nodes: places.clone(),
    };
    let operators: Vec<OperatorUse> = error.unsupported().iter().map(operator).collect();
    if arguments.json {
        print_json(&Refusal {
            model: path,
            format: format.as_str(),
            operators: &operators,
            file_bytes,
            unsupported: operators.iter().map(|o| o.name.as_str()).collect(),
            files,
        })?;
    } else {
        let heading = format!("{}  {}\n", styled(HEADING, path.display()), format.as_str());
        let title = format!("\n{}  those that cannot be converted\n", styled(HEADING, "Operators"));
        print(&(heading + &title + &rows(&operators) + &sizes(file_bytes, None) + &weight_files(files)))?;
    }
    Err(refused(path, operators.iter()))
}

fn tell(arguments: &Arguments, path: &Path, report: &Report<'_>) -> Outcome<()> {
    if arguments.json {
        return print_json(report);
    }
    let about = report.manifest.map_or(String::new(), |manifest| about(report.model, manifest));
    print(&(about + &table(path, report) + &report.plan.map_or(String::new(), fates)))
}

fn full_name(operator: &OperatorUse) -> String {
    match operator.domain.as_str() {
        "" => operator.name.clone(),
        domain => format!("{domain}.{}", operator.name),
    }
}

/// What a package says of itself.
fn about(path: &Path, manifest: &Manifest) -> String {
    let heading = format!("{}  {} {}", styled(HEADING, path.display()), manifest.name, manifest.version);
    let size = match manifest.sizes.brotli {
        Some(brotli) => {
            format!("{}, {} compressed", bytes_in_words(manifest.sizes.raw), bytes_in_words(brotli))
        }
        None => bytes_in_words(manifest.sizes.raw),
    };
    let made = |source: &SourceFile| format!("{} ({}, {})", source.file, source.format, bytes_in_words(source.bytes));
    let rows = [
        ("precision", Some(manifest.precision.as_str().to_string())),
        ("size", Some(size)),
        ("made of", Some(made(&manifest.source))),
        ("made by", Some(format!("{} {}", manifest.tool.name, manifest.tool.version))),
        ("task", manifest.task.as_ref().map(|task| task.name.clone())),
        ("licence", manifest.licence.clone()),
        ("author", manifest.author.clone()),
        ("about", manifest.description.clone()),
    ];
    let rows = rows.into_iter().filter_map(|(name, text)| Some(format!("  {name:9}  {}\n", text?)));
    format!("{heading}\n{}\n", rows.collect::<String>())
}

/// Writing to a `String` cannot fail.
fn table(path: &Path, report: &Report<'_>) -> String {
    let Report { inspection, files, notes, .. } = *report;
    let mut out = String::new();
    let opsets = inspection.opsets.iter().map(|(domain, version)| match domain.as_str() {
        "" | "ai.onnx" => format!("opset {version}"),
        _ => format!("{domain} {version}"),
    });
    let opsets: Vec<String> = opsets.collect();
    let producer = match inspection.producer.as_str() {
        "" => String::new(),
        producer => format!(", written by {producer}"),
    };
    let format = match notes {
        Some(_) => format!("{}, converted to {}", report.format, opsets.join(", ")),
        None => format!("ONNX IR {}, {}{producer}", inspection.ir_version, opsets.join(", ")),
    };
    let _ = writeln!(out, "{}  {format}", styled(HEADING, path.display()));
    for note in notes.unwrap_or_default() {
        let _ = writeln!(out, "  {note}");
    }

    let values = |title: &str, infos: &[IoInfo]| {
        let name = width(infos.iter().map(|info| info.name.as_str()));
        let dtype = width(infos.iter().map(|info| info.dtype.as_str()));
        let row = |info: &IoInfo| {
            let shape = if info.dtype.contains('(') || info.dtype == "unknown" {
                String::new()
            } else {
                feed::shape_in_words(&info.shape)
            };
            format!("  {:name$}  {:dtype$}  {shape}", info.name, info.dtype).trim_end().to_string() + "\n"
        };
        format!("\n{}\n{}", styled(HEADING, title), infos.iter().map(row).collect::<String>())
    };
    out += &values("Inputs", &inspection.inputs);
    out += &values("Outputs", &inspection.outputs);

    let _ = writeln!(out, "\n{}  {} nodes", styled(HEADING, "Operators"), thousands(inspection.node_count as u64));
    out + &rows(&inspection.operators) + &sizes(inspection.file_bytes, Some(inspection)) + &weight_files(files)
}

/// Operators with their counts, the most frequent first. Writing to a `String` cannot fail.
fn rows(operators: &[OperatorUse]) -> String {
    let mut out = String::new();
    let mut operators: Vec<&OperatorUse> = operators.iter().collect();
    operators.sort_by_key(|o| (std::cmp::Reverse(o.count), full_name(o)));
    let names: Vec<String> = operators.iter().map(|o| full_name(o)).collect();
    let name_width = width(names.iter().map(String::as_str));
    let counts: Vec<String> = operators.iter().map(|o| thousands(o.count as u64)).collect();
    let count_width = width(counts.iter().map(String::as_str));
    for ((operator, name), count) in operators.iter().zip(&names).zip(&counts) {
        let note = if operator.supported { String::new() } else { format!("  {}", styled(WARNING, "not supported")) };
        let _ = writeln!(out, "  {name:name_width$}  {count:>count_width$}{note}");
    }
    out
}

fn sizes(file_bytes: usize, inspection: Option<&Inspection>) -> String {
    let file = format!("\n{}\n  file     {:>10}\n", styled(HEADING, "Sizes"), bytes_in_words(file_bytes as u64));
    let weights = |of: &Inspection| {
        let parameters = styled(FAINT, format!("{} parameters", thousands(of.parameter_count)));
        format!("  weights  {:>10}  {parameters}\n", bytes_in_words(of.weight_bytes))
    };
    file + &inspection.map_or(String::new(), weights)
}

fn weight_files(files: &[WeightFile]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let name = width(files.iter().map(|file| file.location.as_str()));
    let row = |file: &WeightFile| {
        let size = file.bytes.map_or_else(|| styled(WARNING, "missing"), bytes_in_words);
        format!("  {:name$}  {size}\n", file.location)
    };
    format!("\n{}\n{}", styled(HEADING, "Weight files"), files.iter().map(row).collect::<String>())
}

/// What became of each node, and of how many the same. Writing to a `String` cannot fail.
fn fates(nodes: &[NodeFate]) -> String {
    let count = |of: fn(&Fate) -> bool| nodes.iter().filter(|node| of(&node.fate)).count();
    let counts = [
        (count(|fate| matches!(fate, Fate::Runs { .. })), "run"),
        (count(|fate| matches!(fate, Fate::Folded)), "computed at load"),
        (count(|fate| matches!(fate, Fate::Fused { .. })), "fused"),
        (count(|fate| matches!(fate, Fate::Removed)), "removed"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, of)| format!("{count} {of}"));
    let mut out = format!("\n{}  {}\n", styled(HEADING, "Plan"), counts.collect::<Vec<_>>().join(", "));
    let in_words = |node: &NodeFate| match &node.fate {
        Fate::Runs { as_op, device } if *as_op == node.op_type => format!("runs on {}", device.as_str()),
        Fate::Runs { as_op, device } => format!("runs as {as_op} on {}", device.as_str()),
        Fate::Folded => "computed at load".to_string(),
        Fate::Fused { into } => format!("fused into {into}"),
        Fate::Removed => "removed".to_string(),
    };
    let name = width(nodes.iter().map(|node| node.name.as_str()));
    let op_type = width(nodes.iter().map(|node| node.op_type.as_str()));
    for node in nodes {
        let note = node.note.as_ref().map_or(String::new(), |note| format!("  {}", styled(FAINT, note)));
        let _ = writeln!(out, "  {:name$}  {:op_type$}  {}{note}", node.name, node.op_type, in_words(node));
    }
    out
}
