//! One interface, two executors.

use std::sync::Arc;

use crate::cpu::CpuProgram;
use crate::gpu::{GpuBuffer, GpuDevice, GpuProgram};
use crate::{ProgramSpec, Result, Span};

/// What kind of machine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// rayon and gemm on the processor's cores.
    Cpu,
    /// A hardware adapter.
    Gpu,
    /// A software adapter: for testing shaders, never taken by `auto`.
    Software,
}

/// A device as `percuss devices` lists it.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// How to select it: `cpu`, `gpu:0`, ...
    pub selector: String,
    /// The processor's or adapter's name.
    pub name: String,
    /// Its kind.
    pub kind: DeviceKind,
    /// Back end and driver, empty for the CPU.
    pub driver: String,
    /// Features that percuss can use: `timestamps`, `subgroups`, `f16`, ...
    pub features: Vec<String>,
    /// Largest binding in bytes, 0 where there is no limit.
    pub max_binding: u64,
}

/// A device that programs run on. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Device {
    /// The processor, with this many threads.
    Cpu {
        /// Threads.
        threads: usize,
    },
    /// A GPU through wgpu.
    Gpu(Arc<GpuDevice>),
}

/// Read-only data on a device, shared by its programs.
#[derive(Clone, Debug)]
pub enum SharedArena {
    /// In main memory.
    Cpu(Arc<Vec<f32>>),
    /// In the adapter's memory.
    Gpu(Arc<GpuBuffer>),
}

/// A program ready to run: its arenas allocated, its pipelines built.
#[derive(Debug)]
pub enum Program {
    /// On the CPU.
    Cpu(CpuProgram),
    /// On a GPU.
    Gpu(GpuProgram),
}
