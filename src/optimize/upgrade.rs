//! Brings a graph to one opset: nodes of ONNX's own operators of opset 7 and later, those of bodies and those that came
//! out of functions with opsets of their own too, become nodes of opset 21 that mean the same.
//!
//! Most operators' later versions take more types and mean the same of those before; `Rewriter::rewrite` has the
//! others, from ONNX's changelog. Versions before 7 align shapes in other ways, and stay out.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Attribute, DataType, Dim, Graph, Node, Tensor, ValueType};

/// The opset that graphs are brought to. A graph with nodes of a later one is brought to that.
pub const OPSET: i64 = 21;
/// The first that is read.
const OLDEST: i64 = 7;
/// The last whose changes are known; from 21 to it no operator changed its meaning.
const NEWEST: i64 = 23;

/// Brings `graph` to opset [`OPSET`]; gives how many nodes of each operator were rewritten, those aside that only have
/// another number now.
///
/// Errors: `UnsupportedOperator` naming all nodes that have no counterpart, or are of an opset before 7 or after 23;
/// `InvalidModel` where the graph contradicts itself. The graph is then as it was.
pub fn upgrade(graph: &mut Graph) -> Result<BTreeMap<String, usize>> {
    let mut rewriter = Rewriter::default();
    rewriter.look(graph);
    let mut upgraded = graph.clone();
    rewriter.graph(&mut upgraded, &Scope::new(), false)?;
    if !rewriter.refused.is_empty() {
        let list = rewriter.refused.iter().map(|(what, nodes)| {
            let shown = nodes.iter().take(5).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let (s, more) = (if nodes.len() == 1 { "" } else { "s" }, if nodes.len() > 5 { ", …" } else { "" });
            format!("{what} ({} node{s}: {shown}{more})", nodes.len())
        });
        let list = list.collect::<Vec<_>>().join(", ");
        return Err(Error::new(
            ErrorKind::UnsupportedOperator,
            format!("cannot be brought to opset {}: {list}; export the model with a later opset", rewriter.target),
        ));
    }
    *graph = upgraded;
    Ok(rewriter.rewritten)
}

/// What is known of a value before anything runs.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    dtype: Option<DataType>,
    rank: Option<usize>,
}

/// What is known of values, by name. Bodies see what is outside of them, and two of them may use one name for two
/// values.
type Scope = HashMap<String, Known>;

#[derive(Default)]
struct Rewriter {
    target: i64,
    /// All names of nodes and values, those of bodies too.
    names: HashSet<String>,
    /// All values that something takes.
    used: HashSet<String>,
    rewritten: BTreeMap<String, usize>,
    refused: BTreeMap<String, Vec<String>>,
}

/// Where a node's replacements go.
struct Place<'a> {
    scope: &'a Scope,
    constants: &'a mut HashMap<String, Tensor>,
    nodes: &'a mut Vec<Node>,
}

fn int(node: &Node, name: &str) -> Option<i64> {
    match node.attributes.get(name) {
        Some(Attribute::Int(value)) => Some(*value),
        _ => None,
    }
}

fn text(node: &Node, name: &str) -> Option<Vec<u8>> {
    match node.attributes.get(name) {
        Some(Attribute::String(value)) => Some(value.clone()),
        _ => None,
    }
}

/// Takes an attribute of integers away.
fn take_ints(node: &mut Node, name: &str) -> Option<Vec<i64>> {
    match node.attributes.remove(name) {
        Some(Attribute::Ints(values)) => Some(values),
        _ => None,
    }
}

/// Takes an attribute that is a float away.
fn take_float(node: &mut Node, name: &str) -> Option<f32> {
    match node.attributes.remove(name) {
        Some(Attribute::Float(value)) => Some(value),
        _ => None,
    }
}

fn input(node: &Node, index: usize) -> &str {
    node.inputs.get(index).map_or("", String::as_str)
}

/// Sets input `index`; those before it that are not there are left out.
fn set_input(node: &mut Node, index: usize, name: String) {
    if node.inputs.len() <= index {
        node.inputs.resize(index + 1, String::new());
    }
    node.inputs[index] = name;
}

