//! `firebrand prune`: a model with weights of zero, or with fewer channels, as an ONNX file.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use firebrand::optimize::prune::{Amount, PruneOptions, PruneReport, prune as prune_weights};
use firebrand::optimize::structured::{ChannelOptions, ChannelReport, Norm, prune_channels};
use serde::Serialize;

use super::convert::{SourceArguments, read, refuse_same};
use super::failure::{Failure, Outcome};
use super::{FAINT, HEADING, bytes_in_words, model, print, print_json, styled, thousands, width, write};

const EXAMPLES: &str = "\
Examples:
  firebrand prune mnist.onnx -o mnist-sparse.onnx --sparsity 0.8 --global
  firebrand prune resnet18.onnx -o resnet18-half.onnx --channels 0.5 --exclude 'layer4.*'

Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model.";

/// Sets weights near zero to zero, or removes whole channels
///
/// What is pruned answers otherwise than before: measure it, and train it further where it matters.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The ONNX file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    amount: AmountArguments,
    /// With --sparsity: the share of all weights together, not of each layer's
    #[arg(long, conflicts_with_all = ["threshold", "channels"])]
    global: bool,
    /// A node or weight to leave alone; * stands for any characters
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// With --channels: how many stay is rounded up to a multiple of this
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with_all = ["threshold", "sparsity"], value_parser = clap::value_parser!(u16).range(1..=1024))]
    channel_multiple: u16,
    /// With --channels: rank channels by the sum of their weights' magnitudes, not by their L2 norm
    #[arg(long, conflicts_with_all = ["threshold", "sparsity"])]
    l1: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct AmountArguments {
    /// Weights of a magnitude below this become zero
    #[arg(long, value_name = "MAGNITUDE")]
    threshold: Option<f32>,
    /// This share of the weights becomes zero, from 0 to below 1
    #[arg(long, value_name = "SHARE")]
    sparsity: Option<f64>,
    /// This share of the output channels is removed, from 0 to below 1
    #[arg(long, value_name = "SHARE")]
    channels: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a, R> {
    model: &'a Path,
    output: &'a Path,
    bytes: usize,
    notes: &'a [String],
    #[serde(flatten)]
    report: &'a R,
}

/// Prunes, writes, and says what became of each layer.
pub fn prune(arguments: &Arguments) -> Outcome<()> {
    let path = &arguments.source.model;
    let output = &arguments.output;
    refuse_same(output, path)?;
    let mut imported = read(&arguments.source)?;
    let graph = &mut imported.model.graph;
    let excluded = arguments.exclude.clone();
    let amount = &arguments.amount;
    if let Some(ratio) = amount.channels {
        let norm = if arguments.l1 { Norm::L1 } else { Norm::L2 };
        let channel_multiple = arguments.channel_multiple.into();
        let options = ChannelOptions { ratio, norm, channel_multiple, excluded };
        let report = prune_channels(graph, &options).map_err(|error| failed(path, error))?;
        return finish(arguments, &imported, &report, channels_table);
    }
    let amount = match (amount.threshold, amount.sparsity) {
        (Some(threshold), _) => Amount::Threshold(threshold),
        (_, share) if arguments.global => Amount::Global(share.unwrap_or_default()),
        (_, share) => Amount::EachLayer(share.unwrap_or_default()),
    };
    let report = prune_weights(graph, &PruneOptions { amount, excluded }).map_err(|error| failed(path, error))?;
    finish(arguments, &imported, &report, weights_table)
}

/// Wrong arguments are the caller's fault, all else the model's.
fn failed(path: &Path, error: firebrand::Error) -> Failure {
    match error.kind() {
        firebrand::ErrorKind::InvalidArgument => Failure::input(error.to_string()),
        _ => model::bad(path, error),
    }
}

fn finish<R: Serialize>(
    arguments: &Arguments,
    imported: &firebrand::import::Imported,
    report: &R,
    table: impl Fn(&R) -> String,
) -> Outcome<()> {
    let (path, output) = (&arguments.source.model, &arguments.output);
    let bytes = imported.model.to_onnx().map_err(|error| model::bad(path, error))?;
    write(output, &bytes)?;
    if arguments.json {
        let notes = &imported.notes;
        return print_json(&Written { model: path, output, bytes: bytes.len(), notes, report });
    }
    if arguments.quiet {
        return Ok(());
    }
    let notes: String = imported.notes.iter().map(|note| format!("  {note}\n")).collect();
    let size = bytes_in_words(bytes.len() as u64);
    print(&format!("{}{}  {size}\n{notes}", table(report), output.display()))
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.1} %", if whole > 0.0 { 100.0 * part / whole } else { 0.0 })
}

fn weights_table(report: &PruneReport) -> String {
    let names = width(report.weights.iter().map(|weight| weight.name.as_str()));
    let mut out = String::new();
    for weight in &report.weights {
        let _ = writeln!(
            out,
            "{:names$}  {:>10} weights  {:>7} zero, before {:>7}  below {:.3e}  norm {:>7}",
            weight.name,
            thousands(weight.elements as u64),
            percent(weight.zeros_after as f64, weight.elements as f64),
            percent(weight.zeros_before as f64, weight.elements as f64),
            weight.threshold,
            percent(weight.norm_kept, 1.0),
        );
    }
    if !report.excluded.is_empty() {
        let _ = writeln!(out, "{}", styled(FAINT, format!("excluded: {}", report.excluded.join(", "))));
    }
    let (elements, before, after) = report.total();
    let shares = (percent(after as f64, elements as f64), percent(before as f64, elements as f64));
    let said = format!("{} weights, {} zero, before {}", thousands(elements as u64), shares.0, shares.1);
    let _ = writeln!(out, "{}", styled(HEADING, said));
    out
}

fn channels_table(report: &ChannelReport) -> String {
    let names = width(report.layers.iter().map(|layer| layer.node.as_str()));
    let mut out = String::new();
    for layer in &report.layers {
        let _ = writeln!(
            out,
            "{:names$}  {:>5} → {:>5} channels  {:>11} → {:>11} weights  {:>13} → {:>13} multiply-adds",
            layer.node,
            layer.channels_before,
            layer.channels_after,
            thousands(layer.weights_before as u64),
            thousands(layer.weights_after as u64),
            thousands(layer.multiply_adds_before),
            thousands(layer.multiply_adds_after),
        );
    }
    for left in &report.left_alone {
        let said = format!("left alone: {}: {}", left.nodes.join(", "), left.reason);
        let _ = writeln!(out, "{}", styled(FAINT, said));
    }
    let said = format!(
        "{} → {} weights ({}), {} → {} multiply-adds ({})",
        thousands(report.weights_before as u64),
        thousands(report.weights_after as u64),
        percent(report.weights_after as f64, report.weights_before as f64),
        thousands(report.multiply_adds_before),
        thousands(report.multiply_adds_after),
        percent(report.multiply_adds_after as f64, report.multiply_adds_before as f64),
    );
    let _ = writeln!(out, "{}", styled(HEADING, said));
    out
}
