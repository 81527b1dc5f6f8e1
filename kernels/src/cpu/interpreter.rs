//! Runs the code of a [`Pointwise`] op over chunks of elements: every instruction is one vector loop over a register that
//! stays in the nearest cache.

use std::marker::PhantomData;

use super::elements::{binary, blend_into, select, unary, zip};
use super::math::vectorised;
use super::passes::{Blend, Pass, overwritten, passes};
use super::{Context, Disjoint, spread};
use crate::ops::{Instr, Pointwise};

/// Most axes of a pointwise op.
const AXES: usize = 6;
/// Registers of all instructions together should not fill more than this many elements.
const REGISTERS: usize = 8192;
/// Most elements of a register: enough that what a chunk costs besides its elements no longer shows.
const CHUNK: usize = 2048;
/// Elements of a task that several threads share out.
const TASK: usize = 16_384;
/// Repeated inputs whose registers are kept from chunk to chunk.
const REPEATED: usize = 16;

/// Evaluates `op`; see [`Context::aliases`] for inputs that are outputs.
pub(crate) fn interpret(
    op: &Pointwise,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    context: &mut Context,
) {
    let total: usize = op.shape.iter().product();
    let tasks = if context.threads > 1 { total.div_ceil(TASK) } else { 1 };
    let task_len = if tasks > 1 { TASK } else { total };
    let Context { threads, scratch, aliases, kept, .. } = context;
    let plan = kept.get(|| Plan::new(op, aliases));
    let file = plan.chunk * op.code.len();
    let registers = Disjoint::new(scratch.take(file * tasks));
    let outputs = Outputs::new(outputs);
    spread(*threads, tasks, |task| {
        // SAFETY: every task has its own registers.
        let registers = unsafe { registers.slice(task * file, file) };
        let run = Run { op, plan, inputs, outputs };
        vectorised(
            #[inline(always)]
            || run.range(task * task_len, total.min((task + 1) * task_len), registers),
        );
    });
}

/// Outputs that tasks write at places of their own. A list of [`Disjoint`] would be allocated anew by every launch.
#[derive(Clone, Copy)]
struct Outputs<'a> {
    slices: *const *mut [f32],
    count: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: borrowed slices of f32; `slice` leaves it to its caller that no two threads overlap.
unsafe impl Send for Outputs<'_> {}
// SAFETY: as above.
unsafe impl Sync for Outputs<'_> {}

impl<'a> Outputs<'a> {
    fn new(outputs: &'a mut [&mut [f32]]) -> Self {
        // A reference and a raw pointer to a slice have one layout.
        Self { slices: outputs.as_ptr().cast(), count: outputs.len(), life: PhantomData }
    }

    /// The range `from .. from + len` of an output.
    ///
    /// # Safety
    /// While the result lives nobody else uses an element of the range.
    unsafe fn slice(&self, output: usize, from: usize, len: usize) -> &'a mut [f32] {
        assert!(output < self.count, "an output that is not there");
        // SAFETY: the list is borrowed for 'a and has `count` entries.
        let whole = unsafe { self.slices.add(output).read() };
        assert!(from.checked_add(len).is_some_and(|end| end <= whole.len()), "a range outside its slice");
        // SAFETY: the range lies in the borrowed slice, and the caller promises that it is not shared.
        unsafe { std::slice::from_raw_parts_mut(whole.cast::<f32>().add(from), len) }
    }
}

/// What is known of an op before its first element.
#[derive(Debug)]
struct Plan {
    axes: Axes,
    /// For every instruction.
    places: Vec<Place>,
    /// For every instruction.
    passes: Vec<Pass>,
    /// For every instruction that loads a repeated input: how it repeats.
    repeats: Vec<Option<Repeat>>,
    /// Elements of a register.
    chunk: usize,
}

/// An input that has the same `period` values over and over within every `span` elements of the output: a channel's mean, a lane's rate.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    period: usize,
    span: usize,
    /// Its number among those whose registers are kept.
    slot: usize,
}

/// What a repeated input's register holds.
#[derive(Clone, Copy, Default)]
struct Held {
    span: usize,
    phase: usize,
    len: usize,
}

/// Where the values of an instruction are for the current chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the input itself.
    Memory(usize),
    /// In the output itself.
    Output(usize),
    /// In its register: copied from an output that is also an input, before anything is written.
    Alias(usize),
    /// In its register: a constant, or an input of one element.
    Fixed,
    /// In its register.
    Register,
}

