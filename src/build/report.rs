//! What a build did, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::compare::Comparison;
use super::{Built, CalibrationReport, Layer};
use crate::error::Result;
use crate::import::Imported;
use crate::optimize::PassReport;
use crate::optimize::prune::PruneReport;
use crate::optimize::quantize::Precision;
use crate::optimize::structured::ChannelReport;
use crate::package::File;

/// Sizes of a model's files in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Size {
    pub raw: usize,
    /// As servers send it: each file by brotli at quality 9.
    pub brotli: usize,
}

impl Size {
    /// The sizes of `files` together.
    pub fn of(files: &[&[u8]]) -> Self {
        Self { raw: files.iter().map(|file| file.len()).sum(), brotli: files.iter().map(|file| brotli(file)).sum() }
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
    /// The file that the model came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// That file's format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static str>,
    /// What was left out or changed while it was read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub precision: Precision,
    pub size_before: Size,
    pub size_after: Size,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    pub accuracy: &'a Comparison,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<&'a CalibrationReport>,
    pub passes: &'a [PassReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<&'a PruneReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<&'a ChannelReport>,
    pub layers: &'a [Layer],
    pub decisions: &'a [String],
}

impl<'a> Report<'a> {
    /// The report of `built`, whose file was `before` as plain ONNX, and is `after` now.
    pub fn new(built: &'a Built, before: &[u8], after: &[&[u8]]) -> Self {
        Self {
            source: None,
            format: None,
            notes: Vec::new(),
            precision: built.precision,
            size_before: Size::of(&[before]),
            size_after: Size::of(after),
            latency: None,
            accuracy: &built.comparison,
            calibration: built.calibration.as_ref(),
            passes: &built.passes,
            pruned: built.pruned.as_ref(),
            channels: built.channels.as_ref(),
            layers: &built.layers,
            decisions: &built.decisions,
        }
    }

    /// The report of `built`, made of the file `source`, whose package has these `files`.
    ///
    /// Errors: those of [`Model::to_onnx`](crate::onnx::Model::to_onnx).
    pub fn of_package(built: &'a Built, source: &str, imported: &Imported, files: &[File]) -> Result<Self> {
        // What a client fetches before it can run.
        let is_fetched = |file: &&File| file.name.ends_with(".onnx") || file.name.starts_with("weights-");
        let after: Vec<&[u8]> = files.iter().filter(is_fetched).map(|file| file.bytes.as_slice()).collect();
        Ok(Self {
            source: Some(source.to_string()),
            format: Some(imported.format.as_str()),
            notes: imported.notes.clone(),
            ..Self::new(built, &imported.model.to_onnx()?, &after)
        })
    }

    /// A few lines for a terminal. Writing to a `String` cannot fail.
    pub fn in_words(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "  precision  {}", self.precision.as_str());
        for (name, after, before) in self.sizes() {
            let ratio = after as f64 / before.max(1) as f64;
            let _ = writeln!(out, "  {name:9}  {} of {}: {ratio:.3}", kib(after), kib(before));
        }
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
        for line in self.notes.iter().chain(self.decisions) {
            let _ = writeln!(out, "  - {line}");
        }
        out
    }

    fn sizes(&self) -> [(&'static str, usize, usize); 2] {
        let (before, after) = (self.size_before, self.size_after);
        [("file", after.raw, before.raw), ("brotli", after.brotli, before.brotli)]
    }

    /// One page with everything in it, for a browser. Writing to a `String` cannot fail.
    pub fn to_html(&self) -> String {
        let name = escaped(self.source.as_deref().unwrap_or("model"));
        let mut body = String::new();
        let _ = write!(body, "<header><p>Firebrand</p><h1>{name}</h1><p>{}</p></header>", self.summary());

        let mut bars: Vec<(String, f64, f64, String)> = Vec::new();
        for (what, after, before) in self.sizes() {
            bars.push((what.to_string(), before as f64, after as f64, format!("{} → {}", kib(before), kib(after))));
        }
        if let Some(Latency { before, after }) = self.latency {
            bars.push(("latency, this CPU".to_string(), before, after, format!("{before:.2} → {after:.2} ms")));
        }
        body.push_str("<section><h2>Before and after</h2><table class=\"bars\">");
        for (what, before, after, said) in &bars {
            let widest = before.max(*after).max(f64::MIN_POSITIVE);
            let _ = write!(
                body,
                "<tr><th scope=\"row\">{what}</th><td class=\"bar\"><svg viewBox=\"0 0 100 16\" preserveAspectRatio=\"none\" \
                 role=\"img\" aria-label=\"{said}\"><rect class=\"was\" width=\"{:.2}\" height=\"7\"/>\
                 <rect class=\"is\" y=\"9\" width=\"{:.2}\" height=\"7\"/></svg></td><td>{said}</td><td>× {:.2}</td></tr>",
                before / widest * 100.0,
                after / widest * 100.0,
                after / before.max(f64::MIN_POSITIVE)
            );
        }
        body.push_str("</table></section>");
        self.accuracy_in_html(&mut body);
        if !self.layers.is_empty() {
            self.layers_in_html(&mut body);
        }
        if let Some(channels) = self.channels {
            body.push_str("<section><h2>Channels</h2><div class=\"wide\"><table><thead><tr><th>Layer</th><th>Channels</th><th>Multiply-adds</th></tr></thead><tbody>");
            for layer in &channels.layers {
                let _ = write!(
                    body,
                    "<tr><th scope=\"row\">{}</th><td>{} → {}</td><td>{} → {}</td></tr>",
                    escaped(&layer.node),
                    layer.channels_before,
                    layer.channels_after,
                    layer.multiply_adds_before,
                    layer.multiply_adds_after
                );
            }
            body.push_str("</tbody></table></div></section>");
        }
        body.push_str("<section><h2>What was decided, and why</h2><ol>");
        for line in self.notes.iter().chain(self.decisions) {
            let _ = write!(body, "<li>{}</li>", escaped(line));
        }
        body.push_str("</ol></section><section><h2>Passes</h2><ul>");
        for change in self.passes.iter().flat_map(|pass| &pass.changes) {
            let _ = write!(body, "<li>{}: {}</li>", escaped(&change.what), change.count);
        }
        body.push_str("</ul></section>");
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><title>{name}: build report</title><style>{STYLE}</style>\
             </head><body><main>{body}</main></body></html>\n"
        )
    }

