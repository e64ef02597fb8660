//! The samples that a build works with: those that were given, or random ones for want of better.

use super::dataset::{Dataset, DatasetOptions, Files};
use crate::build::{Data, random_samples};
use crate::error::{Result, ensure};
use crate::graph::{Dim, ValueType};
use crate::onnx::Model;
use crate::optimize::calibrate::Samples;
use crate::optimize::quantize::Precision;
use crate::runtime::Feed;

/// Samples of which each purpose takes its own, else the other's, else random ones.
pub struct Supply<'a> {
    evaluation: Option<Dataset<'a>>,
    calibration: Option<Dataset<'a>>,
    random: Vec<Vec<(String, Feed)>>,
}

/// How many scores the model gives, where its first output declares that.
fn scores(model: &Model) -> Option<usize> {
    match &model.graph.outputs.first()?.ty {
        ValueType::Tensor { shape: Some(shape), .. } => match shape.last()? {
            Dim::Size(size) if *size > 1 => Some(*size),
            _ => None,
        },
        _ => None,
    }
}

/// How many random samples there are, where there are no others.
const RANDOM: usize = 8;

impl<'a> Supply<'a> {
    /// Opens `data`, to measure with, and `calibrate`, to find ranges with. Labels belong to `data`.
    ///
    /// Errors: those of [`Dataset::open`], with the files' place; `InvalidArgument` where there are no samples and
    /// `quantize` cannot do without.
    pub fn open<F: Files>(
        model: &Model,
        quantize: Precision,
        data: Option<&'a F>,
        calibrate: Option<&'a F>,
        options: DatasetOptions,
    ) -> Result<Self> {
        let open = |files: Option<&'a F>, options: DatasetOptions| {
            files.map(|files| Dataset::open(files, model.graph.inputs.clone(), options)).transpose()
        };
        let unlabelled = DatasetOptions { labels: None, ..options.clone() };
        let (evaluation, calibration) = (open(data, options)?, open(calibrate, unlabelled)?);
        if let (Some(data), Some(scores)) = (&evaluation, scores(model)) {
            data.check_labels(scores)?;
        }
        let none = evaluation.is_none() && calibration.is_none();
        ensure!(
            !none || !matches!(quantize, Precision::Int8 | Precision::Mixed),
            InvalidArgument,
            "{} needs samples to find the ranges of activations with, got none: give some as calibrate or data; weight-only, dynamic, float16 and int4 need none",
            quantize.as_str()
        );
        let random = if none { random_samples(model, RANDOM)? } else { Vec::new() };
        Ok(Self { evaluation, calibration, random })
    }

    /// Whether what was given are pictures.
    pub fn are_pictures(&self) -> bool {
        self.evaluation.as_ref().or(self.calibration.as_ref()).is_some_and(Dataset::are_pictures)
    }

    /// What a build takes.
    pub fn data(&self) -> Data<'_> {
        fn of<'s>(first: &'s Option<Dataset<'_>>, second: &'s Option<Dataset<'_>>) -> Option<&'s dyn Samples> {
            first.as_ref().or(second.as_ref()).map(|data| data as &dyn Samples)
        }
        Data {
            calibration: of(&self.calibration, &self.evaluation).unwrap_or(&self.random),
            evaluation: of(&self.evaluation, &self.calibration).unwrap_or(&self.random),
            labels: self.evaluation.as_ref().and_then(Dataset::labels),
            random: self.evaluation.is_none() && self.calibration.is_none(),
        }
    }
}
