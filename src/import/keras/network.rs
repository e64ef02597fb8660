//! Models of models: reads `Sequential` and `Functional` configurations of Keras 2 and 3, and writes their layers in
//! the order in which they need each other.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::{Map, Value as Json};

use super::emit::{Emitter, Layer, Shape, Step, Stop, Value, invalid};
use super::layers;
use super::settings::{Settings, integer};
use super::weights::Place;
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::DataType;
use crate::import::builder::unsupported;

/// Models in models at most.
const DEEPEST: usize = 16;

/// Layers at most, those of shared models counted for each use.
const MOST_LAYERS: usize = 100_000;

/// A value that a layer made: the layer, its call, the output.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    layer: usize,
    call: usize,
    output: usize,
}

/// What a layer is called with.
#[derive(Debug, Clone)]
enum Given<'a> {
    Value(Origin),
    List(Vec<Given<'a>>),
    Json(&'a Json),
}

#[derive(Debug, Default, Clone)]
struct Call<'a> {
    positional: Vec<Given<'a>>,
    named: BTreeMap<String, Given<'a>>,
}

/// What a layer is called with, as values of the graph.
#[derive(Debug, Clone)]
pub enum Argument<'a> {
    Value(Value),
    List(Vec<Argument<'a>>),
    Json(&'a Json),
}

/// The arguments of a layer's call.
#[derive(Debug, Clone, Default)]
pub struct Arguments<'a> {
    pub positional: Vec<Argument<'a>>,
    pub named: BTreeMap<String, Argument<'a>>,
}

impl<'a> Arguments<'a> {
    /// Of one value.
    pub fn of(value: Value) -> Self {
        Self { positional: vec![Argument::Value(value)], named: BTreeMap::new() }
    }

    /// All values that are given by place, however nested.
    pub fn values(&self) -> Vec<Value> {
        fn collect(argument: &Argument<'_>, all: &mut Vec<Value>) {
            match argument {
                Argument::Value(value) => all.push(value.clone()),
                Argument::List(items) => items.iter().for_each(|item| collect(item, all)),
                Argument::Json(_) => {}
            }
        }
        let mut all = Vec::new();
        self.positional.iter().for_each(|argument| collect(argument, &mut all));
        all
    }

    /// The one value that a layer takes.
    pub fn one(&self) -> Step<Value> {
        match self.values().as_slice() {
            [value] => Ok(value.clone()),
            values => invalid!("expected one input, got {}", values.len()),
        }
    }

    /// Whether the call sets `name` to true.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.named.get(name), Some(Argument::Json(Json::Bool(true))))
    }

    /// The value that the call gives under `name`.
    pub fn value(&self, name: &str) -> Option<&Value> {
        match self.named.get(name) {
            Some(Argument::Value(value)) => Some(value),
            _ => None,
        }
    }
}

/// A layer, or a model that is one.
struct Member<'a> {
    class: &'a str,
    module: &'a str,
    name: &'a str,
    object: &'a Map<String, Json>,
    calls: Vec<Call<'a>>,
}

/// Keeps `Sequential`'s configuration, which was a list once, apart from `Functional`'s.
struct Network<'a> {
    members: Vec<Member<'a>>,
    inputs: Vec<Origin>,
    outputs: Vec<(Option<String>, Origin)>,
    sequential: bool,
}

static EMPTY: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);

fn text<'a>(object: &'a Map<String, Json>, key: &str) -> &'a str {
    object.get(key).and_then(Json::as_str).unwrap_or("")
}

/// Whether `class` is a model with a configuration of its layers.
pub fn is_network(class: &str) -> bool {
    matches!(class, "Sequential" | "Functional" | "Model")
}

/// Where a class is from. Keras 3 leaves that out of HDF5 files, where an operation of `keras.ops` is known by having
/// nothing of a layer's settings.
fn module_of(object: &Map<String, Json>) -> &str {
    match object.get("module").and_then(Json::as_str) {
        Some(module) => module,
        None if !settings_of(object).contains_key("trainable") && layers::is_operation(text(object, "class_name")) => {
            OPERATIONS
        }
        None => "",
    }
}

/// The module of `keras.ops`.
pub const OPERATIONS: &str = "keras.src.ops";

