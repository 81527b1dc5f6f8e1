//! Launches made ready: pipelines and bind groups over arenas.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, GpuBuffer, GpuDevice, Kernel, Operands};
use crate::program::shape;
use crate::{Arena, Launch, Precision, Result, Span};

/// An arena on the adapter.
#[derive(Debug)]
pub(super) struct GpuArena {
    pub(super) buffer: wgpu::Buffer,
    pub(super) len: usize,
    pub(super) private: bool,
    /// The same as f16, of an arena of weights in a program that computes so.
    pub(super) halves: Option<wgpu::Buffer>,
}

/// A kernel that is ready to go.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) op: &'static str,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
    pub(super) operations: u64,
}

impl Dispatch {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(self.workgroups[0], self.workgroups[1], self.workgroups[2]);
    }
}

/// The memory of an arena.
///
/// # Errors
/// `Error::OutOfMemory`; `Error::Shape` if a shared arena is missing or short.
pub(super) fn allocate(
    device: &GpuDevice,
    arena: &Arena,
    shared: &[Arc<GpuBuffer>],
    precision: Precision,
) -> Result<GpuArena> {
    match *arena {
        Arena::Private(len) => Ok(GpuArena { buffer: device.buffer(len)?, len, private: true, halves: None }),
        Arena::Shared(index, len) => match shared.get(index) {
            Some(data) if data.len >= len => {
                let halves = (precision == Precision::F16).then(|| device.halves(data)).transpose()?;
                Ok(GpuArena { buffer: data.buffer.clone(), len, private: false, halves })
            }
            found => {
                let found = found.map_or(0, |data| data.len);
                Err(shape("program", format!("shared arena {index}"), found, format!("{len} elements")))
            }
        },
    }
}

/// Elements of scratch that a kernel binds.
pub(super) fn scratch(kernel: &Kernel) -> usize {
    let lens = kernel.bindings.iter().map(|binding| match binding {
        Binding::Scratch(len) => *len,
        Binding::Input(_) | Binding::Half(_) | Binding::Output(_) => 0,
    });
    lens.max().unwrap_or(0)
}

/// Makes dispatches, sharing the bind groups that are equal.
pub(super) struct Maker<'a> {
    device: &'a GpuDevice,
    arenas: &'a [GpuArena],
    scratch: Option<wgpu::Buffer>,
    groups: HashMap<Vec<Place>, wgpu::BindGroup>,
}

/// What a binding covers: the arena (the scratch buffer has the number after the last), offset and length in elements, and
/// whether it is the arena's copy as f16.
type Place = (usize, usize, usize, bool);

impl<'a> Maker<'a> {
    /// One for programs over `arenas`.
    pub(super) fn new(device: &'a GpuDevice, arenas: &'a [GpuArena]) -> Self {
        Self { device, arenas, scratch: None, groups: HashMap::new() }
    }

    /// Allocates so many elements of scratch memory, before any launch that needs them.
    pub(super) fn make_room(&mut self, len: usize) -> Result<()> {
        self.scratch = (len > 0).then(|| self.device.buffer(len)).transpose()?;
        Ok(())
    }

    /// Zeroes the private arenas, as a program finds them.
    pub(super) fn clear(&self) {
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        for arena in self.arenas.iter().filter(|arena| arena.private) {
            encoder.clear_buffer(&arena.buffer, 0, None);
        }
        self.device.queue.submit([encoder.finish()]);
    }

    /// The dispatches of a launch.
    pub(super) fn launch(&mut self, launch: &Launch, kernels: &[Kernel]) -> Result<Vec<Dispatch>> {
        let dispatch = |kernel: &Kernel| {
            Ok(Dispatch {
                op: launch.op.name(),
                pipeline: self.device.pipeline(kernel)?,
                bindings: self.group(launch, kernel)?,
                workgroups: kernel.workgroups,
                operations: launch.op.flops() / kernels.len() as u64,
            })
        };
        kernels.iter().map(dispatch).collect()
    }

    fn group(&mut self, launch: &Launch, kernel: &Kernel) -> Result<wgpu::BindGroup> {
        let of_span = |span: &Span, half| (span.arena, span.offset, span.len, half);
        let places: Vec<Place> = kernel
            .bindings
            .iter()
            .map(|binding| match *binding {
                Binding::Input(i) => of_span(&launch.inputs[i], false),
                Binding::Half(i) => of_span(&launch.inputs[i], true),
                Binding::Output(i) => of_span(&launch.outputs[i], false),
                Binding::Scratch(len) => (self.arenas.len(), 0, len, false),
            })
            .collect();
        if let Some(group) = self.groups.get(&places) {
            return Ok(group.clone());
        }
        let group = self.device.scoped(0, || self.create(&places))?;
        self.groups.insert(places, group.clone());
        Ok(group)
    }

    fn create(&self, places: &[Place]) -> wgpu::BindGroup {
        let entries: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(binding, &(arena, offset, len, half))| {
                let width = if half { 2 } else { 4 };
                wgpu::BindGroupEntry {
                    binding: binding as u32,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: self.memory(arena, half),
                        offset: offset as u64 * width,
                        size: std::num::NonZeroU64::new((len as u64 * width).next_multiple_of(4)),
                    }),
                }
            })
            .collect();
        self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.device.layout(places.len()),
            entries: &entries,
        })
    }

    fn memory(&self, arena: usize, half: bool) -> &wgpu::Buffer {
        match self.arenas.get(arena) {
            Some(arena) if half => arena.halves.as_ref().unwrap_or(&arena.buffer),
            Some(arena) => &arena.buffer,
            None => self.scratch.as_ref().unwrap_or_else(|| unreachable!("scratch without room")),
        }
    }

    /// How a launch's operands are multiplied in a precision: weights are read as f16 where they are kept so.
    pub(super) fn operands(&self, launch: &Launch, precision: Precision) -> Operands {
        let aligned = |span: &&Span| {
            (span.offset as u64 * 2).is_multiple_of(self.device.offset_alignment())
                && self.arenas[span.arena].halves.is_some()
        };
        let weights = launch.op.product().and_then(|product| product.weights);
        match (precision, weights.and_then(|input| launch.inputs.get(input)).filter(aligned)) {
            (Precision::F32, _) => Operands::F32,
            (Precision::F16, None) => Operands::Rounded,
            (Precision::F16, Some(_)) => Operands::Kept,
        }
    }
}
