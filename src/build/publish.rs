//! A build as a package's files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BuildOptions, Built, Data, OnProgress, build};
use crate::data::picture::{Layout, PictureOptions, Preparation};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{DataType, Dim, ValueInfo, ValueType};
use crate::import::Imported;
use crate::kernels::arch::Portable;
use crate::onnx::Model;
use crate::package::{
    File, Metadata, Package, Preprocessing, RandomInput, Sample, SampleInput, TaskMetadata, Tolerance, WriteOptions,
};
use crate::runtime::{Feed, Session, SessionOptions};

/// What a package says of its model that the model does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageOptions {
    /// The model's name; the file's, without its ending, where there is none.
    pub name: Option<String>,
    /// The model's version; 1.0.0 where there is none.
    pub package_version: Option<String>,
    pub licence: Option<String>,
    pub author: Option<String>,
    pub description: Option<String>,
    /// Samples a second that the first input takes, where that takes sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// What the model is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskMetadata>,
    /// What the places along the last axis of the first output stand for.
    pub classes: Option<Vec<String>>,
    /// How a picture becomes the model's input, where it takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureOptions>,
    /// Whether the samples are pictures. An input of one channel is taken for one then, or where `pictures` says
    /// anything; else it may as well be sound.
    pub samples_are_pictures: bool,
    /// A weight file has at most so many bytes, or one tensor.
    pub shard_bytes: Option<usize>,
}

/// The file that a model came from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
}

/// Inputs of a golden sample that are larger than this together are made of seeds instead.
const MOST_GOLDEN: usize = 1 << 16;

/// Builds `imported` and packs it.
///
/// Errors: those of [`build`], and of [`Package::write`].
pub fn publish(
    source: Source<'_>,
    imported: &Imported,
    options: &BuildOptions,
    package: &PackageOptions,
    data: &Data<'_>,
    on_progress: OnProgress<'_>,
) -> Result<(Built, Vec<File>)> {
    let built = build(&imported.model, options, data, on_progress)?;
    on_progress("pack", 0, 1)?;
    let _portable = Portable::new();
    let stem = source.name.rsplit_once('.').map_or(source.name, |(stem, _)| stem);
    let input = &built.model.graph.inputs;
    let mut preprocessing = BTreeMap::new();
    if let (Some(pictures), [only]) = (&package.pictures, &input[..])
        && let Some(picture) = preprocessing_of(pictures, only)?
        && (picture.has_colours() || pictures.any() || package.samples_are_pictures)
    {
        preprocessing.insert(only.name.clone(), picture);
    }
    if let (Some(sample_rate), [first, ..]) = (package.sample_rate, &input[..]) {
        preprocessing.insert(first.name.clone(), Preprocessing::Audio { sample_rate });
    }
    let labels = package.classes.iter().filter_map(|classes| {
        let output = built.model.graph.outputs.first()?;
        Some((output.name.clone(), classes.clone()))
    });
    let metadata = Metadata {
        name: package.name.clone().unwrap_or_else(|| stem.to_string()),
        version: package.package_version.clone().unwrap_or_else(|| "1.0.0".to_string()),
        licence: package.licence.clone(),
        author: package.author.clone(),
        description: package.description.clone(),
        source: Metadata::source(source.name, imported.format.as_str(), source.bytes),
        options: options_in_json(options, package, data)?,
        precision: built.precision,
        preprocessing,
        labels: labels.collect(),
        task: package.task.clone(),
        accuracy: Some(accuracy(&built)),
    };
    let samples = golden(&built, data)?;
    let mut layout = WriteOptions::default();
    layout.shard_bytes = package.shard_bytes.unwrap_or(layout.shard_bytes);
    Ok((built.clone(), Package::write(&built.model, &metadata, &samples, &layout)?))
}

/// How a picture becomes an input, where that has the shape of one.
fn preprocessing_of(pictures: &PictureOptions, info: &ValueInfo) -> Result<Option<Preprocessing>> {
    let ValueType::Tensor { dtype: DataType::Float32, shape: Some(shape) } = &info.ty else { return Ok(None) };
    let wrong = |said: String| Error::new(ErrorKind::InvalidArgument, said);
    let Preparation { size, layout, color, mean, scale, fit } = pictures.preparation(Some(shape)).map_err(wrong)?;
    let channels = match (&shape[..], layout) {
        ([_, channels, _, _], Layout::Nchw) | ([_, _, _, channels], Layout::Nhwc) => channels,
        _ => return Ok(None),
    };
    let size = size.and_then(|(height, width)| Some([u32::try_from(height).ok()?, u32::try_from(width).ok()?]));
    Ok(size.filter(|_| *channels == Dim::Size(color.channels())).map(|size| {
        let each = |of: [f64; 3]| of[..color.channels()].to_vec();
        Preprocessing::Image { size, layout, color, fit, mean: each(mean), scale: each(scale) }
    }))
}