impl Rewriter {
    /// Collects names and the highest opset.
    fn look(&mut self, graph: &Graph) {
        self.target = self.target.max(OPSET);
        self.names.extend(graph.inputs.iter().map(|info| info.name.clone()));
        self.names.extend(graph.initializers.keys().cloned());
        self.used.extend(graph.outputs.iter().map(|info| info.name.clone()));
        for node in &graph.nodes {
            if node.domain.is_empty() && node.opset <= NEWEST {
                self.target = self.target.max(node.opset);
            }
            self.names.insert(node.name.clone());
            self.names.extend(node.outputs.iter().cloned());
            self.used.extend(node.inputs.iter().cloned());
            for attribute in node.attributes.values() {
                if let Attribute::Graph(body) = attribute {
                    self.look(body);
                }
            }
        }
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut count = 0;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    fn refuse(&mut self, node: &Node, why: &str) {
        let what = format!("{} of opset {}{why}", node.op_type, node.opset);
        self.refused.entry(what).or_default().push(node.name.clone());
    }

    fn graph(&mut self, graph: &mut Graph, outer: &Scope, is_body: bool) -> Result<()> {
        let order = if is_body { graph.topological_order_of_body()? } else { graph.topological_order()? };
        let mut scope = outer.clone();
        for info in &graph.inputs {
            scope.insert(info.name.clone(), declared(&info.ty));
        }
        for (name, tensor) in &graph.initializers {
            scope.insert(name.clone(), of(tensor));
        }
        let mut waiting: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
        let mut nodes = Vec::with_capacity(waiting.len());
        for index in order {
            let Some(mut node) = waiting.get_mut(index).and_then(Option::take) else { continue };
            let mut bodies: Vec<&String> = node
                .attributes
                .iter()
                .filter(|(_, a)| matches!(a, Attribute::Graph(_)))
                .map(|(name, _)| name)
                .collect();
            bodies.sort_unstable();
            for name in bodies.into_iter().cloned().collect::<Vec<_>>() {
                if let Some(Attribute::Graph(body)) = node.attributes.get_mut(&name) {
                    self.graph(body, &scope, true)?;
                }
            }
            if !node.domain.is_empty() {
                nodes.push(node);
                continue;
            }
            let made = results(&node, &scope);
            for (output, known) in node.outputs.iter().zip(made) {
                scope.insert(output.clone(), known);
            }
            if !(OLDEST..=NEWEST).contains(&node.opset) {
                self.refuse(&node, "");
                continue;
            }
            let mut place = Place { scope: &scope, constants: &mut graph.initializers, nodes: &mut nodes };
            let op_type = node.op_type.clone();
            if self.rewrite(node, &mut place) {
                *self.rewritten.entry(op_type).or_insert(0) += 1;
            }
        }
        graph.nodes = nodes;
        graph.nodes.iter_mut().filter(|node| node.domain.is_empty()).for_each(|node| node.opset = self.target);
        graph.opsets.insert(String::new(), self.target);
        Ok(())
    }

    fn constant(&mut self, place: &mut Place<'_>, name: &str, tensor: Tensor) -> String {
        let name = self.unique(name);
        place.constants.insert(name.clone(), tensor);
        name
    }

    fn ints(&mut self, place: &mut Place<'_>, name: &str, values: &[i64]) -> String {
        let tensor = Tensor::from_vec(vec![values.len()], values.to_vec()).expect("the shape is the length");
        self.constant(place, name, tensor)
    }

    /// A node of the target opset; gives its output's name.
    fn node(
        &mut self,
        place: &mut Place<'_>,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
    ) -> String {
        let name = self.unique(name);
        place.nodes.push(Node {
            name: name.clone(),
            domain: String::new(),
            op_type: op_type.to_string(),
            opset: self.target,
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: vec![name.clone()],
            attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        });
        name
    }

    /// `value` as a scalar of the dtype that `like` has.
    fn scalar(&mut self, place: &mut Place<'_>, name: &str, value: f32, like: &str) -> String {
        let dtype = place.scope.get(like).and_then(|known| known.dtype);
        let tensor = match dtype {
            Some(DataType::Float64) => Tensor::from_vec(vec![], vec![f64::from(value)]),
            Some(DataType::Float16) => Tensor::from_vec(vec![], vec![half::f16::from_f32(value)]),
            Some(DataType::BFloat16) => Tensor::from_vec(vec![], vec![half::bf16::from_f32(value)]),
            _ => Tensor::from_vec(vec![], vec![value]),
        }
        .expect("a scalar has one element");
        let is_right = dtype == Some(tensor.dtype());
        let constant = self.constant(place, name, tensor);
        match is_right {
            true => constant,
            false => self.node(place, "CastLike", &format!("{constant}/cast"), &[&constant, like], vec![]),
        }
    }

    /// Puts what means the same as `node` into `place`; whether that is more than its number.
    fn rewrite(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let from = node.opset;
        let name = node.name.clone();
        let x = input(&node, 0).to_string();
        match node.op_type.as_str() {
            "Clip" if from < 11 => {
                // The bounds had float32's as defaults, which limit infinities.
                for (index, bound, default) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
                    let value = take_float(&mut node, bound).unwrap_or(default);
                    let constant = self.scalar(place, &format!("{name}/{bound}"), value, &x);
                    set_input(&mut node, index, constant);
                }
            }
            "Pad" if from < 11 => {
                let Some(pads) = take_ints(&mut node, "pads") else {
                    self.refuse(&node, " without pads");
                    return false;
                };
                let pads = self.ints(place, &format!("{name}/pads"), &pads);
                set_input(&mut node, 1, pads);
                let value = take_float(&mut node, "value").unwrap_or(0.0);
                // Negative zero is a number too.
                if value.to_bits() != 0 {
                    let value = self.scalar(place, &format!("{name}/value"), value, &x);
                    set_input(&mut node, 2, value);
                }
            }
            "Dropout" if from < 12 => {
                let told = ["ratio", "seed"].iter().filter(|key| node.attributes.remove(**key).is_some()).count();
                let mask = node.outputs.get(1).filter(|mask| from < 10 && !mask.is_empty()).cloned();
                if let Some(mask) = mask {
                    // The mask was of the input's type.
                    let is_kept = self.unique(&format!("{mask}/bool"));
                    node.outputs[1] = is_kept.clone();
                    place.nodes.push(node);
                    let cast = self.node(place, "CastLike", &format!("{mask}/cast"), &[&is_kept, &x], vec![]);
                    rename(place, &cast, mask);
                    return true;
                }
                place.nodes.push(node);
                return told > 0;
            }
            "Upsample" => {
                let attribute = match node.attributes.remove("scales") {
                    Some(Attribute::Floats(scales)) => Some(scales),
                    _ => None,
                };
                let scales = match attribute {
                    Some(scales) => {
                        let tensor = Tensor::from_vec(vec![scales.len()], scales).expect("the shape is the length");
                        self.constant(place, &format!("{name}/scales"), tensor)
                    }
                    None if from >= 9 && node.inputs.len() > 1 => node.inputs[1].clone(),
                    None => {
                        self.refuse(&node, " without scales");
                        return false;
                    }
                };
                // Scales are 1 at least, so that places round down.
                resize(&mut node, &x, scales, "floor");
            }
            "Resize" if from < 11 => return self.resize_10(node, place),
            "Resize" if from < 13 => return self.resize_11(node, place),
            "Slice" if from < 10 => {
                for (index, key) in [(1, "starts"), (2, "ends"), (3, "axes")] {
                    if let Some(values) = take_ints(&mut node, key) {
                        let constant = self.ints(place, &format!("{name}/{key}"), &values);
                        set_input(&mut node, index, constant);
                    }
                }
                if node.inputs.len() < 3 {
                    self.refuse(&node, " without starts or ends");
                    return false;
                }
            }
            "TopK" if from < 10 => {
                let Some(Attribute::Int(k)) = node.attributes.remove("k") else {
                    self.refuse(&node, " without k");
                    return false;
                };
                let k = self.ints(place, &format!("{name}/k"), &[k]);
                set_input(&mut node, 1, k);
            }
            "Split" if from < 18 => {
                let sizes = if from < 13 { take_ints(&mut node, "split") } else { None };
                if let Some(sizes) = sizes {
                    let sizes = self.ints(place, &format!("{name}/split"), &sizes);
                    set_input(&mut node, 1, sizes);
                } else if input(&node, 1).is_empty() {
                    let count = node.outputs.len() as i64;
                    node.attributes.insert("num_outputs".to_string(), Attribute::Int(count));
                } else {
                    place.nodes.push(node);
                    return false;
                }
            }
            "Squeeze" | "Unsqueeze" | "ReduceSum" if from < 13 => return self.axes(node, place),
            "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean" | "ReduceMin"
            | "ReduceProd" | "ReduceSumSquare"
                if from < 18 =>
            {
                return self.axes(node, place);
            }
            "BatchNormalization" if from < 14 => {
                let each = matches!(node.attributes.remove("spatial"), Some(Attribute::Int(0)));
                if each {
                    self.refuse(&node, " with spatial = 0");
                    return false;
                }
                // More outputs asked for training; those that were saved for the gradient are no more.
                if node.outputs.len() > 1 {
                    if node.outputs.iter().skip(3).any(|output| self.used.contains(output)) {
                        self.refuse(&node, " whose saved mean or variance is used");
                        return false;
                    }
                    node.outputs.truncate(3);
                    node.attributes.insert("training_mode".to_string(), Attribute::Int(1));
                }
            }
            "DFT" if from < 20 => {
                let axis = match node.attributes.remove("axis") {
                    Some(Attribute::Int(axis)) => axis,
                    _ => 1,
                };
                let axis = Tensor::from_vec(vec![], vec![axis]).expect("a scalar has one element");
                let axis = self.constant(place, &format!("{name}/axis"), axis);
                set_input(&mut node, 2, axis);
            }
            "GridSample" if from < 20 => {
                let mode: &[u8] = match text(&node, "mode").as_deref() {
                    Some(b"bicubic") => b"cubic",
                    Some(b"nearest") => b"nearest",
                    _ => b"linear",
                };
                node.attributes.insert("mode".to_string(), Attribute::String(mode.to_vec()));
            }
            "GroupNormalization" if from < 21 => return self.group_normalization(node, place),
            "Softmax" | "LogSoftmax" | "Hardmax" if from < 13 => return self.flattening(node, place),
            "RoiAlign" if from < 16 => {
                let value = Attribute::String(b"output_half_pixel".to_vec());
                node.attributes.insert("coordinate_transformation_mode".to_string(), value);
            }
            "Scan" if from < 9 => {
                self.refuse(&node, ", which is over batches");
                return false;
            }
            "Scatter" => node.op_type = "ScatterElements".to_string(),
            _ => {
                place.nodes.push(node);
                return false;
            }
        }
        place.nodes.push(node);
        true
    }

