//! The browser's GPU: one device for the whole instance, its memory on burn-wgpu's runtime,
//! its commands recorded by us.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use burn_wgpu::wgpu;
use burn_wgpu::{MemoryConfiguration, WgpuDevice, WgpuResource};
use cubecl_core::client::Client;
use cubecl_core::device::{Device as _, ServiceId};
use cubecl_core::ir::{DeviceIdentity, DeviceProperties, HardwareProperties, MemoryDeviceProperties, TargetProperties};
use cubecl_core::profile::TimingMethod;
use cubecl_core::server::{Handle, ServerError, ServerUtilities};
use cubecl_server::allocator::ContiguousMemoryLayoutPolicy;
use cubecl_server::logging::ServerLogger;
use cubecl_server::storage::ManagedResource;
use cubecl_wgpu::{WgpuDeviceKind, WgpuServer};

use super::compiler::NoCompiler;
use crate::error::{Error, ErrorKind, Result, bail, ensure};

type Server = WgpuServer<NoCompiler>;

/// Dispatches recorded before they are handed to the GPU: enough to keep it busy, few enough
/// that it starts early.
const DISPATCHES_PER_SUBMIT: usize = 32;
/// Parameter blocks kept; a model of fixed shapes needs one for each of its nodes.
const PARAMETER_BLOCKS: usize = 8192;

/// A float32 tensor in GPU memory, row-major without gaps. Cheap to clone.
#[derive(Clone)]
pub struct GpuTensor {
    memory: Option<Arc<Memory>>,
    shape: Vec<usize>,
}

struct Memory {
    handle: Handle,
    /// Keeps the allocation where it is, so that the buffer may be bound at any time.
    resource: ManagedResource<WgpuResource>,
}

impl GpuTensor {
    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn with_shape(mut self, shape: &[usize]) -> Self {
        self.shape = shape.to_vec();
        self
    }
}

impl std::fmt::Debug for GpuTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuTensor {:?}", self.shape)
    }
}

/// The browser's GPU. Cheap to clone; all clones are one device.
#[derive(Clone)]
pub struct Gpu(Rc<State>);

struct State {
    device: wgpu::Device,
    queue: wgpu::Queue,
    client: Client,
    limits: wgpu::Limits,
    adapter: String,
    fallback: bool,
    lost: Arc<OnceLock<String>>,
    recording: RefCell<Recording>,
    pipelines: RefCell<HashMap<String, wgpu::ComputePipeline>>,
    parameters: RefCell<HashMap<Vec<u32>, wgpu::Buffer>>,
    scopes: RefCell<Vec<wgpu::ErrorScopeGuard>>,
}

impl Drop for State {
    fn drop(&mut self) {
        // Innermost first, or wgpu panics.
        self.scopes.get_mut().drain(..).rev().for_each(drop);
    }
}

#[derive(Default)]
struct Recording {
    // Dropped in this order: a pass ends before its encoder.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    dispatches: usize,
}

/// One dispatch of a kernel.
pub(super) struct Launch<'a> {
    /// Names the kernel and its variant; a key has one source.
    pub key: String,
    /// Makes the WGSL: inputs at bindings 0…, then the output, then the parameters.
    pub source: &'a dyn Fn() -> String,
    pub inputs: &'a [&'a GpuTensor],
    pub output: &'a GpuTensor,
    pub parameters: Vec<u32>,
    pub workgroups: [usize; 3],
}

