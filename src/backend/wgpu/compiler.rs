//! What stands where burn-wgpu expects CubeCL's compiler.

use burn_wgpu::wgpu;
use cubecl_core::environment::backtrace::BackTrace;
use cubecl_core::ir::DeviceProperties;
use cubecl_core::prelude::KernelDefinition;
use cubecl_core::server::LaunchError;
use cubecl_core::{CompilationError, Compiler, CubeKernel, WgpuCompilationOptions};
use cubecl_server::kernel::CompiledKernel;
use cubecl_wgpu::{AutoRepresentation, CompilerInfo, WgpuCompiler, WgpuServer};

/// Refuses every CubeCL kernel. Our kernels are WGSL already and are dispatched by
/// [`Gpu`](super::Gpu), so the compiler need not be in the binary.
#[derive(Debug, Clone)]
pub(super) struct NoCompiler;

fn refusal() -> CompilationError {
    CompilationError::Generic {
        reason: "this build has no CubeCL compiler".to_string(),
        backtrace: BackTrace::capture(),
    }
}

impl Compiler for NoCompiler {
    type Representation = String;
    type CompilationOptions = WgpuCompilationOptions;

    fn compile(&mut self, _: KernelDefinition, _: &WgpuCompilationOptions) -> Result<String, CompilationError> {
        Err(refusal())
    }

    fn extension(&self) -> &'static str {
        "wgsl"
    }

    fn lang_tag(&self) -> &'static str {
        "wgsl"
    }
}

impl WgpuCompiler for NoCompiler {
    fn init(_: wgpu::Backend, _: &WgpuCompilationOptions) -> Self {
        Self
    }

    fn validate_ir(&self, _: &Option<String>, _: &DeviceProperties) -> Result<(), LaunchError> {
        Ok(())
    }

    fn compile_kernel(
        &mut self,
        _: &mut WgpuServer<Self>,
        _: Box<dyn CubeKernel>,
        _: KernelDefinition,
    ) -> Result<CompiledKernel<Self>, CompilationError> {
        Err(refusal())
    }

    fn normalize_repr(&self, _: Option<String>) -> (CompilerInfo, Option<AutoRepresentation>) {
        (CompilerInfo::WGSL, None)
    }
}
