//! A block of lanes on a device: runs enter idle lanes, pause at their last step, and go on or leave.

use std::time::Instant;

use crate::Result;
use crate::attacks::evasion::EvasionProgram;
use crate::attacks::evasion::start::Bounds;
use crate::graph::Executable;

/// Everything that a lane needs to start.
#[derive(Clone, Debug)]
pub(super) struct LaneInput<'a> {
    /// Where it starts.
    pub(super) start: Vec<f32>,
    /// The clean input.
    pub(super) clean: &'a [f32],
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
    /// Radius and step size of each input that moves beside.
    pub(super) beside: Vec<[f32; 2]>,
    /// Steps at most.
    pub(super) steps: u64,
    /// Whether it ends at its first success.
    pub(super) stop_on_success: bool,
    /// Real parameters of the attack, by name.
    pub(super) parameters: &'a [(&'static str, f32)],
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
    /// Whether its loss still rose at the end.
    pub(super) rising: bool,
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
    /// Idle lanes, the first one last.
    idle: Vec<usize>,
    zeros: Vec<f32>,
}

impl<'p, R> LaneBlock<'p, R> {
    /// Idle lanes of a program that runs here.
    pub(super) fn new(program: &'p EvasionProgram, executable: Executable) -> Self {
        let count = executable.lanes();
        let lanes = std::iter::repeat_with(|| None).take(count).collect();
        let len = program.graph.state_shape(program.slots.x).lane_len();
        Self { program, executable, lanes, idle: (0..count).rev().collect(), zeros: vec![0.0; len] }
    }

    /// Number of lanes.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Number of idle lanes.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Number of busy lanes.
    pub(super) fn busy(&self) -> usize {
        self.lanes.len() - self.idle.len()
    }

    /// Moves every busy lane into `executable`, which has room for them, and goes on there.
    pub(super) fn move_to(&mut self, mut executable: Executable) -> Result<()> {
        let count = executable.lanes();
        let mut lanes: Vec<Option<Busy<R>>> = Vec::with_capacity(count);
        for (lane, busy) in self.lanes.iter_mut().enumerate() {
            if let Some(busy) = busy.take() {
                self.executable.copy_lane(lane, &mut executable, lanes.len())?;
                lanes.push(Some(busy));
            }
        }
        let busy = lanes.len();
        lanes.resize_with(count, || None);
        (self.lanes, self.idle, self.executable) = (lanes, (busy..count).rev().collect(), executable);
        Ok(())
    }

    /// Puts a run into an idle lane, whose number it returns; there must be one.
    pub(super) fn enter(&mut self, run: R, input: &LaneInput) -> Result<usize> {
        let Some(lane) = self.idle.pop() else { unreachable!("the caller looked for an idle lane") };
        let slots = &self.program.slots;
        let exe = &mut self.executable;
        exe.write_lane(slots.x0, lane, input.clean)?;
        let numbers = [
            (slots.label, input.label as f32),
            (slots.target, input.target as f32),
            (slots.finding, input.finding as f32),
            (slots.threshold, input.threshold_logit),
        ];
        for (state, value) in numbers {
            exe.write_lane(state, lane, &[value])?;
        }
        self.lanes[lane] = Some(Busy { run, steps: 0, remaining: 0, ended_early: false, seconds: 0.0 });
        self.aim(lane, input)?;
        Ok(lane)
    }