impl Plan {
    fn new(op: &Pointwise, aliases: &[Option<usize>]) -> Self {
        let (axes, passes) = (Axes::merged(op), passes(op));
        let place = |(i, instr): (usize, &Instr)| match *instr {
            Instr::Const(_) => Place::Fixed,
            Instr::Input(input) => match aliases.get(input).copied().flatten() {
                Some(output) if overwritten(op, &passes, i, output) => Place::Output(output),
                Some(output) => Place::Alias(output),
                None => axes.place(&op.strides[input], input),
            },
            _ => op.outputs.iter().position(|&output| output == i).map_or(Place::Register, Place::Output),
        };
        let places: Vec<Place> = op.code.iter().enumerate().map(place).collect();
        let mut count = 0;
        let repeat = |(instr, place): (&Instr, &Place)| match *instr {
            Instr::Input(input) if *place == Place::Register && count < REPEATED => {
                let (period, span) = axes.repeat(&op.strides[input])?;
                count += 1;
                Some(Repeat { period, span, slot: count - 1 })
            }
            _ => None,
        };
        let repeats = op.code.iter().zip(&places).map(repeat).collect();
        Self { axes, places, passes, repeats, chunk: (REGISTERS / op.code.len() / 64 * 64).clamp(64, CHUNK) }
    }
}

/// The iteration space without axes of length 1, neighbours that every input crosses evenly made one.
#[derive(Clone, Copy, Debug)]
struct Axes {
    rank: usize,
    shape: [usize; AXES],
    /// The original axis whose stride counts.
    original: [usize; AXES],
}

impl Axes {
    fn merged(op: &Pointwise) -> Self {
        let mut axes = Self { rank: 0, shape: [1; AXES], original: [0; AXES] };
        for (axis, &size) in op.shape.iter().enumerate().filter(|(_, size)| **size > 1) {
            let last = axes.rank.wrapping_sub(1);
            let even = |strides: &Vec<usize>| strides[axes.original[last]] == strides[axis] * size;
            if axes.rank > 0 && op.strides.iter().all(even) {
                axes.shape[last] *= size;
                axes.original[last] = axis;
            } else {
                axes.shape[axes.rank] = size;
                axes.original[axes.rank] = axis;
                axes.rank += 1;
            }
        }
        axes
    }

    /// The stride of an input along a merged axis.
    fn stride(&self, strides: &[usize], axis: usize) -> usize {
        strides.get(self.original[axis]).copied().unwrap_or(0)
    }

    /// How an input repeats, if it does: the elements of its inner axes, and those times the axes around them that it does not cross.
    fn repeat(&self, strides: &[usize]) -> Option<(usize, usize)> {
        let crossed = |axis: usize| self.stride(strides, axis) > 0;
        let (mut period, mut axis) = (1, self.rank);
        while axis > 0 && crossed(axis - 1) {
            axis -= 1;
            period *= self.shape[axis];
        }
        let mut span = period;
        while axis > 0 && !crossed(axis - 1) {
            axis -= 1;
            span *= self.shape[axis];
        }
        (span > period).then_some((period, span))
    }

    /// Where an input is: in its memory if that has the output's order, in a register otherwise.
    fn place(&self, strides: &[usize], input: usize) -> Place {
        let mut contiguous = 1;
        let (mut flat, mut fixed) = (true, true);
        for axis in (0..self.rank).rev() {
            let stride = self.stride(strides, axis);
            flat &= stride == contiguous || self.shape[axis] == 1;
            fixed &= stride == 0 || self.shape[axis] == 1;
            contiguous *= self.shape[axis];
        }
        match (fixed, flat) {
            (true, _) => Place::Fixed,
            (_, true) => Place::Memory(input),
            _ => Place::Register,
        }
    }
}

#[derive(Clone, Copy)]
struct Run<'a> {
    op: &'a Pointwise,
    plan: &'a Plan,
    inputs: &'a [&'a [f32]],
    outputs: Outputs<'a>,
}

