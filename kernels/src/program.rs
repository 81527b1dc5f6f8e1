//! A program: phases of launches over numbered arenas, with every operand at a fixed place.

use std::sync::Arc;

use crate::ops::Operation;
use crate::{Error, Result};

/// Spans start at multiples of this many elements (256 bytes), which every adapter accepts as a binding offset.
pub const ALIGNMENT: usize = 64;

/// A contiguous range of 4-byte elements in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Index into [`ProgramSpec::arenas`].
    pub arena: usize,
    /// First element, a multiple of [`ALIGNMENT`].
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
}

impl Span {
    fn overlaps(&self, other: &Span) -> bool {
        self.arena == other.arena
            && self.offset < other.offset + other.len
            && other.offset < self.offset + self.len
    }
}

/// Memory that a program works on.
#[derive(Clone, Debug, PartialEq)]
pub enum Arena {
    /// Read-only data (weights, constants) that several programs share; the index into the uploaded arenas given
    /// to `Device::program`, and the number of elements.
    Shared(usize, usize),
    /// The program's own memory, zeroed at creation; the number of elements.
    Private(usize),
}

impl Arena {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match *self {
            Self::Shared(_, len) | Self::Private(len) => len,
        }
    }

    /// Whether the arena holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One op with its operands' places.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What is computed.
    pub op: Arc<dyn Operation>,
    /// Operands, in the order that the op documents.
    pub inputs: Vec<Span>,
    /// Results, in the order that the op documents.
    pub outputs: Vec<Span>,
}

/// What the products and convolutions of a program multiply; sums are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// Operands rounded to f16, those too large to the largest; constant weights are kept in f16.
    F16,
}

impl Precision {
    /// As the `precision` column has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// Everything an executor needs: arenas and, for each phase, launches in order.
///
/// Phases (initialise, step, judge) run on request, any number of times, over the same arenas.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec {
    /// The memory.
    pub arenas: Vec<Arena>,
    /// The launches of every phase.
    pub phases: Vec<Vec<Launch>>,
    /// What products multiply.
    pub precision: Precision,
}

impl ProgramSpec {
    /// Checks that every operand has the op's length and a legal place, and that no launch writes what it reads.
    ///
    /// The one exception is an op that works element by element ([`Operation::in_place`]), whose output may be
    /// exactly the span of an input.
    pub fn check(&self) -> Result<()> {
        for launch in self.phases.iter().flatten() {
            launch.op.check()?;
            let op = launch.op.name();
            check_operands(op, "input", &launch.inputs, &launch.op.input_lens(), &self.arenas)?;
            check_operands(op, "output", &launch.outputs, &launch.op.output_lens(), &self.arenas)?;
            for (i, output) in launch.outputs.iter().enumerate() {
                if let Arena::Shared(..) = self.arenas[output.arena] {
                    return Err(shape(op, format!("output {i}"), "a shared arena", "a private one"));
                }
                let clash_in = launch
                    .inputs
                    .iter()
                    .any(|input| input.overlaps(output) && !(launch.op.in_place() && input == output));
                let clash_out = launch.outputs[..i].iter().any(|other| other.overlaps(output));
                if clash_in || clash_out {
                    return Err(shape(
                        op,
                        format!("output {i}"),
                        "memory of another operand",
                        "its own memory",
                    ));
                }
            }
        }
        Ok(())
    }
}

fn check_operands(
    op: &'static str,
    role: &str,
    spans: &[Span],
    lens: &[usize],
    arenas: &[Arena],
) -> Result<()> {
    if spans.len() != lens.len() {
        return Err(shape(op, format!("{role}s"), spans.len(), lens.len()));
    }
    for (i, (span, &len)) in spans.iter().zip(lens).enumerate() {
        if span.len != len {
            return Err(shape(op, format!("{role} {i}"), format!("{} elements", span.len), len));
        }
        let room = arenas.get(span.arena).map_or(0, Arena::len);
        if span.offset % ALIGNMENT != 0 || span.offset + span.len > room {
            return Err(shape(
                op,
                format!("{role} {i}"),
                format!("{span:?}"),
                format!("an aligned place within {room} elements"),
            ));
        }
    }
    Ok(())
}

pub(crate) fn shape(
    op: &'static str,
    what: impl ToString,
    found: impl ToString,
    expected: impl ToString,
) -> Error {
    Error::Shape { op, what: what.to_string(), found: found.to_string(), expected: expected.to_string() }
}