    fn summary(&self) -> String {
        let [_, (_, after, before)] = self.sizes();
        let found = self.accuracy;
        let kept = match (found.accuracy, found.original_accuracy) {
            (Some(after), Some(before)) => format!("accuracy {:.2} % of {:.2} %", after * 100.0, before * 100.0),
            _ => format!("agreement {:.2} %", found.agreement * 100.0),
        };
        let share = after as f64 / before.max(1) as f64 * 100.0;
        format!("{}, {share:.0} % of the bytes when sent, {kept}", self.precision.as_str())
    }

    fn accuracy_in_html(&self, body: &mut String) {
        let found = self.accuracy;
        body.push_str("<section><h2>Accuracy</h2><dl>");
        let mut row = |what: &str, said: String| {
            let _ = write!(body, "<div><dt>{what}</dt><dd>{said}</dd></div>");
        };
        if let (Some(before), Some(after)) = (found.original_accuracy, found.accuracy) {
            row("accuracy before", format!("{:.2} %", before * 100.0));
            row("accuracy after", format!("{:.2} %", after * 100.0));
        }
        row("agreement", format!("{:.2} %", found.agreement * 100.0));
        row("cosine, mean", format!("{:.5}", found.cosine));
        row("cosine, worst sample", format!("{:.5}", found.least_cosine));
        row("largest difference", format!("{:.4}", found.max_difference));
        row("samples", found.samples.to_string());
        if let Some(calibration) = self.calibration {
            row("ranges by", format!("{:?}, {} samples", calibration.method, calibration.samples).to_lowercase());
        }
        body.push_str("</dl></section>");
    }

    fn layers_in_html(&self, body: &mut String) {
        let largest = self.layers.iter().filter_map(|layer| layer.output_error).fold(0f64, f64::max);
        body.push_str(
            "<section><h2>Layers</h2><div class=\"wide\"><table><thead><tr><th>Layer</th><th>Weights</th><th>Precision</th>\
             <th>Output error</th><th>Weights, signal to noise</th><th>Zeros</th></tr></thead><tbody>",
        );
        for layer in self.layers {
            let of = &layer.quantized;
            let error = layer.output_error.map_or("–".to_string(), |error| {
                format!(
                    "<svg class=\"small\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect \
                     class=\"is\" width=\"{:.1}\" height=\"8\"/></svg> {:.1} %",
                    error / largest.max(f64::MIN_POSITIVE) * 100.0,
                    error * 100.0
                )
            });
            let noise = of.signal_to_noise.map_or("–".to_string(), |noise| format!("{noise:.1} dB"));
            let why = of.reason.as_deref().map_or(String::new(), |why| format!("<br><small>{}</small>", escaped(why)));
            let _ = write!(
                body,
                "<tr><th scope=\"row\">{}<br><small>{}</small></th><td>{}</td><td>{}{why}</td><td>{error}</td>\
                 <td>{noise}</td><td>{:.1} %</td></tr>",
                escaped(&of.node),
                escaped(&of.op_type),
                of.elements,
                of.precision.as_str(),
                layer.sparsity * 100.0
            );
        }
        body.push_str("</tbody></table></div></section>");
    }
}

fn kib(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Text for HTML: names in models may be anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1917;--paper:#fffbf5;--faint:#78716c;--line:#e7e0d6;--was:#c9bfb1;--is:#c2410c}\
@media(prefers-color-scheme:dark){:root{--ink:#f5f0e8;--paper:#171412;--faint:#a8a29e;--line:#37312b;--was:#57504a;--is:#fb923c}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:60rem;margin:auto;padding:2rem 1rem 4rem}header p:first-child{color:var(--is);font-weight:600;margin:0}\
h1{margin:.2rem 0;font-size:1.8rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}\
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}\
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top;font-weight:400}\
thead th{color:var(--faint)}th[scope=row]{overflow-wrap:anywhere}small{color:var(--faint)}.wide{overflow-x:auto}\
.bars td,.bars th{vertical-align:middle;white-space:nowrap}.bar{width:60%}.bar svg{display:block;width:100%;height:1.4rem}\
svg.small{width:5rem;height:.6rem}.was{fill:var(--was)}.is{fill:var(--is)}\
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.8rem;margin:0}dt{color:var(--faint);font-size:.85rem}\
dd{margin:0;font-size:1.2rem}@media(max-width:36rem){.bar{display:none}}";
