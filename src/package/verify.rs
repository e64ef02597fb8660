//! Opening a package, every byte of it checked; and telling whether one is right, and how near it is to its source.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;

use super::golden::{Sample, SampleInput, restore};
use super::manifest::{FileEntry, Labels, Manifest, RandomInput, Value};
use super::{MANIFEST, Package};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Dim, Tensor, ValueInfo, ValueType};
use crate::import::Beside;
use crate::onnx::{ExternalData, Model, inspect};
use crate::optimize::quantize::Precision;
use crate::runtime::{Feed, RunOptions, Session, SessionOptions};

/// What [`Package::verify`] is to look at beside the package itself.
#[derive(Default)]
pub struct VerifyOptions {
    /// The names of the files that the package's folder has, where they are known: what does not belong is told.
    pub names: Option<Vec<String>>,
    /// The model that the package was made of.
    pub against: Option<Model>,
    /// Inputs to run both on, by name; the golden samples' where there are none.
    pub inputs: Vec<Vec<(String, Tensor)>>,
}

/// Whether a package is right.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// One of the things that were looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// A package beside the model that it was made of, both run on the same inputs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub outputs: Vec<OutputComparison>,
    /// How many inputs both were run on.
    pub samples: usize,
    /// Whether those were made of seeds alone. Of a package with fewer bits the manifest claims nothing for such.
    pub random: bool,
    /// The least cosine of any output, by what the manifest says or its precision allows.
    pub claimed_cosine: f64,
    /// Whether every output is as near as that.
    pub within_claim: bool,
}

/// One output, over all samples.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputComparison {
    pub name: String,
    /// The largest difference of any element.
    pub max_difference: f64,
    /// The same in relation to the largest magnitude of the original's output.
    pub max_relative_difference: f64,
    /// The least cosine of the angle between the two outputs.
    pub cosine: f64,
    /// The share of rows whose largest element is at the same place; none where rows have one element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
}

impl Report {
    /// Whether every check went well.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

impl Package {
    /// Reads a package: the manifest, and from `beside` the files that it names, each by its size and hash.
    ///
    /// Errors: `InvalidManifest`, `Integrity` for a file that is another, `MissingExternalData` for one that is not
    /// there, those of [`Model::from_onnx`].
    pub fn open(manifest: &[u8], beside: &dyn Beside) -> Result<(Manifest, Model)> {
        let manifest = Manifest::parse(manifest)?;
        let model = read_model(&manifest, beside)?;
        Ok((manifest, model))
    }

    /// The golden samples of a package.
    ///
    /// Errors: `Integrity`, `MissingExternalData`, `InvalidManifest`.
    pub fn samples(manifest: &Manifest, beside: &dyn Beside) -> Result<Vec<Sample>> {
        let Some(golden) = &manifest.golden else { return Ok(Vec::new()) };
        let data = match &golden.data {
            Some(entry) => read(entry, beside)?,
            None => Bytes::new(),
        };
        restore(&golden.samples, &data)
    }

    /// The labels of a package's outputs, by the outputs' names.
    ///
    /// Errors: `Integrity`, `MissingExternalData`; `InvalidManifest` for a file that has no labels.
    pub fn labels(manifest: &Manifest, beside: &dyn Beside) -> Result<BTreeMap<String, Vec<String>>> {
        let mut labels = BTreeMap::new();
        for output in &manifest.outputs {
            let texts = match &output.labels {
                None => continue,
                Some(Labels::Here(texts)) => texts.clone(),
                Some(Labels::File(entry)) => serde_json::from_slice(&read(entry, beside)?).map_err(|error| {
                    let expected = format!("expected a JSON array of strings: {error}");
                    Error::new(ErrorKind::InvalidManifest, expected).in_file(&entry.file)
                })?,
            };
            labels.insert(output.name.clone(), texts);
        }
        Ok(labels)
    }

