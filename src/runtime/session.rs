//! A model, loaded: give inputs, get outputs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::plan::{GraphOptimizationLevel, NodeFate, Plan, declared_type, execute};
use super::profile::{Profile, Recorder};
#[cfg(feature = "webgpu")]
use crate::backend::Array;
use crate::backend::{Cpu, Device, DeviceKind};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Dim, Tensor, ValueInfo, ValueType};
use crate::kernels::threads;
use crate::onnx::Model;
use crate::ops::{Context, Inputs, Value};

/// What a caller gives for an input and gets for an output.
#[derive(Debug, Clone)]
pub enum Feed {
    /// A tensor.
    Tensor(Tensor),
    /// A sequence of tensors of one dtype.
    Sequence(DataType, Vec<Tensor>),
    /// An optional that is absent; one that is there is the tensor or sequence itself.
    Absent,
    /// A sequence of N maps with the same C keys.
    Maps {
        /// The keys, `[C]`, int64 or string.
        keys: Tensor,
        /// The numbers of each map in the keys' order, `[N, C]`.
        values: Tensor,
    },
}

impl From<Tensor> for Feed {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

/// How to load.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Where nodes run that can run there; the rest runs on the CPU.
    pub device: DeviceKind,
    /// The largest tensor that a node may make, in bytes.
    pub max_tensor_bytes: usize,
    /// What is done to the graph at load, on the CPU.
    pub graph_optimization_level: GraphOptimizationLevel,
    /// How many threads share the work of a node on the CPU; 0 is one for each core that there is.
    /// Results do not depend on it.
    pub intra_op_num_threads: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            device: DeviceKind::Cpu,
            max_tensor_bytes: Context::default().max_tensor_bytes,
            graph_optimization_level: GraphOptimizationLevel::default(),
            intra_op_num_threads: 0,
        }
    }
}

/// How to run.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// The outputs wanted, in this order; all of them where none are named. Only the nodes
    /// they need are run.
    pub outputs: Option<Vec<String>>,
    /// Called before each node with how many are done and how many there are.
    pub on_node: Option<&'a dyn Fn(usize, usize)>,
    /// Ends the run with `Aborted` when another thread sets it, before the next node or the
    /// next round of a loop.
    pub terminate: Option<Arc<AtomicBool>>,
    /// Filled with what each node takes; what it held before is dropped.
    pub profile: Option<&'a mut Profile>,
}

/// What a session is and where it runs.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// Where nodes run that can run there.
    pub device: DeviceKind,
    /// The graphics adapter, where there is one.
    pub adapter: Option<String>,
    /// How many threads share the work of a node on the CPU.
    pub threads: usize,
    /// Every node of the model, and what became of it.
    pub nodes: Vec<NodeFate>,
    /// Bytes of constants held.
    pub weight_bytes: usize,
}

/// A model, ready to run any number of times.
///
/// ```no_run
/// # fn main() -> firebrand::Result<()> {
/// use firebrand::{Model, RunOptions, Session, SessionOptions, Tensor};
/// let bytes = std::fs::read("model.onnx").expect("readable");
/// let session = Session::load_blocking(Model::from_onnx(bytes, &Default::default())?, SessionOptions::default())?;
/// let x = Tensor::from_vec(vec![1, 3], vec![0.1f32, 0.2, 0.3])?;
/// let outputs = session.run_blocking([("x".to_string(), x.into())], RunOptions::default())?;
/// # Ok(()) }
/// ```
pub struct Session {
    plan: Plan,
    options: SessionOptions,
    threads: usize,
    peak_bytes: AtomicU64,
    #[cfg(feature = "webgpu")]
    gpu: Option<crate::backend::Gpu>,
    /// Constants on the device, each uploaded at its first use.
    #[cfg(feature = "webgpu")]
    uploaded: std::cell::RefCell<HashMap<usize, Array>>,
}