    /// Axes that were an attribute and are input 1. None mean all, an empty list too.
    fn axes(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let axes = take_ints(&mut node, "axes").filter(|axes| !axes.is_empty());
        let is_there = axes.is_some();
        if let Some(axes) = axes {
            let axes = self.ints(place, &format!("{}/axes", node.name), &axes);
            set_input(&mut node, 1, axes);
        }
        place.nodes.push(node);
        is_there
    }

    /// Before opset 11 places were rounded down where an axis grows and up where it shrinks. Along each axis for
    /// itself, so that one node for those that grow and one for those that shrink say the same.
    fn resize_10(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let (x, scales) = (input(&node, 0).to_string(), input(&node, 1).to_string());
        if text(&node, "mode").as_deref() == Some(b"linear") {
            resize(&mut node, &x, scales, "floor");
            place.nodes.push(node);
            return true;
        }
        let known = place.constants.get(&scales).or_else(|| constant_of(place.nodes, &scales));
        let known = known.and_then(|tensor| tensor.as_slice::<f32>()).map(<[f32]>::to_vec);
        let shrinks = known.as_ref().map(|known| known.iter().any(|&scale| scale < 1.0));
        let grows = known.as_ref().map(|known| known.iter().any(|&scale| scale > 1.0));
        match (shrinks, grows) {
            (Some(false), _) => resize(&mut node, &x, scales, "floor"),
            (_, Some(false)) => resize(&mut node, &x, scales, "ceil"),
            _ => {
                let at = node.name.clone();
                let one = Tensor::from_vec(vec![], vec![1f32]).expect("a scalar has one element");
                let one = self.constant(place, &format!("{at}/one"), one);
                let grown = self.node(place, "Max", &format!("{at}/scales/grown"), &[&scales, &one], vec![]);
                let shrunk = self.node(place, "Min", &format!("{at}/scales/shrunk"), &[&scales, &one], vec![]);
                let between = self.unique(&format!("{at}/grown"));
                let mut first = Node { name: between.clone(), outputs: vec![between.clone()], ..node.clone() };
                resize(&mut first, &x, grown, "floor");
                place.nodes.push(first);
                resize(&mut node, &between, shrunk, "ceil");
            }
        }
        place.nodes.push(node);
        true
    }

