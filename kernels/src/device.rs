//! One interface, two executors.

use std::sync::Arc;

use crate::cpu::{CpuProgram, CpuShared};
use crate::gpu::{GpuBuffer, GpuDevice, GpuProgram, Tuning};
use crate::program::shape;
use crate::{Error, Precision, ProgramSpec, Result, Span};

/// What kind of machine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor's cores.
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
    Cpu(Arc<CpuShared>),
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

impl Device {
    /// The device that `selector` names: `cpu`, `auto` (a hardware adapter if there is one, else the processor), `gpu`,
    /// `gpu:N` or part of an adapter's name. `threads` counts for the processor only.
    ///
    /// # Errors
    /// [`crate::Error::NoDevice`] if there is none, [`crate::Error::Driver`] if it does not open.
    pub fn select(selector: &str, threads: usize) -> Result<Self> {
        Self::select_with(selector, threads, Tuning::default())
    }

    /// As [`Device::select`], an adapter opened in another way.
    ///
    /// # Errors
    /// As [`Device::select`].
    pub fn select_with(selector: &str, threads: usize, tuning: Tuning) -> Result<Self> {
        let cpu = Self::Cpu { threads: threads.max(1) };
        match selector {
            "cpu" => Ok(cpu),
            "auto" => Ok(GpuDevice::open("gpu", tuning).map_or(cpu, Self::Gpu)),
            _ => GpuDevice::open(selector, tuning).map(Self::Gpu),
        }
    }

    /// Every device of this machine, the processor first.
    pub fn list(threads: usize) -> Vec<DeviceInfo> {
        let mut devices = vec![crate::cpu::info(threads)];
        devices.extend(crate::gpu::list());
        devices
    }

    /// This device, as [`Device::list`] has it.
    pub fn info(&self) -> DeviceInfo {
        match self {
            Self::Cpu { threads } => crate::cpu::info(*threads),
            Self::Gpu(device) => crate::gpu::list()
                .into_iter()
                .find(|info| info.name == device.name())
                .unwrap_or_else(|| DeviceInfo { name: device.name().to_owned(), ..crate::cpu::info(1) }),
        }
    }

    /// What the device's tuner took for the matrix products of its programs, as JSON: variants by class of product; none if
    /// it took nothing.
    pub fn tuned(&self) -> Option<String> {
        match self {
            Self::Cpu { .. } => None,
            Self::Gpu(device) => device.tuned(),
        }
    }

    /// Checks that the device computes in a precision.
    ///
    /// # Errors
    /// [`Error::Precision`] if it does not.
    pub fn check_precision(&self, precision: Precision) -> Result<()> {
        let (device, able) = match self {
            Self::Cpu { .. } => ("cpu", false),
            Self::Gpu(device) => (device.name(), device.has_f16()),
        };
        match precision {
            Precision::F16 if !able => {
                Err(Error::Precision { device: device.to_owned(), precision: precision.name() })
            }
            _ => Ok(()),
        }
    }

    /// Whether this is the processor.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu { .. })
    }

    /// Most elements that one arena can have: the device's largest buffer, a multiple of [`crate::ALIGNMENT`].
    pub fn max_arena(&self) -> usize {
        match self {
            Self::Cpu { .. } => usize::MAX,
            Self::Gpu(device) => device.max_arena(),
        }
    }

    /// Copies read-only data to the device.
    pub fn upload(&self, data: &[f32]) -> Result<SharedArena> {
        match self {
            Self::Cpu { .. } => self.share(&Arc::new(data.to_vec())),
            Self::Gpu(device) => Ok(SharedArena::Gpu(Arc::new(device.upload(data)?))),
        }
    }

    /// As [`Self::upload`]; the processor reads the data where it is.
    pub fn share(&self, data: &Arc<Vec<f32>>) -> Result<SharedArena> {
        match self {
            Self::Cpu { .. } => Ok(SharedArena::Cpu(Arc::new(CpuShared::new(data.clone())))),
            Self::Gpu(_) => self.upload(data),
        }
    }

    /// Checks a program and makes it ready to run: `shared` holds the arenas that [`crate::Arena::Shared`] numbers,
    /// `threads` is how many threads of rayon's current pool one launch may spread over (1: none but the caller's).
    ///
    /// # Errors
    /// [`Error::Shape`] if the spec does not fit together, [`Error::OutOfMemory`] if its arenas do not fit,
    /// [`Error::Precision`] if the device does not compute in the spec's precision.
    pub fn program(&self, spec: &ProgramSpec, shared: &[SharedArena], threads: usize) -> Result<Program> {
        spec.check()?;
        self.check_precision(spec.precision)?;
        match self {
            Self::Cpu { .. } => {
                let shared = collect(shared, |arena| match arena {
                    SharedArena::Cpu(memory) => Some(memory.clone()),
                    SharedArena::Gpu(_) => None,
                })?;
                CpuProgram::new(spec, &shared, threads).map(Program::Cpu)
            }
            Self::Gpu(device) => {
                let shared = collect(shared, |arena| match arena {
                    SharedArena::Gpu(buffer) => Some(buffer.clone()),
                    SharedArena::Cpu(_) => None,
                })?;
                GpuProgram::new(device, spec, &shared).map(Program::Gpu)
            }
        }
    }
}

fn collect<T>(shared: &[SharedArena], own: impl Fn(&SharedArena) -> Option<T>) -> Result<Vec<T>> {
    let found: Option<Vec<T>> = shared.iter().map(own).collect();
    found.ok_or_else(|| shape("program", "shared arenas", "one of another device", "arenas of this device"))
}

impl Program {
    /// Copies `data` into a private arena at `span`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the span does not lie in a private arena or `data` has another length.
    pub fn write(&mut self, span: Span, data: &[f32]) -> Result<()> {
        match self {
            Self::Cpu(program) => program.write(span, data),
            Self::Gpu(program) => program.write(span, data),
        }
    }

    /// Copies `span` into `data`, after everything that was run before.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the span does not lie in an arena or `data` has another length.
    pub fn read(&mut self, span: Span, data: &mut [f32]) -> Result<()> {
        match self {
            Self::Cpu(program) => program.read(span, data),
            Self::Gpu(program) => program.read(span, data),
        }
    }

    /// Runs a phase `times` times.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if there is no such phase; whatever the device fails with.
    pub fn run(&mut self, phase: usize, times: usize) -> Result<()> {
        match self {
            Self::Cpu(program) => program.run(phase, times),
            Self::Gpu(program) => program.run(phase, times),
        }
    }

    /// Runs a phase once and measures every kernel: op names and nanoseconds, in order; empty on an adapter without timestamps.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn profile(&mut self, phase: usize) -> Result<Vec<(&'static str, f64)>> {
        match self {
            Self::Cpu(program) => program.profile(phase),
            Self::Gpu(program) => program.profile(phase),
        }
    }
}
