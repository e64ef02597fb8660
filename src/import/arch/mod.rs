//! The graphs that files of weights alone belong to: architectures by name, and sequences of layers as a user describes
//! them. Graphs are put together from ONNX operators directly, so that no training framework is in the binary.

mod bert;
mod efficientnet;
mod layers;
mod mobilenet;
mod resnet;
mod shelf;
mod squeezenet;

use self::shelf::Shelf;
use super::weights::Weights;
use crate::error::{Result, bail, ensure};
use crate::graph::Graph;

/// A kind of network whose graph is known.
struct Architecture {
    name: &'static str,
    /// Names of weights that tell it from others.
    has: &'static [&'static str],
    build: fn(&mut Shelf<'_>, &Options) -> Result<()>,
}

/// What weights do not say.
#[derive(Debug, Default)]
struct Options {
    /// Attention heads.
    heads: Option<usize>,
}

const ARCHITECTURES: [Architecture; 8] = [
    Architecture { name: "bert", has: &["embeddings.word_embeddings.weight", "encoder.layer.0."], build: bert::build },
    Architecture { name: "efficientnet-lite0", has: &["_conv_stem.weight", "_blocks.15."], build: efficientnet::build },
    Architecture {
        name: "minilm",
        has: &["embeddings.word_embeddings.weight", "encoder.layer.0."],
        build: bert::build,
    },
    Architecture { name: "mobilenetv2", has: &["features.18.0.weight", "features.1.conv."], build: mobilenet::build },
    Architecture { name: "resnet18", has: &["layer4.1.conv2.weight"], build: resnet::build18 },
    Architecture { name: "resnet34", has: &["layer3.5.conv2.weight"], build: resnet::build34 },
    Architecture { name: "resnet50", has: &["layer3.5.conv3.weight"], build: resnet::build50 },
    Architecture { name: "squeezenet1.1", has: &["fire9/expand3x3."], build: squeezenet::build },
];

fn names() -> String {
    ARCHITECTURES.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
}

impl Architecture {
    fn fits(&self, weights: &Weights) -> bool {
        self.has.iter().all(|part| weights.keys().any(|name| name.contains(part)))
    }
}

/// The architectures that the names of `weights` are of, in words.
fn fitting(weights: &Weights) -> String {
    let fit: Vec<&str> = ARCHITECTURES.iter().filter(|a| a.fits(weights)).map(|a| a.name).collect();
    match fit.is_empty() {
        true => "their names are of none that is known".to_string(),
        false => format!("their names are of {}", fit.join(" or ")),
    }
}

/// The graph of `weights`. `arch` is an architecture's name, or a description in JSON: an object with `"arch"` and
/// what its weights do not say, or with `"layers"` (see `docs/import.md`).
///
/// Errors: `InvalidArgument` where no architecture is given, or one that is not known; `InvalidModel` naming all
/// weights that are missing, of another shape, or left over.
pub fn build(weights: &Weights, arch: Option<&str>, notes: &mut Vec<String>) -> Result<Graph> {
    let Some(arch) = arch else {
        let first = weights.iter().take(5).map(|(name, t)| format!("\"{name}\" {} {:?}", t.dtype(), t.shape()));
        let first = first.collect::<Vec<_>>().join(", ");
        let more = if weights.len() > 5 { ", …" } else { "" };
        bail!(
            InvalidArgument,
            "the file holds weights alone, no graph: {} tensors ({first}{more}). Give their architecture with --arch: {}; there are {}, and sequences of layers can be described (docs/import.md)",
            weights.len(),
            fitting(weights),
            names()
        )
    };
    let mut options = Options::default();
    let mut name = arch.to_string();
    if arch.trim_start().starts_with('{') {
        let mut fields = layers::object(arch)?;
        if fields.contains_key("layers") {
            let mut shelf = Shelf::new(weights, "layers");
            layers::build(&mut shelf, fields)?;
            return shelf.finish("the description", notes);
        }
        let Some(serde_json::Value::String(given)) = fields.remove("arch") else {
            bail!(InvalidArgument, "a description has \"layers\", or \"arch\" with a name: {}", names())
        };
        name = given;
        if let Some(heads) = fields.remove("heads") {
            let heads = heads.as_u64().and_then(|heads| usize::try_from(heads).ok()).filter(|&heads| heads > 0);
            ensure!(heads.is_some(), InvalidArgument, "\"heads\" is to be a whole number above 0");
            options.heads = heads;
        }
        let left: Vec<&str> = fields.keys().map(String::as_str).collect();
        ensure!(
            left.is_empty(),
            InvalidArgument,
            "a description with \"arch\" has no {}: there is \"heads\"",
            left.join(", ")
        );
    }
    let Some(architecture) = ARCHITECTURES.iter().find(|a| a.name == name) else {
        let near =
            ARCHITECTURES.iter().map(|a| (strsim::damerau_levenshtein(a.name, &name.to_lowercase()), a.name)).min();
        let hint =
            near.filter(|(distance, _)| *distance <= 3).map_or(String::new(), |(_, n)| format!(" (did you mean {n}?)"));
        bail!(
            InvalidArgument,
            "architecture \"{name}\" is not known{hint}; there are {}; of these weights, {}",
            names(),
            fitting(weights)
        )
    };
    let mut shelf = Shelf::new(weights, architecture.name);
    (architecture.build)(&mut shelf, &options)?;
    shelf.finish(architecture.name, notes)
}
