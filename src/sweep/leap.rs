//! Attacks of one step from the clean input: a lane looks once, and leaps once for every job, whatever its budget.

use super::lanes::LaneInput;
use super::sharing::{Open, Run};
use super::worker::{Found, Worker};
use crate::Result;

impl<'a> Worker<'a> {
    /// Leaps until the queue is empty, or it is told to stop: block by block, since all lanes of a block look at once.
    pub(super) fn leap(&mut self) -> Result<()> {
        loop {
            let mut lanes = Vec::new();
            while self.block.idle() > 0 {
                let Some(run) = self.next()? else { break };
                let input = self.leap_input(&run, 0);
                lanes.push(self.block.enter(run, &input)?);
            }
            if lanes.is_empty() {
                return self.judge_all();
            }
            self.block.look()?;
            for leap in 0.. {
                if self.outlet.stopped() {
                    return Ok(());
                }
                if !self.leap_once(&mut lanes, leap)? {
                    break;
                }
                if self.found.len() >= self.judge.block() {
                    self.judge_all()?;
                }
            }
        }
    }

    /// The leap of each lane for its job number `leap`; lanes that have none leave. Whether any was left.
    fn leap_once(&mut self, lanes: &mut Vec<usize>, leap: usize) -> Result<bool> {
        let mut left = Vec::with_capacity(lanes.len());
        for &lane in &*lanes {
            let Some(run) = self.block.run_mut(lane) else { continue };
            if leap == run.open.len() {
                self.block.leave(lane)?;
                continue;
            }
            let sample = run.sample;
            let job = &self.work.jobs[run.open[leap].job];
            let input = self.work.lane_input(job, job.rung(), sample, 0, None);
            self.block.aim(lane, &input)?;
            left.push(lane);
        }
        *lanes = left;
        self.block.leap()?;
        for &lane in &*lanes {
            let output = self.block.output(lane)?;
            let Some(run) = self.block.run_mut(lane) else { continue };
            let open = Open { job: run.open[leap].job, best: None, seconds: output.seconds };
            let run = Run { sample: run.sample, restart: 0, open: vec![open], search: None };
            self.found.push(Found::new(run, output));
        }
        Ok(!lanes.is_empty())
    }

    fn leap_input(&self, run: &Run, leap: usize) -> LaneInput<'a> {
        let job = &self.work.jobs[run.open[leap].job];
        self.work.lane_input(job, job.rung(), run.sample, 0, None)
    }
}