    /// Lets a busy lane start (anew) with the start, bounds, budget, steps and parameters of `input`.
    pub(super) fn aim(&mut self, lane: usize, input: &LaneInput) -> Result<()> {
        let slots = &self.program.slots;
        let exe = &mut self.executable;
        exe.write_lane(slots.x, lane, &input.start)?;
        exe.write_lane(slots.low, lane, &input.bounds.low)?;
        exe.write_lane(slots.high, lane, &input.bounds.high)?;
        if let Some(relaxed) = slots.relaxed {
            exe.write_lane(relaxed, lane, &input.start)?;
        }
        let numbers = [
            (slots.radius, input.radius),
            (slots.step_size, input.step_size),
            (slots.remaining, input.steps as f32),
            (slots.stop, f32::from(u8::from(input.stop_on_success))),
            (slots.done, 0.0),
            (slots.zero_gradients, 0.0),
            (slots.ascent.taken, 0.0),
            (slots.ascent.rising, 0.0),
        ];
        for (state, value) in numbers {
            exe.write_lane(state, lane, &[value])?;
        }
        for &(name, state) in &slots.parameters {
            let value =
                input.parameters.iter().find(|(other, _)| *other == name).map_or(0.0, |(_, value)| *value);
            exe.write_lane(state, lane, &[value])?;
        }
        for (states, values) in slots.beside.iter().zip(&input.beside) {
            for (&state, &value) in states.iter().zip(values) {
                exe.write_lane(state, lane, &[value])?;
            }
        }
        for &memory in &slots.memory {
            let len = self.program.graph.state_shape(memory).lane_len();
            exe.write_lane(memory, lane, &self.zeros[..len])?;
        }
        if let Some(busy) = &mut self.lanes[lane] {
            (busy.steps, busy.remaining, busy.ended_early) = (input.steps, input.steps, false);
        }
        Ok(())
    }

    /// Advances every busy lane by up to `steps` steps and returns the lanes that pause: their steps are done, or they ended
    /// early. A paused lane waits for [`Self::go_on`] or [`Self::leave`].
    pub(super) fn advance(&mut self, steps: usize) -> Result<Vec<usize>> {
        self.run(EvasionProgram::STEP, steps)
    }

    /// Keeps the gradient at every lane's input.
    pub(super) fn look(&mut self) -> Result<()> {
        self.run(EvasionProgram::LOOK, 1).map(drop)
    }

    /// One step of every lane that has one left, along the gradient that it keeps.
    pub(super) fn leap(&mut self) -> Result<()> {
        self.run(EvasionProgram::LEAP, 1).map(drop)
    }

    fn run(&mut self, phase: usize, times: usize) -> Result<Vec<usize>> {
        if self.busy() == 0 {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        self.executable.run(phase, times)?;
        let remaining = self.executable.read(self.program.slots.remaining)?;
        let done = self.executable.read(self.program.slots.done)?;
        let share = began.elapsed().as_secs_f64() / self.busy() as f64;
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
        let mut zero_gradients = [0.0];
        self.executable.read_lane_into(slots.zero_gradients, lane, &mut zero_gradients)?;
        let mut rising = [0.0];
        self.executable.read_lane_into(slots.ascent.rising, lane, &mut rising)?;
        Ok(LaneOutput {
            x: self.executable.read_lane(slots.x, lane)?,
            steps_used: busy.steps - busy.remaining,
            ended_early: busy.ended_early,
            zero_gradients: zero_gradients[0],
            rising: rising[0] != 0.0,
            seconds: std::mem::take(&mut busy.seconds),
        })
    }

    /// What runs in a lane.
    pub(super) fn run_mut(&mut self, lane: usize) -> Option<&mut R> {
        self.lanes[lane].as_mut().map(|busy| &mut busy.run)
    }

    /// Gives a paused lane more steps, past a success unless it is to stop there.
    pub(super) fn go_on(&mut self, lane: usize, steps: u64, stop_on_success: bool) -> Result<()> {
        let slots = &self.program.slots;
        let numbers = [
            (slots.remaining, steps as f32),
            (slots.stop, f32::from(u8::from(stop_on_success))),
            (slots.done, 0.0),
        ];
        for (state, value) in numbers {
            self.executable.write_lane(state, lane, &[value])?;
        }
        if let Some(busy) = &mut self.lanes[lane] {
            busy.steps += steps - busy.remaining;
            (busy.remaining, busy.ended_early) = (steps, false);
        }
        Ok(())
    }

    /// Empties a lane, and returns what ran there: an idle lane takes no further steps.
    pub(super) fn leave(&mut self, lane: usize) -> Result<Option<R>> {
        self.executable.write_lane(self.program.slots.remaining, lane, &[0.0])?;
        let busy = self.lanes[lane].take();
        if busy.is_some() {
            self.idle.push(lane);
        }
        Ok(busy.map(|busy| busy.run))
    }
}
