//! A program on a GPU: every launch's pipeline and bind group made once, then dispatched in few submits.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dispatch::{Dispatch, GpuArena, Maker, allocate, scratch};
use super::readback::Staging;
use super::timing::tune;
use super::{Adapter, GpuBuffer, GpuDevice, Kernel};
use crate::program::shape;
use crate::{Launch, Precision, ProgramSpec, Result, Span};

/// Dispatches a submit at most.
const LAUNCHES: usize = 512;
/// Floating-point operations a submit, unless one launch has more: a tenth of a second or so, so that no driver's watchdog
/// fires and a keyboard interrupt is seen soon.
const OPERATIONS: u64 = 200_000_000_000;
/// Submits in flight.
const IN_FLIGHT: usize = 3;

/// A program on a GPU.
#[derive(Debug)]
pub struct GpuProgram {
    device: Arc<GpuDevice>,
    arenas: Vec<GpuArena>,
    phases: Vec<Vec<Dispatch>>,
    staging: Staging,
}

impl GpuProgram {
    /// Allocates the arenas and compiles every kernel; `spec` has been checked.
    ///
    /// # Errors
    /// `Error::OutOfMemory` if the arenas do not fit or an operand is larger than a binding can be, `Error::Shape` if a
    /// shared arena is missing or short, `Error::Driver` if a kernel is refused.
    pub(crate) fn new(
        device: &Arc<GpuDevice>,
        spec: &ProgramSpec,
        shared: &[Arc<GpuBuffer>],
    ) -> Result<Self> {
        let matrix = (spec.precision == Precision::F16).then(|| device.matrix()).flatten();
        Self::with(device, spec, shared, &Adapter { matrix, ..device.adapter.clone() })
    }

