//! `firebrand bench`: how long a model takes, and where the time goes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firebrand::data::picture::PictureOptions;
use firebrand::data::sample::{Sizes, parse_dim};
use firebrand::package::Manifest;
use firebrand::runtime::{NodeProfile, Peak, Profile};
use firebrand::{Feed, RunOptions, Session};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::host::{self, Clock};
use super::progress::Progress;

use super::trace::chrome_trace;
use super::{FAINT, HEADING, bytes_in_words, feed, model, print, print_json, styled, width};

const EXAMPLES: &str = "\
Examples:
  firebrand bench mobilenetv2.onnx
  firebrand bench encoder.onnx --dim batch=1 --dim sequence=128 --profile
  firebrand bench squeezenet1.1.onnx --input data=coffee.png --runs 100 --trace trace.json

Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model.";

/// Times a model on the CPU
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A model of any format, with the weight files it refers to beside it, or a package's folder or manifest
    model: PathBuf,
    /// An input, as for run [default: seeded numbers of the declared shape]
    #[arg(short, long, value_name = "NAME=FILE")]
    input: Vec<String>,
    /// The size of a free dimension of the inputs that are not given [default: 1]
    #[arg(short, long, value_name = "NAME=SIZE", value_parser = parse_dim)]
    dim: Vec<(String, usize)>,
    /// How many runs to time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// How many runs to make before
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=100_000))]
    warmup: u32,
    /// Time each node too, in as many runs again
    #[arg(long)]
    profile: bool,
    /// Write the run with the median time as a trace for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
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
    threads: usize,
    load_ms: f64,
    runs: usize,
    median_ms: f64,
    p95_ms: f64,
    min_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<&'a [NodeTime]>,
    /// The most that the machine was measured to do, beside the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<PeakRates>,
}

/// Multiply-adds in a second.
#[derive(Serialize)]
struct PeakRates {
    float32: f64,
    int8: f64,
}

/// What a node takes.
#[derive(Serialize)]
struct NodeTime {
    name: String,
    op_type: String,
    device: &'static str,
    /// The median of all profiled runs.
    median_ms: f64,
    /// Of the sum of all nodes.
    share: f64,
    multiply_adds: u64,
    /// How much of the machine's peak the multiply-adds reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_of_peak: Option<f64>,
    bytes_read: u64,
    bytes_written: u64,
    /// Of each output; `null` of what is no tensor.
    shapes: Vec<Option<Vec<usize>>>,
}

/// Times the model, and prints what came out.
pub fn bench(arguments: &Arguments) -> Outcome<()> {
    let started = Clock::start();
    let (manifest, session) = model::load(&arguments.model, &arguments.loading)?;
    let load = started.elapsed();
    let feeds = feeds(arguments, &session, manifest.as_ref())?;

    let profiled = if arguments.profile || arguments.trace.is_some() { arguments.runs } else { 0 };
    let progress = Progress::new("runs");
    let total = (arguments.warmup + arguments.runs + profiled) as usize;
    let mut done = 0;
    let mut run = |profile: Option<&mut Profile>| {
        progress.at(done, total);
        done += 1;
        let options = RunOptions { profile, ..RunOptions::default() };
        let started = Clock::start();
        session.run_blocking(feeds.iter().cloned(), options).map_err(Failure::of_run)?;
        Ok(started.elapsed())
    };
    (0..arguments.warmup).try_for_each(|_| run(None).map(drop))?;
    let mut times = (0..arguments.runs).map(|_| run(None)).collect::<Outcome<Vec<Duration>>>()?;
    times.sort_unstable();
    let profile = |_| {
        let mut profile = Profile::default();
        run(Some(&mut profile)).map(|_| profile)
    };
    let mut profiles = (0..profiled).map(profile).collect::<Outcome<Vec<Profile>>>()?;
    profiles.sort_by_key(|profile| profile.duration);
    drop(progress);

    if let (Some(path), Some(median)) = (&arguments.trace, quantile(&profiles, 0.5)) {
        let trace = chrome_trace(&arguments.model.display().to_string(), median).to_string();
        let failed = |error| Failure::input(format!("--trace: {}: {error}", path.display()));
        host::write(path, trace).map_err(failed)?;
    }
    let peak = profiles
        .iter()
        .map(|profile| profile.peak)
        .reduce(|a, b| Peak { float: a.float.max(b.float), int8: a.int8.max(b.int8) });
    let peak = peak.filter(|_| arguments.profile);
    let nodes = peak.map(|peak| node_times(&profiles, &peak));
    let time = |share| quantile(&times, share).map_or(0.0, milliseconds);
    let report = Report {
        model: &arguments.model,
        device: session.info().device.as_str(),
        threads: session.info().threads,
        load_ms: milliseconds(&load),
        runs: times.len(),
        median_ms: time(0.5),
        p95_ms: time(0.95),
        min_ms: time(0.0),
        nodes: nodes.as_deref(),
        peak: peak.map(|Peak { float, int8 }| PeakRates { float32: float, int8 }),
    };
    if arguments.json { print_json(&report) } else { print(&in_words(&report)) }
}