    /// Looks at everything a package promises, and goes on after what is wrong as far as that makes sense: the
    /// manifest, every file's size and hash, files that do not belong, the graph against the manifest, the golden
    /// samples on this machine's CPU, and the model that it was made of.
    ///
    /// Errors: none of the package's; those of `against` where that model cannot be run.
    pub async fn verify(manifest: &[u8], beside: &dyn Beside, options: VerifyOptions) -> Result<Report> {
        let mut report = Report { checks: Vec::new(), comparison: None };
        let manifest = match Manifest::parse(manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                report.failed("manifest", error.to_string());
                return Ok(report);
            }
        };
        report.passed("manifest", format!("{} {}, schema {}", manifest.name, manifest.version, manifest.schema));
        report.files(&manifest, beside);
        if let Some(names) = options.names {
            report.strangers(&manifest, &names);
        }
        let Some(model) = report.graph(&manifest, beside) else { return Ok(report) };
        let session = match Session::load(model, SessionOptions::default()).await {
            Ok(session) => session,
            Err(error) => {
                report.failed("load", error.to_string());
                return Ok(report);
            }
        };
        let samples = match Self::samples(&manifest, beside) {
            Ok(samples) => samples,
            Err(error) => {
                report.failed("golden samples", error.to_string());
                Vec::new()
            }
        };
        report.golden(&samples, &session).await;
        if let Some(original) = options.against {
            let original = Session::load(original, SessionOptions::default()).await?;
            match compare(&manifest, &session, &original, &samples, options.inputs).await? {
                Ok(comparison) => report.compared(comparison),
                Err(why) => report.failed("original", why),
            }
        }
        Ok(report)
    }

    /// [`verify`](Self::verify), for programs that do not wait.
    #[cfg(not(feature = "webgpu"))]
    pub fn verify_blocking(manifest: &[u8], beside: &dyn Beside, options: VerifyOptions) -> Result<Report> {
        crate::runtime::at_once(Self::verify(manifest, beside, options))
    }
}

fn read(entry: &FileEntry, beside: &dyn Beside) -> Result<Bytes> {
    let bytes = beside.read(&entry.file)?;
    entry.verify(&bytes)?;
    Ok(bytes)
}

fn read_model(manifest: &Manifest, beside: &dyn Beside) -> Result<Model> {
    let graph = read(&manifest.model, beside)?;
    let named: BTreeSet<&str> = manifest.weights.iter().map(|entry| entry.file.as_str()).collect();
    let needed = inspect(graph.clone())?.external_files;
    let needed: BTreeSet<&str> = needed.iter().map(String::as_str).collect();
    if let Some(file) = needed.symmetric_difference(&named).next() {
        match named.contains(file) {
            true => bail!(InvalidManifest, "weights: \"{file}\" is not used by {}", manifest.model.file),
            false => bail!(InvalidManifest, "weights: {} needs \"{file}\", which is not named", manifest.model.file),
        }
    }
    let weights = manifest.weights.iter().map(|entry| Ok((entry.file.clone(), read(entry, beside)?)));
    let model = Model::from_onnx(graph, &weights.collect::<Result<ExternalData>>()?)?;
    for (what, declared, infos) in
        [("inputs", &manifest.inputs, &model.graph.inputs), ("outputs", &manifest.outputs, &model.graph.outputs)]
    {
        let bare = |value: &Value| Value { preprocessing: None, labels: None, ..value.clone() };
        let is_same = declared.len() == infos.len()
            && declared.iter().zip(infos).all(|(value, info)| Value::of(info).is_some_and(|of| of == bare(value)));
        ensure!(is_same, InvalidManifest, "{what}: they are not those of {}", manifest.model.file);
    }
    Ok(model)
}

impl Report {
    fn passed(&mut self, name: &'static str, detail: impl Into<String>) {
        self.checks.push(Check { name, ok: true, detail: detail.into() });
    }

    fn failed(&mut self, name: &'static str, detail: impl Into<String>) {
        self.checks.push(Check { name, ok: false, detail: detail.into() });
    }

    fn files(&mut self, manifest: &Manifest, beside: &dyn Beside) {
        let before = self.checks.len();
        let (mut count, mut bytes) = (0, 0u64);
        let mut seen = BTreeSet::new();
        for entry in manifest.files().filter(|entry| seen.insert(entry.file.clone())) {
            match read(entry, beside) {
                Ok(_) => (count, bytes) = (count + 1, bytes + entry.bytes),
                Err(error) => self.failed("file", error.to_string()),
            }
        }
        if self.checks.len() == before {
            self.passed("files", format!("{count} beside the manifest, {bytes} bytes, sizes and hashes right"));
        }
    }

    fn strangers(&mut self, manifest: &Manifest, names: &[String]) {
        let known: BTreeSet<&str> = manifest.files().map(|entry| entry.file.as_str()).chain([MANIFEST]).collect();
        let mut strangers: Vec<&str> = names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        strangers.sort_unstable();
        if !strangers.is_empty() {
            self.failed("folder", format!("files that do not belong to the package: {}", strangers.join(", ")));
        }
    }

