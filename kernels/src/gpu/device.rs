//! An opened adapter: its queue, its pipelines, its memory, and what became of its errors.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::adapters::{self, MOST_BINDING};
use super::pipelines::Pipelines;
use super::subgroups;
use super::tuner::Tuner;
use super::{Adapter, Matrix, Variant};
use crate::{Error, Result};

/// How a device is opened: where it keeps what took time to find out, and, for tests and measurements, what is taken to be
/// otherwise than it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Takes the kernels for software adapters, or those for hardware, whatever the adapter is.
    pub software: Option<bool>,
    /// Keeps the shader compiler's checks of bounds, loops and divisions.
    pub checked: bool,
    /// Takes the adapter to allow no more workgroups along an axis than this.
    pub max_workgroups: Option<u32>,
    /// Whether the ways to compute a matrix product are measured; by default on hardware only.
    pub tune: Option<bool>,
    /// Whether reductions exchange numbers within subgroups; by default wherever that was found to work, on hardware.
    pub subgroups: Option<bool>,
    /// Computes every matrix product in this way.
    pub product: Option<Variant>,
    /// A folder for what later runs can use again: compiled kernels and their timings. Nothing is kept without one.
    pub cache: Option<PathBuf>,
}

/// An opened adapter.
#[derive(Debug)]
pub struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) adapter: Adapter,
    pub(super) max_binding: u64,
    pub(super) state: Arc<State>,
    name: String,
    limits: wgpu::Limits,
    pub(super) tuning: Tuning,
    pub(super) pipelines: Pipelines,
    pub(super) tuner: Tuner,
    /// Matrix units that the adapter lists.
    pub(super) listed: Option<Matrix>,
    /// The same once they were tried, none if they failed.
    pub(super) tried: OnceLock<Option<Matrix>>,
}

/// Read-only data in an adapter's memory.
#[derive(Debug)]
pub struct GpuBuffer {
    pub(super) buffer: wgpu::Buffer,
    /// Elements.
    pub(super) len: usize,
    /// The same as f16, once a program asked for it.
    pub(super) halves: Mutex<Option<wgpu::Buffer>>,
}

/// What went wrong outside of any call.
#[derive(Debug, Default)]
pub(super) struct State {
    lost: Mutex<Option<String>>,
    failed: Mutex<Option<String>>,
}