    fn resize_11(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let mut changed = false;
        // Empty where sizes were given, since leaving them out was not possible.
        for index in [1, 2] {
            let name = input(&node, index);
            let known = place.constants.get(name).or_else(|| constant_of(place.nodes, name));
            if known.is_some_and(Tensor::is_empty) {
                node.inputs[index] = String::new();
                changed = true;
            }
        }
        if text(&node, "coordinate_transformation_mode").as_deref() == Some(b"tf_half_pixel_for_nn") {
            // (x + 0.5) / scale, of which half_pixel takes another half away: rounded in another way from there, it is
            // what rounding gave here.
            let is_nearest = text(&node, "mode").is_none_or(|mode| mode == b"nearest");
            let rounded: &[u8] = match text(&node, "nearest_mode").as_deref() {
                Some(b"floor") if is_nearest => b"round_prefer_ceil",
                None | Some(b"round_prefer_floor") if is_nearest => b"ceil",
                _ => {
                    self.refuse(&node, " with tf_half_pixel_for_nn, but for nearest rounded down");
                    return false;
                }
            };
            for (key, value) in [("coordinate_transformation_mode", &b"half_pixel"[..]), ("nearest_mode", rounded)] {
                node.attributes.insert(key.to_string(), Attribute::String(value.to_vec()));
            }
            changed = true;
        }
        place.nodes.push(node);
        changed
    }