/// A layer's own configuration.
fn settings_of(object: &Map<String, Json>) -> &Map<String, Json> {
    object.get("config").and_then(Json::as_object).unwrap_or(&EMPTY)
}

fn name_of<'a>(object: &'a Map<String, Json>, settings: &'a Map<String, Json>) -> &'a str {
    let name = text(object, "name");
    if name.is_empty() { text(settings, "name") } else { name }
}

fn layers_of(object: &Map<String, Json>) -> Result<&Vec<Json>> {
    let config = object.get("config");
    let list = config.and_then(|config| config.as_array().or_else(|| config.get("layers").and_then(Json::as_array)));
    match list {
        Some(list) => Ok(list),
        None => bail!(InvalidModel, "a {} has no list of layers", text(object, "class_name")),
    }
}

/// Everything in the model that has no counterpart, by its class, with where.
///
/// Errors: `UnsupportedOperator` naming all of it.
pub fn check(model: &Json) -> Result<()> {
    fn walk(
        object: &Map<String, Json>,
        path: &str,
        depth: usize,
        missing: &mut BTreeMap<String, Vec<String>>,
    ) -> Result<()> {
        ensure!(depth <= DEEPEST, LimitExceeded, "models lie in each other more than {DEEPEST} deep");
        let class = text(object, "class_name");
        let settings = settings_of(object);
        let name = name_of(object, settings);
        let path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        if is_network(class) {
            let inside = if depth == 0 { String::new() } else { path };
            for layer in layers_of(object)? {
                match layer.as_object() {
                    Some(layer) => walk(layer, &inside, depth + 1, missing)?,
                    None => bail!(InvalidModel, "a layer of \"{name}\" is no object"),
                }
            }
            return Ok(());
        }
        if let Some(what) = layers::unknown(class, module_of(object), settings) {
            missing.entry(what).or_default().push(path.clone());
        }
        // Wrappers, and cells of recurrent layers.
        for key in ["layer", "backward_layer"] {
            if let Some(inner) = settings.get(key).and_then(Json::as_object) {
                walk(inner, &path, depth + 1, missing)?;
            }
        }
        Ok(())
    }
    let Some(object) = model.as_object() else { bail!(InvalidModel, "the model's configuration is no object") };
    let class = text(object, "class_name");
    if !is_network(class) {
        bail!(
            Unsupported,
            "the model is a {class}, a class of its own, which the file has no layers of: only Sequential and Functional \
             models say what they compute; build it as a Functional model, or export it from Python as ONNX"
        );
    }
    let mut missing = BTreeMap::new();
    walk(object, "", 0, &mut missing)?;
    if missing.is_empty() { Ok(()) } else { Err(unsupported(&missing)) }
}

impl<'a> Network<'a> {
    fn read(object: &'a Map<String, Json>) -> Result<Self> {
        let sequential = text(object, "class_name") == "Sequential";
        let mut members = Vec::new();
        for layer in layers_of(object)? {
            let Some(layer) = layer.as_object() else { bail!(InvalidModel, "a layer is no object") };
            let name = name_of(layer, settings_of(layer));
            members.push(Member {
                class: text(layer, "class_name"),
                module: module_of(layer),
                name,
                object: layer,
                calls: Vec::new(),
            });
        }
        if sequential {
            return Ok(Self { members, inputs: Vec::new(), outputs: Vec::new(), sequential });
        }
        let mut indices: HashMap<&str, usize> = HashMap::new();
        for (index, member) in members.iter().enumerate() {
            ensure!(!member.name.is_empty(), InvalidModel, "layer {index} ({}) has no name", member.class);
            let twice = indices.insert(member.name, index).is_some();
            ensure!(!twice, InvalidModel, "two layers are called \"{}\"", member.name);
        }
        let references = References { indices };
        for member in &mut members {
            let calls = member.object.get("inbound_nodes").and_then(Json::as_array).map_or(&[][..], |calls| calls);
            member.calls = calls.iter().map(|call| references.call(call)).collect::<Result<_>>()?;
        }
        let config = settings_of(object);
        let ends = |key: &str| -> Result<Vec<(Option<String>, Origin)>> {
            let mut all = Vec::new();
            if let Some(ends) = config.get(key) {
                references.ends(ends, None, &mut all)?;
            }
            ensure!(!all.is_empty(), InvalidModel, "the model has no \"{key}\"");
            Ok(all)
        };
        let mut outputs = ends("output_layers")?;
        let inputs = ends("input_layers")?.into_iter().map(|(_, origin)| origin).collect();
        // Keras 2 counts the call of a model in a model from 1 where the model has inputs of its own.
        let mut highest = vec![0; members.len()];
        let mut see = |origin: &Origin| highest[origin.layer] = highest[origin.layer].max(origin.call);
        members.iter().flat_map(|member| &member.calls).for_each(|call| call.origins(&mut see));
        outputs.iter().for_each(|(_, origin)| see(origin));
        let shift: Vec<usize> = members
            .iter()
            .zip(&highest)
            .map(|(member, &highest)| {
                usize::from(is_network(member.class) && !member.calls.is_empty() && highest == member.calls.len())
            })
            .collect();
        let mut correct = |origin: &mut Origin| origin.call = origin.call.saturating_sub(shift[origin.layer]);
        members.iter_mut().flat_map(|member| &mut member.calls).for_each(|call| call.correct(&mut correct));
        outputs.iter_mut().for_each(|(_, origin)| correct(origin));
        Ok(Self { members, inputs, outputs, sequential })
    }
}

