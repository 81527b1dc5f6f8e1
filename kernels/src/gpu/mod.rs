//! The GPU executor: wgpu adapters, cached pipelines, arenas, many launches a submit.

mod adapters;
mod device;
mod dispatch;
mod files;
mod halves;
pub(crate) mod launch;
mod matrices;
mod pipelines;
mod program;
mod readback;
mod subgroups;
mod template;
mod timing;
mod tuner;

pub use adapters::list;
pub use device::{GpuBuffer, GpuDevice, Tuning};
pub use launch::{Product, Variant};
pub use program::GpuProgram;
pub use subgroups::kernel as subgroup_check;

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
    /// Neighbouring invocations that are in one subgroup for sure, a power of 2; 1 where none are known to be.
    pub subgroup: u32,
    /// What the adapter's matrix units multiply, if they can be used.
    pub matrix: Option<Matrix>,
    /// In what the operands of products are multiplied.
    pub operands: Operands,
    /// How matrix products are computed, if that was found out by measuring.
    pub product: Option<Variant>,
}

impl Adapter {
    /// A hardware adapter with the least that any Vulkan, Metal or DX12 driver has.
    pub const HARDWARE: Self = Self {
        software: false,
        max_workgroups: 65_535,
        workgroup_memory: 16_384,
        max_invocations: 256,
        max_storage_buffers: 8,
        subgroup: 1,
        matrix: None,
        operands: Operands::F32,
        product: None,
    };

    /// A software rasteriser.
    pub const SOFTWARE: Self = Self { software: true, ..Self::HARDWARE };
}

/// Matrix units: a subgroup multiplies square f16 tiles with f32 sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Side of a tile, 8 or 16.
    pub side: usize,
    /// Invocations of a subgroup.
    pub lanes: usize,
}

/// In what the operands of a product are multiplied, and how its weights lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// f32.
    F32,
    /// Rounded to f16 when they are read.
    Rounded,
    /// The same, of weights ([`Product::weights`]) that lie in memory as f16.
    Kept,
}

/// Where a binding of a kernel points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The op's input `i`.
    Input(usize),
    /// The op's input `i`, kept as f16.
    Half(usize),
    /// The op's output `i`.
    Output(usize),
    /// Memory of so many elements between the kernels of one launch; its contents are arbitrary before.
    Scratch(usize),
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
