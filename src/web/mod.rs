//! The wasm-bindgen surface: JavaScript values in and out, no logic. The npm package (`pkg/`)
//! puts the typed API on top.

#[cfg(feature = "convert")]
mod convert;

use std::rc::Rc;

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::graph::{Data, ValueInfo, ValueType};
use crate::onnx::{ExternalData, Inspection, IoDim, IoInfo, Model, Source};
use crate::runtime::{
    Fate, Feed, GraphOptimizationLevel, NodeProfile, Peak, Profile, RunOptions, Session, SessionOptions,
};
use crate::{DataType, DeviceKind, Error, ErrorKind, Tensor, ops};

#[derive(Serialize)]
struct JsError<'a> {
    kind: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        to_js(&JsError {
            kind: error.kind().as_str(),
            message: error.to_string(),
            node: error.node(),
            operator: error.operator(),
            file: error.file(),
        })
    }
}

fn to_js(value: &impl Serialize) -> JsValue {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible();
    value.serialize(&serializer).unwrap_or(JsValue::NULL)
}

fn invalid(message: impl Into<String>) -> JsValue {
    Error::new(ErrorKind::InvalidArgument, message).into()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    version: &'static str,
    simd: &'static str,
    device: &'static str,
}

const SIMD: &str = if cfg!(target_feature = "relaxed-simd") { "relaxed" } else { "simd128" };

/// Which build of the runtime this is.
#[wasm_bindgen(js_name = runtimeInfo)]
pub fn runtime_info() -> JsValue {
    let device = if cfg!(feature = "webgpu") { "webgpu" } else { "cpu" };
    to_js(&RuntimeInfo { version: crate::VERSION, simd: SIMD, device })
}

/// A file that stays in JavaScript's memory.
struct JsFile<'a>(&'a Uint8Array);

impl Source for JsFile<'_> {
    fn byte_len(&self) -> usize {
        self.0.length() as usize
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        self.0.subarray(at as u32, (at + to.len()) as u32).copy_to(to);
    }
}

/// Helps with the work of nodes, for good: what every worker but the first calls, on an instance of its own
/// with the first one's memory.
#[cfg(target_feature = "atomics")]
#[wasm_bindgen]
pub fn help() {
    crate::kernels::threads::help()
}

/// Says that a worker's call of [`help`] has ended, which only a trap does.
#[cfg(target_feature = "atomics")]
#[wasm_bindgen(js_name = helpFailed)]
pub fn help_failed() {
    crate::kernels::threads::failed();
}

/// What a model file says of itself.
#[wasm_bindgen]
pub fn inspect(model: &Uint8Array) -> Result<JsValue, JsValue> {
    let inspection = Inspection::read(&JsFile(model))?;
    let report = to_js(&inspection);
    set(&report, "inputs", &described(inspection.inputs.iter().map(|info| (info.name.as_str(), &info.ty))))?;
    set(&report, "outputs", &described(inspection.outputs.iter().map(|info| (info.name.as_str(), &info.ty))))?;
    Ok(report)
}

/// The weight files that a model refers to.
#[wasm_bindgen(js_name = externalFiles)]
pub fn external_files(model: &Uint8Array) -> Result<JsValue, JsValue> {
    Ok(to_js(&Inspection::read(&JsFile(model))?.external_files))
}

/// An input or output as JavaScript sees it: a tensor unless `kind` says otherwise.
#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// The dtype of a map's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'static str>,
    /// Of the tensor, of each tensor of a sequence, of a map's numbers.
    dtype: String,
    shape: Vec<IoDim>,
}

fn described<'a>(values: impl Iterator<Item = (&'a str, &'a ValueType)>) -> JsValue {
    let describe = |(name, ty): (&'a str, &'a ValueType)| {
        let (optional, ty) = match ty {
            ValueType::Optional(inner) => (true, &**inner),
            ty => (false, ty),
        };
        let (kind, keys, ty) = match ty {
            ValueType::Tensor { .. } => (None, None, ty),
            ValueType::Sequence(inner) => match &**inner {
                ValueType::Tensor { .. } => (Some("sequence"), None, &**inner),
                ValueType::Map(keys, values) => {
                    let (dtype, keys) = (values.to_string(), Some(keys.name()));
                    return Described { name, kind: Some("maps"), optional, keys, dtype, shape: Vec::new() };
                }
                _ => (Some("other"), None, ty),
            },
            _ => (Some("other"), None, ty),
        };
        let IoInfo { dtype, shape, .. } = IoInfo::from(&ValueInfo { name: String::new(), ty: ty.clone() });
        Described { name, kind, optional, keys, dtype, shape }
    };
    to_js(&values.map(describe).collect::<Vec<_>>())
}

