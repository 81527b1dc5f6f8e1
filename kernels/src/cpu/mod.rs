//! The CPU executor: runs a program's launches in order, each on one thread or spread over several.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::program::shape;
use crate::{Arena, DeviceInfo, DeviceKind, Launch, ProgramSpec, Result, Span};

pub(crate) mod attention;
mod attention_rows;
mod elements;
pub(crate) mod images;
mod interpreter;
pub(crate) mod layer_norm;
pub(crate) mod math;
pub(crate) mod matrices;
mod memory;
mod panels;
mod passes;
mod product;
mod spread;
mod sums;
pub(crate) mod tiles;
pub(crate) mod tree;
pub(crate) mod winograd;
mod winograd_points;

pub(crate) use interpreter::interpret;
pub use memory::Memory;
pub(crate) use spread::{Disjoint, spread, spread_rows};

/// What an op may use besides its operands.
#[derive(Debug, Default)]
pub struct Context {
    /// Threads that the op may spread over (rayon's current pool); 1 means none but its own.
    pub threads: usize,
    /// Scratch memory that stays allocated between launches.
    pub scratch: Scratch,
    /// For every input, the output that is the very same memory ([`crate::ops::Operation::in_place`]); the input's slice
    /// is empty then. An input beyond the end has none.
    pub aliases: Vec<Option<usize>>,
    /// What [`crate::ops::Operation::prepare`] made of this launch's constant inputs.
    pub prepared: Option<Arc<Prepared>>,
    /// What this launch keeps from one run to the next.
    pub kept: Kept,
}

/// Tables that an op makes at its first run in a program and finds again at the next.
#[derive(Debug, Default)]
pub struct Kept(Option<Box<dyn Any + Send + Sync>>);

impl Kept {
    /// What `make` made at the first run of this launch.
    pub(crate) fn get<T: Any + Send + Sync>(&mut self, make: impl FnOnce() -> T) -> &T {
        if !self.0.as_ref().is_some_and(|kept| kept.is::<T>()) {
            self.0 = None;
        }
        let kept = self.0.get_or_insert_with(|| Box::new(make()));
        match kept.downcast_ref() {
            Some(kept) => kept,
            None => unreachable!("anything else was dropped above"),
        }
    }
}

impl Context {
    /// What convolutions need of it.
    pub(crate) fn room(&mut self) -> images::Room<'_> {
        let packed = self.prepared.as_ref().map(|prepared| prepared.0.as_slice());
        images::Room { threads: self.threads, scratch: &mut self.scratch, kept: &mut self.kept, packed }
    }
}

/// Memory that an op works in; its contents are arbitrary.
#[derive(Debug, Default)]
pub struct Scratch(Memory);

impl Scratch {
    /// At least `len` elements, aligned for vectors. Allocates only when a launch asks for more than any before it.
    pub(crate) fn take(&mut self, len: usize) -> &mut [f32] {
        self.0.grow(len);
        &mut self.0.as_mut_slice()[..len]
    }
}

/// What an op derives once from inputs that never change, such as packed weights.
#[derive(Debug)]
pub struct Prepared(pub Memory);

/// Read-only data, and what ops prepared of it, shared by every program that reads it.
#[derive(Debug)]
pub struct CpuShared {
    data: Arc<Vec<f32>>,
    prepared: Mutex<HashMap<(usize, String), Arc<Prepared>>>,
}

impl CpuShared {
    /// The data itself, not a copy.
    pub(crate) fn new(data: Arc<Vec<f32>>) -> Self {
        Self { data, prepared: Mutex::default() }
    }

    /// What `launch` prepares of its input at `offset`, made by the first program that asks.
    fn prepare(&self, launch: &Launch, input: usize) -> Option<Arc<Prepared>> {
        let span = launch.inputs[input];
        let key = (span.offset, launch.op.prepared_key(input)?);
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = prepared.get(&key) {
            return Some(found.clone());
        }
        let constant = &self.data[span.offset..span.offset + span.len];
        let made = Arc::new(Prepared(launch.op.prepare(input, constant)?));
        prepared.insert(key, made.clone());
        Some(made)
    }
}

/// A program on the CPU.
#[derive(Debug)]
pub struct CpuProgram {
    spec: ProgramSpec,
    phases: Vec<Vec<Bound>>,
    arenas: Vec<CpuArena>,
    context: Context,
}

