//! `firebrand verify`: whether a package is what it says, and how near it is to its source.

use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use firebrand::data::dataset::{Dataset, DatasetOptions};
use firebrand::optimize::calibrate::Samples;
use firebrand::package::{Comparison, MANIFEST, Package, Report, VerifyOptions};
use firebrand::{Feed, Model, Tensor};
use serde::Serialize;

use super::build::Disk;
use super::convert::{self, Folder};
use super::failure::{Failure, Outcome};
use super::package::{manifest_of, names};
use super::{FAINT, HEADING, model, print, print_json, styled, width};

const EXAMPLES: &str = "\
Exit codes: 0 the package is right; 1 wrong use; 2 the package is bad; 3 it is further from --against than its manifest claims.";

/// Checks a package: its manifest, every file's size and hash, its golden samples on this machine
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A package's folder or manifest
    package: PathBuf,
    /// The model that the package was made of, of any format: both are run on the same inputs and compared
    #[arg(long, value_name = "MODEL")]
    against: Option<PathBuf>,
    /// Samples to run both on: a folder of pictures, a .npz, .npy or .csv file [default: the golden samples]
    #[arg(long, value_name = "DIR|FILE", requires = "against")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    package: &'a Path,
    ok: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// Checks, prints what was found, and fails where something is wrong.
pub fn verify(arguments: &Arguments) -> Outcome<()> {
    let path = &arguments.package;
    let Some(manifest) = manifest_of(path) else {
        let why = format!("{}: expected a package's folder or its {MANIFEST}", path.display());
        return Err(Failure::input(why));
    };
    let against = arguments.against.as_deref().map(original).transpose()?;
    let inputs = match &arguments.data {
        Some(data) => samples(data, path)?,
        None => Vec::new(),
    };
    let options = VerifyOptions { names: Some(names(&manifest)?), against, inputs };
    let report = Package::verify_blocking(&model::read(&manifest)?, &Folder(&manifest), options)
        .map_err(|error| model::bad(arguments.against.as_deref().unwrap_or(path), error))?;
    match arguments.json {
        true => print_json(&Printed { package: path, ok: report.is_ok(), report: &report })?,
        false => print(&in_words(path, &report))?,
    }
    let wrong: Vec<&str> = report.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    let only_far = report.comparison.as_ref().is_some_and(|comparison| !comparison.within_claim) && wrong.len() == 1;
    match wrong.as_slice() {
        [] => Ok(()),
        _ if only_far => Err(Failure::accuracy(format!(
            "{}: the package is further from its original than its manifest claims",
            path.display()
        ))),
        _ => Err(Failure::model(format!("{}: the package is bad: {}", path.display(), wrong.join(", ")))),
    }
}

/// The inputs that the files at `data` hold, pictures made as the package's manifest says.
fn samples(data: &Path, package: &Path) -> Outcome<Vec<Vec<(String, Tensor)>>> {
    let wrong = |error: firebrand::Error| Failure::input(error.to_string());
    let (manifest, model) = model::open(package)?;
    let inputs = manifest.into_iter().flat_map(|manifest| manifest.inputs);
    let pictures = inputs.filter_map(|input| input.preprocessing?.pictures()).next();
    let options = DatasetOptions { pictures: pictures.unwrap_or_default(), ..DatasetOptions::default() };
    let files = Disk::open(data)?;
    let dataset = Dataset::open(&files, model.graph.inputs, options).map_err(wrong)?;
    let tensors = |feeds: Vec<(String, Feed)>| {
        let tensor = |(name, feed)| if let Feed::Tensor(tensor) = feed { Some((name, tensor)) } else { None };
        feeds.into_iter().filter_map(tensor).collect()
    };
    (0..dataset.len()).map(|index| dataset.get(index).map(tensors).map_err(wrong)).collect()
}

/// The model that a package was made of: of any format, or another package.
fn original(path: &Path) -> Outcome<Model> {
    if manifest_of(path).is_some() {
        return Ok(model::open(path)?.1);
    }
    let source = convert::SourceArguments { model: path.to_path_buf(), arch: None };
    Ok(convert::read(&source)?.model)
}

const RIGHT: Style = AnsiColor::Green.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();

fn in_words(path: &Path, report: &Report) -> String {
    let name = width(report.checks.iter().map(|check| check.name));
    let row = |check: &firebrand::package::Check| {
        let mark = if check.ok { styled(RIGHT, "✓") } else { styled(WRONG, "✗") };
        format!("  {mark} {:name$}  {}\n", check.name, check.detail.replace(['\n', '\r'], " "))
    };
    let rows: String = report.checks.iter().map(row).collect();
    let comparison = report.comparison.as_ref().map_or(String::new(), beside_original);
    format!("{}\n{rows}{comparison}", styled(HEADING, path.display()))
}

fn beside_original(comparison: &Comparison) -> String {
    let what = match comparison.random {
        true => format!("{} random inputs", comparison.samples),
        false => format!("{} inputs", comparison.samples),
    };
    let name = width(comparison.outputs.iter().map(|output| output.name.as_str()));
    let row = |output: &firebrand::package::OutputComparison| {
        let agreement =
            output.agreement.map_or(String::new(), |share| format!(", top-1 agrees in {:.1} %", share * 100.0));
        format!(
            "  {:name$}  cosine {:.6}, largest difference {:.3e} ({:.3} % of the largest){agreement}\n",
            output.name,
            output.cosine,
            output.max_difference,
            output.max_relative_difference * 100.0
        )
    };
    let rows: String = comparison.outputs.iter().map(row).collect();
    format!("\n{}  {}\n{rows}", styled(HEADING, "Beside the original"), styled(FAINT, what))
}
