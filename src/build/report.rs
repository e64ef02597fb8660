//! What a build did, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::compare::Comparison;
use super::{Built, CalibrationReport, Layer};
use crate::optimize::PassReport;

/// Sizes of a model's files in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Size {
    pub raw: usize,
    /// As servers send it: brotli at quality 9.
    pub brotli: usize,
}

impl Size {
    /// The sizes of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { raw: bytes.len(), brotli: brotli(bytes) }
    }
}

/// How large `bytes` are when they are sent.
fn brotli(bytes: &[u8]) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 9, lgwin: 24, size_hint: bytes.len(), ..Default::default() };
    // Counting cannot fail.
    let _ = brotli::BrotliCompress(&mut &bytes[..], &mut count, &parameters);
    count.0
}

/// How long a run takes on this machine, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub before: f64,
    pub after: f64,
}

/// What a build did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    pub precision: &'static str,
    pub size_before: Size,
    pub size_after: Size,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    pub accuracy: &'a Comparison,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<&'a CalibrationReport>,
    pub passes: &'a [PassReport],
    pub layers: &'a [Layer],
    pub decisions: &'a [String],
}

impl<'a> Report<'a> {
    /// The report of `built`, whose files are `after`, and were `before`.
    pub fn new(built: &'a Built, before: &[u8], after: &[u8]) -> Self {
        Self {
            precision: built.precision.as_str(),
            size_before: Size::of(before),
            size_after: Size::of(after),
            latency: None,
            accuracy: &built.comparison,
            calibration: built.calibration.as_ref(),
            passes: &built.passes,
            layers: &built.layers,
            decisions: &built.decisions,
        }
    }

    /// A few lines for a terminal. Writing to a `String` cannot fail.
    pub fn in_words(&self) -> String {
        let mut out = String::new();
        let kib = |bytes: usize| format!("{:.1} KiB", bytes as f64 / 1024.0);
        let share = |after: usize, before: usize| format!("{:.3}", after as f64 / before.max(1) as f64);
        let (before, after) = (self.size_before, self.size_after);
        let _ = writeln!(out, "  precision  {}", self.precision);
        let _ =
            writeln!(out, "  file       {} of {}: {}", kib(after.raw), kib(before.raw), share(after.raw, before.raw));
        let _ = writeln!(
            out,
            "  brotli     {} of {}: {}",
            kib(after.brotli),
            kib(before.brotli),
            share(after.brotli, before.brotli)
        );
        if let Some(Latency { before, after }) = self.latency {
            let _ = writeln!(out, "  latency    {after:.2} ms of {before:.2} ms: {:.2}", after / before);
        }
        let found = self.accuracy;
        if let (Some(original), Some(accuracy)) = (found.original_accuracy, found.accuracy) {
            let _ = writeln!(out, "  accuracy   {:.2} % of {:.2} %", accuracy * 100.0, original * 100.0);
        }
        let _ = writeln!(
            out,
            "  agreement  {:.2} % on {} samples; cosine {:.5}, at least {:.5}",
            found.agreement * 100.0,
            found.samples,
            found.cosine,
            found.least_cosine
        );
        for decision in self.decisions {
            let _ = writeln!(out, "  - {decision}");
        }
        out
    }
}