/// What is given, and samples of the rest.
fn feeds(arguments: &Arguments, session: &Session, manifest: Option<&Manifest>) -> Outcome<Vec<(String, Feed)>> {
    let mut feeds = feed::read_all(&arguments.input, session, &arguments.pictures, manifest)?;
    let wrong = |error: firebrand::Error| Failure::input(error.to_string());
    let sizes = Sizes::new(&arguments.dim, session.inputs()).map_err(wrong)?;
    for info in session.inputs() {
        if !feeds.iter().any(|(name, _)| *name == info.name) {
            feeds.push((info.name.clone(), sizes.sample(info, 0x5eed).map_err(wrong)?));
        }
    }
    Ok(feeds)
}

fn milliseconds(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The first of `sorted` that is no less than a `share` of them.
fn quantile<T>(sorted: &[T], share: f64) -> Option<&T> {
    sorted.get(((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1))
}

/// Each node's median time, the slowest first.
fn node_times(profiles: &[Profile], peak: &Peak) -> Vec<NodeTime> {
    let Some(first) = profiles.first() else { return Vec::new() };
    let node = |(index, node): (usize, &NodeProfile)| {
        let mut times: Vec<Duration> = profiles.iter().map(|profile| profile.nodes[index].duration).collect();
        times.sort_unstable();
        let time = quantile(&times, 0.5).copied().unwrap_or_default();
        NodeTime {
            name: node.name.clone(),
            op_type: node.op_type.clone(),
            device: node.device.as_str(),
            median_ms: milliseconds(&time),
            share: 0.0,
            multiply_adds: node.multiply_adds.total(),
            share_of_peak: node.share_of(peak, time),
            bytes_read: node.bytes_read,
            bytes_written: node.bytes_written,
            shapes: node.outputs.iter().map(|info| info.as_ref().map(|info| info.shape.clone())).collect(),
        }
    };
    let mut nodes: Vec<NodeTime> = first.nodes.iter().enumerate().map(node).collect();
    let sum: f64 = nodes.iter().map(|node| node.median_ms).sum();
    nodes.iter_mut().for_each(|node| node.share = node.median_ms / sum.max(f64::MIN_POSITIVE));
    nodes.sort_by(|a, b| b.median_ms.total_cmp(&a.median_ms));
    nodes
}

/// The report for people. Writing to a `String` cannot fail.
fn in_words(report: &Report) -> String {
    let runs = if report.runs == 1 { "1 run".to_string() } else { format!("{} runs", report.runs) };
    let threads = if report.threads == 1 { "1 thread".to_string() } else { format!("{} threads", report.threads) };
    let note = format!("{}, {threads}, loaded in {:.1} ms", report.device, report.load_ms);
    let mut out = format!("{}  {}\n", styled(HEADING, report.model.display()), styled(FAINT, note));
    let Report { median_ms, p95_ms, min_ms, .. } = report;
    let _ = writeln!(out, "{runs}: median {median_ms:.2} ms, 95 % within {p95_ms:.2} ms, least {min_ms:.2} ms");
    let (Some(nodes), Some(peak)) = (report.nodes, &report.peak) else { return out };
    let PeakRates { float32, int8 } = peak;
    let _ = writeln!(out, "peak: {:.1} G multiply-adds/s in float32, {:.1} in int8", float32 / 1e9, int8 / 1e9);
    let sum = Sum::of(nodes);
    let rates = ["time, ms", "share", "M multiply-adds", "G/s", "of peak", "bytes", "GB/s"];
    let mut rows = vec![["Node", "operator"].iter().chain(&rates).map(ToString::to_string).collect::<Vec<_>>()];
    let row = |names: &[&str], of: &Sum| names.iter().map(ToString::to_string).chain(of.rates(sum.time)).collect();
    rows.extend(nodes.iter().map(|node| row(&[&node.name, &node.op_type], &Sum::of(std::slice::from_ref(node)))));
    rows.push(row(&["all nodes", ""], &sum));
    let _ = write!(out, "\n{}", table(&rows, 2));

    let mut of: BTreeMap<&str, Vec<&NodeTime>> = BTreeMap::new();
    nodes.iter().for_each(|node| of.entry(&node.op_type).or_default().push(node));
    let mut operators: Vec<(&str, String, Sum)> =
        of.into_iter().map(|(name, nodes)| (name, nodes.len().to_string(), Sum::of(nodes))).collect();
    operators.sort_by(|a, b| b.2.time.total_cmp(&a.2.time));
    let mut rows = vec![["Operator", "nodes"].iter().chain(&rates).map(ToString::to_string).collect::<Vec<_>>()];
    rows.extend(operators.iter().map(|(name, count, sum)| row(&[name, count], sum)));
    let _ = write!(out, "\n{}", table(&rows, 1));
    out
}

/// What nodes take together.
#[derive(Default)]
struct Sum {
    time: f64,
    multiply_adds: f64,
    /// What the multiply-adds would take at the machine's peak.
    least: f64,
    bytes: f64,
}

impl Sum {
    fn of<'a>(nodes: impl IntoIterator<Item = &'a NodeTime>) -> Self {
        nodes.into_iter().fold(Self::default(), |sum, node| Self {
            time: sum.time + node.median_ms,
            multiply_adds: sum.multiply_adds + node.multiply_adds as f64,
            least: sum.least + node.share_of_peak.unwrap_or(0.0) * node.median_ms,
            bytes: sum.bytes + (node.bytes_read + node.bytes_written) as f64,
        })
    }

    /// Time, its share of `all`, multiply-adds and bytes, each with what it is in a second, and of the peak.
    fn rates(&self, all: f64) -> [String; 7] {
        let a_second = |count: f64| count / (self.time * 1e-3).max(f64::MIN_POSITIVE) / 1e9;
        let or_blank = |value: f64, text: String| if value > 0.0 { text } else { String::new() };
        [
            format!("{:.3}", self.time),
            percent(self.time / all.max(f64::MIN_POSITIVE)),
            or_blank(self.multiply_adds, format!("{:.2}", self.multiply_adds / 1e6)),
            or_blank(self.multiply_adds, format!("{:.1}", a_second(self.multiply_adds))),
            or_blank(self.multiply_adds, percent(self.least / self.time.max(f64::MIN_POSITIVE))),
            bytes_in_words(self.bytes as u64),
            format!("{:.1}", a_second(self.bytes)),
        ]
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Rows in columns, the first of them names on the left; the first row is the heading.
fn table(rows: &[Vec<String>], names: usize) -> String {
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0))
        .map(|column| width(rows.iter().filter_map(|row| row.get(column)).map(String::as_str)))
        .collect();
    let line = |(index, row): (usize, &Vec<String>)| {
        let cells = row.iter().zip(&widths).enumerate();
        let cell = |(column, (cell, &width)): (usize, (&String, &usize))| {
            if column < names { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        };
        let line = cells.map(cell).collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        if index == 0 { format!("{}\n", styled(HEADING, line)) } else { format!("{line}\n") }
    };
    rows.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_runs() {
        let sorted = [1, 2, 3, 4, 5];
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| quantile(&sorted, share)), [&1, &3, &5, &5].map(Some));
        assert_eq!((quantile(&[7], 0.5), quantile(&[7], 0.95)), (Some(&7), Some(&7)));
        assert_eq!(quantile::<u8>(&[], 0.5), None);
    }
}