impl Call<'_> {
    fn origins(&self, see: &mut impl FnMut(&Origin)) {
        fn walk(given: &Given<'_>, see: &mut impl FnMut(&Origin)) {
            match given {
                Given::Value(origin) => see(origin),
                Given::List(items) => items.iter().for_each(|item| walk(item, see)),
                Given::Json(_) => {}
            }
        }
        self.positional.iter().chain(self.named.values()).for_each(|given| walk(given, see));
    }

    fn correct(&mut self, change: &mut impl FnMut(&mut Origin)) {
        fn walk(given: &mut Given<'_>, change: &mut impl FnMut(&mut Origin)) {
            match given {
                Given::Value(origin) => change(origin),
                Given::List(items) => items.iter_mut().for_each(|item| walk(item, change)),
                Given::Json(_) => {}
            }
        }
        self.positional.iter_mut().chain(self.named.values_mut()).for_each(|given| walk(given, change));
    }
}

/// The names that values are referred to by.
struct References<'a> {
    indices: HashMap<&'a str, usize>,
}

impl<'a> References<'a> {
    fn origin(&self, name: &str, call: &Json, output: &Json) -> Result<Origin> {
        let Some(&layer) = self.indices.get(name) else {
            bail!(InvalidModel, "a layer takes the output of \"{name}\", which is no layer of the model");
        };
        let number = |json: &Json| integer(json).and_then(|n| usize::try_from(n).ok());
        match (number(call), number(output)) {
            (Some(call), Some(output)) => Ok(Origin { layer, call, output }),
            _ => bail!(InvalidModel, "a layer takes output {output} of call {call} of \"{name}\""),
        }
    }