thread_local! {
    static SHARED: RefCell<Option<Gpu>> = const { RefCell::new(None) };
    static DEVICES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

impl Gpu {
    /// The GPU, set up at the first call and shared by all later ones; a lost one is replaced.
    ///
    /// Errors: `DeviceUnavailable` when the browser has no WebGPU, gives no adapter, or the
    /// adapter is too small.
    pub async fn new() -> Result<Self> {
        let live = SHARED.with_borrow(|shared| shared.as_ref().filter(|gpu| gpu.0.lost.get().is_none()).cloned());
        if let Some(gpu) = live {
            return Ok(gpu);
        }
        let gpu = Self::set_up().await?;
        SHARED.set(Some(gpu.clone()));
        Ok(gpu)
    }

    async fn set_up() -> Result<Self> {
        let unavailable = |what: String| {
            Error::new(
                ErrorKind::DeviceUnavailable,
                format!("{what}; use device \"cpu\", or \"auto\" to choose by what is there"),
            )
        };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::BROWSER_WEBGPU,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| unavailable(format!("WebGPU gives no adapter here ({error})")))?;
        let limits = adapter.limits();
        let needed = wgpu::Limits::default();
        for (name, got, need) in [
            (
                "maxComputeInvocationsPerWorkgroup",
                limits.max_compute_invocations_per_workgroup,
                needed.max_compute_invocations_per_workgroup,
            ),
            (
                "maxComputeWorkgroupStorageSize",
                limits.max_compute_workgroup_storage_size,
                needed.max_compute_workgroup_storage_size,
            ),
            (
                "maxStorageBuffersPerShaderStage",
                limits.max_storage_buffers_per_shader_stage,
                needed.max_storage_buffers_per_shader_stage,
            ),
        ] {
            if got < need {
                return Err(unavailable(format!("the WebGPU adapter is too small: {name} is {got}, {need} is needed")));
            }
        }
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("firebrand"),
                required_features: wgpu::Features::empty(),
                // Large tensors are the only reason to ask for more than WebGPU's defaults.
                required_limits: wgpu::Limits {
                    max_buffer_size: limits.max_buffer_size,
                    max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
                    ..needed
                },
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                trace: wgpu::Trace::Off,
                experimental_features: wgpu::ExperimentalFeatures::disabled(),
            })
            .await
            .map_err(|error| unavailable(format!("WebGPU gives no device here ({error})")))?;
        let limits = device.limits();
        let info = adapter.get_info();
        let client = register(&device, &queue, &limits)?;

        // burn-wgpu's handlers panic, which would end the whole instance.
        let lost = Arc::new(OnceLock::new());
        let reason = lost.clone();
        device.set_device_lost_callback(move |kind, message| {
            let _ = reason.set(format!("{kind:?}: {message}"));
        });
        // Error scopes are always open, so nothing arrives here that is not reported there.
        device.on_uncaptured_error(Arc::new(|_| {}));

        let gpu = Self(Rc::new(State {
            device,
            queue,
            client,
            limits,
            fallback: info.device_type == wgpu::DeviceType::Cpu,
            adapter: if info.name.is_empty() { "unnamed".to_string() } else { info.name },
            lost,
            recording: RefCell::default(),
            pipelines: RefCell::default(),
            parameters: RefCell::default(),
            scopes: RefCell::default(),
        }));
        gpu.open_scopes();
        Ok(gpu)
    }

    /// What the browser says of the adapter.
    pub fn adapter_name(&self) -> &str {
        &self.0.adapter
    }

    /// Whether the adapter is software on the CPU.
    pub fn is_fallback_adapter(&self) -> bool {
        self.0.fallback
    }

    /// A tensor with these elements.
    ///
    /// Errors: `LimitExceeded` when it is larger than the GPU allows, `OutOfMemory`,
    /// `DeviceLost`.
    pub fn upload_f32(&self, data: &[f32], shape: &[usize]) -> Result<GpuTensor> {
        ensure!(
            data.len() == element_count(shape)?,
            DataLengthMismatch,
            "{shape:?} is {} elements; got {}",
            element_count(shape)?,
            data.len()
        );
        self.upload(bytemuck::cast_slice(data), shape)
    }

    /// A tensor of 32-bit integers, to be read by kernels that expect them.
    pub(super) fn upload_u32(&self, data: &[u32]) -> Result<GpuTensor> {
        self.upload(bytemuck::cast_slice(data), &[data.len()])
    }

    pub(super) fn upload(&self, bytes: &[u8], shape: &[usize]) -> Result<GpuTensor> {
        self.check_size(shape)?;
        if bytes.is_empty() {
            return Ok(GpuTensor { memory: None, shape: shape.to_vec() });
        }
        // A write reaches the queue at once: whatever still reads the recycled memory first.
        self.submit();
        self.own(self.0.client.create_from_slice(bytes), shape)
    }

    /// A tensor whose elements are yet to be written.
    ///
    /// Errors: `LimitExceeded` when it is larger than the GPU allows, `OutOfMemory`,
    /// `DeviceLost`.
    pub(super) fn empty(&self, shape: &[usize]) -> Result<GpuTensor> {
        self.check_size(shape)?;
        match element_count(shape)? {
            0 => Ok(GpuTensor { memory: None, shape: shape.to_vec() }),
            count => self.own(self.0.client.empty(count * 4), shape),
        }
    }

    fn own(&self, handle: Handle, shape: &[usize]) -> Result<GpuTensor> {
        let resource = self.0.client.get_resource::<Server>(handle.clone()).map_err(|error| self.error(error))?;
        Ok(GpuTensor { memory: Some(Arc::new(Memory { handle, resource })), shape: shape.to_vec() })
    }

    fn check_size(&self, shape: &[usize]) -> Result<()> {
        self.check_lost()?;
        let bytes = element_count(shape)? as u64 * 4;
        let limit = self.0.limits.max_buffer_size.min(self.0.limits.max_storage_buffer_binding_size).min(1 << 32);
        ensure!(
            bytes <= limit,
            LimitExceeded,
            "a float32 tensor of shape {shape:?} is {bytes} bytes; this GPU allows {limit}: use device \"cpu\""
        );
        Ok(())
    }

    fn check_lost(&self) -> Result<()> {
        match self.0.lost.get() {
            Some(reason) => bail!(DeviceLost, "the GPU was lost ({reason}): load the model again"),
            None => Ok(()),
        }
    }

    /// Records a dispatch. Nothing is recorded for an empty output.
    pub(super) fn launch(&self, launch: Launch) -> Result<()> {
        let Some(output) = &launch.output.memory else { return Ok(()) };
        let largest = self.0.limits.max_compute_workgroups_per_dimension as usize;
        ensure!(
            launch.workgroups.iter().all(|&n| n <= largest),
            LimitExceeded,
            "{} needs {:?} workgroups; this GPU allows {largest} each way",
            launch.key,
            launch.workgroups
        );
        let state = &*self.0;
        let pipeline = self.pipeline(&launch);
        let parameters = self.parameter_block(&launch.parameters);
        let memories = launch.inputs.iter().map(|input| input.memory.as_ref());
        let mut entries = Vec::with_capacity(launch.inputs.len() + 2);
        for memory in memories.chain([Some(output)]) {
            let Some(memory) = memory else { bail!(Internal, "{} was given an empty tensor", launch.key) };
            entries.push(memory.resource.resource().as_wgpu_bind_resource());
        }
        entries.push(parameters.as_entire_binding());
        let entries: Vec<_> = entries
            .into_iter()
            .zip(0..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let group = state.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });

        let mut recording = state.recording.borrow_mut();
        let Recording { pass, encoder, dispatches } = &mut *recording;
        let pass = pass.get_or_insert_with(|| {
            let encoder = encoder.get_or_insert_with(|| state.device.create_command_encoder(&Default::default()));
            encoder.begin_compute_pass(&Default::default()).forget_lifetime()
        });
        let [x, y, z] = launch.workgroups.map(|n| n as u32);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(x, y, z);
        *dispatches += 1;
        let full = *dispatches >= DISPATCHES_PER_SUBMIT;
        drop(recording);
        if full {
            self.submit();
        }
        Ok(())
    }

    fn pipeline(&self, launch: &Launch) -> wgpu::ComputePipeline {
        let mut pipelines = self.0.pipelines.borrow_mut();
        if let Some(pipeline) = pipelines.get(&launch.key) {
            return pipeline.clone();
        }
        let module = self.0.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&launch.key),
            source: wgpu::ShaderSource::Wgsl((launch.source)().into()),
        });
        let pipeline = self.0.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&launch.key),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        pipelines.insert(launch.key.clone(), pipeline.clone());
        pipeline
    }

    fn parameter_block(&self, words: &[u32]) -> wgpu::Buffer {
        let mut blocks = self.0.parameters.borrow_mut();
        if let Some(block) = blocks.get(words) {
            return block.clone();
        }
        if blocks.len() >= PARAMETER_BLOCKS {
            blocks.clear();
        }
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let size = bytes.len().next_multiple_of(16).max(16);
        let block = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: size as u64,
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        let mut padded = bytes.to_vec();
        padded.resize(size, 0);
        if let Ok(mut view) = block.slice(..).get_mapped_range_mut() {
            view.copy_from_slice(&padded);
        }
        block.unmap();
        blocks.insert(words.to_vec(), block.clone());
        block
    }

    /// Hands all that was recorded to the GPU.
    pub fn submit(&self) {
        let mut recording = self.0.recording.take();
        drop(recording.pass.take());
        if let Some(encoder) = recording.encoder.take() {
            self.0.queue.submit([encoder.finish()]);
        }
    }

    /// Reads tensors back, all at once: little-endian bytes, row-major.
    ///
    /// Errors: `DeviceLost`, `OutOfMemory`, `Internal` when anything recorded before failed.
    pub async fn download(&self, tensors: &[GpuTensor]) -> Result<Vec<Vec<u8>>> {
        self.check_lost()?;
        self.submit();
        let handles = tensors.iter().filter_map(|t| Some(t.memory.as_ref()?.handle.clone())).collect();
        let reading = self.0.client.read_async(handles);
        let scopes = self.close_scopes();
        self.open_scopes();
        let read = reading.await;
        let failed = scopes.await;
        self.check_lost()?;
        if let Some(error) = failed {
            return Err(error);
        }
        let mut read = read.map_err(|error| self.error(error))?.into_iter();
        let mut next = |tensor: &GpuTensor| match tensor.memory {
            Some(_) => {
                read.next().map(|bytes| bytes[..(tensor.len() * 4).min(bytes.len())].to_vec()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        Ok(tensors.iter().map(&mut next).collect())
    }

    /// Waits until all that was recorded is done.
    ///
    /// Errors: those of [`Gpu::download`].
    pub async fn wait(&self) -> Result<()> {
        // The queue keeps its order, so that what is read last comes last.
        let last = self.upload_f32(&[0.0], &[1])?;
        self.download(&[last]).await.map(drop)
    }

    fn open_scopes(&self) {
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let scopes = filters.map(|filter| self.0.device.push_error_scope(filter));
        self.0.scopes.borrow_mut().extend(scopes);
    }

    /// Ends the scopes now; what they caught arrives later.
    fn close_scopes(&self) -> impl Future<Output = Option<Error>> + use<> {
        let scopes: Vec<_> = self.0.scopes.take();
        // Scopes end innermost first.
        let ended: Vec<_> = scopes.into_iter().rev().map(wgpu::ErrorScopeGuard::pop).collect();
        async move {
            let mut first = None;
            for caught in ended {
                let caught = caught.await.map(|error| match error {
                    wgpu::Error::OutOfMemory { .. } => Error::new(
                        ErrorKind::OutOfMemory,
                        "the GPU is out of memory: use device \"cpu\" or a smaller model",
                    ),
                    error => Error::new(ErrorKind::Internal, format!("WebGPU refused a command: {error}")),
                });
                first = first.or(caught);
            }
            first
        }
    }

    fn error(&self, error: ServerError) -> Error {
        match (self.check_lost(), error) {
            (Err(lost), _) => lost,
            (Ok(()), ServerError::Io(error)) => Error::new(ErrorKind::OutOfMemory, format!("GPU memory: {error}")),
            (Ok(()), error) => {
                Error::new(ErrorKind::DeviceLost, format!("the GPU gives nothing back ({error}): load the model again"))
            }
        }
    }
}

/// The number of elements; an error where it overflows.
fn element_count(shape: &[usize]) -> Result<usize> {
    match shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
        Some(count) => Ok(count),
        None => bail!(LimitExceeded, "a tensor of shape {shape:?} is larger than memory"),
    }
}

/// Registers the device with burn-wgpu's runtime, which keeps the memory and reads it back.
///
/// This is `burn_wgpu::try_init_device` with another compiler: that one brings CubeCL's whole
/// compiler into the binary, and panics where timestamp queries are missing.
fn register(device: &wgpu::Device, queue: &wgpu::Queue, limits: &wgpu::Limits) -> Result<Client> {
    let memory = MemoryDeviceProperties::new(
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        limits.min_storage_buffer_offset_alignment.max(limits.min_uniform_buffer_offset_alignment) as u64,
    );
    let groups = limits.max_compute_workgroups_per_dimension;
    let hardware = HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 8,
        plane_size_max: 128,
        max_bindings: limits.max_storage_buffers_per_shader_stage,
        max_shared_memory_size: limits.max_compute_workgroup_storage_size as usize,
        max_cube_count: (groups, groups, groups),
        max_units_per_cube: limits.max_compute_invocations_per_workgroup,
        max_cube_dim: (
            limits.max_compute_workgroup_size_x,
            limits.max_compute_workgroup_size_y,
            limits.max_compute_workgroup_size_z,
        ),
        num_streaming_multiprocessors: None,
        num_tensor_cores: None,
        min_tensor_cores_dim: None,
        num_cpu_cores: None,
        last_level_cache_size: None,
        max_vector_size: 4,
        cube_mma_reserved_shared_memory: 0,
    };
    let identity = DeviceIdentity { name: "webgpu".into(), fingerprint: "webgpu".into(), physical: None };
    // The system timer blocks, which a browser cannot; the device's is used by profiling alone.
    let timing = TimingMethod::Device;
    let alignment = memory.alignment as usize;
    let properties = DeviceProperties::new(Default::default(), memory.clone(), hardware, timing, identity);
    let number = DEVICES.with(|devices| devices.replace(devices.get() + 1));
    let id = WgpuDevice::new(WgpuDeviceKind::Existing(number)).to_id();
    let (utilities, captures) = ServerUtilities::init(
        ServiceId::of::<Server>(id),
        "webgpu",
        properties,
        TargetProperties { mma: Default::default() },
        Arc::new(ServerLogger::default()),
        ContiguousMemoryLayoutPolicy::new(alignment),
    );
    let server = Server::new(
        memory,
        MemoryConfiguration::default(),
        Default::default(),
        device.clone(),
        queue.clone(),
        DISPATCHES_PER_SUBMIT,
        wgpu::Backend::BrowserWebGpu,
        timing,
        utilities,
        captures,
    );
    Client::try_init(id, server)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the GPU could not be registered: {error:?}")))
}
