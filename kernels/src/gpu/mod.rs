//! The GPU executor: wgpu adapters, cached pipelines, arenas, many launches a submit.

/// What an op needs to know of the adapter to choose its kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// A software rasteriser: barriers are slow, workgroup memory is no faster than any other.
    pub software: bool,
    /// Largest number of workgroups along one axis.
    pub max_workgroups: u32,
    /// Workgroup memory in bytes.
    pub workgroup_memory: u32,
    /// Largest number of invocations in a workgroup.
    pub max_invocations: u32,
    /// Storage buffers that one launch may bind.
    pub max_storage_buffers: u32,
}

/// Where a binding of a kernel points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The op's input `i`.
    Input(usize),
    /// The op's output `i`.
    Output(usize),
}

/// One launch: a complete WGSL module with every size a constant, and how it is dispatched.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The WGSL text. Bindings are `@group(0) @binding(i) var<storage, read_write>`, in the order of `bindings`.
    pub source: String,
    /// The entry point.
    pub entry: &'static str,
    /// What is bound.
    pub bindings: Vec<Binding>,
    /// Workgroups along x, y, z.
    pub workgroups: [u32; 3],
}

pub(crate) mod launch;

use std::sync::Arc;

use crate::{DeviceInfo, Error, ProgramSpec, Result, Span};

/// An opened adapter.
#[derive(Debug)]
pub struct GpuDevice;

/// Read-only data in an adapter's memory.
#[derive(Debug)]
pub struct GpuBuffer;

/// A program on a GPU.
#[derive(Debug)]
pub struct GpuProgram;

/// The first hardware adapter.
pub fn hardware() -> Option<Arc<GpuDevice>> {
    None
}

/// The adapter that a selector names.
pub fn open(selector: &str) -> Result<Arc<GpuDevice>> {
    Err(Error::NoDevice { wanted: selector.into(), available: "cpu".into() })
}

/// Every adapter.
pub fn list() -> Vec<DeviceInfo> {
    Vec::new()
}

fn missing() -> Error {
    Error::Driver { device: "gpu".into(), reason: "not built in".into() }
}

impl GpuDevice {
    pub(crate) fn upload(&self, _data: &[f32]) -> Result<GpuBuffer> {
        Err(missing())
    }
}

impl GpuProgram {
    pub(crate) fn new(
        _device: &Arc<GpuDevice>,
        _spec: &ProgramSpec,
        _shared: &[Arc<GpuBuffer>],
    ) -> Result<Self> {
        Err(missing())
    }

    pub(crate) fn write(&mut self, _span: Span, _data: &[f32]) -> Result<()> {
        Err(missing())
    }

    pub(crate) fn read(&mut self, _span: Span, _data: &mut [f32]) -> Result<()> {
        Err(missing())
    }

    pub(crate) fn run(&mut self, _phase: usize, _times: usize) -> Result<()> {
        Err(missing())
    }
}