/// A loaded model.
#[wasm_bindgen]
pub struct WasmSession(Rc<Session>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    device: &'static str,
    precision: &'static str,
    runtime_version: &'static str,
    simd: &'static str,
    threads: usize,
    nodes: Nodes,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    weight_bytes: usize,
    memory_bytes: usize,
}

#[derive(Serialize)]
struct Nodes {
    total: usize,
    webgpu: usize,
    cpu: usize,
}

/// What came of a run beside its outputs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran<'a> {
    memory_bytes: usize,
    peak_bytes: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profiled<'a>>,
}

/// A [`Profile`] as JavaScript sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profiled<'a> {
    duration_ms: f64,
    nodes: Vec<ProfiledNode<'a>>,
    peak: ProfiledPeak,
}

#[derive(Serialize)]
struct ProfiledPeak {
    float32: f64,
    int8: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfiledNode<'a> {
    name: &'a str,
    operator: &'a str,
    device: &'static str,
    start_ms: f64,
    duration_ms: f64,
    multiply_adds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_of_peak: Option<f64>,
    bytes_read: f64,
    bytes_written: f64,
    outputs: Vec<Option<ProfiledOutput<'a>>>,
}

#[derive(Serialize)]
struct ProfiledOutput<'a> {
    dtype: &'static str,
    shape: &'a [usize],
}

impl<'a> From<&'a Profile> for Profiled<'a> {
    fn from(profile: &'a Profile) -> Self {
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        let node = |node: &'a NodeProfile| ProfiledNode {
            name: &node.name,
            operator: &node.op_type,
            device: node.device.as_str(),
            start_ms: ms(node.start),
            duration_ms: ms(node.duration),
            multiply_adds: node.multiply_adds.total() as f64,
            share_of_peak: node.share_of(&profile.peak, node.duration),
            bytes_read: node.bytes_read as f64,
            bytes_written: node.bytes_written as f64,
            outputs: node.outputs.iter().map(|info| info.as_ref().map(ProfiledOutput::from)).collect(),
        };
        let Peak { float, int8 } = profile.peak;
        let peak = ProfiledPeak { float32: float, int8 };
        Self { duration_ms: ms(profile.duration), nodes: profile.nodes.iter().map(node).collect(), peak }
    }
}

impl<'a> From<&'a ops::Info> for ProfiledOutput<'a> {
    fn from(info: &'a ops::Info) -> Self {
        Self { dtype: info.dtype.name(), shape: &info.shape }
    }
}

#[wasm_bindgen]
impl WasmSession {
    /// Loads `model` with the weight files it refers to. Options are
    /// `{ device, graphOptimizationLevel?, intraOpNumThreads? }`: `"cpu"` or `"webgpu"`; `"disabled"` or `"all"`, which
    /// it is where it is left out; and of how many threads all but this one call [`help`], 1 where it is left out.
    pub async fn load(model: Uint8Array, external_data: Object, options: Object) -> Result<WasmSession, JsValue> {
        let options = session_options(&options)?;
        let mut external = ExternalData::new();
        for entry in Object::entries(&external_data) {
            let entry: Array = entry.unchecked_into();
            if let (Some(name), Ok(bytes)) = (entry.get(0).as_string(), entry.get(1).dyn_into::<Uint8Array>()) {
                external.insert(name, bytes.to_vec().into());
            }
        }
        let model = Model::read(&JsFile(&model), &external)?;
        drop(external);
        let session = Session::load(model, options).await?;
        Ok(Self(Rc::new(session)))
    }

    /// The inputs that a run needs.
    pub fn inputs(&self) -> JsValue {
        described(self.0.inputs().map(|info| (info.name.as_str(), &info.ty)))
    }

