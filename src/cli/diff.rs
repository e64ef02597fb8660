//! `firebrand diff`: what differs between two models.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use firebrand::graph::{Attribute, Graph, ValueInfo};
use firebrand::package::Manifest;
use firebrand::{Model, Tensor};
use serde::Serialize;
use serde_json::Value;

use super::convert;
use super::failure::Outcome;
use super::package::manifest_of;
use super::{FAINT, HEADING, bytes_in_words, feed, model, print, print_json, styled, width};

/// Says what differs between two models: operators, inputs and outputs, weights, and of packages their manifests
#[derive(clap::Args)]
pub struct Arguments {
    /// A model of any format, or a package's folder or manifest
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The other one
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What differs; empty lists where nothing does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference<'a> {
    before: &'a Path,
    after: &'a Path,
    weight_bytes: [usize; 2],
    inputs: Vec<Changed<String>>,
    outputs: Vec<Changed<String>>,
    operators: Vec<Changed<usize>>,
    weights: Weights,
    /// Fields of the manifests, of two packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Vec<Changed<Value>>>,
}

/// Something by its name, on both sides; `null` where one does not have it.
#[derive(Debug, PartialEq, Serialize)]
struct Changed<T> {
    name: String,
    before: Option<T>,
    after: Option<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Weights {
    same: usize,
    changed: Vec<ChangedWeight>,
    only_before: Vec<String>,
    only_after: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedWeight {
    name: String,
    before: String,
    after: String,
    /// The largest difference of any element, where both have one shape.
    max_difference: Option<f64>,
}

/// Compares, and prints what differs.
pub fn diff(arguments: &Arguments) -> Outcome<()> {
    let (manifest_before, before) = open(&arguments.before)?;
    let (manifest_after, after) = open(&arguments.after)?;
    let manifest = manifest_before.zip(manifest_after).map(|(a, b)| changed(fields(&a), fields(&b)));
    let (a, b) = (&before.graph, &after.graph);
    let difference = Difference {
        before: &arguments.before,
        after: &arguments.after,
        weight_bytes: [a.weight_bytes(), b.weight_bytes()],
        inputs: changed(declared(&a.inputs), declared(&b.inputs)),
        outputs: changed(declared(&a.outputs), declared(&b.outputs)),
        operators: changed(operators(a), operators(b)),
        weights: weights(a, b),
        manifest,
    };
    match arguments.json {
        true => print_json(&difference),
        false => print(&in_words(&difference)),
    }
}

fn open(path: &Path) -> Outcome<(Option<Manifest>, Model)> {
    if manifest_of(path).is_some() {
        return model::open(path);
    }
    let source = convert::SourceArguments { model: path.to_path_buf(), arch: None };
    Ok((None, convert::read(&source)?.model))
}

fn changed<T: PartialEq + Clone>(before: BTreeMap<String, T>, mut after: BTreeMap<String, T>) -> Vec<Changed<T>> {
    let both = before.into_iter().map(|(name, value)| {
        let other = after.remove(&name);
        Changed { name, before: Some(value), after: other }
    });
    let mut all: Vec<Changed<T>> = both.collect();
    all.extend(after.into_iter().map(|(name, value)| Changed { name, before: None, after: Some(value) }));
    all.retain(|one| one.before != one.after);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn declared(infos: &[ValueInfo]) -> BTreeMap<String, String> {
    infos.iter().map(|info| (info.name.clone(), feed::declared(info))).collect()
}

/// How often each operator is used, in bodies too.
fn operators(graph: &Graph) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut waiting = vec![graph];
    while let Some(graph) = waiting.pop() {
        for node in &graph.nodes {
            let name = match node.domain.as_str() {
                "" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type),
            };
            *counts.entry(name).or_default() += 1;
            waiting.extend(
                node.attributes.values().filter_map(|a| if let Attribute::Graph(g) = a { Some(g) } else { None }),
            );
        }
    }
    counts
}

fn weights(a: &Graph, b: &Graph) -> Weights {
    let mut weights = Weights { same: 0, changed: Vec::new(), only_before: Vec::new(), only_after: Vec::new() };
    let names = |graph: &Graph| graph.initializers.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (names(a), names(b));
    weights.only_before = before.difference(&after).cloned().collect();
    weights.only_after = after.difference(&before).cloned().collect();
    for name in before.intersection(&after) {
        let (a, b) = (&a.initializers[name], &b.initializers[name]);
        let is_same =
            (a.dtype(), a.shape()) == (b.dtype(), b.shape()) && (a.bytes(), a.strings()) == (b.bytes(), b.strings());
        if is_same {
            weights.same += 1;
            continue;
        }
        let described = |tensor: &Tensor| format!("{} {:?}", tensor.dtype(), tensor.shape());
        weights.changed.push(ChangedWeight {
            name: name.clone(),
            before: described(a),
            after: described(b),
            max_difference: max_difference(a, b),
        });
    }
    weights
}

fn max_difference(a: &Tensor, b: &Tensor) -> Option<f64> {
    if a.shape() != b.shape() {
        return None;
    }
    let (a, b) = (a.to_f64s().ok()?, b.to_f64s().ok()?);
    let differences = a.iter().zip(&b).filter(|(a, b)| a != b).map(|(a, b)| (a - b).abs());
    // JSON has no number for the distance to a NaN.
    Some(differences.fold(0.0, f64::max)).filter(|most| most.is_finite())
}

/// A manifest's fields by their path: `model.sha256`, `weights[0].bytes`.
fn fields(manifest: &Manifest) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: Value, out: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                    walk(&path, value, out);
                }
            }
            Value::Array(values) => {
                for (index, value) in values.into_iter().enumerate() {
                    walk(&format!("{path}[{index}]"), value, out);
                }
            }
            value => {
                out.insert(path.to_string(), value);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", serde_json::to_value(manifest).unwrap_or_default(), &mut out);
    out
}