    /// `["layer", 0, 0]`, or with settings of the call behind.
    fn listed(&self, items: &'a [Json]) -> Result<Option<Given<'a>>> {
        match items {
            [Json::String(name), call, output, ..] if name == "_CONSTANT_VALUE" && integer(call) == Some(-1) => {
                Ok(Some(Given::Json(output)))
            }
            [Json::String(name), call @ Json::Number(_), output @ Json::Number(_)]
            | [Json::String(name), call @ Json::Number(_), output @ Json::Number(_), Json::Object(_)] => {
                self.origin(name, call, output).map(|origin| Some(Given::Value(origin)))
            }
            _ => Ok(None),
        }
    }

    /// A call's argument: a value, a list of such, or plain JSON.
    fn given(&self, json: &'a Json, depth: usize) -> Result<Given<'a>> {
        ensure!(depth < 16, LimitExceeded, "the arguments of a layer are nested too deep");
        match json {
            Json::Object(object) if text(object, "class_name") == "__keras_tensor__" => {
                let history =
                    object.get("config").and_then(|config| config.get("keras_history")).and_then(Json::as_array);
                match history.map(|history| self.listed(history)) {
                    Some(found) => match found? {
                        Some(given) => Ok(given),
                        None => bail!(InvalidModel, "a tensor of the model does not say where it is from"),
                    },
                    None => bail!(InvalidModel, "a tensor of the model does not say where it is from"),
                }
            }
            Json::Object(object) if text(object, "class_name") == "__tuple__" => match object.get("items") {
                Some(items) => self.given(items, depth + 1),
                None => Ok(Given::Json(json)),
            },
            Json::Array(items) => {
                if let Some(given) = self.listed(items)? {
                    return Ok(given);
                }
                let inner = items.iter().map(|item| self.given(item, depth + 1)).collect::<Result<Vec<_>>>()?;
                let plain = inner.iter().all(|given| matches!(given, Given::Json(_)));
                Ok(if plain { Given::Json(json) } else { Given::List(inner) })
            }
            json => Ok(Given::Json(json)),
        }
    }

    fn named(&self, object: &'a Map<String, Json>) -> Result<BTreeMap<String, Given<'a>>> {
        object.iter().map(|(name, json)| Ok((name.clone(), self.given(json, 0)?))).collect()
    }

    fn call(&self, json: &'a Json) -> Result<Call<'a>> {
        // Keras 3: { "args": …, "kwargs": … }.
        if let Some(object) = json.as_object() {
            let mut positional = Vec::new();
            if let Some(arguments) = object.get("args").and_then(Json::as_array) {
                for argument in arguments {
                    positional.push(self.given(argument, 0)?);
                }
            }
            let named = match object.get("kwargs").and_then(Json::as_object) {
                Some(named) => self.named(named)?,
                None => BTreeMap::new(),
            };
            return Ok(Call { positional, named });
        }
        // Keras 2: a list of values, the first with the settings of the call; a value alone for a function.
        let Some(items) = json.as_array() else { bail!(InvalidModel, "a layer's \"inbound_nodes\" are no lists") };
        let with_settings = |items: &'a [Json]| match items.get(3).and_then(Json::as_object) {
            Some(settings) => self.named(settings),
            None => Ok(BTreeMap::new()),
        };
        if let Some(given) = self.listed(items)? {
            return Ok(Call { positional: vec![given], named: with_settings(items)? });
        }
        let mut values = Vec::new();
        let mut named = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some(item) = item.as_array() else { bail!(InvalidModel, "a layer's input is no list") };
            match self.listed(item)? {
                Some(given) => values.push(given),
                None => bail!(InvalidModel, "a layer's input does not say where it is from"),
            }
            if index == 0 {
                named = with_settings(item)?;
            }
        }
        let positional = if values.len() == 1 { values } else { vec![Given::List(values)] };
        Ok(Call { positional, named })
    }

    /// The inputs or outputs of a model: a value, or lists or objects of such.
    fn ends(&self, json: &'a Json, name: Option<&str>, all: &mut Vec<(Option<String>, Origin)>) -> Result<()> {
        match json {
            Json::Array(items) => match self.listed(items)? {
                Some(Given::Value(origin)) => all.push((name.map(ToString::to_string), origin)),
                _ => {
                    for item in items {
                        self.ends(item, None, all)?;
                    }
                }
            },
            Json::Object(object) => {
                for (name, item) in object {
                    self.ends(item, Some(name), all)?;
                }
            }
            _ => bail!(InvalidModel, "the model's inputs or outputs are no layers"),
        }
        Ok(())
    }
}

/// The key of a class in the tree of weights, as Keras makes it of the class' name.
fn snake(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut snake = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(index + 1);
        let starts = letter.is_ascii_uppercase()
            && before
                .is_some_and(|b| b != '_' && (b.is_ascii_lowercase() || after.is_some_and(char::is_ascii_lowercase)));
        if starts {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Gives each member its key among the weights: its class, numbered from the second of one class on.
fn keys(members: &[Member<'_>]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let key = |member: &Member<'_>| {
        if member.module.starts_with(OPERATIONS) {
            return String::new();
        }
        let name = snake(member.class);
        let count = counts.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 { name } else { format!("{name}_{}", *count - 1) }
    };
    members.iter().map(key).collect()
}

/// The type of the input that `settings` declare; none where they declare no shape.
fn declared(settings: Settings<'_>) -> Step<Option<(Shape, DataType)>> {
    let Some(sizes) = settings.get("batch_shape").or_else(|| settings.get("batch_input_shape")) else {
        return Ok(None);
    };
    let Some(shape) = sizes_of(sizes) else { invalid!("\"batch_shape\": expected sizes, got {sizes}") };
    Ok(Some((shape, layers::dtype_of(settings)?)))
}

fn sizes_of(sizes: &Json) -> Option<Shape> {
    let sizes = match sizes {
        Json::Object(object) => object.get("items")?,
        sizes => sizes,
    };
    let size = |size: &Json| match integer(size) {
        Some(size) => usize::try_from(size).ok().filter(|&size| size < 1 << 31).map(Some),
        None => size.is_null().then_some(None),
    };
    sizes.as_array()?.iter().map(size).collect::<Option<Shape>>().filter(|shape| (1..=16).contains(&shape.len()))
}

/// Writes the whole model: inputs, layers, outputs.
///
/// Errors: `InvalidModel`, `Unsupported`, `LimitExceeded`; what has no counterpart is noted in the builder.
pub fn write(emitter: &mut Emitter, model: &Json) -> Result<()> {
    let Some(object) = model.as_object() else { bail!(InvalidModel, "the model's configuration is no object") };
    let network = Network::read(object)?;
    let root = Place::default();
    let at = |error: Stop, name: &str, class: &str| match error {
        Stop::Error(error) => error.at_node(name, class),
        Stop::Refused(reason) => Error::new(ErrorKind::Unsupported, reason).at_node(name, class),
        Stop::Absent => Error::new(ErrorKind::InvalidModel, "weights are missing").at_node(name, class),
    };
    let mut inputs = Vec::new();
    if network.sequential {
        let first = network.members.iter().find_map(|member| {
            let settings = Settings(settings_of(member.object));
            match declared(settings) {
                Ok(Some((shape, dtype))) => Some(Ok((member.name, shape, dtype))),
                Ok(None) => None,
                Err(stop) => Some(Err(at(stop, member.name, member.class))),
            }
        });
        let whole = settings_of(object);
        let built = || {
            let build = object.get("build_config").and_then(|build| build.get("input_shape"));
            let shape = whole.get("build_input_shape").filter(|shape| !shape.is_null()).or(build)?;
            Some(Ok(("input", sizes_of(shape)?, DataType::Float32)))
        };
        let Some(first) = first.or_else(built) else {
            bail!(InvalidModel, "the Sequential model does not say what its input is: call it once before it is saved");
        };
        let (name, shape, dtype) = first?;
        let name = if network.members.first().is_some_and(|m| m.class == "InputLayer") || name == "input" {
            name.to_string()
        } else {
            format!("{name}_input")
        };
        inputs.push(input(emitter, &name, shape, dtype));
    } else {
        for origin in &network.inputs {
            let member = &network.members[origin.layer];
            let settings = Settings(settings_of(member.object));
            match declared(settings).map_err(|stop| at(stop, member.name, member.class))? {
                Some((shape, dtype)) => inputs.push(input(emitter, member.name, shape, dtype)),
                None => bail!(InvalidModel, "input \"{}\" declares no shape", member.name),
            }
        }
    }
    let outputs = run(emitter, &network, inputs.into_iter().map(Some).collect(), "", &root, 0)?;
    let mut names = HashSet::new();
    for (name, value) in outputs {
        // What stopped is noted; there is no graph then.
        let Some(value) = value else { continue };
        let value = emitter.last(&value);
        let name = if names.insert(name.clone()) { name } else { format!("{name}_{}", names.len()) };
        let shape = Emitter::dims(&value.shape, None);
        emitter.builder.output(&name, &value.name, value.dtype, Some(shape));
        emitter.outputs.push(name);
    }
    Ok(())
}

fn input(emitter: &mut Emitter, name: &str, shape: Shape, dtype: DataType) -> Value {
    let dims = Emitter::dims(&shape, Some(name));
    let name = emitter.builder.input(name, dtype, dims);
    Value { name, shape, dtype, first: false, masked: false }
}

/// Writes the layers of a model; gives its outputs with their names, none for those that could not be written.
fn run<'a>(
    emitter: &mut Emitter,
    network: &Network<'a>,
    inputs: Vec<Option<Value>>,
    path: &str,
    place: &Place,
    depth: usize,
) -> Result<Vec<(String, Option<Value>)>> {
    ensure!(depth <= DEEPEST, LimitExceeded, "models lie in each other more than {DEEPEST} deep");
    let keys = keys(&network.members);
    let member_place = |index: usize| place.inside(network.members[index].name, &["layers", &keys[index]]);
    if network.sequential {
        let Ok([mut value]) = <[_; 1]>::try_from(inputs) else {
            bail!(InvalidModel, "a Sequential model has one input")
        };
        let mut name = String::new();
        for (index, member) in network.members.iter().enumerate() {
            if member.class == "InputLayer" {
                continue;
            }
            name = member.name.to_string();
            let arguments = value.map(Arguments::of);
            let made = apply(emitter, member, arguments, path, &member_place(index), depth)?;
            value = made.and_then(|mut values| if values.is_empty() { None } else { Some(values.remove(0)) });
        }
        return Ok(vec![(if name.is_empty() { "output".to_string() } else { name }, value)]);
    }
    ensure!(
        inputs.len() == network.inputs.len(),
        InvalidModel,
        "the model \"{path}\" has {} inputs, {} are given",
        network.inputs.len(),
        inputs.len()
    );
    let mut made: HashMap<(usize, usize), Option<Vec<Value>>> = HashMap::new();
    for (origin, value) in network.inputs.iter().zip(inputs) {
        made.insert((origin.layer, origin.call), value.map(|value| vec![value]));
    }
    // Which calls wait for which.
    let calls: Vec<(usize, usize)> = network
        .members
        .iter()
        .enumerate()
        .flat_map(|(layer, member)| (0..member.calls.len()).map(move |call| (layer, call)))
        .filter(|call| !made.contains_key(call))
        .collect();
    let positions: HashMap<(usize, usize), usize> =
        calls.iter().enumerate().map(|(index, &call)| (call, index)).collect();
    let mut waiting = vec![0usize; calls.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); calls.len()];
    for (index, &(layer, call)) in calls.iter().enumerate() {
        let mut lost = None;
        network.members[layer].calls[call].origins(&mut |origin| match positions.get(&(origin.layer, origin.call)) {
            Some(&from) => {
                waiting[index] += 1;
                users[from].push(index);
            }
            None if made.contains_key(&(origin.layer, origin.call)) => {}
            None => lost = Some(origin.clone()),
        });
        if let Some(origin) = lost {
            bail!(
                InvalidModel,
                "layer \"{}\" takes the output of call {} of \"{}\", which is not in the file",
                network.members[layer].name,
                origin.call,
                network.members[origin.layer].name
            );
        }
    }
    let mut ready: VecDeque<usize> = (0..calls.len()).filter(|&index| waiting[index] == 0).collect();
    let mut done = 0;
    while let Some(index) = ready.pop_front() {
        let (layer, call) = calls[index];
        let member = &network.members[layer];
        let arguments = arguments(&member.calls[call], &made, network)?;
        let values = apply(emitter, member, arguments, path, &member_place(layer), depth)?;
        made.insert((layer, call), values);
        done += 1;
        for &user in &users[index] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.push_back(user);
            }
        }
    }
    if done < calls.len() {
        let stuck: Vec<String> = (0..calls.len())
            .filter(|&index| waiting[index] > 0)
            .take(5)
            .map(|index| format!("\"{}\"", network.members[calls[index].0].name))
            .collect();
        bail!(InvalidModel, "layers wait for their own results, the model has a cycle: {}", stuck.join(", "));
    }
    let mut outputs = Vec::new();
    for (name, origin) in &network.outputs {
        let member = &network.members[origin.layer];
        let value = match made.get(&(origin.layer, origin.call)) {
            Some(Some(values)) => match values.get(origin.output) {
                Some(value) => Some(value.clone()),
                None => bail!(InvalidModel, "layer \"{}\" has no output {}", member.name, origin.output),
            },
            Some(None) => None,
            None => bail!(InvalidModel, "an output is of a call of \"{}\" that is not in the file", member.name),
        };
        outputs.push((name.clone().unwrap_or_else(|| member.name.to_string()), value));
    }
    Ok(outputs)
}

/// The arguments as values; none where one of them could not be written.
fn arguments<'a>(
    call: &Call<'a>,
    made: &HashMap<(usize, usize), Option<Vec<Value>>>,
    network: &Network<'_>,
) -> Result<Option<Arguments<'a>>> {
    fn resolve<'a>(
        given: &Given<'a>,
        made: &HashMap<(usize, usize), Option<Vec<Value>>>,
        network: &Network<'_>,
    ) -> Result<Option<Argument<'a>>> {
        Ok(Some(match given {
            Given::Json(json) => Argument::Json(json),
            Given::Value(origin) => match made.get(&(origin.layer, origin.call)) {
                Some(Some(values)) => match values.get(origin.output) {
                    Some(value) => Argument::Value(value.clone()),
                    None => {
                        let name = network.members[origin.layer].name;
                        bail!(InvalidModel, "layer \"{name}\" has no output {}", origin.output)
                    }
                },
                _ => return Ok(None),
            },
            Given::List(items) => {
                let items =
                    items.iter().map(|item| resolve(item, made, network)).collect::<Result<Option<Vec<_>>>>()?;
                match items {
                    Some(items) => Argument::List(items),
                    None => return Ok(None),
                }
            }
        }))
    }
    let mut arguments = Arguments::default();
    for given in &call.positional {
        match resolve(given, made, network)? {
            Some(argument) => arguments.positional.push(argument),
            None => return Ok(None),
        }
    }
    for (name, given) in &call.named {
        match resolve(given, made, network)? {
            Some(argument) => arguments.named.insert(name.clone(), argument),
            None => return Ok(None),
        };
    }
    Ok(Some(arguments))
}

