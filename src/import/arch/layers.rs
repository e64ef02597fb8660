//! A user's own network as a list of layers in JSON: what each is, where its weights are, and what it is told beside.
//! `docs/import.md` has the format.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shelf::{ANY, Shelf, Window, window_attributes};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{Attribute, DataType, Dim};

/// The kinds of layers.
const KINDS: [&str; 21] = [
    "add",
    "avg_pool",
    "batch_norm",
    "concat",
    "conv",
    "dropout",
    "flatten",
    "gelu",
    "global_avg_pool",
    "hard_swish",
    "layer_norm",
    "leaky_relu",
    "linear",
    "max_pool",
    "mul",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
];

/// The most that a stride, a kernel or a padding may be.
const LARGEST: u64 = 1 << 20;

/// The object that `text` is.
///
/// Errors: `InvalidArgument`.
pub fn object(text: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => bail!(InvalidArgument, "the description of the architecture is to be a JSON object"),
        Err(error) => bail!(InvalidArgument, "the description of the architecture is no JSON: {error}"),
    }
}

/// A layer's fields, taken one by one; those left over have no meaning for it.
struct Fields {
    place: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn wrong<T>(&self, message: impl std::fmt::Display) -> Result<T> {
        Err(Error::new(ErrorKind::InvalidArgument, format!("{}: {message}", self.place)))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.fields.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => self.wrong(format_args!("\"{key}\" is to be a text, is {other}")),
        }
    }

    fn required(&mut self, key: &str) -> Result<String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => self.wrong(format_args!("\"{key}\" is missing")),
        }
    }

    fn number(&mut self, key: &str, default: f32) -> Result<f32> {
        match self.fields.remove(key) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(number as f32),
                None => self.wrong(format_args!("\"{key}\" is to be a number, is {value}")),
            },
        }
    }

    fn axis(&mut self, default: i64) -> Result<i64> {
        match self.fields.remove("axis") {
            None => Ok(default),
            Some(value) => match value.as_i64() {
                Some(axis) => Ok(axis),
                None => self.wrong(format_args!("\"axis\" is to be a whole number, is {value}")),
            },
        }
    }

    /// A size for each of `rank` axes, or one for all.
    fn sizes(&mut self, key: &str, rank: usize) -> Result<Option<Vec<i64>>> {
        let Some(value) = self.fields.remove(key) else { return Ok(None) };
        let size = |value: &Value| value.as_u64().filter(|&size| size <= LARGEST).map(|size| size as i64);
        let sizes = match &value {
            Value::Array(sizes) if sizes.len() == rank => sizes.iter().map(size).collect(),
            one => size(one).map(|size| vec![size; rank]),
        };
        match sizes {
            Some(sizes) => Ok(Some(sizes)),
            None => self.wrong(format_args!("\"{key}\" is to be a whole number or {rank} of them, is {value}")),
        }
    }

    /// Strides, padding and group; with `"padding": "same"` the rule that goes by that name instead.
    fn window(&mut self, rank: usize, strides: Option<Vec<i64>>) -> Result<(Window, bool)> {
        let strides = self.sizes("stride", rank)?.or(strides).unwrap_or_else(|| vec![1; rank]);
        if strides.contains(&0) {
            return self.wrong("a stride of 0");
        }
        let same = self.fields.get("padding").and_then(Value::as_str) == Some("same");
        let pads = match same {
            true => {
                self.fields.remove("padding");
                vec![0; rank]
            }
            false => self.sizes("padding", rank)?.unwrap_or_else(|| vec![0; rank]),
        };
        Ok((Window { strides, pads: [pads.clone(), pads].concat(), group: 1 }, same))
    }

    fn end(self) -> Result<()> {
        let left: Vec<String> = self.fields.keys().map(|key| format!("\"{key}\"")).collect();
        match left.is_empty() {
            true => Ok(()),
            false => self.wrong(format_args!("it has no {}", left.join(", "))),
        }
    }
}