impl Session {
    /// Plans `model` and gets the device ready.
    ///
    /// Errors: `UnsupportedOperator` (all at once), `InvalidModel`, `Unsupported`,
    /// `DeviceUnavailable`.
    pub async fn load(model: Model, options: SessionOptions) -> Result<Self> {
        #[cfg(not(feature = "webgpu"))]
        ensure!(
            options.device == DeviceKind::Cpu,
            DeviceUnavailable,
            "this build of Firebrand runs on the CPU only; ask for device \"cpu\""
        );
        let plan = Plan::new(model.graph, options.device, options.graph_optimization_level)?;
        let threads = match options.intra_op_num_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let threads = threads::start(threads);
        #[cfg(feature = "webgpu")]
        let gpu = match options.device {
            DeviceKind::WebGpu => Some(crate::backend::Gpu::new().await?),
            DeviceKind::Cpu => None,
        };
        Ok(Self {
            plan,
            options,
            threads,
            peak_bytes: AtomicU64::new(0),
            #[cfg(feature = "webgpu")]
            gpu,
            #[cfg(feature = "webgpu")]
            uploaded: Default::default(),
        })
    }

    /// The inputs that a run needs, in the model's order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &ValueInfo> {
        self.plan.inputs.iter().map(|(info, _)| info)
    }

    /// The outputs that a run gives, in the model's order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &ValueInfo> {
        self.plan.outputs.iter().map(|(info, _)| info)
    }

    /// What this session is and where it runs.
    pub fn info(&self) -> SessionInfo {
        #[cfg(feature = "webgpu")]
        let adapter = self.gpu.as_ref().map(|gpu| gpu.adapter_name().to_string());
        #[cfg(not(feature = "webgpu"))]
        let adapter = None;
        SessionInfo {
            device: self.options.device,
            adapter,
            threads: self.threads,
            nodes: self.plan.fates.clone(),
            weight_bytes: self.plan.weight_bytes(),
        }
    }

    /// The most bytes of values, without constants, that the last run held between its nodes;
    /// elements that values share are counted for each. 0 before the first run.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// Runs the model once. Outputs come in the order asked for.
    ///
    /// Errors: `UnknownInput`, `MissingInput`, `UnknownOutput`, `DtypeMismatch`,
    /// `ShapeMismatch`, `InvalidArgument`, `LimitExceeded`, `DeviceLost`; the session answers
    /// the next call all the same.
    pub async fn run(
        &self,
        inputs: impl IntoIterator<Item = (String, Feed)>,
        options: RunOptions<'_>,
    ) -> Result<Vec<(String, Feed)>> {
        let mut recorder = options.profile.map(Recorder::start);
        let mut values: Vec<Option<Value>> = vec![None; self.plan.slots];
        self.check_inputs(inputs, &mut values)?;
        let mut held = Held::new(&values);
        let wanted = self.wanted(options.outputs.as_deref())?;
        let slots: Vec<usize> = wanted.iter().map(|(_, slot)| *slot).collect();
        let needed = self.plan.needed(&slots);
        let total = needed.iter().filter(|n| **n).count();
        let context = Context { max_tensor_bytes: self.options.max_tensor_bytes, terminate: options.terminate };

        let steps = self.plan.steps.iter().zip(&needed).filter(|(_, needed)| **needed);
        for (done, (step, _)) in steps.enumerate() {
            if let Some(on_node) = options.on_node {
                on_node(done, total);
            }
            context.check()?;
            let mut node = recorder.as_ref().map(|recorder| recorder.begin(step));
            let inputs = self.gather(step, &mut values).await.map_err(|e| e.at_node(&step.name, &step.op_type))?;
            let inputs = Inputs::new(inputs, context.clone());
            let device = self.device(step.device);
            let outputs = threads::with(self.threads, || execute(step, device, inputs, node.as_mut()))?;
            for (slot, value) in step.outputs.iter().zip(outputs) {
                if let Some(slot) = slot {
                    held.add(*slot, value.byte_len());
                    values[*slot] = Some(value);
                }
            }
            for slot in &step.last_uses {
                held.remove(*slot);
                values[*slot] = None;
            }
            if let (Some(recorder), Some(node)) = (&mut recorder, node) {
                self.wait_for(step.device).await?;
                recorder.end(node);
            }
        }
        self.peak_bytes.store(held.peak, Ordering::Relaxed);

        let found: Vec<Value> = wanted
            .iter()
            .map(|(info, slot)| match values[*slot].clone().or_else(|| self.plan.constants.get(slot).cloned()) {
                Some(value) => Ok(value),
                None => bail!(Internal, "output \"{}\" was not computed", info.name),
            })
            .collect::<Result<_>>()?;
        drop(values);
        let feeds = self.read_back(found).await?;
        if let Some(recorder) = recorder {
            recorder.finish();
        }
        Ok(wanted.into_iter().zip(feeds).map(|((info, _), feed)| (info.name.clone(), feed)).collect())
    }

    fn device(&self, kind: DeviceKind) -> &dyn Device {
        match kind {
            #[cfg(feature = "webgpu")]
            DeviceKind::WebGpu if self.gpu.is_some() => self.gpu.as_ref().expect("just looked"),
            _ => &Cpu,
        }
    }

    /// Collects a step's inputs, each where the step wants it.
    async fn gather(&self, step: &super::plan::Step, values: &mut [Option<Value>]) -> Result<Vec<Option<Value>>> {
        let mut inputs = Vec::with_capacity(step.inputs.len());
        for (index, slot) in step.inputs.iter().enumerate() {
            let Some(slot) = *slot else {
                inputs.push(None);
                continue;
            };
            let on_host = step.device == DeviceKind::Cpu || step.parameters.contains(&index);
            if let Some(value) = self.plan.constants.get(&slot) {
                inputs.push(Some(if on_host { value.clone() } else { self.upload_constant(slot, value)? }));
                continue;
            }
            let last = step.last_uses.contains(&slot) && !step.inputs[index + 1..].contains(&Some(slot));
            let value = values[slot].take();
            let Some(value) = value else { bail!(Internal, "input {index} was not computed") };
            let value = self.place(value, on_host).await?;
            if !last {
                values[slot] = Some(value.clone());
            }
            inputs.push(Some(value));
        }
        Ok(inputs)
    }

    #[cfg(feature = "webgpu")]
    fn upload_constant(&self, slot: usize, value: &Value) -> Result<Value> {
        if let Some(array) = self.uploaded.borrow().get(&slot) {
            return Ok(Value::Tensor(array.clone()));
        }
        match (value, &self.gpu) {
            (Value::Tensor(Array::Cpu(tensor)), Some(gpu)) => {
                let array = gpu.to_device(tensor.clone())?;
                self.uploaded.borrow_mut().insert(slot, array.clone());
                Ok(Value::Tensor(array))
            }
            _ => Ok(value.clone()),
        }
    }

    #[cfg(not(feature = "webgpu"))]
    fn upload_constant(&self, _: usize, value: &Value) -> Result<Value> {
        Ok(value.clone())
    }

    #[cfg(feature = "webgpu")]
    async fn place(&self, value: Value, on_host: bool) -> Result<Value> {
        match (value, &self.gpu) {
            (Value::Tensor(Array::Gpu(tensor)), Some(gpu)) if on_host => {
                let mut read = gpu.read(vec![tensor]).await?;
                match read.pop() {
                    Some(tensor) => Ok(Value::from(tensor)),
                    None => bail!(Internal, "nothing was read back"),
                }
            }
            (Value::Tensor(Array::Cpu(tensor)), Some(gpu)) if !on_host => Ok(Value::Tensor(gpu.to_device(tensor)?)),
            (value, _) => Ok(value),
        }
    }

    #[cfg(not(feature = "webgpu"))]
    async fn place(&self, value: Value, _: bool) -> Result<Value> {
        Ok(value)
    }

    /// Waits until all that was handed to `device` is done.
    #[cfg(feature = "webgpu")]
    async fn wait_for(&self, device: DeviceKind) -> Result<()> {
        match (device, &self.gpu) {
            (DeviceKind::WebGpu, Some(gpu)) => gpu.wait().await,
            _ => Ok(()),
        }
    }

    #[cfg(not(feature = "webgpu"))]
    async fn wait_for(&self, _: DeviceKind) -> Result<()> {
        Ok(())
    }

    /// Brings all outputs to the host in one read.
    async fn read_back(&self, values: Vec<Value>) -> Result<Vec<Feed>> {
        #[cfg(feature = "webgpu")]
        let values = {
            let on_gpu: Vec<_> = values
                .iter()
                .filter_map(|v| if let Value::Tensor(Array::Gpu(t)) = v { Some(t.clone()) } else { None })
                .collect();
            let mut read = match &self.gpu {
                Some(gpu) if !on_gpu.is_empty() => gpu.read(on_gpu).await?.into_iter(),
                _ => Vec::new().into_iter(),
            };
            let place = |v: Value| match v {
                Value::Tensor(Array::Gpu(_)) => read.next().map(Value::from),
                other => Some(other),
            };
            values.into_iter().filter_map(place).collect::<Vec<_>>()
        };
        values.into_iter().map(feed).collect()
    }

    fn wanted(&self, names: Option<&[String]>) -> Result<Vec<(&ValueInfo, usize)>> {
        let all = || self.plan.outputs.iter().map(|(info, slot)| (info, *slot));
        let Some(names) = names else { return Ok(all().collect()) };
        ensure!(!names.is_empty(), InvalidArgument, "no output is asked for");
        names
            .iter()
            .map(|name| match all().find(|(info, _)| info.name == *name) {
                Some(found) => Ok(found),
                None => bail!(UnknownOutput, "there is no output \"{name}\"{}", nearest(name, self.outputs())),
            })
            .collect()
    }

    fn check_inputs(
        &self,
        given: impl IntoIterator<Item = (String, Feed)>,
        values: &mut [Option<Value>],
    ) -> Result<()> {
        let mut sizes: HashMap<&str, (usize, &str)> = HashMap::new();
        for (name, feed) in given {
            let Some((info, slot)) = self.plan.inputs.iter().find(|(info, _)| info.name == name) else {
                bail!(UnknownInput, "there is no input \"{name}\"{}", nearest(&name, self.inputs()));
            };
            ensure!(values[*slot].is_none(), InvalidArgument, "input \"{name}\" is given twice");
            values[*slot] = Some(check_feed(info, &info.ty, feed, &mut sizes)?);
        }
        let missing: Vec<String> = self
            .plan
            .inputs
            .iter()
            .filter(|(_, slot)| values[*slot].is_none())
            .map(|(info, _)| format!("\"{}\" ({})", info.name, info.ty))
            .collect();
        ensure!(missing.is_empty(), MissingInput, "not given: input {}", missing.join(", "));
        Ok(())
    }
}