    /// As [`GpuProgram::new`], with kernels for such an adapter.
    pub(super) fn with(
        device: &Arc<GpuDevice>,
        spec: &ProgramSpec,
        shared: &[Arc<GpuBuffer>],
        adapter: &Adapter,
    ) -> Result<Self> {
        for launch in spec.phases.iter().flatten() {
            check_bindings(device, launch)?;
        }
        let arenas = spec
            .arenas
            .iter()
            .map(|arena| allocate(device, arena, shared, spec.precision))
            .collect::<Result<Vec<_>>>()?;
        let mut maker = Maker::new(device, &arenas);
        let own =
            |launch: &Launch| Adapter { operands: maker.operands(launch, spec.precision), ..adapter.clone() };
        let plain: Vec<(Adapter, Vec<Kernel>)> = spec
            .phases
            .iter()
            .flatten()
            .map(|launch| {
                let adapter = own(launch);
                let kernels = launch.op.gpu(&adapter);
                (adapter, kernels)
            })
            .collect();
        maker.make_room(plain.iter().flat_map(|(_, kernels)| kernels).map(scratch).max().unwrap_or(0))?;
        let mut kernels = tune(device, &mut maker, spec, plain)?.into_iter();
        let all: Vec<&Kernel> = kernels.as_slice().iter().flatten().collect();
        device.compile_all(&all)?;
        let mut phase = |phase: &Vec<Launch>| {
            let dispatches =
                phase.iter().zip(kernels.by_ref()).map(|(launch, kernels)| maker.launch(launch, &kernels));
            Ok(dispatches.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let phases = spec.phases.iter().map(&mut phase).collect::<Result<Vec<_>>>()?;
        Ok(Self { device: Arc::clone(device), arenas, phases, staging: Staging::default() })
    }

    /// Copies `data` into a private arena at `span`.
    ///
    /// # Errors
    /// `Error::Shape` if the span does not lie in a private arena or `data` has another length.
    pub fn write(&mut self, span: Span, data: &[f32]) -> Result<()> {
        let arena = self.place(span, data.len())?;
        if !arena.private {
            return Err(shape("write", "arena", "a shared one", "a private one"));
        }
        self.device.fill(&arena.buffer, span.offset, data)
    }

    /// Copies `span` into `data`, after everything that was run before.
    ///
    /// # Errors
    /// `Error::Shape` if the span does not lie in an arena or `data` has another length.
    pub fn read(&mut self, span: Span, data: &mut [f32]) -> Result<()> {
        let buffer = self.place(span, data.len())?.buffer.clone();
        self.staging.read(&self.device, &buffer, span.offset, data)
    }

    /// Runs a phase `times` times: as many launches a submit as is wise, nothing read back.
    ///
    /// # Errors
    /// `Error::Shape` if there is no such phase, `Error::Lost` if the device went away, `Error::OutOfMemory`.
    pub fn run(&mut self, phase: usize, times: usize) -> Result<()> {
        let dispatches = self.phase(phase)?;
        let device = &self.device;
        let mut queue = (0..times).flat_map(|_| dispatches).peekable();
        let mut in_flight = VecDeque::new();
        while queue.peek().is_some() {
            let submission = device.scoped(0, || {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                let mut pass = encoder.begin_compute_pass(&Default::default());
                let (mut launches, mut operations) = (0, 0);
                while launches < LAUNCHES && operations < OPERATIONS {
                    let Some(dispatch) = queue.next() else { break };
                    dispatch.record(&mut pass);
                    launches += 1;
                    operations += dispatch.operations;
                }
                drop(pass);
                device.queue.submit([encoder.finish()])
            })?;
            in_flight.push_back(submission);
            if in_flight.len() > IN_FLIGHT {
                device.wait(in_flight.pop_front())?;
            }
        }
        device.alive()
    }

    /// Runs a phase once and measures every kernel: op names and nanoseconds, in order; empty where the adapter has no
    /// timestamps.
    ///
    /// # Errors
    /// As [`GpuProgram::run`].
    pub fn profile(&mut self, phase: usize) -> Result<Vec<(&'static str, f64)>> {
        const QUERIES: usize = 2048;
        if !self.device.has_timestamps() {
            self.run(phase, 1)?;
            return Ok(vec![]);
        }
        self.phase(phase)?;
        let device = &self.device;
        let period = f64::from(device.queue.get_timestamp_period());
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.allocate(QUERIES as u64 * 8, usage)?;
        let mut times = vec![];
        for chunk in self.phases[phase].chunks(QUERIES / 2) {
            device.scoped(0, || measure(device, chunk, &resolved))?;
            let mut ticks = vec![0_u64; 2 * chunk.len()];
            self.staging.read(device, &resolved, 0, &mut ticks)?;
            let spans = ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period);
            times.extend(chunk.iter().map(|dispatch| dispatch.op).zip(spans));
        }
        Ok(times)
    }

    fn phase(&self, phase: usize) -> Result<&[Dispatch]> {
        self.phases
            .get(phase)
            .map(Vec::as_slice)
            .ok_or_else(|| shape("program", "phase", phase, format!("one of {}", self.phases.len())))
    }

    fn place(&self, span: Span, len: usize) -> Result<&GpuArena> {
        let fits = |arena: &&GpuArena| {
            span.offset.checked_add(span.len).is_some_and(|end| end <= arena.len) && span.len == len
        };
        self.arenas.get(span.arena).filter(fits).ok_or_else(|| {
            let room = self.arenas.get(span.arena).map_or(0, |arena| arena.len);
            shape("copy", "span", format!("{span:?}"), format!("{len} elements within an arena of {room}"))
        })
    }
}

fn measure(device: &GpuDevice, chunk: &[Dispatch], resolved: &wgpu::Buffer) {
    let count = 2 * chunk.len() as u32;
    let queries = device.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: None,
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let mut encoder = device.device.create_command_encoder(&Default::default());
    for (i, dispatch) in chunk.iter().enumerate() {
        let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
            query_set: &queries,
            beginning_of_pass_write_index: Some(2 * i as u32),
            end_of_pass_write_index: Some(2 * i as u32 + 1),
        });
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
        dispatch.record(&mut encoder.begin_compute_pass(&descriptor));
    }
    encoder.resolve_query_set(&queries, 0..count, resolved, 0);
    device.queue.submit([encoder.finish()]);
}

/// An operand larger than a binding can be is refused like one that does not fit: fewer lanes make it smaller.
fn check_bindings(device: &GpuDevice, launch: &Launch) -> Result<()> {
    let largest = launch.inputs.iter().chain(&launch.outputs).map(|span| span.len as u64 * 4).max();
    match largest {
        Some(bytes) if bytes > device.max_binding => Err(device.out_of_memory(bytes)),
        _ => Ok(()),
    }
}
