//! `firebrand inspect`: what a model file says of itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::onnx::{Inspection, IoInfo, OperatorUse};
use firebrand::package::{Manifest, SourceFile};
use firebrand::runtime::{Fate, NodeFate};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::package::manifest_of;
use super::{FAINT, HEADING, WARNING, bytes_in_words, feed, host, model, print, print_json, styled, thousands, width};

/// Says what a model takes, gives, is made of and weighs, and whether Firebrand can run it
///
/// Everything is printed for a model with unsupported operators too; they are then named on
/// standard error, and the exit code is 2.
#[derive(clap::Args)]
pub struct Arguments {
    /// An ONNX file, or a package's folder or manifest; weight files need not be there without --plan
    model: PathBuf,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// Operators that Firebrand does not have.
    unsupported: Vec<String>,
    /// The weight files again, with their sizes.
    files: &'a [WeightFile],
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a [NodeFate]>,
}

#[derive(Serialize)]
struct WeightFile {
    location: String,
    /// `null` where the file is missing or may not be read.
    bytes: Option<u64>,
}

/// Prints the report; fails when the model is bad or unsupported.
pub fn inspect(arguments: &Arguments) -> Outcome<()> {
    let manifest = match manifest_of(&arguments.model) {
        Some(path) => {
            let manifest = Manifest::parse(&model::read(&path)?).map_err(|error| model::bad(&path, error))?;
            Some((path.with_file_name(&manifest.model.file), manifest))
        }
        None => None,
    };
    let path = manifest.as_ref().map_or(&arguments.model, |(graph, _)| graph);
    let manifest = manifest.as_ref().map(|(_, manifest)| manifest);
    let inspection = model::inspect(path, &Bytes::from(model::read(path)?))?;
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
        true => Some(model::load(&arguments.model, &arguments.loading)?.info().nodes),
        false => None,
    };
    if arguments.json {
        let unsupported = unsupported.iter().map(|o| full_name(o)).collect();
        let plan = plan.as_deref();
        print_json(&Report {
            model: &arguments.model,
            manifest,
            inspection: &inspection,
            unsupported,
            files: &files,
            plan,
        })?;
    } else {
        let about = manifest.map_or(String::new(), |manifest| about(&arguments.model, manifest));
        print(&(about + &table(path, &inspection, &files) + &plan.as_deref().map_or(String::new(), fates)))?;
    }
    if unsupported.is_empty() {
        return Ok(());
    }
    let nodes = |o: &OperatorUse| {
        let names = o.nodes.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        format!("{} ({} {}: {names})", full_name(o), o.count, if o.count == 1 { "node" } else { "nodes" })
    };
    let list: Vec<String> = unsupported.iter().map(|o| nodes(o)).collect();
    Err(Failure::model(format!("{}: unsupported operators: {}", path.display(), list.join(", "))))
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
fn table(path: &Path, inspection: &Inspection, files: &[WeightFile]) -> String {
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
    let _ = writeln!(
        out,
        "{}  ONNX IR {}, {}{producer}",
        styled(HEADING, path.display()),
        inspection.ir_version,
        opsets.join(", ")
    );

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
    let mut operators: Vec<&OperatorUse> = inspection.operators.iter().collect();
    operators.sort_by_key(|o| (std::cmp::Reverse(o.count), full_name(o)));
    let names: Vec<String> = operators.iter().map(|o| full_name(o)).collect();
    let name_width = width(names.iter().map(String::as_str));
    let counts: Vec<String> = operators.iter().map(|o| thousands(o.count as u64)).collect();
    let count_width = width(counts.iter().map(String::as_str));
    for ((operator, name), count) in operators.iter().zip(&names).zip(&counts) {
        let note = if operator.supported { String::new() } else { format!("  {}", styled(WARNING, "not supported")) };
        let _ = writeln!(out, "  {name:name_width$}  {count:>count_width$}{note}");
    }

    let _ = writeln!(out, "\n{}", styled(HEADING, "Sizes"));
    let _ = writeln!(out, "  file     {:>10}", bytes_in_words(inspection.file_bytes as u64));
    let parameters = format!("{} parameters", thousands(inspection.parameter_count));
    let _ = writeln!(out, "  weights  {:>10}  {}", bytes_in_words(inspection.weight_bytes), styled(FAINT, parameters));

    if !files.is_empty() {
        let _ = writeln!(out, "\n{}", styled(HEADING, "Weight files"));
        let name = width(files.iter().map(|file| file.location.as_str()));
        for file in files {
            let size = file.bytes.map_or_else(|| styled(WARNING, "missing"), bytes_in_words);
            let _ = writeln!(out, "  {:name$}  {size}", file.location);
        }
    }
    out
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