/// How many bytes of values a run holds, and held at most.
struct Held {
    sizes: Vec<usize>,
    now: u64,
    peak: u64,
}

impl Held {
    fn new(values: &[Option<Value>]) -> Self {
        let sizes: Vec<usize> = values.iter().map(|value| value.as_ref().map_or(0, Value::byte_len)).collect();
        let now = sizes.iter().map(|&size| size as u64).sum();
        Self { sizes, now, peak: now }
    }

    fn add(&mut self, slot: usize, bytes: usize) {
        self.sizes[slot] = bytes;
        self.now += bytes as u64;
        self.peak = self.peak.max(self.now);
    }

    fn remove(&mut self, slot: usize) {
        self.now -= std::mem::take(&mut self.sizes[slot]) as u64;
    }
}

#[cfg(not(feature = "webgpu"))]
impl Session {
    /// [`Session::load`], for programs that do not wait: nothing does on the CPU.
    pub fn load_blocking(model: Model, options: SessionOptions) -> Result<Self> {
        at_once(Self::load(model, options))
    }

    /// [`Session::run`], for programs that do not wait.
    pub fn run_blocking(
        &self,
        inputs: impl IntoIterator<Item = (String, Feed)>,
        options: RunOptions<'_>,
    ) -> Result<Vec<(String, Feed)>> {
        at_once(self.run(inputs, options))
    }
}