/// Builds the described network.
///
/// Errors: `InvalidArgument` for what the description gets wrong.
pub fn build(shelf: &mut Shelf<'_>, mut description: Map<String, Value>) -> Result<()> {
    let layers = match description.remove("layers") {
        Some(Value::Array(layers)) if !layers.is_empty() => layers,
        _ => bail!(InvalidArgument, "\"layers\" is to be a list with at least one layer"),
    };
    let input = match description.remove("input") {
        Some(Value::Array(shape)) => shape,
        _ => bail!(InvalidArgument, "\"input\" is to be the input's shape, for instance [\"N\", 3, 32, 32]"),
    };
    let dim = |dim: &Value| match dim {
        Value::String(name) => Some(Dim::Name(name.clone())),
        size => size.as_u64().and_then(|size| usize::try_from(size).ok()).map(Dim::Size),
    };
    let Some(shape) = input.iter().map(dim).collect::<Option<Vec<_>>>() else {
        bail!(InvalidArgument, "\"input\": each dimension is to be a size or a name, got {}", Value::Array(input))
    };
    let output = match description.remove("output") {
        None => "output".to_string(),
        Some(Value::String(name)) if !name.is_empty() => name,
        Some(other) => bail!(InvalidArgument, "\"output\" is to be a name, is {other}"),
    };
    let left: Vec<&str> = description.keys().map(String::as_str).collect();
    ensure!(
        left.is_empty(),
        InvalidArgument,
        "the description has no {}: there are \"input\", \"layers\", \"output\"",
        left.join(", ")
    );
    let rank = shape.len().saturating_sub(2);
    let mut x = shelf.graph.input("input", DataType::Float32, shape);
    let mut named = BTreeMap::from([("input".to_string(), x.clone())]);
    for (index, layer) in layers.into_iter().enumerate() {
        let fields = match layer {
            Value::String(kind) => Map::from_iter([("type".to_string(), Value::String(kind))]),
            Value::Object(fields) => fields,
            other => bail!(InvalidArgument, "layer {}: expected an object or a kind's name, got {other}", index + 1),
        };
        let mut fields = Fields { place: format!("layer {}", index + 1), fields };
        let kind = fields.required("type")?;
        fields.place = format!("layer {} ({kind})", index + 1);
        let name = fields.text("name")?;
        let find = |fields: &Fields, name: &str| match named.get(name) {
            Some(value) => Ok(value.clone()),
            None => fields.wrong(format_args!(
                "no layer before is named \"{name}\"; there are {}",
                named.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )),
        };
        if let Some(from) = fields.text("from")? {
            x = find(&fields, &from)?;
        }
        let other = match matches!(kind.as_str(), "add" | "mul" | "concat") {
            true => {
                let with = fields.required("with")?;
                Some(find(&fields, &with)?)
            }
            false => None,
        };
        x = one(shelf, &mut fields, &kind, &format!("layer{}", index + 1), &x, other.as_deref(), rank)?;
        fields.end()?;
        if let Some(name) = name {
            named.insert(name, x.clone());
        }
    }
    shelf.graph.output(&output, &x, DataType::Float32, None);
    Ok(())
}

