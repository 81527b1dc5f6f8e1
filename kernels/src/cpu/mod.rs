//! The CPU executor: runs a program's launches in order, each on one thread or spread over several.

use std::sync::Arc;

use crate::{Arena, ProgramSpec, Result, Span};

/// What an op may use besides its operands.
#[derive(Debug, Default)]
pub struct Context {
    /// Threads that the op may spread over (rayon's current pool); 1 means none but its own.
    pub threads: usize,
    /// Scratch memory that stays allocated between launches; its contents are arbitrary.
    pub scratch: Vec<f32>,
}

/// Memory aligned for vector loads.
#[derive(Debug)]
pub(crate) struct Memory(Vec<[f32; 16]>);

/// A program on the CPU.
#[derive(Debug)]
pub struct CpuProgram {
    spec: ProgramSpec,
    arenas: Vec<CpuArena>,
    context: Context,
}

#[derive(Debug)]
enum CpuArena {
    Shared(Arc<Vec<f32>>),
    Private(Vec<f32>),
}