    /// The outputs that a run gives.
    pub fn outputs(&self) -> JsValue {
        described(self.0.outputs().map(|info| (info.name.as_str(), &info.ty)))
    }

    /// What this session is and where it runs.
    pub fn info(&self) -> JsValue {
        let info = self.0.info();
        let count =
            |on| info.nodes.iter().filter(|n| matches!(n.fate, Fate::Runs { device, .. } if device == on)).count();
        let (cpu, webgpu) = (count(DeviceKind::Cpu), count(DeviceKind::WebGpu));
        to_js(&Info {
            device: info.device.as_str(),
            precision: "float32",
            runtime_version: crate::VERSION,
            simd: SIMD,
            threads: info.threads,
            nodes: Nodes { total: cpu + webgpu, webgpu, cpu },
            adapter: info.adapter,
            weight_bytes: info.weight_bytes,
            memory_bytes: memory_bytes(),
        })
    }

    /// Runs the model once, and resolves to a [`Ran`] with the list `outputs`. Inputs and outputs are
    /// tensors `{ name, dtype, shape, data }`, sequences `{ name, sequence: { dtype, shape, data }[] }`,
    /// nothing `{ name, absent: true }`, or, as an output only, maps `{ name, maps: { keys, values } }`.
    pub fn run(&self, inputs: Array, outputs: Option<Vec<String>>, profile: bool) -> Promise {
        let session = self.0.clone();
        future_to_promise(async move {
            let feeds = inputs.iter().map(|input| read_feed(&input, &session)).collect::<Result<Vec<_>, JsValue>>()?;
            let mut profile = profile.then(Profile::default);
            let options = RunOptions { outputs, profile: profile.as_mut(), ..RunOptions::default() };
            let results = session.run(feeds, options).await?;
            let list = Array::new();
            for (name, feed) in results {
                list.push(&write_feed(&name, feed)?);
            }
            let ran = to_js(&Ran {
                memory_bytes: memory_bytes(),
                peak_bytes: session.peak_bytes() as f64,
                profile: profile.as_ref().map(Profiled::from),
            });
            set(&ran, "outputs", &list)?;
            Ok(ran)
        })
    }
}

fn session_options(given: &JsValue) -> Result<SessionOptions, JsValue> {
    let device = match field(given, "device").as_string().as_deref() {
        Some("cpu") => DeviceKind::Cpu,
        Some("webgpu") => DeviceKind::WebGpu,
        other => return Err(invalid(format!("device: expected \"cpu\" or \"webgpu\", got {other:?}"))),
    };
    let intra_op_num_threads = field(given, "intraOpNumThreads").as_f64().map_or(1, |count| count as usize);
    let mut options = SessionOptions { device, intra_op_num_threads, ..SessionOptions::default() };
    let level = field(given, "graphOptimizationLevel");
    if !level.is_undefined() {
        let known = level.as_string().and_then(|name| GraphOptimizationLevel::from_name(&name));
        let expected = GraphOptimizationLevel::NAMES;
        let Some(known) = known else {
            return Err(invalid(format!("graphOptimizationLevel: expected one of {expected:?}, got {level:?}")));
        };
        options.graph_optimization_level = known;
    }
    Ok(options)
}

/// The size of this instance's memory, which only grows.
fn memory_bytes() -> usize {
    field(&field(&wasm_bindgen::memory(), "buffer"), "byteLength").as_f64().map_or(0, |length| length as usize)
}

fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

fn set(object: &JsValue, name: &str, value: &JsValue) -> Result<(), JsValue> {
    Reflect::set(object, &JsValue::from_str(name), value).map(|_| ())
}

