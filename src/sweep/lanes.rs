//! A block of lanes on a device: runs enter idle lanes, pause at their last step, and go on or leave.

use std::time::Instant;

use percuss_kernels::Device;

use crate::Result;
use crate::attacks::evasion::EvasionProgram;
use crate::attacks::evasion::start::Bounds;
use crate::graph::{Compiled, Executable, Uploads};

/// Everything that a lane needs to start.
#[derive(Clone, Debug)]
pub(super) struct LaneInput {
    /// Where it starts.
    pub(super) start: Vec<f32>,
    /// The clean input.
    pub(super) clean: Vec<f32>,
    /// Its box.
    pub(super) bounds: Bounds,
    /// True class, in deciding logits.
    pub(super) label: u32,
    /// Wanted class, if targeted.
    pub(super) target: u32,
    /// The finding asked about.
    pub(super) finding: u32,
    /// Logit of the threshold.
    pub(super) threshold_logit: f32,
    /// Radius of the ball in scaled units.
    pub(super) radius: f32,
    /// Step size in scaled units.
    pub(super) step_size: f32,
    /// Steps at most.
    pub(super) steps: u64,
    /// Whether it ends at its first success.
    pub(super) stop_on_success: bool,
    /// Real parameters of the attack, by name.
    pub(super) parameters: Vec<(&'static str, f32)>,
}

/// What a lane has found when it pauses.
#[derive(Clone, Debug)]
pub(super) struct LaneOutput {
    /// The last iterate.
    pub(super) x: Vec<f32>,
    /// Steps taken: one gradient each.
    pub(super) steps_used: u64,
    /// Whether it ended before its steps were done: one more forward pass showed success.
    pub(super) ended_early: bool,
    /// Sum over the steps of the share of zero gradient entries.
    pub(super) zero_gradients: f32,
    /// Its share of the device's time since it entered or last went on.
    pub(super) seconds: f64,
}

#[derive(Debug)]
struct Busy<R> {
    run: R,
    /// Steps that it was given up to now.
    steps: u64,
    remaining: u64,
    ended_early: bool,
    seconds: f64,
}

/// A block of lanes.
#[derive(Debug)]
pub(super) struct LaneBlock<'p, R> {
    program: &'p EvasionProgram,
    executable: Executable,
    lanes: Vec<Option<Busy<R>>>,
    busy: usize,
    zeros: Vec<f32>,
}

impl<'p, R> LaneBlock<'p, R> {
    /// Allocates the block on a device.
    pub(super) fn new(
        program: &'p EvasionProgram,
        compiled: &Compiled,
        device: &Device,
        uploads: &mut Uploads,
        threads: usize,
    ) -> Result<Self> {
        let executable = compiled.instantiate(device, uploads, threads)?;
        let lanes = std::iter::repeat_with(|| None).take(compiled.lanes()).collect();
        let len = program.graph.state_shape(program.slots.x).lane_len();
        Ok(Self { program, executable, lanes, busy: 0, zeros: vec![0.0; len] })
    }

    /// Number of idle lanes.
    pub(super) fn idle(&self) -> usize {
        self.lanes.len() - self.busy
    }

    /// Puts a run into an idle lane; there must be one.
    pub(super) fn enter(&mut self, run: R, input: &LaneInput) -> Result<()> {
        let Some(lane) = self.lanes.iter().position(Option::is_none) else {
            unreachable!("the caller looked for an idle lane");
        };
        let slots = &self.program.slots;
        let exe = &mut self.executable;
        exe.write_lane(slots.x, lane, &input.start)?;
        exe.write_lane(slots.x0, lane, &input.clean)?;
        exe.write_lane(slots.low, lane, &input.bounds.low)?;
        exe.write_lane(slots.high, lane, &input.bounds.high)?;
        if let Some(relaxed) = slots.relaxed {
            exe.write_lane(relaxed, lane, &input.start)?;
        }
        let numbers = [
            (slots.label, input.label as f32),
            (slots.target, input.target as f32),
            (slots.finding, input.finding as f32),
            (slots.threshold, input.threshold_logit),
            (slots.radius, input.radius),
            (slots.step_size, input.step_size),
            (slots.remaining, input.steps as f32),
            (slots.stop, f32::from(u8::from(input.stop_on_success))),
            (slots.done, 0.0),
            (slots.zero_gradients, 0.0),
        ];
        for (state, value) in numbers {
            exe.write_lane(state, lane, &[value])?;
        }
        for &(name, state) in &slots.parameters {
            let value =
                input.parameters.iter().find(|(other, _)| *other == name).map_or(0.0, |(_, value)| *value);
            exe.write_lane(state, lane, &[value])?;
        }
        for &memory in &slots.memory {
            exe.write_lane(memory, lane, &self.zeros)?;
        }
        let steps = input.steps;
        self.lanes[lane] = Some(Busy { run, steps, remaining: steps, ended_early: false, seconds: 0.0 });
        self.busy += 1;
        Ok(())
    }

    /// Advances every busy lane by up to `steps` steps and returns the lanes that pause: their steps are done, or they ended
    /// early. A paused lane waits for [`Self::go_on`] or [`Self::leave`].
    pub(super) fn advance(&mut self, steps: usize) -> Result<Vec<usize>> {
        if self.busy == 0 {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        self.executable.run(0, steps)?;
        let remaining = self.executable.read(self.program.slots.remaining)?;
        let done = self.executable.read(self.program.slots.done)?;
        let share = began.elapsed().as_secs_f64() / self.busy as f64;
        let mut paused = Vec::new();
        for (lane, busy) in self.lanes.iter_mut().enumerate() {
            let Some(busy) = busy else { continue };
            busy.seconds += share;
            busy.remaining = remaining[lane] as u64;
            busy.ended_early = done[lane] != 0.0;
            if busy.remaining == 0 || busy.ended_early {
                paused.push(lane);
            }
        }
        Ok(paused)
    }

    /// What a busy lane has found so far.
    pub(super) fn output(&mut self, lane: usize) -> Result<LaneOutput> {
        let Some(busy) = &mut self.lanes[lane] else { unreachable!("an idle lane has no output") };
        let slots = &self.program.slots;
        Ok(LaneOutput {
            x: self.executable.read_lane(slots.x, lane)?,
            steps_used: busy.steps - busy.remaining,
            ended_early: busy.ended_early,
            zero_gradients: self.executable.read_lane(slots.zero_gradients, lane)?[0],
            seconds: std::mem::take(&mut busy.seconds),
        })
    }

    /// What runs in a lane.
    pub(super) fn run_mut(&mut self, lane: usize) -> Option<&mut R> {
        self.lanes[lane].as_mut().map(|busy| &mut busy.run)
    }

    /// Gives a paused lane more steps.
    pub(super) fn go_on(&mut self, lane: usize, steps: u64) -> Result<()> {
        self.executable.write_lane(self.program.slots.remaining, lane, &[steps as f32])?;
        if let Some(busy) = &mut self.lanes[lane] {
            busy.steps += steps;
            busy.remaining = steps;
        }
        Ok(())
    }

    /// Empties a lane: an idle one takes no further steps.
    pub(super) fn leave(&mut self, lane: usize) -> Result<()> {
        self.executable.write_lane(self.program.slots.remaining, lane, &[0.0])?;
        if self.lanes[lane].take().is_some() {
            self.busy -= 1;
        }
        Ok(())
    }
}
