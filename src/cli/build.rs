//! `firebrand build` and `firebrand quantize`: passes over a model, within an accuracy budget.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use firebrand::build::compare::Metric;
use firebrand::build::publish::{PackageOptions, Source, publish};
use firebrand::build::report::{Latency, Report};
use firebrand::build::{BuildOptions, OnProgress, build, random_samples};
use firebrand::data::dataset::{DatasetOptions, Files};
use firebrand::data::npy;
use firebrand::data::picture::PictureOptions;
use firebrand::data::supply::Supply;
use firebrand::optimize::calibrate::CalibrationMethod;
use firebrand::optimize::quantize::Precision;
use firebrand::package::{File, TaskMetadata};
use firebrand::{Error, ErrorKind, Model, RunOptions, Session, SessionOptions};

use super::convert::{Folder, SourceArguments, read, refuse_same};
use super::failure::{Failure, Outcome};
use super::host::{self, Clock};
use super::progress::Progress;
use super::{HEADING, model, package, print, print_json, styled, write};

/// Makes a package of a trained model: converts, prunes, quantises, and measures what that costs
///
/// A model that is over its accuracy budget is not written: layers that lose most are kept in float32 first, and
/// then the command ends with exit code 3. Options may come from a file, firebrand.toml in this folder or --config.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The package's folder [default: the model's name, in this folder]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What weights and activations become
    #[arg(long, value_enum, default_value = "float32")]
    quantize: Precision,
    /// This share of the weights becomes zero, those of the least magnitude
    #[arg(long, value_name = "SHARE", value_parser = parse_share, conflicts_with = "prune_threshold")]
    prune: Option<f64>,
    /// That share of each layer's weights, not of all together
    #[arg(long, requires = "prune")]
    prune_each_layer: bool,
    /// Weights of a magnitude below this become zero
    #[arg(long, value_name = "MAGNITUDE")]
    prune_threshold: Option<f32>,
    /// This share of the output channels is removed
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    prune_channels: Option<f64>,
    /// How many channels stay is rounded up to a multiple of this
    #[arg(long, value_name = "N", default_value_t = 8)]
    channel_multiple: usize,
    #[command(flatten)]
    options: OptimizeArguments,
    #[command(flatten)]
    about: AboutArguments,
    /// Where the report goes: FILE.json and FILE.html [default: the package's name with -report, beside it]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write no report
    #[arg(long, conflicts_with = "report")]
    no_report: bool,
    /// A file of options; those of the command line count more [default: firebrand.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  firebrand build emotion_model.hdf5 -o emotions
  firebrand build classifier.onnx --quantize int8 --data photos/ --max-drop 1%
  firebrand build mnist.onnx --prune 80% --quantize int8 --data digits.npz

Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model; 3 over the accuracy budget.";

/// What the manifest says beside.
#[derive(clap::Args)]
#[command(next_help_heading = "What the manifest says")]
struct AboutArguments {
    /// The model's name [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// The model's version [default: 1.0.0]
    #[arg(long, value_name = "VERSION")]
    package_version: Option<String>,
    /// The model's licence, as SPDX has it
    #[arg(long)]
    licence: Option<String>,
    /// Who made the model
    #[arg(long)]
    author: Option<String>,
    /// What it does
    #[arg(long)]
    description: Option<String>,
    /// Samples a second that the first input takes, where that takes sound
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..))]
    sample_rate: Option<u32>,
    /// What the model is for, such as image-classification
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// What the task must know, a JSON object
    #[arg(long, value_name = "JSON", requires = "task")]
    task_parameters: Option<String>,
    /// A file that the task needs beside the model
    #[arg(long, value_name = "NAME=FILE", requires = "task")]
    task_file: Vec<String>,
    /// A weight file has at most this many MiB, or one tensor
    #[arg(long, value_name = "MIB", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    shard_size: u16,
}