/// What a future gives that never waits.
#[cfg(not(feature = "webgpu"))]
pub(crate) fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => bail!(Internal, "the CPU made a run wait"),
    }
}

/// An output as its caller gets it.
fn feed(value: Value) -> Result<Feed> {
    match value {
        Value::Sequence(dtype, values) => {
            Ok(Feed::Sequence(dtype, values.into_iter().map(Value::into_host).collect::<Result<_>>()?))
        }
        Value::Absent(_) => Ok(Feed::Absent),
        Value::Maps(keys, values) => Ok(Feed::Maps { keys, values }),
        tensor => tensor.into_host().map(Feed::Tensor),
    }
}

/// Checks what a caller gives against what is declared.
fn check_feed<'a>(
    info: &'a ValueInfo,
    ty: &'a ValueType,
    feed: Feed,
    sizes: &mut HashMap<&'a str, (usize, &'a str)>,
) -> Result<Value> {
    let name = &info.name;
    match (ty, feed) {
        (ValueType::Tensor { dtype, shape }, Feed::Tensor(tensor)) => {
            check_tensor(info, *dtype, shape.as_deref(), &tensor, sizes)?;
            Ok(Value::from_tensor(&tensor))
        }
        (ValueType::Sequence(inner), Feed::Sequence(dtype, tensors)) => {
            let ValueType::Tensor { dtype: declared, .. } = &**inner else { bail!(Internal, "an unchecked sequence") };
            let same = dtype == *declared && tensors.iter().all(|t| t.dtype() == dtype);
            ensure!(same, DtypeMismatch, "input \"{name}\": expected a sequence of {declared}, got {dtype}");
            Ok(Value::Sequence(dtype, tensors.iter().map(Value::from_tensor).collect()))
        }
        (ValueType::Optional(inner), Feed::Absent) => Ok(Value::Absent(declared_type(name, inner)?)),
        (ValueType::Optional(inner), feed) => check_feed(info, inner, feed, sizes),
        (ty, feed) => {
            let got = match feed {
                Feed::Tensor(tensor) => format!("a tensor, {} {:?}", tensor.dtype(), tensor.shape()),
                Feed::Sequence(..) => "a sequence".to_string(),
                Feed::Absent => "nothing".to_string(),
                Feed::Maps { .. } => "maps".to_string(),
            };
            let expected = if matches!(ty, ValueType::Tensor { .. }) { "a tensor, " } else { "" };
            bail!(DtypeMismatch, "input \"{name}\": expected {expected}{ty}, got {got}")
        }
    }
}

fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a ValueInfo>) -> String {
    let names: Vec<&str> = among.map(|info| info.name.as_str()).collect();
    let best = names
        .iter()
        .map(|n| (strsim::jaro_winkler(&n.to_lowercase(), &name.to_lowercase()), n))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, best)) if likeness > 0.6 || names.len() == 1 => format!("; did you mean \"{best}\"?"),
        _ => format!("; there are: {}", names.join(", ")),
    }
}

fn check_tensor<'a>(
    info: &'a ValueInfo,
    dtype: DataType,
    shape: Option<&'a [Dim]>,
    tensor: &Tensor,
    sizes: &mut HashMap<&'a str, (usize, &'a str)>,
) -> Result<()> {
    let name = &info.name;
    let expected = &info.ty;
    let got = format!("{} {:?}", tensor.dtype(), tensor.shape());
    ensure!(tensor.dtype() == dtype, DtypeMismatch, "input \"{name}\": expected {expected}, got {got}");
    let Some(shape) = shape else { return Ok(()) };
    let fits = |dims: &[usize]| {
        dims.len() == shape.len() && shape.iter().zip(dims).all(|(d, &s)| !matches!(d, Dim::Size(size) if *size != s))
    };
    if !fits(tensor.shape()) {
        let hint = match *tensor.shape() {
            [n, h, w, c] if fits(&[n, c, h, w]) => ": this looks like NHWC; transpose to NCHW",
            [n, c, h, w] if fits(&[n, h, w, c]) => ": this looks like NCHW; transpose to NHWC",
            [..] if shape.len() == tensor.shape().len() + 1 && fits(&[&[1], tensor.shape()].concat()) => {
                ": the batch dimension is missing; add a leading 1"
            }
            _ => "",
        };
        return Err(Error::new(
            ErrorKind::ShapeMismatch,
            format!("input \"{name}\": expected {expected}, got {got}{hint}"),
        ));
    }
    for (dim, &size) in shape.iter().zip(tensor.shape()) {
        if let Dim::Name(symbol) = dim
            && symbol != "?"
        {
            let (known, by) = *sizes.entry(symbol).or_insert((size, name));
            ensure!(
                known == size,
                ShapeMismatch,
                "input \"{name}\": {symbol} is {size}, input \"{by}\" has {symbol} = {known}"
            );
        }
    }
    Ok(())
}