    /// Before opset 21 scale and bias were each group's, and are now each channel's.
    fn group_normalization(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let x = input(&node, 0).to_string();
        let Some(groups) = int(&node, "num_groups").filter(|&groups| groups > 0) else {
            self.refuse(&node, " without num_groups");
            return false;
        };
        let at = node.name.clone();
        let attributes = vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
        let channels = self.node(place, "Shape", &format!("{at}/channels"), &[&x], attributes);
        let groups = self.ints(place, &format!("{at}/groups"), &[groups]);
        let each = self.node(place, "Div", &format!("{at}/each"), &[&channels, &groups], vec![]);
        let axis = vec![("axis", Attribute::Int(0))];
        let shape = self.node(place, "Concat", &format!("{at}/shape"), &[&groups, &each], axis);
        let last = self.ints(place, &format!("{at}/last"), &[1]);
        for (index, part) in [(1, "scale"), (2, "bias")] {
            let value = input(&node, index).to_string();
            let column = self.node(place, "Unsqueeze", &format!("{at}/{part}/column"), &[&value, &last], vec![]);
            let wide = self.node(place, "Expand", &format!("{at}/{part}/wide"), &[&column, &shape], vec![]);
            let flat = self.node(place, "Reshape", &format!("{at}/{part}"), &[&wide, &channels], vec![]);
            set_input(&mut node, index, flat);
        }
        place.nodes.push(node);
        true
    }

    /// Before opset 13 everything from the axis on was one row.
    fn flattening(&mut self, mut node: Node, place: &mut Place<'_>) -> bool {
        let x = input(&node, 0).to_string();
        let axis = int(&node, "axis").unwrap_or(1);
        let rank = place.scope.get(&x).and_then(|known| known.rank);
        node.attributes.insert("axis".to_string(), Attribute::Int(-1));
        if axis == -1 || rank.is_some_and(|rank| axis == rank as i64 - 1) {
            place.nodes.push(node);
            return true;
        }
        let at = node.name.clone();
        let shape = self.node(place, "Shape", &format!("{at}/shape"), &[&x], vec![]);
        let rows = self.node(place, "Flatten", &format!("{at}/rows"), &[&x], vec![("axis", Attribute::Int(axis))]);
        let Some(output) = node.outputs.first().cloned() else { return false };
        let normal = self.unique(&format!("{at}/normal"));
        node.inputs = vec![rows];
        node.outputs = vec![normal.clone()];
        place.nodes.push(node);
        // Sizes of 0 are sizes here.
        let attributes = vec![("allowzero", Attribute::Int(1))];
        let back = self.node(place, "Reshape", &format!("{at}/back"), &[&normal, &shape], attributes);
        rename(place, &back, output);
        true
    }
}

/// Gives the last node's output `made` the name that others know.
fn rename(place: &mut Place<'_>, made: &str, name: String) {
    if let Some(output) = place.nodes.last_mut().and_then(|node| node.outputs.first_mut()).filter(|o| *o == made) {
        *output = name;
    }
}

/// Makes `node` a Resize of `x` with the places that Upsample had.
fn resize(node: &mut Node, x: &str, scales: String, rounded: &str) {
    node.op_type = "Resize".to_string();
    node.inputs = vec![x.to_string(), String::new(), scales];
    for (key, value) in [("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", rounded)] {
        node.attributes.insert(key.to_string(), Attribute::String(value.as_bytes().to_vec()));
    }
}

