//! A block of lanes on a device: jobs enter idle lanes, finished ones leave.

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

/// What a lane found.
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
    /// Its share of the device's time.
    pub(super) seconds: f64,
}

#[derive(Debug)]
struct Busy<J> {
    job: J,
    steps: u64,
    seconds: f64,
}

/// A block of lanes.
#[derive(Debug)]
pub(super) struct LaneBlock<'p, J> {
    program: &'p EvasionProgram,
    executable: Executable,
    lanes: Vec<Option<Busy<J>>>,
    busy: usize,
    zeros: Vec<f32>,
}

impl<'p, J> LaneBlock<'p, J> {
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

    /// Puts a job into an idle lane; there must be one.
    pub(super) fn enter(&mut self, job: J, input: &LaneInput) -> Result<()> {
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
        self.lanes[lane] = Some(Busy { job, steps: input.steps, seconds: 0.0 });
        self.busy += 1;
        Ok(())
    }

    /// Advances every busy lane by up to `steps` steps and returns the lanes that are finished.
    pub(super) fn advance(&mut self, steps: usize) -> Result<Vec<(J, LaneOutput)>> {
        if self.busy == 0 {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        self.executable.run(0, steps)?;
        let slots = &self.program.slots;
        let remaining = self.executable.read(slots.remaining)?;
        let done = self.executable.read(slots.done)?;
        let share = began.elapsed().as_secs_f64() / self.busy as f64;
        let mut finished = Vec::new();
        for lane in 0..self.lanes.len() {
            let Some(busy) = &mut self.lanes[lane] else { continue };
            busy.seconds += share;
            let ended_early = done[lane] != 0.0;
            if remaining[lane] > 0.0 && !ended_early {
                continue;
            }
            let output = LaneOutput {
                x: self.executable.read_lane(slots.x, lane)?,
                steps_used: busy.steps - remaining[lane] as u64,
                ended_early,
                zero_gradients: self.executable.read_lane(slots.zero_gradients, lane)?[0],
                seconds: busy.seconds,
            };
            // An idle lane takes no further steps.
            self.executable.write_lane(slots.remaining, lane, &[0.0])?;
            self.busy -= 1;
            finished.extend(self.lanes[lane].take().map(|busy| (busy.job, output)));
        }
        Ok(finished)
    }
}