impl AboutArguments {
    fn task(&self) -> Outcome<Option<TaskMetadata>> {
        let Some(name) = &self.task else { return Ok(None) };
        let parameters = match &self.task_parameters {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| Failure::input(format!("--task-parameters: expected a JSON object: {error}")))?,
            None => serde_json::Map::new(),
        };
        let mut files = BTreeMap::new();
        for given in &self.task_file {
            let named = given.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty());
            let Some((name, path)) = named else {
                return Err(Failure::input(format!("--task-file: expected NAME=FILE, got {given}")));
            };
            let file = File { name: path.to_string(), bytes: model::read(Path::new(path))? };
            if files.insert(name.to_string(), file).is_some() {
                return Err(Failure::input(format!("--task-file: \"{name}\" is given twice")));
            }
        }
        Ok(Some(TaskMetadata { name: name.clone(), parameters, files }))
    }
}

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
    /// Refuse what is over the budget at once, instead of computing layers in float32
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
            ..BuildOptions::default()
        }
    }

    /// Gives `work` the samples that the arguments name, or random ones, and a bar on the terminal.
    fn with_data<T>(
        &self,
        path: &Path,
        original: &Model,
        quantize: Precision,
        quiet: bool,
        work: impl FnOnce(&Supply<'_>, OnProgress<'_>) -> firebrand::Result<T>,
    ) -> Outcome<T> {
        let wrong = |error: Error| Failure::input(error.to_string());
        let options = DatasetOptions {
            pictures: self.pictures.clone(),
            labels: self.labels.as_deref().map(read_labels).transpose()?,
            classes: self.classes()?,
        };
        let open = |path: &Option<PathBuf>| path.as_deref().map(Disk::open).transpose();
        let (data, calibrate) = (open(&self.data)?, open(&self.calibrate)?);
        let supply = Supply::open(original, quantize, data.as_ref(), calibrate.as_ref(), options).map_err(wrong)?;
        let mut bars = Bars { quiet, current: None };
        let done = work(&supply, &mut |step, done, total| {
            bars.at(step, done, total);
            Ok(())
        });
        done.map_err(|error| match error.kind() {
            ErrorKind::OverBudget => Failure::accuracy(format!("{}: {error}", path.display())),
            ErrorKind::InvalidModel | ErrorKind::Unsupported | ErrorKind::UnsupportedOperator | ErrorKind::Internal => {
                model::bad(path, error)
            }
            _ => wrong(error),
        })
    }

    fn classes(&self) -> Outcome<Option<Vec<String>>> {
        self.classes.as_deref().map(read_classes).transpose()
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
pub struct Disk {
    root: PathBuf,
    file: Option<String>,
}

impl Disk {
    pub fn open(path: &Path) -> Outcome<Self> {
        let failed = |error: std::io::Error| Failure::io(path, &error);
        if host::metadata(path).map_err(failed)?.is_dir {
            return Ok(Self { root: path.to_path_buf(), file: None });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { root: path.parent().unwrap_or(Path::new("")).to_path_buf(), file: name })
    }
}

impl Files for Disk {
    fn place(&self) -> String {
        self.file.as_ref().map_or(self.root.clone(), |file| self.root.join(file)).display().to_string()
    }

    fn names(&self) -> firebrand::Result<Vec<String>> {
        if let Some(file) = &self.file {
            return Ok(vec![file.clone()]);
        }
        let failed =
            |path: &Path, error: std::io::Error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display()));
        let (mut names, mut folders) = (Vec::new(), vec![(self.root.clone(), String::new())]);
        while let Some((folder, prefix)) = folders.pop() {
            for entry in host::read_dir(&folder).map_err(|error| failed(&folder, error))? {
                let name = format!("{prefix}{}", entry.name);
                // Folders that are links may lead in a circle.
                match entry.is_dir {
                    true => folders.push((folder.join(&entry.name), format!("{name}/"))),
                    false => names.push(name),
                }
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> firebrand::Result<Bytes> {
        let path = self.root.join(name);
        let bytes = host::read(&path);
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
    let path = &arguments.source.model;
    refuse_same(&arguments.output, path)?;
    let imported = read(&arguments.source)?;
    let options = arguments.options.options(arguments.precision);
    let built = arguments.options.with_data(
        path,
        &imported.model,
        arguments.precision,
        arguments.quiet,
        |supply, on_progress| build(&imported.model, &options, &supply.data(), on_progress),
    )?;
    let before = imported.model.to_onnx().map_err(|error| model::bad(path, error))?;
    let after = built.model.to_onnx().map_err(|error| model::bad(path, error))?;
    write(&arguments.output, &after)?;
    let report = Report::new(&built, &before, &[&after]);
    tell(&arguments.output, &report, arguments.json, arguments.quiet)
}

fn tell(output: &Path, report: &Report<'_>, json: bool, quiet: bool) -> Outcome<()> {
    match (json, quiet) {
        (true, _) => print_json(report),
        (false, true) => Ok(()),
        (false, false) => print(&format!("{}\n{}", styled(HEADING, output.display()), report.in_words())),
    }
}

/// Builds a package, and says what came of it.
pub fn build_package(arguments: &BuildArguments) -> Outcome<()> {
    let path = &arguments.source.model;
    let bytes = model::read_model(path)?;
    let imported = model::import(path, bytes.clone(), arguments.source.arch.as_deref(), &Folder(path))?;
    let options = BuildOptions {
        prune: arguments.prune,
        prune_each_layer: arguments.prune_each_layer,
        prune_threshold: arguments.prune_threshold,
        prune_channels: arguments.prune_channels,
        channel_multiple: arguments.channel_multiple,
        ..arguments.options.options(arguments.quantize)
    };
    let about = &arguments.about;
    let mut package = PackageOptions {
        name: about.name.clone(),
        package_version: about.package_version.clone(),
        licence: about.licence.clone(),
        author: about.author.clone(),
        description: about.description.clone(),
        classes: arguments.options.classes()?,
        pictures: Some(arguments.options.pictures.clone()),
        sample_rate: about.sample_rate,
        task: about.task()?,
        shard_bytes: Some(usize::from(about.shard_size) << 20),
        ..PackageOptions::default()
    };
    let name = model::file_name(path);
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => PathBuf::from(path.file_stem().unwrap_or(path.as_os_str())),
    };
    let source = Source { name: &name, bytes: &bytes };
    let (built, files) = arguments.options.with_data(
        path,
        &imported.model,
        arguments.quantize,
        arguments.quiet,
        |supply, on_progress| {
            package.samples_are_pictures = supply.are_pictures();
            publish(source, &imported, &options, &package, &supply.data(), on_progress)
        },
    )?;
    let mut report = Report::of_package(&built, &name, &imported, &files).map_err(|error| model::bad(path, error))?;
    package::write(&output, &files)?;
    report.latency = latency(imported.model, built.model.clone());
    if !arguments.no_report {
        let stem = arguments.report.clone().unwrap_or_else(|| {
            let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            output.with_file_name(format!("{name}-report"))
        });
        let named = |ending: &str| {
            stem.with_file_name(format!("{}.{ending}", stem.file_name().unwrap_or_default().to_string_lossy()))
        };
        let json = serde_json::to_vec_pretty(&report).map_err(|error| Failure::input(error.to_string()))?;
        write(&named("json"), &json)?;
        write(&named("html"), report.to_html().as_bytes())?;
    }
    tell(&output, &report, arguments.json, arguments.quiet)
}

/// Runs that are timed, of which the median counts.
const TIMED: usize = 9;

/// How long one run takes here, before and after, as quick as this machine is; none where no input can be made up.
fn latency(before: Model, after: Model) -> Option<Latency> {
    let sample = random_samples(&after, 1).ok()?.pop()?;
    let time = |model: Model| -> Option<f64> {
        let session = Session::load_blocking(model, SessionOptions::default()).ok()?;
        let run = || session.run_blocking(sample.clone(), RunOptions::default()).ok();
        run()?;
        let mut times = Vec::new();
        for _ in 0..TIMED {
            let since = Clock::start();
            run()?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Some(times[TIMED / 2])
    };
    Some(Latency { before: time(before)?, after: time(after)? })
}
