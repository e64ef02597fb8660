//! BERT encoders, MiniLM among them, by Hugging Face's names. The sizes are the weights' own; what they do not tell is
//! the number of heads. `input_ids`, `attention_mask` and `token_type_ids` are int64 `[batch, sequence]`,
//! `last_hidden_state` is float32 `[batch, sequence, hidden]`.

use super::Options;
use super::shelf::{ANY, Shelf};
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType, Dim, Tensor};

const EPSILON: f32 = 1e-12;
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Heads of the usual sizes: 64 wide, but in the small models, which have 12 all the same.
fn usual_heads(hidden: usize) -> Option<usize> {
    match hidden {
        312 | 384 => Some(12),
        _ if hidden > 0 && hidden.is_multiple_of(64) => Some(hidden / 64),
        _ => None,
    }
}

struct Encoder<'s, 'a> {
    shelf: &'s mut Shelf<'a>,
    /// What all names begin with.
    prefix: String,
    hidden: usize,
    heads: usize,
}

impl Encoder<'_, '_> {
    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str]) -> String {
        self.shelf.graph.node(op_type, name, inputs, vec![])
    }

    /// `x` times a weight, which is `[outputs, inputs]` in the file, and its bias.
    fn dense(&mut self, name: &str, x: &str, outputs: usize, inputs: usize) -> String {
        let weight = format!("{}{name}.weight", self.prefix);
        let weight = self.shelf.reordered(&weight, &[outputs, inputs], &[1, 0], &weight);
        let bias = self.shelf.constant(&format!("{}{name}.bias", self.prefix), &[outputs]);
        let product = self.node("MatMul", &format!("{name}/MatMul"), &[x, &weight]);
        self.node("Add", name, &[&product, &bias])
    }

    fn normalise(&mut self, name: &str, x: &str) -> String {
        let full = format!("{}{name}", self.prefix);
        // TensorFlow's names of the same are in early files.
        let (scale, shift) =
            if self.shelf.has(&format!("{full}.gamma")) { ("gamma", "beta") } else { ("weight", "bias") };
        let hidden = self.hidden;
        let scale = self.shelf.constant(&format!("{full}.{scale}"), &[hidden]);
        let shift = self.shelf.constant(&format!("{full}.{shift}"), &[hidden]);
        let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(EPSILON))];
        self.shelf.graph.node("LayerNormalization", name, &[x, &scale, &shift], attributes)
    }

    /// A part of the attention, `[batch, heads, sequence, width]` under `order`.
    fn split(&mut self, name: &str, x: &str, order: [i64; 4]) -> String {
        let y = self.dense(name, x, self.hidden, self.hidden);
        let shape = [0, 0, self.heads as i64, (self.hidden / self.heads) as i64];
        let shape = self.shelf.graph.ints(&format!("{name}/shape"), &shape);
        let y = self.node("Reshape", &format!("{name}/Reshape"), &[&y, &shape]);
        self.shelf.graph.node(
            "Transpose",
            &format!("{name}/Transpose"),
            &[&y],
            vec![("perm", Attribute::Ints(order.to_vec()))],
        )
    }

    fn layer(&mut self, at: &str, x: &str, mask: &str) -> String {
        let own = format!("{at}.attention.self");
        let query = self.split(&format!("{own}.query"), x, [0, 2, 1, 3]);
        let key = self.split(&format!("{own}.key"), x, [0, 2, 3, 1]);
        let value = self.split(&format!("{own}.value"), x, [0, 2, 1, 3]);
        let root = ((self.hidden / self.heads) as f32).sqrt();
        let root = self.shelf.graph.scalar(&format!("{own}/root"), root);
        let scores = self.node("MatMul", &format!("{own}/MatMul"), &[&query, &key]);
        let scores = self.node("Div", &format!("{own}/Div"), &[&scores, &root]);
        let scores = self.node("Add", &format!("{own}/Add"), &[&scores, mask]);
        let softmax = vec![("axis", Attribute::Int(-1))];
        let scores = self.shelf.graph.node("Softmax", &format!("{own}/Softmax"), &[&scores], softmax);
        let y = self.node("MatMul", &format!("{own}/MatMul_1"), &[&scores, &value]);
        let order = vec![("perm", Attribute::Ints(vec![0, 2, 1, 3]))];
        let y = self.shelf.graph.node("Transpose", &format!("{own}/Transpose"), &[&y], order);
        let shape = self.shelf.graph.ints(&format!("{own}/shape"), &[0, 0, self.hidden as i64]);
        let y = self.node("Reshape", &format!("{own}/Reshape"), &[&y, &shape]);
        let output = format!("{at}.attention.output");
        let y = self.dense(&format!("{output}.dense"), &y, self.hidden, self.hidden);
        let y = self.node("Add", &format!("{output}/Add"), &[&y, x]);
        let x = self.normalise(&format!("{output}.LayerNorm"), &y);

        let inner = format!("{at}.intermediate.dense");
        let wide = self.shelf.shape(&format!("{}{inner}.weight", self.prefix)).and_then(|s| s.first()).copied();
        let wide = wide.unwrap_or(ANY);
        let y = self.dense(&inner, &x, wide, self.hidden);
        let y = self.node("Gelu", &format!("{at}.intermediate/Gelu"), &[&y]);
        let y = self.dense(&format!("{at}.output.dense"), &y, self.hidden, wide);
        let y = self.node("Add", &format!("{at}.output/Add"), &[&y, &x]);
        self.normalise(&format!("{at}.output.LayerNorm"), &y)
    }
}

