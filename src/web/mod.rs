//! The wasm-bindgen surface: JavaScript values in and out, no logic. The npm package (`pkg/`)
//! puts the typed API on top.

use std::rc::Rc;

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::graph::Data;
use crate::onnx::{self, ExternalData, IoInfo, Model};
use crate::runtime::{Feed, RunOptions, Session, SessionOptions};
use crate::{DataType, DeviceKind, Error, ErrorKind, Tensor};

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

/// What a model file says of itself.
#[wasm_bindgen]
pub fn inspect(model: &Uint8Array) -> Result<JsValue, JsValue> {
    Ok(to_js(&onnx::inspect(model.to_vec())?))
}

/// The weight files that a model refers to.
#[wasm_bindgen(js_name = externalFiles)]
pub fn external_files(model: &Uint8Array) -> Result<JsValue, JsValue> {
    Ok(to_js(&onnx::inspect(model.to_vec())?.external_files))
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
    threads: u32,
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

#[wasm_bindgen]
impl WasmSession {
    /// Loads `model` with the weight files it refers to, on `"cpu"` or `"webgpu"`.
    pub async fn load(model: Uint8Array, external_data: Object, device: String) -> Result<WasmSession, JsValue> {
        let device = match device.as_str() {
            "cpu" => DeviceKind::Cpu,
            "webgpu" => DeviceKind::WebGpu,
            other => return Err(invalid(format!("device: expected \"cpu\" or \"webgpu\", got \"{other}\""))),
        };
        let mut external = ExternalData::new();
        for entry in Object::entries(&external_data) {
            let entry: Array = entry.unchecked_into();
            if let (Some(name), Ok(bytes)) = (entry.get(0).as_string(), entry.get(1).dyn_into::<Uint8Array>()) {
                external.insert(name, bytes.to_vec().into());
            }
        }
        let model = Model::from_onnx(model.to_vec(), &external)?;
        drop(external);
        let session = Session::load(model, SessionOptions { device, ..Default::default() }).await?;
        Ok(Self(Rc::new(session)))
    }

    /// The inputs that a run needs.
    pub fn inputs(&self) -> JsValue {
        to_js(&self.0.inputs().map(IoInfo::from).collect::<Vec<_>>())
    }

    /// The outputs that a run gives.
    pub fn outputs(&self) -> JsValue {
        to_js(&self.0.outputs().map(IoInfo::from).collect::<Vec<_>>())
    }

    /// What this session is and where it runs.
    pub fn info(&self) -> JsValue {
        let info = self.0.info();
        let webgpu = info.nodes.iter().filter(|n| n.device == DeviceKind::WebGpu).count();
        to_js(&Info {
            device: info.device.as_str(),
            precision: "float32",
            runtime_version: crate::VERSION,
            simd: SIMD,
            threads: 1,
            nodes: Nodes { total: info.nodes.len(), webgpu, cpu: info.nodes.len() - webgpu },
            adapter: info.adapter,
            weight_bytes: info.weight_bytes,
            memory_bytes: memory_bytes(),
        })
    }

    /// Runs the model once; resolves to `{ name, dtype, shape, data }[]`.
    pub fn run(&self, inputs: Array, outputs: Option<Vec<String>>) -> Promise {
        let session = self.0.clone();
        future_to_promise(async move {
            let feeds = inputs.iter().map(|input| read_feed(&input)).collect::<Result<Vec<_>, JsValue>>()?;
            let results = session.run(feeds, RunOptions { outputs, ..RunOptions::default() }).await?;
            let list = Array::new();
            for (name, feed) in results {
                list.push(&write_feed(&name, feed)?);
            }
            Ok(list.into())
        })
    }
}

/// The size of this instance's memory, which only grows.
fn memory_bytes() -> usize {
    let memory: Option<js_sys::WebAssembly::Memory> = wasm_bindgen::memory().dyn_into().ok();
    memory
        .and_then(|m| m.buffer().dyn_into::<js_sys::ArrayBuffer>().ok())
        .map_or(0, |buffer| buffer.byte_length() as usize)
}

fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

fn read_feed(input: &JsValue) -> Result<(String, Feed), JsValue> {
    let Some(name) = field(input, "name").as_string() else { return Err(invalid("an input has no name")) };
    let dtype = field(input, "dtype").as_string().unwrap_or_default();
    let Some(dtype) = DataType::from_name(&dtype) else {
        return Err(invalid(format!("input \"{name}\": dtype \"{dtype}\" is not known")));
    };
    let sizes = Array::from(&field(input, "shape"));
    let shape = sizes.iter().map(|d| {
        d.as_f64().filter(|v| v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(v)).map(|v| v as usize)
    });
    let Some(shape) = shape.collect::<Option<Vec<usize>>>() else {
        return Err(invalid(format!("input \"{name}\": a shape is a list of sizes")));
    };
    let data = field(input, "data");
    let tensor = if dtype == DataType::String {
        let strings = Array::from(&data).iter().map(|s| s.as_string()).collect::<Option<Vec<String>>>();
        let Some(strings) = strings else { return Err(invalid(format!("input \"{name}\": expected strings"))) };
        Tensor::from_strings(shape, strings)
    } else {
        let Ok(bytes) = data.dyn_into::<Uint8Array>() else {
            return Err(invalid(format!("input \"{name}\": expected bytes")));
        };
        Tensor::from_bytes(dtype, shape, bytes.to_vec())
    };
    let tensor = tensor.map_err(|e| Error::new(e.kind(), format!("input \"{name}\": {}", e.message())))?;
    Ok((name, tensor.into()))
}

fn write_feed(name: &str, feed: Feed) -> Result<JsValue, JsValue> {
    let Feed::Tensor(tensor) = feed else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("output \"{name}\" is a sequence; only tensors reach JavaScript"),
        )
        .into());
    };
    let object = Object::new();
    let set = |key: &str, value: &JsValue| Reflect::set(&object, &JsValue::from_str(key), value).map(|_| ());
    set("name", &JsValue::from_str(name))?;
    set("dtype", &JsValue::from_str(tensor.dtype().name()))?;
    let shape = Array::new();
    for &size in tensor.shape() {
        shape.push(&JsValue::from_f64(size as f64));
    }
    set("shape", &shape)?;
    match tensor.data() {
        Data::Bytes(bytes) => set("data", &Uint8Array::from(&bytes[..]))?,
        Data::Strings(strings) => {
            let list = Array::new();
            for string in strings.iter() {
                list.push(&JsValue::from_str(string));
            }
            set("data", &list)?;
        }
    }
    Ok(object.into())
}