    fn graph(&mut self, manifest: &Manifest, beside: &dyn Beside) -> Option<Model> {
        match read_model(manifest, beside) {
            Ok(model) => {
                let count = model.graph.nodes.len();
                self.passed("graph", format!("{count} nodes, inputs and outputs as the manifest says"));
                Some(model)
            }
            // A bad file was told already.
            Err(error) if matches!(error.kind(), ErrorKind::Integrity | ErrorKind::MissingExternalData) => None,
            Err(error) => {
                self.failed("graph", error.to_string());
                None
            }
        }
    }

    async fn golden(&mut self, samples: &[Sample], session: &Session) {
        for (index, sample) in samples.iter().enumerate() {
            let what = format!("sample {} of {}", index + 1, samples.len());
            match sample.check(session).await {
                Ok(worst) => self.passed("golden sample", format!("{what}: largest difference {worst:e}")),
                Err(error) => self.failed("golden sample", format!("{what}: {error}")),
            }
        }
    }

    fn compared(&mut self, comparison: Comparison) {
        let least = comparison.outputs.iter().map(|output| output.cosine).fold(1.0, f64::min);
        let of = if comparison.random { " on random numbers, which few bits are not made for" } else { "" };
        let detail = format!("least cosine {least:.6}{of}, claimed {:.6}", comparison.claimed_cosine);
        self.checks.push(Check { name: "original", ok: comparison.within_claim, detail });
        self.comparison = Some(comparison);
    }
}

/// How far the package may be from its source by its manifest: the least cosine that was measured, or what is usual for
/// the precision.
fn claimed_cosine(manifest: &Manifest) -> f64 {
    let measured = manifest.accuracy.as_ref().and_then(|accuracy| accuracy.get("cosine")?.as_f64());
    measured.filter(|cosine| (-1.0..=1.0).contains(cosine)).unwrap_or(match manifest.precision {
        Precision::Float32 => 0.9999,
        Precision::Float16 => 0.999,
        Precision::WeightOnly => 0.99,
        Precision::Int8 | Precision::Dynamic | Precision::Mixed => 0.95,
        Precision::Int4 => 0.9,
    })
}

/// Runs both on the same inputs; `Err` inside says why they cannot be compared.
async fn compare(
    manifest: &Manifest,
    package: &Session,
    original: &Session,
    samples: &[Sample],
    given: Vec<Vec<(String, Tensor)>>,
) -> Result<Result<Comparison, String>> {
    for (what, package, original) in [
        ("inputs", package.inputs().collect::<Vec<_>>(), original.inputs().collect::<Vec<_>>()),
        ("outputs", package.outputs().collect(), original.outputs().collect()),
    ] {
        let names = |infos: &[&ValueInfo]| infos.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
        let (package, original) = (names(&package), names(&original));
        if package != original {
            return Ok(Err(format!("it has other {what}: {original}; the package has {package}")));
        }
    }
    let is_random =
        |sample: &Sample| sample.inputs.iter().all(|(_, input)| matches!(input, SampleInput::Random { .. }));
    let random = given.is_empty() && samples.iter().all(is_random);
    let mut sets: Vec<Vec<(String, Tensor)>> = given;
    for sample in if sets.is_empty() { samples } else { &[] } {
        let input = |(name, input): &(String, SampleInput)| Ok((name.clone(), input.tensor()?));
        sets.push(sample.inputs.iter().map(input).collect::<Result<_>>()?);
    }
    if sets.is_empty() {
        for seed in 1..=RANDOM_SETS {
            match random_inputs(package, seed) {
                Ok(set) => sets.push(set),
                Err(why) => return Ok(Err(why)),
            }
        }
    }
    let mut totals: Vec<Total> = package.outputs().map(|info| Total::new(&info.name)).collect();
    for set in &sets {
        let feeds = || set.iter().map(|(name, tensor)| (name.clone(), Feed::Tensor(tensor.clone())));
        let got = package.run(feeds(), RunOptions::default()).await?;
        let expected = original.run(feeds(), RunOptions::default()).await?;
        for (total, ((_, got), (_, expected))) in totals.iter_mut().zip(got.iter().zip(&expected)) {
            if let Err(why) = total.add(got, expected) {
                return Ok(Err(format!("output \"{}\": {why}", total.name)));
            }
        }
    }
    let outputs: Vec<OutputComparison> = totals.into_iter().map(Total::finish).collect();
    let claimed_cosine = claimed_cosine(manifest);
    // Other inputs than those that were measured may lie a little further apart.
    let allowed = 1.0 - 2.0 * (1.0 - claimed_cosine) - 1e-4;
    let exact = matches!(manifest.precision, Precision::Float32 | Precision::Float16 | Precision::WeightOnly);
    let within_claim = random && !exact || outputs.iter().all(|output| output.cosine >= allowed);
    Ok(Ok(Comparison { outputs, samples: sets.len(), random, claimed_cosine, within_claim }))
}