pub fn build(shelf: &mut Shelf<'_>, options: &Options) -> Result<()> {
    const WORDS: &str = "embeddings.word_embeddings.weight";
    let prefix = shelf.weights.keys().find_map(|name| name.strip_suffix(WORDS)).unwrap_or_default().to_string();
    let Some([_, hidden]) = shelf.shape(&format!("{prefix}{WORDS}")) else {
        bail!(InvalidModel, "the weights are not those of a BERT: expected \"{WORDS}\" of [vocabulary, hidden]")
    };
    let hidden = *hidden;
    let Some(heads) = options.heads.or_else(|| usual_heads(hidden)) else {
        bail!(
            InvalidArgument,
            "how many attention heads has a BERT of width {hidden}? Weights do not say: give --arch '{{\"arch\": \"bert\", \"heads\": …}}'"
        )
    };
    ensure!(
        hidden > 0 && hidden.is_multiple_of(heads),
        InvalidArgument,
        "{heads} heads do not divide the width of {hidden}"
    );
    let layer = |layer: usize| format!("{prefix}encoder.layer.{layer}.attention.self.query.weight");
    let layers = (0..).take_while(|&index| shelf.has(&layer(index))).count();

    let free = || vec![Dim::Name("batch_size".into()), Dim::Name("sequence_length".into())];
    let [ids, mask, types] = INPUTS.map(|name| shelf.graph.input(name, DataType::Int64, free()));
    let mut net = Encoder { shelf, prefix, hidden, heads };

    let mut embedded = Vec::new();
    for (kind, index) in [("word_embeddings", &ids), ("token_type_embeddings", &types)] {
        let name = format!("embeddings.{kind}");
        let table = net.shelf.constant(&format!("{}{name}.weight", net.prefix), &[ANY, hidden]);
        embedded.push(net.node("Gather", &name, &[&table, index]));
    }
    let table = net.shelf.constant(&format!("{}embeddings.position_embeddings.weight", net.prefix), &[ANY, hidden]);
    let length = vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
    let length = net.shelf.graph.node("Shape", "embeddings/length", &[&ids], length);
    let zero = net.shelf.graph.ints("embeddings/zero", &[0]);
    let positions = net.node("Slice", "embeddings.position_embeddings", &[&table, &zero, &length]);
    let x = net.node("Add", "embeddings/Add", &[&embedded[0], &embedded[1]]);
    let x = net.node("Add", "embeddings/Add_1", &[&x, &positions]);
    let mut x = net.normalise("embeddings.LayerNorm", &x);

    // 0 where a token counts, the lowest float where it does not.
    let axes = net.shelf.graph.ints("mask/axes", &[1, 2]);
    let mask = net.node("Unsqueeze", "mask/Unsqueeze", &[&mask, &axes]);
    let to = vec![("to", Attribute::Int(i64::from(DataType::Float32.onnx())))];
    let mask = net.shelf.graph.node("Cast", "mask/Cast", &[&mask], to);
    let one = net.shelf.graph.scalar("mask/one", 1.0);
    let mask = net.node("Sub", "mask/Sub", &[&one, &mask]);
    let lowest = net.shelf.graph.constant("mask/lowest", Tensor::from_vec(vec![], vec![f32::MIN])?);
    let mask = net.node("Mul", "mask", &[&mask, &lowest]);

    for layer in 0..layers.max(1) {
        x = net.layer(&format!("encoder.layer.{layer}"), &x, &mask);
    }
    // What a pooler makes of the first token is no part of an embedding.
    for part in ["weight", "bias"] {
        let pooler = format!("{}pooler.dense.{part}", net.prefix);
        net.shelf.leave(&pooler);
    }
    let shape = free().into_iter().chain([Dim::Size(hidden)]).collect();
    net.shelf.graph.output("last_hidden_state", &x, DataType::Float32, Some(shape));
    Ok(())
}