/// A poisoned lock only says that another thread panicked; the data behind ours is always whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GpuDevice {
    /// Opens the adapter that `selector` names, with its own limits and the features that percuss can use.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if there is none, [`Error::Driver`] if it does not open.
    pub fn open(selector: &str, tuning: Tuning) -> Result<Arc<Self>> {
        let chosen = adapters::select(adapters::enumerate(), selector)?;
        let name = chosen.get_info().name;
        let limits = chosen.limits();
        let request = chosen.request_device(&wgpu::DeviceDescriptor {
            label: Some("percuss"),
            required_features: adapters::features(&chosen),
            required_limits: limits.clone(),
            // SAFETY: of what is experimental only matrix units are asked for, where the adapter lists them, and only kernels of
            // ours use them, each in the shape that the adapter lists.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|error| Error::Driver { device: name.clone(), reason: error.to_string() })?;
        let state = Arc::new(State::default());
        let lost = Arc::clone(&state);
        device.set_device_lost_callback(move |reason, words| {
            lock(&lost.lost).get_or_insert_with(|| format!("{reason:?}: {words}"));
        });
        let failed = Arc::clone(&state);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&failed.failed).get_or_insert_with(|| error.to_string());
        }));
        let software = tuning.software.unwrap_or(adapters::is_software(&chosen));
        let mut adapter = Adapter::new(&limits, software);
        adapter.max_workgroups = tuning.max_workgroups.unwrap_or(u32::MAX).min(adapter.max_workgroups);
        adapter.product = tuning.product;
        let (info, cache) = (chosen.get_info(), tuning.cache.as_deref());
        let pipelines = Pipelines::open(&device, &info, cache);
        // The kernels for software adapters come in one variant.
        let tune =
            !software && tuning.product.is_none() && tuning.tune.unwrap_or(!adapters::is_software(&chosen));
        let tuner = Tuner::open(tune, &info, cache);
        let subgroups = tuning.subgroups.unwrap_or(!software) && !software;
        let mut opened = Self {
            device,
            queue,
            adapter,
            max_binding: limits.max_storage_buffer_binding_size.min(MOST_BINDING),
            state,
            name,
            limits,
            tuning,
            pipelines,
            tuner,
            listed: None,
            tried: OnceLock::new(),
        };
        if subgroups {
            opened.adapter.subgroup = subgroups::width(&opened, info.subgroup_min_size);
            opened.listed = adapters::matrix(&chosen)
                .filter(|matrix| subgroups::width(&opened, matrix.lanes as u32) as usize == matrix.lanes);
        }
        Ok(Arc::new(opened))
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What ops are told of the adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Whether shaders compute with 16-bit floats.
    pub fn has_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// What the tuner took for the products of this device's programs, as JSON; none if it took nothing.
    pub fn tuned(&self) -> Option<String> {
        self.tuner.used()
    }

    /// Bytes of which a binding's offset must be a multiple.
    pub(super) fn offset_alignment(&self) -> u64 {
        u64::from(self.limits.min_storage_buffer_offset_alignment)
    }

    /// Most elements that one operand can have.
    pub fn max_span(&self) -> usize {
        (self.max_binding / 4) as usize
    }

    /// Most elements of one buffer.
    pub fn max_arena(&self) -> usize {
        let elements = usize::try_from(self.limits.max_buffer_size / 4).unwrap_or(usize::MAX);
        elements - elements % crate::ALIGNMENT
    }

    /// Whether [`super::GpuProgram::profile`] works.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Destroys the device as a driver reset does; every later call fails with [`Error::Lost`]. For tests.
    pub fn destroy(&self) {
        self.device.destroy();
        // The driver's own callback comes only with the next poll.
        let _ = self.device.poll(wgpu::PollType::Poll);
        lock(&self.state.lost).get_or_insert_with(|| "destroyed".to_owned());
    }

    /// Copies read-only data to the adapter.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if it does not fit.
    pub fn upload(&self, data: &[f32]) -> Result<GpuBuffer> {
        let buffer = self.buffer(data.len())?;
        self.fill(&buffer, 0, data)?;
        Ok(GpuBuffer { buffer, len: data.len(), halves: Mutex::default() })
    }

    /// Copies data into a buffer from element `start` on, in pieces that bound the staging memory.
    pub(super) fn fill(&self, buffer: &wgpu::Buffer, start: usize, data: &[f32]) -> Result<()> {
        const PIECE: usize = 1 << 24;
        self.scoped(data.len() as u64 * 4, || {
            for (i, piece) in data.chunks(PIECE).enumerate() {
                let offset = (start + i * PIECE) as u64 * 4;
                self.queue.write_buffer(buffer, offset, bytemuck::cast_slice(piece));
                if data.len() > PIECE {
                    self.queue.submit([]);
                    let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
                }
            }
        })
    }

    /// Zeroed memory of `len` elements.
    pub(super) fn buffer(&self, len: usize) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.allocate(len.max(4) as u64 * 4, usage)
    }

    /// A buffer of so many bytes.
    pub(super) fn allocate(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        if bytes > self.limits.max_buffer_size {
            return Err(self.out_of_memory(bytes));
        }
        self.scoped(bytes, || {
            let descriptor =
                wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
            self.device.create_buffer(&descriptor)
        })
    }

    pub(super) fn out_of_memory(&self, bytes: u64) -> Error {
        Error::OutOfMemory { device: self.name.clone(), bytes }
    }

    pub(super) fn driver(&self, reason: impl ToString) -> Error {
        Error::Driver { device: self.name.clone(), reason: reason.to_string() }
    }

    /// Fails if the device was lost, or if something failed unseen since the last call.
    pub(super) fn alive(&self) -> Result<()> {
        if let Some(reason) = lock(&self.state.lost).clone() {
            return Err(Error::Lost { device: self.name.clone(), reason });
        }
        match lock(&self.state.failed).take() {
            Some(reason) => Err(self.driver(reason)),
            None => Ok(()),
        }
    }

    /// Runs `work` and turns what the driver complains of into an error; `bytes` is what the work asks memory for.
    pub(super) fn scoped<T>(&self, bytes: u64, work: impl FnOnce() -> T) -> Result<T> {
        self.alive()?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let invalid = pollster::block_on(validation.pop());
        let failed = pollster::block_on(internal.pop());
        let full = pollster::block_on(memory.pop());
        self.alive()?;
        if full.is_some() {
            return Err(self.out_of_memory(bytes));
        }
        match invalid.or(failed) {
            Some(error) => Err(self.driver(error)),
            None => Ok(result),
        }
    }

    /// Waits for a submission, or for all.
    pub(super) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        self.alive()?;
        polled.map(|_| ()).map_err(|error| self.driver(error))
    }
}
