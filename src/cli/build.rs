//! `firebrand quantize` and `firebrand build`: passes over a model, within an accuracy budget.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::build::compare::Metric;
use firebrand::build::{BuildOptions, Built, Data, build, random_samples};
use firebrand::data::dataset::{Dataset, DatasetOptions, Files};
use firebrand::data::npy;
use firebrand::data::picture::PictureOptions;
use firebrand::import::Imported;
use firebrand::optimize::calibrate::{CalibrationMethod, Samples};
use firebrand::optimize::quantize::Precision;
use firebrand::{Error, ErrorKind, Model};

use super::convert::{SourceArguments, read};
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::{model, print, print_json, write};

/// Writes a model with fewer bits as ONNX, where it stays within its accuracy budget
#[derive(clap::Args)]
pub struct QuantizeArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The ONNX file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What weights and activations become
    #[arg(long = "to", value_enum, default_value = "int8")]
    precision: Precision,
    #[command(flatten)]
    options: OptimizeArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// How to quantise and measure.
#[derive(clap::Args)]
pub struct OptimizeArguments {
    /// Samples to find ranges with: a folder of pictures, a .npz, .npy or .csv file [default: those of --data]
    #[arg(long, value_name = "DIR|FILE")]
    calibrate: Option<PathBuf>,
    /// Samples to measure with; folders named after classes, an array "labels" or a column "label" say what is right
    #[arg(long, value_name = "DIR|FILE")]
    data: Option<PathBuf>,
    /// What is right for each sample of --data, an array of integers
    #[arg(long, value_name = "FILE.npy", requires = "data")]
    labels: Option<PathBuf>,
    /// The classes' names in the order of the model's output, a line or a JSON string each
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// The most accuracy that may be lost, where labels are known
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "1%")]
    max_drop: f64,
    /// The least agreement with the original, where they are not
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "97%")]
    min_agreement: f64,
    /// What counts as agreement [default: top1 for rows of scores, else cosine]
    #[arg(long, value_enum)]
    metric: Option<Metric>,
    /// How ranges of activations are chosen [default: the best of all]
    #[arg(long, value_enum, value_name = "METHOD")]
    calibration_method: Option<CalibrationMethod>,
    /// How many samples are used for that
    #[arg(long, value_name = "N", default_value_t = 128)]
    calibration_samples: usize,
    /// One scale for a whole weight instead of one for each output channel
    #[arg(long)]
    per_tensor: bool,
    /// Weights of 7 bits instead of 8
    #[arg(long)]
    reduce_range: bool,
    /// Do not scale channels of convolutions to be equally wide
    #[arg(long)]
    no_equalize: bool,
    /// Do not let biases make up for what quantising takes from the mean
    #[arg(long)]
    no_bias_correction: bool,
    /// Weights that share a scale, at int4
    #[arg(long, value_name = "N", default_value_t = 32)]
    block_size: usize,
    /// Nodes that stay as they are; * stands for any characters
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Refuse what is over the budget at once, instead of keeping layers in float32
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pictures: PictureOptions,
}

/// `1%`, `0.5 %` or `0.01`.
fn parse_share(text: &str) -> Result<f64, String> {
    let (number, of) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text.trim(), 1.0),
    };
    let share = number.parse::<f64>().ok().map(|number| number / of);
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or("expected a share: 1% or 0.01".to_string())
}

impl OptimizeArguments {
    fn options(&self, quantize: Precision) -> BuildOptions {
        BuildOptions {
            quantize,
            calibration_method: self.calibration_method,
            calibration_samples: self.calibration_samples,
            per_tensor: self.per_tensor,
            reduce_range: self.reduce_range,
            equalize: !self.no_equalize,
            correct_bias: !self.no_bias_correction,
            block_size: self.block_size,
            exclude: self.exclude.clone(),
            metric: self.metric,
            max_drop: self.max_drop,
            min_agreement: self.min_agreement,
            strict: self.strict,
        }
    }