fn apply<'a>(
    emitter: &mut Emitter,
    member: &Member<'a>,
    arguments: Option<Arguments<'a>>,
    path: &str,
    place: &Place,
    depth: usize,
) -> Result<Option<Vec<Value>>> {
    let Some(arguments) = arguments else { return Ok(None) };
    let path = if path.is_empty() { member.name.to_string() } else { format!("{path}/{}", member.name) };
    object(emitter, member.object, &path, place, arguments, depth)
}

/// Writes the layer or the model that `object` is. None where it has no counterpart, which is noted then.
///
/// Errors: `InvalidModel`, `LimitExceeded`.
pub fn object<'a>(
    emitter: &mut Emitter,
    object: &'a Map<String, Json>,
    path: &str,
    place: &Place,
    arguments: Arguments<'a>,
    depth: usize,
) -> Result<Option<Vec<Value>>> {
    emitter.calls += 1;
    ensure!(emitter.calls <= MOST_LAYERS, LimitExceeded, "the model has more than {MOST_LAYERS} layers");
    let class = text(object, "class_name");
    let settings = Settings(settings_of(object));
    if is_network(class) {
        let network = Network::read(object).map_err(|error| error.at_node(path, class))?;
        let inputs = arguments.values().into_iter().map(Some).collect();
        let outputs = run(emitter, &network, inputs, path, place, depth + 1)?;
        return Ok(outputs.into_iter().map(|(_, value)| value).collect());
    }
    let layer = Layer { class, path: path.to_string(), settings, place: place.clone() };
    match layers::apply(emitter, &layer, module_of(object), &arguments, depth) {
        Ok(values) => Ok(Some(values)),
        Err(Stop::Absent) => Ok(None),
        Err(Stop::Refused(reason)) => {
            emitter.builder.unsupported(&format!("{class} with {reason}"), path);
            Ok(None)
        }
        Err(Stop::Error(error)) => Err(error.at_node(path, class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_keras() {
        let names = [
            "Conv2D",
            "GlobalAveragePooling2D",
            "LSTM",
            "BatchNormalization",
            "Conv2DTranspose",
            "PReLU",
            "TFOpLambda",
        ];
        let expected = [
            "conv2d",
            "global_average_pooling2d",
            "lstm",
            "batch_normalization",
            "conv2d_transpose",
            "p_re_lu",
            "tf_op_lambda",
        ];
        assert_eq!(names.map(snake), expected);
    }
}