/// How the tool was called, so that calling it so again gives the same.
fn options_in_json(options: &BuildOptions, package: &PackageOptions, data: &Data<'_>) -> Result<Map<String, Value>> {
    let wrong = |error: serde_json::Error| Error::new(ErrorKind::Internal, error.to_string());
    let mut all = Map::new();
    // What the manifest has at other places is not said twice.
    let pictures = package.pictures.as_ref().map(serde_json::to_value).transpose().map_err(wrong)?;
    for value in [Some(serde_json::to_value(options).map_err(wrong)?), pictures].into_iter().flatten() {
        if let Value::Object(entries) = value {
            all.extend(entries.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    if let Some(bytes) = package.shard_bytes {
        all.insert("shard-bytes".to_string(), bytes.into());
    }
    all.insert("evaluation-samples".to_string(), data.evaluation.len().into());
    if data.random {
        all.insert("random-samples".to_string(), true.into());
    }
    Ok(all)
}

fn accuracy(built: &Built) -> Map<String, Value> {
    let found = &built.comparison;
    let metric = if found.metric == super::compare::Metric::Top1 { "top1" } else { "cosine" };
    let mut all = Map::new();
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_string(), value);
        }
    };
    insert("metric", Some(metric.into()));
    insert("samples", Some(found.samples.into()));
    insert("float", found.original_accuracy.map(Value::from));
    insert("package", found.accuracy.map(Value::from));
    insert("drop", found.drop().map(|drop| ((drop * 1e6).round() / 1e6).into()));
    insert("agreement", Some(found.agreement.into()));
    insert("cosine", Some(found.least_cosine.into()));
    all
}

/// Two runs that every client repeats: one on seeded numbers, one on a sample where that is small.
fn golden(built: &Built, data: &Data<'_>) -> Result<Vec<Sample>> {
    let model = Model { metadata: Vec::new(), ..built.model.clone() };
    let session = Session::load_blocking(model, SessionOptions::default())?;
    let tolerance = Tolerance::of(built.precision);
    let mut samples = Vec::new();
    let given = data.evaluation.get(0)?;
    let size: usize = given.iter().map(|(_, feed)| if let Feed::Tensor(t) = feed { t.byte_len() } else { 0 }).sum();
    let tensors = given.iter().map(|(name, feed)| match feed {
        Feed::Tensor(tensor) => Some((name.clone(), tensor.clone())),
        _ => None,
    });
    let Some(tensors) = tensors.collect::<Option<Vec<_>>>() else { return Ok(samples) };
    if size <= MOST_GOLDEN {
        let inputs = tensors.iter().map(|(name, tensor)| (name.clone(), SampleInput::Given(tensor.clone()))).collect();
        samples.extend(Sample::record_blocking(&session, inputs, tolerance)?);
    }
    let floats = tensors.iter().all(|(_, tensor)| tensor.dtype() == DataType::Float32);
    if samples.is_empty() || floats {
        let random = |(seed, (name, tensor)): (usize, &(String, crate::graph::Tensor))| {
            let (low, high) = bounds(tensor);
            let random = RandomInput { seed: 1 + seed as u32, low, high };
            (name.clone(), SampleInput::Random { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), random })
        };
        let inputs = tensors.iter().enumerate().map(random).collect();
        // Integers may be indices for which random ones are no use.
        match Sample::record_blocking(&session, inputs, tolerance) {
            Ok(sample) => samples.extend(sample),
            Err(error) if samples.is_empty() && floats => return Err(error),
            Err(_) => {}
        }
    }
    Ok(samples)
}

/// Between which numbers a sample's elements lie, in few digits.
fn bounds(tensor: &crate::graph::Tensor) -> (f64, f64) {
    let values = tensor.to_f64s().unwrap_or_default();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let few = |value: f64| (value * 64.0).round() / 64.0;
    if low < high && low.is_finite() && high.is_finite() { (few(low), few(high)) } else { (-1.0, 1.0) }
}