    /// Builds, with a bar on the terminal.
    fn build(&self, path: &Path, original: &Model, quantize: Precision, quiet: bool) -> Outcome<Built> {
        let wrong = |error: Error| Failure::input(error.to_string());
        let options = DatasetOptions {
            pictures: self.pictures.clone(),
            labels: self.labels.as_deref().map(read_labels).transpose()?,
            classes: self.classes.as_deref().map(read_classes).transpose()?,
        };
        let inputs = original.graph.inputs.clone();
        let open = |path: &Path| Disk::open(path);
        let (data_files, calibration_files) =
            (self.data.as_deref().map(open).transpose()?, self.calibrate.as_deref().map(open).transpose()?);
        let in_place = |path: &Option<PathBuf>| {
            let path = path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
            move |error: Error| Failure::input(format!("{path}: {error}"))
        };
        let evaluation = match &data_files {
            Some(files) => Some(Dataset::open(files, inputs.clone(), options.clone()).map_err(in_place(&self.data))?),
            None => None,
        };
        let unlabelled = DatasetOptions { labels: None, ..options };
        let calibration = match &calibration_files {
            Some(files) => Some(Dataset::open(files, inputs, unlabelled).map_err(in_place(&self.calibrate))?),
            None => None,
        };
        let integer = matches!(quantize, Precision::Int8 | Precision::Mixed);
        if integer && evaluation.is_none() && calibration.is_none() {
            return Err(Failure::input("int8 needs samples to find the ranges of activations with")
                .hint("give some with --calibrate or --data; dynamic, float16 and int4 need none"));
        }
        let random = match evaluation.is_none() && calibration.is_none() {
            true => random_samples(original, 8).map_err(wrong)?,
            false => Vec::new(),
        };
        let evaluation_samples: &dyn Samples = match (&evaluation, &calibration) {
            (Some(data), _) | (None, Some(data)) => data,
            (None, None) => &random,
        };
        let calibration_samples: &dyn Samples = match (&calibration, &evaluation) {
            (Some(data), _) | (None, Some(data)) => data,
            (None, None) => &random,
        };
        let data = Data {
            calibration: calibration_samples,
            evaluation: evaluation_samples,
            labels: evaluation.as_ref().and_then(Dataset::labels),
            random: !random.is_empty(),
        };
        let mut bars = Bars { quiet, current: None };
        build(original, &self.options(quantize), &data, &mut |step, done, total| {
            bars.at(step, done, total);
            Ok(())
        })
        .map_err(|error| match error.kind() {
            ErrorKind::OverBudget => Failure::accuracy(format!("{}: {error}", path.display())),
            ErrorKind::InvalidModel | ErrorKind::Unsupported | ErrorKind::UnsupportedOperator | ErrorKind::Internal => {
                model::bad(path, error)
            }
            _ => wrong(error),
        })
    }
}

/// A bar for each step.
struct Bars {
    quiet: bool,
    current: Option<(String, Progress)>,
}

impl Bars {
    fn at(&mut self, step: &str, done: usize, total: usize) {
        if self.quiet {
            return;
        }
        if self.current.as_ref().is_none_or(|(name, _)| name != step) {
            self.current = Some((step.to_string(), Progress::new(step.to_string())));
        }
        if let Some((_, progress)) = &self.current {
            progress.at(done, total);
        }
    }
}

/// A file, or all files of a folder.
struct Disk {
    root: PathBuf,
    file: Option<String>,
}

impl Disk {
    fn open(path: &Path) -> Outcome<Self> {
        let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Ok(Self { root: path.to_path_buf(), file: None });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { root: path.parent().unwrap_or(Path::new("")).to_path_buf(), file: name })
    }
}

impl Files for Disk {
    fn names(&self) -> firebrand::Result<Vec<String>> {
        if let Some(file) = &self.file {
            return Ok(vec![file.clone()]);
        }
        let failed =
            |path: &Path, error: std::io::Error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display()));
        let (mut names, mut folders) = (Vec::new(), vec![(self.root.clone(), String::new())]);
        while let Some((folder, prefix)) = folders.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))?;
            for entry in entries {
                let entry = entry.map_err(|error| failed(&folder, error))?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                // Folders that are links may lead in a circle.
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push((entry.path(), format!("{name}/"))),
                    false => names.push(name),
                }
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> firebrand::Result<Bytes> {
        let path = self.root.join(name);
        let bytes = std::fs::read(&path);
        bytes.map(Bytes::from).map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display())))
    }
}

fn read_labels(path: &Path) -> Outcome<Vec<i64>> {
    let wrong = |said: String| Failure::input(format!("{}: {said}", path.display()));
    let tensor = npy::read(&model::read(path)?, None).map_err(wrong)?;
    let values = tensor.to_f64s().map_err(|error| wrong(error.to_string()))?;
    Ok(values.into_iter().map(|value| value as i64).collect())
}

/// Lines, or a JSON array of strings.
fn read_classes(path: &Path) -> Outcome<Vec<String>> {
    let bytes = model::read(path)?;
    let wrong = |said: String| Failure::input(format!("{}: {said}", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| wrong("expected text in UTF-8".to_string()))?;
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).map_err(|error| wrong(format!("expected an array of strings: {error}")));
    }
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect())
}

/// Quantises, and says what came of it.
pub fn quantize(arguments: &QuantizeArguments) -> Outcome<()> {
    let Imported { model: original, .. } = read(&arguments.source)?;
    let path = &arguments.source.model;
    let built = arguments.options.build(path, &original, arguments.precision, arguments.quiet)?;
    let before = original.to_onnx().map_err(|error| model::bad(path, error))?;
    let written = built.model.to_onnx().map_err(|error| model::bad(path, error))?;
    write(&arguments.output, &written)?;
    let report = firebrand::build::report::Report::new(&built, &before, &written);
    if arguments.json {
        return print_json(&report);
    }
    if arguments.quiet {
        return Ok(());
    }
    print(&format!("{}\n{}", arguments.output.display(), report.in_words()))
}
