//! A compiled program with its memory on a device: states are written and read here, whole or lane by lane.

use std::ops::Range;

use percuss_kernels::{Program, Span};

use super::{Shape, State};
use crate::Result;

/// A program with its memory, ready to run.
#[derive(Debug)]
pub struct Executable {
    program: Program,
    states: Vec<(Span, Shape)>,
    /// The states that each phase assigns.
    assigned: Vec<Vec<State>>,
    lanes: usize,
    /// One a state, where lanes lie in an adapter's memory.
    mirrors: Option<Vec<Mirror>>,
}

/// The host's copy of a state, so that many lanes cross to an adapter and back at once: a transfer of one lane costs about what one of all
/// lanes does.
#[derive(Debug, Default)]
struct Mirror {
    data: Vec<f32>,
    /// Whether `data` is what the device has, but for `dirty`.
    known: bool,
    /// Elements that the device does not have yet.
    dirty: Range<usize>,
}

impl Executable {
    pub(super) fn new(
        program: Program,
        states: Vec<(Span, Shape)>,
        assigned: Vec<Vec<State>>,
        lanes: usize,
    ) -> Self {
        let far = matches!(program, Program::Gpu(_));
        let mirrors = far.then(|| states.iter().map(|_| Mirror::default()).collect());
        Self { program, states, assigned, lanes, mirrors }
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Sets a whole state, all lanes.
    pub fn write(&mut self, state: State, data: &[f32]) -> Result<()> {
        if let Some(mirrors) = &mut self.mirrors {
            mirrors[state.0] = Mirror::default();
        }
        Ok(self.program.write(self.states[state.0].0, data)?)
    }

    /// Sets one lane of a state; an adapter gets it with the next run.
    pub fn write_lane(&mut self, state: State, lane: usize, data: &[f32]) -> Result<()> {
        let span = self.lane_span(state, lane);
        let Some(mirror) = self.mirror(state)? else { return Ok(self.program.write(span, data)?) };
        let at = lane * span.len..(lane + 1) * span.len;
        mirror.data[at.clone()].copy_from_slice(data);
        mirror.dirty = match mirror.dirty.is_empty() {
            true => at,
            false => mirror.dirty.start.min(at.start)..mirror.dirty.end.max(at.end),
        };
        Ok(())
    }

    /// Reads a whole state.
    pub fn read(&mut self, state: State) -> Result<Vec<f32>> {
        if let Some(mirror) = self.mirror(state)? {
            return Ok(mirror.data.clone());
        }
        let span = self.states[state.0].0;
        let mut data = vec![0.0; span.len];
        self.program.read(span, &mut data)?;
        Ok(data)
    }

    /// Reads one lane of a state.
    pub fn read_lane(&mut self, state: State, lane: usize) -> Result<Vec<f32>> {
        let mut data = vec![0.0; self.lane_span(state, lane).len];
        self.read_lane_into(state, lane, &mut data)?;
        Ok(data)
    }

    /// As [`Self::read_lane`], into memory of the lane's length.
    pub fn read_lane_into(&mut self, state: State, lane: usize, data: &mut [f32]) -> Result<()> {
        let span = self.lane_span(state, lane);
        if let Some(mirror) = self.mirror(state)? {
            data.copy_from_slice(&mirror.data[lane * span.len..(lane + 1) * span.len]);
            return Ok(());
        }
        Ok(self.program.read(span, data)?)
    }

    /// Copies a lane of every state that has lanes into a lane of another instance of the same phases.
    pub fn copy_lane(&mut self, lane: usize, to: &mut Self, to_lane: usize) -> Result<()> {
        for state in (0..self.states.len()).map(State) {
            if self.states[state.0].1.lane {
                let data = self.read_lane(state, lane)?;
                to.write_lane(state, to_lane, &data)?;
            }
        }
        Ok(())
    }

    /// Runs a phase `times` times without reading anything back.
    pub fn run(&mut self, phase: usize, times: usize) -> Result<()> {
        self.flush()?;
        self.program.run(phase, times)?;
        self.forget(phase);
        Ok(())
    }

    /// Runs a phase once and measures every kernel: op names and nanoseconds, in order; empty on an adapter without timestamps.
    pub fn profile(&mut self, phase: usize) -> Result<Vec<(&'static str, f64)>> {
        self.flush()?;
        let times = self.program.profile(phase)?;
        self.forget(phase);
        Ok(times)
    }

    /// The host's copy of a state, if there are copies; read from the device where it is not known.
    fn mirror(&mut self, state: State) -> Result<Option<&mut Mirror>> {
        let Some(mirrors) = &mut self.mirrors else { return Ok(None) };
        let mirror = &mut mirrors[state.0];
        if !mirror.known {
            let span = self.states[state.0].0;
            mirror.data.resize(span.len, 0.0);
            self.program.read(span, &mut mirror.data)?;
            mirror.known = true;
        }
        Ok(Some(mirror))
    }

    /// Brings to the device what it does not have yet.
    fn flush(&mut self) -> Result<()> {
        for (mirror, (span, _)) in self.mirrors.iter_mut().flatten().zip(&self.states) {
            let dirty = std::mem::take(&mut mirror.dirty);
            if !dirty.is_empty() {
                let span = Span { offset: span.offset + dirty.start, len: dirty.len(), ..*span };
                self.program.write(span, &mirror.data[dirty])?;
            }
        }
        Ok(())
    }

    /// What a phase assigned is known to the device alone.
    fn forget(&mut self, phase: usize) {
        if let Some(mirrors) = &mut self.mirrors {
            self.assigned[phase].iter().for_each(|state| mirrors[state.0].known = false);
        }
    }

    fn lane_span(&self, state: State, lane: usize) -> Span {
        let (span, shape) = &self.states[state.0];
        assert!(shape.lane && lane < self.lanes, "lane {lane} of {}", self.lanes);
        let len = shape.lane_len();
        Span { offset: span.offset + lane * len, len, ..*span }
    }
}