impl Run<'_> {
    #[inline(always)]
    fn range(&self, from: usize, to: usize, registers: &mut [f32]) {
        let chunk = self.plan.chunk;
        for (i, instr) in self.op.code.iter().enumerate() {
            let register = &mut registers[i * chunk..(i + 1) * chunk];
            match (*instr, self.plan.places[i]) {
                (Instr::Const(value), _) => register.fill(value),
                (Instr::Input(input), Place::Fixed) => register.fill(self.inputs[input][0]),
                _ => {}
            }
        }
        let mut held = [Held::default(); REPEATED];
        let mut start = from;
        while start < to {
            let len = chunk.min(to - start);
            self.evaluate(start, len, registers, &mut held);
            self.copy_outputs(start, len, registers);
            start += len;
        }
    }

    /// Outputs that are inputs or constants, or the same as another.
    #[inline(always)]
    fn copy_outputs(&self, start: usize, len: usize, registers: &[f32]) {
        for (k, &instr) in self.op.outputs.iter().enumerate() {
            if self.plan.places[instr] != Place::Output(k) {
                let values = self.value(instr, start, len, registers);
                // SAFETY: every chunk of the range belongs to this task, `values` are another place's, and the slice ends
                // here.
                unsafe { self.outputs.slice(k, start, len) }.copy_from_slice(values);
            }
        }
    }

    /// The values of an earlier instruction for the chunk.
    #[inline(always)]
    fn value<'b>(&'b self, instr: usize, start: usize, len: usize, registers: &'b [f32]) -> &'b [f32] {
        match self.plan.places[instr] {
            Place::Memory(input) => &self.inputs[input][start..start + len],
            // SAFETY: the chunk belongs to this task, and an instruction's values are written before they are read.
            Place::Output(output) => unsafe { self.outputs.slice(output, start, len) },
            _ => &registers[instr * self.plan.chunk..][..len],
        }
    }

    #[inline(always)]
    fn evaluate(&self, start: usize, len: usize, registers: &mut [f32], held: &mut [Held; REPEATED]) {
        let chunk = self.plan.chunk;
        for (i, place) in self.plan.places.iter().enumerate() {
            if let Place::Alias(output) = *place {
                // SAFETY: the chunk belongs to this task, nothing of it has been written yet, and the slice ends here.
                registers[i * chunk..][..len]
                    .copy_from_slice(unsafe { self.outputs.slice(output, start, len) });
            }
        }
        for (i, instr) in self.op.code.iter().enumerate() {
            if let Pass::Within(_) = self.plan.passes[i] {
                continue;
            }
            let (before, rest) = registers.split_at_mut(i * chunk);
            let y = match self.plan.places[i] {
                // SAFETY: the chunk belongs to this task; operands are other instructions' places, and inputs that are
                // this output were copied above.
                Place::Output(output) => unsafe { self.outputs.slice(output, start, len) },
                _ => &mut rest[..len],
            };
            let value = |operand: usize| self.value(operand, start, len, before);
            if let Pass::Blend(Blend { values: [a, b], scales: [ca, cb] }) = self.plan.passes[i] {
                let in_place = |operand: usize| {
                    matches!(self.plan.places[operand], Place::Output(_))
                        && self.plan.places[operand] == self.plan.places[i]
                };
                match (in_place(a), in_place(b)) {
                    (true, _) => blend_into(y, ca, value(b), cb),
                    (_, true) => blend_into(y, cb, value(a), ca),
                    _ => zip(
                        value(a),
                        value(b),
                        y,
                        #[inline(always)]
                        |a, b| a * ca + b * cb,
                    ),
                }
                continue;
            }
            match *instr {
                Instr::Const(_) => {}
                Instr::Input(input) => {
                    if self.plan.places[i] == Place::Register {
                        match self.plan.repeats[i] {
                            Some(repeat) => {
                                self.load_repeated(input, repeat, start, y, &mut held[repeat.slot])
                            }
                            None => self.load(input, start, y),
                        }
                    }
                }
                Instr::Index(axis) => self.coordinates(axis, start, y),
                Instr::Unary(function, a) => unary(function, value(a), y),
                Instr::Binary(function, a, b) => binary(function, value(a), value(b), y),
                Instr::Select(c, a, b) => select(value(c), value(a), value(b), y),
            }
        }
    }

    /// Loads a repeated input, unless its register holds these values already.
    #[inline(always)]
    fn load_repeated(&self, input: usize, repeat: Repeat, start: usize, y: &mut [f32], held: &mut Held) {
        let Repeat { period, span, .. } = repeat;
        if start / span != (start + y.len() - 1) / span {
            held.len = 0;
            return self.load(input, start, y);
        }
        let now = Held { span: start / span, phase: start % period, len: y.len() };
        if held.len >= now.len && held.span == now.span && held.phase == now.phase {
            return;
        }
        *held = now;
        let mut done = period.min(y.len());
        self.load(input, start, &mut y[..done]);
        while done < y.len() {
            let more = done.min(y.len() - done);
            y.copy_within(..more, done);
            done += more;
        }
    }

    /// Gathers an input that does not lie in the order of the output.
    #[inline(always)]
    fn load(&self, input: usize, start: usize, y: &mut [f32]) {
        let (axes, strides) = (&self.plan.axes, &self.op.strides[input]);
        let inner = axes.rank.saturating_sub(1);
        let (width, step) = (axes.shape[inner], axes.stride(strides, inner));
        let mut done = 0;
        while done < y.len() {
            let column = (start + done) % width;
            let mut row = (start + done) / width;
            let mut from = column * step;
            for axis in (0..inner).rev() {
                from += row % axes.shape[axis] * axes.stride(strides, axis);
                row /= axes.shape[axis];
            }
            let len = (width - column).min(y.len() - done);
            let part = &mut y[done..done + len];
            match step {
                0 => part.fill(self.inputs[input][from]),
                1 => part.copy_from_slice(&self.inputs[input][from..from + len]),
                _ => {
                    let x = self.inputs[input][from..].iter().step_by(step);
                    part.iter_mut().zip(x).for_each(|(y, x)| *y = *x);
                }
            }
            done += len;
        }
    }

    #[inline(always)]
    fn coordinates(&self, axis: usize, start: usize, y: &mut [f32]) {
        let below: usize = self.op.shape[axis + 1..].iter().product();
        let size = self.op.shape[axis];
        for (j, y) in y.iter_mut().enumerate() {
            *y = ((start + j) / below % size) as f32;
        }
    }
}