/// How many inputs are made up where the package has no golden samples.
const RANDOM_SETS: u32 = 4;

/// Inputs of the declared shapes, free dimensions of size 1: floats from -1 to 1, integers 0 and 1.
fn random_inputs(session: &Session, seed: u32) -> Result<Vec<(String, Tensor)>, String> {
    let tensor = |(index, info): (usize, &ValueInfo)| {
        let ValueType::Tensor { dtype, shape: Some(shape) } = &info.ty else {
            return Err(format!("input \"{}\" is declared {}: give the package golden samples", info.name, info.ty));
        };
        let size = |dim: &Dim| if let Dim::Size(size) = dim { *size } else { 1 };
        let shape: Vec<usize> = shape.iter().map(size).collect();
        let seed = seed.wrapping_mul(1009).wrapping_add(index as u32);
        let random = RandomInput { seed, low: if dtype.is_float() { -1.0 } else { 0.0 }, high: 1.0 };
        let drawn = if dtype.is_float() { DataType::Float32 } else { *dtype };
        let told = |error: Error| format!("input \"{}\": {error}", info.name);
        let made = super::random(drawn, &shape, &random).map_err(told)?;
        let made = match *dtype == drawn {
            true => made,
            false => made.to_f64s().and_then(|v| Tensor::from_f64s(*dtype, &shape, v)).map_err(told)?,
        };
        Ok((info.name.clone(), made))
    };
    session.inputs().enumerate().map(tensor).collect()
}

/// What adds up to an [`OutputComparison`].
struct Total {
    name: String,
    max_difference: f64,
    max_relative: f64,
    cosine: f64,
    rows: usize,
    agreeing: usize,
}

impl Total {
    fn new(name: &str) -> Self {
        Self { name: name.to_string(), max_difference: 0.0, max_relative: 0.0, cosine: 1.0, rows: 0, agreeing: 0 }
    }

    fn add(&mut self, got: &Feed, expected: &Feed) -> Result<(), String> {
        let (Feed::Tensor(got), Feed::Tensor(expected)) = (got, expected) else {
            return Err("only tensors are compared".to_string());
        };
        if got.shape() != expected.shape() {
            return Err(format!("the original gives {:?}, the package {:?}", expected.shape(), got.shape()));
        }
        let told = |error: Error| error.to_string();
        let (a, b) = (got.to_f64s().map_err(told)?, expected.to_f64s().map_err(told)?);
        let largest = b.iter().fold(0f64, |most, v| most.max(v.abs()));
        for (a, b) in a.iter().zip(&b) {
            let is_same = a == b || a.is_nan() && b.is_nan();
            let difference = if is_same { 0.0 } else { (a - b).abs() };
            // A NaN is as far away as can be.
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            self.max_difference = self.max_difference.max(difference);
            let relative = if difference == 0.0 { 0.0 } else { difference / largest };
            self.max_relative = self.max_relative.max(relative);
        }
        self.cosine = self.cosine.min(cosine(&a, &b));
        let row = expected.shape().last().copied().unwrap_or(1);
        if row > 1 && expected.dtype().is_float() {
            let best = |row: &[f64]| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            for (a, b) in a.chunks_exact(row).zip(b.chunks_exact(row)) {
                self.rows += 1;
                self.agreeing += usize::from(best(a) == best(b));
            }
        }
        Ok(())
    }

    fn finish(self) -> OutputComparison {
        OutputComparison {
            name: self.name,
            max_difference: self.max_difference,
            max_relative_difference: self.max_relative,
            cosine: self.cosine,
            agreement: (self.rows > 0).then(|| self.agreeing as f64 / self.rows as f64),
        }
    }
}

/// The cosine of the angle between two outputs: 1 where both are the same or nothing but zeros, 0 where one is not a
/// number.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    if a == b {
        return 1.0;
    }
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = product(a, b) / (product(a, a).sqrt() * product(b, b).sqrt());
    if cosine.is_nan() { 0.0 } else { cosine.clamp(-1.0, 1.0) }
}