#[derive(Debug)]
enum CpuArena {
    Shared(Arc<CpuShared>),
    Private(Memory),
}

/// A launch with its operands' addresses, so that running it allocates nothing.
#[derive(Debug)]
struct Bound {
    inputs: Vec<*const [f32]>,
    outputs: Vec<*mut [f32]>,
    aliases: Vec<Option<usize>>,
    prepared: Option<Arc<Prepared>>,
    kept: Kept,
}

impl Bound {
    fn run(&mut self, launch: &Launch, context: &mut Context) {
        std::mem::swap(&mut context.aliases, &mut self.aliases);
        std::mem::swap(&mut context.prepared, &mut self.prepared);
        std::mem::swap(&mut context.kept, &mut self.kept);
        let inputs = &raw const *self.inputs.as_slice() as *const [&[f32]];
        let outputs = &raw mut *self.outputs.as_mut_slice() as *mut [&mut [f32]];
        // SAFETY: a reference and a raw pointer to a slice have one layout. The pointers lead into live arenas (see
        // `bind`), nobody else reads or writes those while the program is borrowed mutably (shared arenas are never
        // written), and `ProgramSpec::check` found that no output overlaps another output or an input, but for
        // inputs that are exactly an output, which `bind` replaced by empty slices.
        let (inputs, outputs) = unsafe { (&*inputs, &mut *outputs) };
        launch.op.cpu(inputs, outputs, context);
        std::mem::swap(&mut context.aliases, &mut self.aliases);
        std::mem::swap(&mut context.prepared, &mut self.prepared);
        std::mem::swap(&mut context.kept, &mut self.kept);
    }
}

// SAFETY: the pointers of `phases` lead into `arenas`, which the program owns (or shares read-only), and are used by
// `run` alone, under `&mut self`.
unsafe impl Send for CpuProgram {}
// SAFETY: as above; `&CpuProgram` gives no access to the arenas' contents.
unsafe impl Sync for CpuProgram {}

impl CpuProgram {
    /// The spec has been checked.
    pub(crate) fn new(spec: &ProgramSpec, shared: &[Arc<CpuShared>], threads: usize) -> Result<Self> {
        let mut arenas = Vec::new();
        for arena in &spec.arenas {
            arenas.push(match *arena {
                Arena::Private(len) => CpuArena::Private(Memory::zeroed(len)?),
                Arena::Shared(index, len) => {
                    let found = shared.get(index).map_or(0, |arena| arena.data.len());
                    if found < len {
                        return Err(shape("program", format!("shared arena {index}"), found, len));
                    }
                    CpuArena::Shared(shared[index].clone())
                }
            });
        }
        let phases = spec
            .phases
            .iter()
            .map(|phase| phase.iter().map(|launch| bind(launch, &mut arenas)).collect())
            .collect();
        let context = Context { threads: threads.max(1), ..Context::default() };
        Ok(Self { spec: spec.clone(), phases, arenas, context })
    }

    /// Runs a phase `times` times.
    pub(crate) fn run(&mut self, phase: usize, times: usize) -> Result<()> {
        let (Some(launches), Some(bounds)) = (self.spec.phases.get(phase), self.phases.get_mut(phase)) else {
            return Err(shape("program", "phase", phase, format!("less than {}", self.spec.phases.len())));
        };
        for _ in 0..times {
            for (launch, bound) in launches.iter().zip(bounds.iter_mut()) {
                bound.run(launch, &mut self.context);
            }
        }
        Ok(())
    }

    /// Runs a phase once and measures every launch: op names and nanoseconds, in order.
    pub(crate) fn profile(&mut self, phase: usize) -> Result<Vec<(&'static str, f64)>> {
        self.run(phase, 0)?;
        let measure = |(launch, bound): (&Launch, &mut Bound)| {
            let began = Instant::now();
            bound.run(launch, &mut self.context);
            (launch.op.name(), began.elapsed().as_nanos() as f64)
        };
        Ok(self.spec.phases[phase].iter().zip(self.phases[phase].iter_mut()).map(measure).collect())
    }

