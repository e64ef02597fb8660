//! `firebrand run`: tensors and photos in, tensors and answers out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use firebrand::data::picture::PictureOptions;
use firebrand::{Feed, RunOptions};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::host::Clock;
use super::output::{Entry, Writer};
use super::progress::Progress;
use super::ranking::{Ranked, bar, rank, read_labels};
use super::{FAINT, HEADING, feed, model, output, package, print, print_json, styled};

const EXAMPLES: &str = "\
Examples:
  firebrand run squeezenet1.1.onnx --input data=coffee.png --image-color bgr \\
      --image-mean 103.939,116.779,123.68 --image-scale 1 --image-fit fill \\
      --top 5 --labels imagenet-labels.json
  firebrand run emotions/ --input face.jpg
  firebrand run model.onnx --input x=x.npy --input mask=mask.json --output-dir out --json
  firebrand run sequence.onnx --input 'parts=[a.npy,b.npy]' --output whole

Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model.";

/// Runs a model once on the CPU
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A model of any format, with the weight files it refers to beside it, or a package's folder or manifest
    model: PathBuf,
    /// An input: NAME=FILE with .npy, .json, .png or .jpg; NAME=[A,B] for a sequence. A model's only input needs no NAME
    #[arg(short, long, value_name = "NAME=FILE")]
    input: Vec<String>,
    /// Compute only this output; may be given several times [default: all of them]
    #[arg(short, long, value_name = "NAME")]
    output: Vec<String>,
    /// Write each output to DIR/NAME.npy
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Show the N largest values of an output that is a vector [default where labels are known: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// What the values stand for: a JSON array of strings, or one label a line [default: what a package says]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    loading: model::LoadArguments,
    #[command(flatten)]
    pictures: PictureOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a Path,
    device: &'static str,
    milliseconds: f64,
    outputs: &'a [Entry],
}

/// Runs the model and prints what it gave.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let labels = arguments.labels.as_deref().map(read_labels).transpose()?;
    let (manifest, session) = model::load(&arguments.model, &arguments.loading)?;
    let feeds = feed::read_all(&arguments.input, &session, &arguments.pictures, manifest.as_ref())?;
    let own_labels = match &manifest {
        Some(manifest) => package::labels(&arguments.model, manifest)?,
        None => BTreeMap::new(),
    };
    let mut writer = Writer::new(arguments.output_dir.as_deref())?;

    let wanted = (!arguments.output.is_empty()).then(|| arguments.output.clone());
    let progress = Progress::new("nodes");
    let on_node = |done, total| progress.at(done, total);
    let options = RunOptions { outputs: wanted, on_node: Some(&on_node), ..RunOptions::default() };
    let started = Clock::start();
    let outputs = session.run_blocking(feeds, options).map_err(Failure::of_run)?;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    drop(progress);

    let top = arguments.top.map(|top| top as usize);
    let write = |(name, feed): &(String, Feed)| {
        let labels = labels.as_ref().or(own_labels.get(name));
        let top = top.or(labels.is_some().then_some(5));
        writer.write(name, feed, |tensor| rank(tensor, top?, labels.map(Vec::as_slice)))
    };
    let entries = outputs.iter().map(write).collect::<Outcome<Vec<Entry>>>()?;
    if (top.is_some() || labels.is_some())
        && !entries.iter().any(|e| matches!(e, Entry::Tensor { tensor, .. } if tensor.top.is_some()))
    {
        return Err(Failure::input("--top: no output is a vector of numbers"));
    }
    let device = session.info().device.as_str();
    if arguments.json {
        return print_json(&Report { model: &arguments.model, device, milliseconds, outputs: &entries });
    }
    let time = format!("{milliseconds:.1} ms");
    let heading =
        format!("{}  {}\n", styled(HEADING, arguments.model.display()), styled(FAINT, format!("{device}, {time}")));
    let lines = outputs.iter().zip(&entries).map(|((name, feed), entry)| summary(name, feed, entry));
    print(&(heading + &lines.collect::<String>()))
}

/// An output for people. Writing to a `String` cannot fail.
fn summary(name: &str, feed: &Feed, entry: &Entry) -> String {
    let mut out = String::new();
    let written =
        |file: &Option<PathBuf>| file.as_ref().map_or(String::new(), |file| format!("  → {}", file.display()));
    match (feed, entry) {
        (Feed::Tensor(tensor), Entry::Tensor { tensor: entry, .. }) => {
            let _ = write!(out, "{}  {} {:?}", styled(HEADING, name), entry.dtype, entry.shape);
            match &entry.top {
                Some(top) => {
                    let _ = writeln!(out, "{}\n{}", written(&entry.file), ranking(top).trim_end());
                }
                None => {
                    let _ = writeln!(out, "  {}{}", output::in_words(tensor), written(&entry.file));
                }
            }
        }
        (Feed::Sequence(_, tensors), Entry::Sequence { dtype, sequence, .. }) => {
            let count = if tensors.len() == 1 { "1 tensor".to_string() } else { format!("{} tensors", tensors.len()) };
            let _ = writeln!(out, "{}  sequence of {count} of {dtype}", styled(HEADING, name));
            for (index, (tensor, entry)) in tensors.iter().zip(sequence).enumerate() {
                let said = output::in_words(tensor);
                let _ = writeln!(out, "  {index}  {:?}  {said}{}", entry.shape, written(&entry.file));
            }
        }
        (Feed::Maps { keys, values }, Entry::Maps { keys: key_entry, values: entry, .. }) => {
            let _ = writeln!(out, "{}  {} maps of {} keys", styled(HEADING, name), entry.shape[0], keys.len());
            let _ = writeln!(out, "  keys  {}{}", output::in_words(keys), written(&key_entry.file));
            let _ = writeln!(out, "  values  {:?}  {}{}", entry.shape, output::in_words(values), written(&entry.file));
        }
        (Feed::Absent, _) => {
            let _ = writeln!(out, "{}  absent", styled(HEADING, name));
        }
        _ => {}
    }
    out
}

fn ranking(top: &[Ranked]) -> String {
    const BAR: usize = 24;
    let label = |ranked: &Ranked| ranked.label.clone().unwrap_or_else(|| format!("index {}", ranked.index));
    let width = top.iter().map(|ranked| label(ranked).chars().count()).max().unwrap_or(0);
    // Probabilities fill their share of the bar; other scores are compared to the largest.
    let full = top.iter().map(|ranked| ranked.value).fold(1.0, f64::max);
    let row = |ranked: &Ranked| {
        let line = format!("  {:width$}  {:>9.5}  {}", label(ranked), ranked.value, bar(ranked.value / full, BAR));
        line.trim_end().to_string() + "\n"
    };
    top.iter().map(row).collect()
}