fn read_feed(input: &JsValue, session: &Session) -> Result<(String, Feed), JsValue> {
    let Some(name) = field(input, "name").as_string() else { return Err(invalid("an input has no name")) };
    let sequence = field(input, "sequence");
    let feed = if field(input, "absent").is_truthy() {
        Feed::Absent
    } else if Array::is_array(&sequence) {
        let read = |(at, tensor): (usize, JsValue)| read_tensor(&tensor, &format!("input \"{name}\", element {at}"));
        let tensors = Array::from(&sequence).iter().enumerate().map(read).collect::<Result<Vec<_>, JsValue>>()?;
        // Nothing of an empty sequence tells its dtype, so it is the one that the model wants.
        let declared = || session.inputs().find(|info| info.name == name).and_then(|info| element(&info.ty));
        let dtype = tensors.first().map(Tensor::dtype).or_else(declared).unwrap_or(DataType::Float32);
        Feed::Sequence(dtype, tensors)
    } else {
        Feed::Tensor(read_tensor(input, &format!("input \"{name}\""))?)
    };
    Ok((name, feed))
}

/// The dtype of the tensors in a type.
fn element(ty: &ValueType) -> Option<DataType> {
    match ty {
        ValueType::Tensor { dtype, .. } => Some(*dtype),
        ValueType::Sequence(inner) | ValueType::Optional(inner) => element(inner),
        _ => None,
    }
}

/// Reads `{ dtype, shape, data }`; `place` opens the messages.
fn read_tensor(tensor: &JsValue, place: &str) -> Result<Tensor, JsValue> {
    let dtype = field(tensor, "dtype").as_string().unwrap_or_default();
    let Some(dtype) = DataType::from_name(&dtype) else {
        return Err(invalid(format!("{place}: dtype \"{dtype}\" is not known")));
    };
    let sizes = Array::from(&field(tensor, "shape"));
    let shape = sizes.iter().map(|d| {
        d.as_f64().filter(|v| v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(v)).map(|v| v as usize)
    });
    let Some(shape) = shape.collect::<Option<Vec<usize>>>() else {
        return Err(invalid(format!("{place}: a shape is a list of sizes")));
    };
    let data = field(tensor, "data");
    let tensor = if dtype == DataType::String {
        let strings = Array::from(&data).iter().map(|s| s.as_string()).collect::<Option<Vec<String>>>();
        let Some(strings) = strings else { return Err(invalid(format!("{place}: expected strings"))) };
        Tensor::from_strings(shape, strings)
    } else {
        let Ok(bytes) = data.dyn_into::<Uint8Array>() else {
            return Err(invalid(format!("{place}: expected bytes")));
        };
        let mut bytes = bytes.to_vec();
        if dtype == DataType::Bool {
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Tensor::from_bytes(dtype, shape, bytes)
    };
    Ok(tensor.map_err(|e| Error::new(e.kind(), format!("{place}: {}", e.message())))?)
}

fn write_feed(name: &str, feed: Feed) -> Result<JsValue, JsValue> {
    let value = match feed {
        Feed::Tensor(tensor) => write_tensor(&tensor)?,
        Feed::Sequence(_, tensors) => {
            let list = Array::new();
            for tensor in &tensors {
                list.push(&write_tensor(tensor)?);
            }
            let value = Object::new().into();
            set(&value, "sequence", &list)?;
            value
        }
        Feed::Absent => {
            let value = Object::new().into();
            set(&value, "absent", &JsValue::TRUE)?;
            value
        }
        Feed::Maps { keys, values } => {
            let (value, maps) = (Object::new().into(), Object::new().into());
            set(&maps, "keys", &write_tensor(&keys)?)?;
            set(&maps, "values", &write_tensor(&values)?)?;
            set(&value, "maps", &maps)?;
            value
        }
    };
    set(&value, "name", &JsValue::from_str(name))?;
    Ok(value)
}

fn write_tensor(tensor: &Tensor) -> Result<JsValue, JsValue> {
    let object = Object::new().into();
    set(&object, "dtype", &JsValue::from_str(tensor.dtype().name()))?;
    let shape = Array::new();
    for &size in tensor.shape() {
        shape.push(&JsValue::from_f64(size as f64));
    }
    set(&object, "shape", &shape)?;
    match tensor.data() {
        Data::Bytes(bytes) => set(&object, "data", &Uint8Array::from(&bytes[..]))?,
        Data::Strings(strings) => {
            let list = Array::new();
            for string in strings.iter() {
                list.push(&JsValue::from_str(string));
            }
            set(&object, "data", &list)?;
        }
    }
    Ok(object)
}