    /// Copies `data` to `span` of a private arena.
    pub(crate) fn write(&mut self, span: Span, data: &[f32]) -> Result<()> {
        let place = match self.arenas.get_mut(span.arena) {
            Some(CpuArena::Private(memory)) => span
                .offset
                .checked_add(span.len)
                .and_then(|end| memory.as_mut_slice().get_mut(span.offset..end)),
            _ => None,
        };
        match place {
            Some(place) if place.len() == data.len() => {
                place.copy_from_slice(data);
                Ok(())
            }
            _ => Err(misplaced("write", span, data.len())),
        }
    }

    /// Copies `span` to `data`.
    pub(crate) fn read(&self, span: Span, data: &mut [f32]) -> Result<()> {
        let memory = self.arenas.get(span.arena).map_or(&[][..], |arena| match arena {
            CpuArena::Private(memory) => memory.as_slice(),
            CpuArena::Shared(shared) => shared.data.as_slice(),
        });
        let place = span.offset.checked_add(span.len).and_then(|end| memory.get(span.offset..end));
        match place {
            Some(place) if place.len() == data.len() => {
                data.copy_from_slice(place);
                Ok(())
            }
            _ => Err(misplaced("read", span, data.len())),
        }
    }

    /// Fills every element of the private arenas that belongs to no operand with NaN, so that a launch which reads
    /// past its operands shows.
    pub fn poison_gaps(&mut self) {
        let operands: Vec<Span> = self
            .spec
            .phases
            .iter()
            .flatten()
            .flat_map(|launch| launch.inputs.iter().chain(&launch.outputs))
            .copied()
            .collect();
        for (index, arena) in self.arenas.iter_mut().enumerate() {
            let CpuArena::Private(memory) = arena else { continue };
            let mut used = vec![false; memory.len()];
            for span in operands.iter().filter(|span| span.arena == index) {
                used[span.offset..span.offset + span.len].fill(true);
            }
            let gaps = memory.as_mut_slice().iter_mut().zip(&used).filter(|(_, used)| !**used);
            gaps.for_each(|(value, _)| *value = f32::NAN);
        }
    }
}

fn misplaced(what: &str, span: Span, len: usize) -> crate::Error {
    shape(
        "program",
        what,
        format!("{span:?} with {len} elements"),
        "a place of that length in a writable arena",
    )
}

/// Resolves operands to addresses; the spec has been checked, so every span lies in its arena.
fn bind(launch: &Launch, arenas: &mut [CpuArena]) -> Bound {
    let mut outputs = Vec::new();
    for span in &launch.outputs {
        if let CpuArena::Private(memory) = &mut arenas[span.arena] {
            outputs.push(memory.span(span.offset, span.len));
        }
    }
    let alias = |span: &Span| launch.outputs.iter().position(|output| output == span);
    let aliases: Vec<_> = launch.inputs.iter().map(alias).collect();
    let mut inputs: Vec<*const [f32]> = Vec::new();
    for (span, alias) in launch.inputs.iter().zip(&aliases) {
        inputs.push(match (&mut arenas[span.arena], alias) {
            (_, Some(_)) => std::ptr::slice_from_raw_parts(std::ptr::NonNull::dangling().as_ptr(), 0),
            (CpuArena::Private(memory), None) => memory.span(span.offset, span.len),
            (CpuArena::Shared(shared), None) => &raw const shared.data[span.offset..span.offset + span.len],
        });
    }
    let prepared = launch.inputs.iter().enumerate().find_map(|(i, span)| match &arenas[span.arena] {
        CpuArena::Shared(shared) => shared.prepare(launch, i),
        CpuArena::Private(_) => None,
    });
    Bound { inputs, outputs, aliases, prepared, kept: Kept::default() }
}

/// The processor as `percuss devices` lists it.
pub(crate) fn info(threads: usize) -> DeviceInfo {
    let mut features = vec![format!("{} threads", threads.max(1))];
    features.push(format!("{}-wide f32 vectors", math::lanes()));
    DeviceInfo {
        selector: "cpu".into(),
        name: processor_name(),
        kind: DeviceKind::Cpu,
        driver: String::new(),
        features,
        max_binding: 0,
    }
}

fn processor_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    let name = line.map(|line| line.trim_start_matches([' ', '\t', ':']).trim().to_owned());
    name.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}