/// The value of the Constant that makes `name`.
fn constant_of<'a>(nodes: &'a [Node], name: &str) -> Option<&'a Tensor> {
    let node = nodes.iter().find(|node| node.op_type == "Constant" && node.outputs.iter().any(|o| o == name))?;
    match node.attributes.get("value") {
        Some(Attribute::Tensor(tensor)) => Some(tensor),
        _ => None,
    }
}

fn declared(ty: &ValueType) -> Known {
    match ty {
        ValueType::Tensor { dtype, shape } => {
            Known { dtype: Some(*dtype), rank: shape.as_ref().map(|shape: &Vec<Dim>| shape.len()) }
        }
        _ => Known::default(),
    }
}

fn of(tensor: &Tensor) -> Known {
    Known { dtype: Some(tensor.dtype()), rank: Some(tensor.shape().len()) }
}

/// What is known of a node's outputs. No more than rewriting asks for: a dtype that is not known is asked of the value
/// itself as the graph runs, and a rank that is not known costs a Reshape.
fn results(node: &Node, scope: &Scope) -> Vec<Known> {
    let get = |index: usize| scope.get(input(node, index)).copied().unwrap_or_default();
    let (first, second) = (get(0), get(1));
    let kept = |known: Known| vec![known; 1];
    let of_rank = |rank: usize| kept(Known { dtype: first.dtype, rank: Some(rank) });
    match node.op_type.as_str() {
        "Abs"
        | "AveragePool"
        | "BatchNormalization"
        | "Ceil"
        | "Clip"
        | "Conv"
        | "ConvTranspose"
        | "CumSum"
        | "DepthToSpace"
        | "Dropout"
        | "Elu"
        | "Erf"
        | "Exp"
        | "Floor"
        | "Gelu"
        | "GlobalAveragePool"
        | "GlobalMaxPool"
        | "GroupNormalization"
        | "HardSigmoid"
        | "HardSwish"
        | "Hardmax"
        | "Identity"
        | "InstanceNormalization"
        | "LRN"
        | "LayerNormalization"
        | "LeakyRelu"
        | "Log"
        | "LogSoftmax"
        | "LpPool"
        | "MaxPool"
        | "Mish"
        | "Neg"
        | "PRelu"
        | "Pad"
        | "Reciprocal"
        | "Relu"
        | "Resize"
        | "Round"
        | "Selu"
        | "Sigmoid"
        | "Slice"
        | "Softmax"
        | "Softplus"
        | "Softsign"
        | "SpaceToDepth"
        | "Sqrt"
        | "Tanh"
        | "Tile"
        | "Transpose"
        | "Upsample" => kept(first),
        "Concat" => kept(first),
        "Split" => vec![first; node.outputs.len()],
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => {
            let rank = first.rank.zip(second.rank).map(|(a, b)| a.max(b));
            kept(Known { dtype: first.dtype.or(if node.op_type == "Pow" { None } else { second.dtype }), rank })
        }
        "Sum" | "Max" | "Min" | "Mean" => {
            let ranks = (0..node.inputs.len()).map(|index| get(index).rank).collect::<Option<Vec<_>>>();
            kept(Known { dtype: first.dtype, rank: ranks.and_then(|ranks| ranks.into_iter().max()) })
        }
        "Gemm" | "Flatten" => of_rank(2),
        "MatMul" => {
            let rank = match (first.rank, second.rank) {
                (Some(a), Some(b)) if a >= 2 && b >= 2 => Some(a.max(b)),
                _ => None,
            };
            kept(Known { dtype: first.dtype, rank })
        }
        "Cast" => {
            let dtype = int(node, "to").and_then(|to| i32::try_from(to).ok()).and_then(DataType::from_onnx);
            kept(Known { dtype, rank: first.rank })
        }
        "Constant" => match node.attributes.get("value") {
            Some(Attribute::Tensor(tensor)) => kept(of(tensor)),
            _ => kept(Known::default()),
        },
        // The rank is the length of a shape, whose values rewriting has no need of otherwise.
        "Reshape" | "Expand" | "Squeeze" | "Unsqueeze" | "Gather" => kept(Known { dtype: first.dtype, rank: None }),
        "Where" => kept(Known { dtype: second.dtype, rank: None }),
        _ => vec![Known::default()],
    }
}