/// More lines of one kind are counted, not printed.
const MOST_LINES: usize = 24;

/// Writing to a `String` cannot fail.
fn in_words(difference: &Difference<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}  →  {}",
        styled(HEADING, difference.before.display()),
        styled(HEADING, difference.after.display())
    );
    let [before, after] = difference.weight_bytes.map(|bytes| bytes_in_words(bytes as u64));
    let _ = writeln!(out, "  weights take {before}  →  {after}");
    section(&mut out, "Inputs", &difference.inputs, String::clone);
    section(&mut out, "Outputs", &difference.outputs, String::clone);
    section(&mut out, "Operators", &difference.operators, usize::to_string);

    let weights = &difference.weights;
    let counts = format!(
        "{} the same, {} changed, {} only before, {} only after",
        weights.same,
        weights.changed.len(),
        weights.only_before.len(),
        weights.only_after.len()
    );
    let _ = writeln!(out, "\n{}  {}", styled(HEADING, "Weights"), styled(FAINT, counts));
    let changed = weights.changed.iter().map(|weight| {
        let what = match weight.before == weight.after {
            true => weight.before.clone(),
            false => format!("{}  →  {}", weight.before, weight.after),
        };
        let most = weight.max_difference.map_or(String::new(), |most| format!(", largest difference {most:.3e}"));
        (weight.name.clone(), what + &most)
    });
    let only = |names: &[String], what: &'static str| {
        names.iter().map(move |name| (name.clone(), what.to_string())).collect::<Vec<_>>()
    };
    let rows = changed.chain(only(&weights.only_before, "only before")).chain(only(&weights.only_after, "only after"));
    lines(&mut out, rows.collect());
    if let Some(manifest) = &difference.manifest {
        section(&mut out, "Manifest", manifest, Value::to_string);
    }
    out
}

fn section<T>(out: &mut String, title: &str, all: &[Changed<T>], in_words: impl Fn(&T) -> String) {
    if all.is_empty() {
        let _ = writeln!(out, "\n{}  {}", styled(HEADING, title), styled(FAINT, "the same"));
        return;
    }
    let _ = writeln!(out, "\n{}", styled(HEADING, title));
    let side = |value: &Option<T>| value.as_ref().map_or_else(|| "–".to_string(), &in_words);
    lines(
        out,
        all.iter().map(|one| (one.name.clone(), format!("{}  →  {}", side(&one.before), side(&one.after)))).collect(),
    );
}

fn lines(out: &mut String, rows: Vec<(String, String)>) {
    let name_width = width(rows.iter().map(|(name, _)| name.as_str()));
    for (name, text) in rows.iter().take(MOST_LINES) {
        let _ = writeln!(out, "  {name:name_width$}  {text}");
    }
    if rows.len() > MOST_LINES {
        let _ = writeln!(out, "  {}", styled(FAINT, format!("and {} more; --json has all", rows.len() - MOST_LINES)));
    }
}