fn one(
    shelf: &mut Shelf<'_>,
    fields: &mut Fields,
    kind: &str,
    at: &str,
    x: &str,
    other: Option<&str>,
    rank: usize,
) -> Result<String> {
    let plain = |shelf: &mut Shelf<'_>, operator: &str| shelf.graph.node(operator, at, &[x], vec![]);
    let float = |value: f32| Attribute::Float(value);
    Ok(match kind {
        "conv" => {
            let name = fields.required("weights")?;
            let weight = format!("{name}.weight");
            // One that is missing is told with the others at the end.
            let rank = shelf.shape(&weight).map_or(rank, |shape| shape.len().saturating_sub(2));
            let (mut window, same) = fields.window(rank, None)?;
            window.group = match fields.sizes("groups", 1)? {
                None => 1,
                Some(groups) => usize::try_from(groups[0]).unwrap_or(1).max(1),
            };
            let dilations = fields.sizes("dilation", rank)?;
            let shape = vec![ANY; rank + 2];
            let tensor = shelf.take(&weight, &shape);
            let kernel: Vec<i64> = tensor.shape().iter().skip(2).map(|&size| size as i64).collect();
            let outputs = tensor.shape().first().copied().unwrap_or(ANY);
            let mut inputs = vec![x.to_string(), shelf.graph.constant(&weight, tensor)];
            let bias = format!("{name}.bias");
            if shelf.has(&bias) {
                inputs.push(shelf.constant(&bias, &[outputs]));
            }
            let mut attributes = window_attributes(kernel, &window);
            if same {
                attributes.push(("auto_pad", Attribute::String(b"SAME_UPPER".to_vec())));
            }
            if let Some(dilations) = dilations {
                attributes.push(("dilations", Attribute::Ints(dilations)));
            }
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            shelf.graph.node("Conv", &name, &inputs, attributes)
        }
        "batch_norm" => {
            let name = fields.required("weights")?;
            let epsilon = fields.number("epsilon", 1e-5)?;
            let channels = shelf.shape(&format!("{name}.weight")).and_then(|s| s.first()).copied().unwrap_or(ANY);
            shelf.batch_norm(&name, x, channels, epsilon)
        }
        "layer_norm" => {
            let name = fields.required("weights")?;
            let epsilon = fields.number("epsilon", 1e-5)?;
            let size = shelf.shape(&format!("{name}.weight")).and_then(|s| s.first()).copied().unwrap_or(ANY);
            let scale = shelf.constant(&format!("{name}.weight"), &[size]);
            let shift = shelf.constant(&format!("{name}.bias"), &[size]);
            let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", float(epsilon))];
            shelf.graph.node("LayerNormalization", &name, &[x, &scale, &shift], attributes)
        }
        "linear" => {
            let name = fields.required("weights")?;
            shelf.linear(&name, x, ANY, ANY)
        }
        "max_pool" | "avg_pool" => {
            let Some(kernel) = fields.sizes("kernel", rank)? else { return fields.wrong("\"kernel\" is missing") };
            if kernel.contains(&0) {
                return fields.wrong("a kernel of 0");
            }
            // PyTorch's default: windows side by side.
            let (window, same) = fields.window(rank, Some(kernel.clone()))?;
            let mut attributes = window_attributes(kernel, &window);
            if same {
                attributes.push(("auto_pad", Attribute::String(b"SAME_UPPER".to_vec())));
            }
            if kind == "avg_pool" {
                // PyTorch counts padding in.
                attributes.push(("count_include_pad", Attribute::Int(i64::from(!same))));
            }
            shelf.graph.node(if kind == "max_pool" { "MaxPool" } else { "AveragePool" }, at, &[x], attributes)
        }
        "global_avg_pool" => plain(shelf, "GlobalAveragePool"),
        "flatten" => shelf.graph.node("Flatten", at, &[x], vec![("axis", Attribute::Int(1))]),
        // Which does nothing once training is over.
        "dropout" => {
            fields.number("ratio", 0.5)?;
            x.to_string()
        }
        "relu" => plain(shelf, "Relu"),
        "relu6" => {
            let (zero, six) =
                (shelf.graph.scalar(&format!("{at}/zero"), 0.0), shelf.graph.scalar(&format!("{at}/six"), 6.0));
            shelf.graph.node("Clip", at, &[x, &zero, &six], vec![])
        }
        "leaky_relu" => {
            let slope = fields.number("slope", 0.01)?;
            shelf.graph.node("LeakyRelu", at, &[x], vec![("alpha", float(slope))])
        }
        "sigmoid" => plain(shelf, "Sigmoid"),
        "tanh" => plain(shelf, "Tanh"),
        "gelu" => plain(shelf, "Gelu"),
        "hard_swish" => plain(shelf, "HardSwish"),
        "silu" => {
            let gate = shelf.graph.node("Sigmoid", &format!("{at}/sigmoid"), &[x], vec![]);
            shelf.graph.node("Mul", at, &[x, &gate], vec![])
        }
        "softmax" => {
            let axis = fields.axis(-1)?;
            shelf.graph.node("Softmax", at, &[x], vec![("axis", Attribute::Int(axis))])
        }
        "add" | "mul" | "concat" => {
            let other = other.unwrap_or(x);
            match kind {
                "add" => shelf.graph.node("Add", at, &[x, other], vec![]),
                "mul" => shelf.graph.node("Mul", at, &[x, other], vec![]),
                _ => {
                    let axis = fields.axis(1)?;
                    shelf.graph.node("Concat", at, &[x, other], vec![("axis", Attribute::Int(axis))])
                }
            }
        }
        _ => {
            let near = KINDS.iter().map(|k| (strsim::damerau_levenshtein(k, kind), *k)).min();
            let hint =
                near.filter(|(d, _)| *d <= 3).map_or(String::new(), |(_, near)| format!(" (did you mean {near}?)"));
            return fields.wrong(format_args!("no such layer{hint}; there are {}", KINDS.join(", ")));
        }
    })
}
