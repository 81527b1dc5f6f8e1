//! A worker: a block of lanes with its judge, refilled from the queue until that is empty. Lanes walk; what leaps is in `leap`.

use std::collections::VecDeque;

use super::job::{Job, Outcome, Rung, Work};
use super::judge::Judge;
use super::lanes::{LaneBlock, LaneInput, LaneOutput};
use super::sharing::{Open, Queue, Run};
use crate::Result;
use crate::graph::Executable;

/// What came of one sample under a job, by the positions of both in their work.
pub(super) type Settled = (usize, usize, Outcome);

/// Takes what is settled of the work at a position.
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted) where nobody listens any more: whoever stopped listening knows why.
pub(super) type Sink<'a> = dyn Fn(usize, Vec<Settled>) -> Result<()> + Sync + 'a;

/// Outcomes that are handed over at once: others want the same lock.
const HANDFUL: usize = 64;

/// Where outcomes go.
pub(super) struct Outlet<'a> {
    work: usize,
    sink: &'a Sink<'a>,
    stopped: &'a (dyn Fn() -> bool + Sync),
    kept: Vec<Settled>,
}

impl<'a> Outlet<'a> {
    /// To `sink`, for the work at this position; `stopped` says whether to stop as soon as possible.
    pub(super) fn new(work: usize, sink: &'a Sink<'a>, stopped: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { work, sink, stopped, kept: Vec::new() }
    }

    /// Whether to stop as soon as possible.
    pub(super) fn stopped(&self) -> bool {
        (self.stopped)()
    }

    /// Hands an outcome over, soon.
    fn send(&mut self, job: usize, sample: usize, outcome: Outcome) -> Result<()> {
        self.kept.push((job, sample, outcome));
        if self.kept.len() < HANDFUL { Ok(()) } else { self.flush() }
    }

    /// Hands over what was kept back.
    fn flush(&mut self) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        (self.sink)(self.work, std::mem::take(&mut self.kept))
    }
}

/// A block of lanes with its judge.
pub(super) struct Worker<'a> {
    pub(super) work: Work<'a>,
    pub(super) queue: &'a Queue,
    pub(super) block: LaneBlock<'a, Run>,
    pub(super) judge: &'a mut Judge,
    pub(super) outlet: Outlet<'a>,
    /// Steps between looks at the lanes.
    pub(super) steps: usize,
    /// Runs that go on with another restart or budget.
    pub(super) again: VecDeque<Run>,
    /// What waits for the judge.
    pub(super) found: Vec<Found>,
}

/// What a lane found for the jobs that end here.
pub(super) struct Found {
    run: Run,
    output: LaneOutput,
}

/// Opens a block for the first number of lanes in the place of the second, where that is worth it.
pub(super) type Shrink<'a> = dyn Fn(usize, usize) -> Result<Option<Executable>> + 'a;

impl<'a> Worker<'a> {
    /// Walks until the queue is empty, or it is told to stop. Towards the end the last lanes move into a smaller block.
    pub(super) fn walk(&mut self, shrink: &Shrink) -> Result<()> {
        loop {
            if self.outlet.stopped() {
                return Ok(());
            }
            while self.block.idle() > 0 {
                let Some(run) = self.next()? else { break };
                let input = self.walk_input(&run);
                self.block.enter(run, &input)?;
            }
            if self.block.idle() > 0
                && let Some(smaller) = shrink(self.block.busy() + self.found.len(), self.block.lanes())?
            {
                self.block.move_to(smaller)?;
            }
            for lane in self.block.advance(self.steps)? {
                let found = self.settle(lane)?;
                self.found.push(found);
            }
            let (lanes, busy, waiting) = (self.block.lanes(), self.block.busy(), self.found.len());
            // Lanes that nothing else can fill may wait for what the judge says of others.
            let starved = self.block.idle() > lanes / 4 && waiting > lanes / 4;
            if waiting >= self.judge.block() || (waiting > 0 && (busy == 0 || starved)) {
                self.judge_all()?;
            } else if busy == 0 && self.again.is_empty() {
                return self.outlet.flush();
            }
        }
    }

    fn walk_input(&self, run: &Run) -> LaneInput<'a> {
        let jobs = self.work.jobs;
        let job = &jobs[run.open[0].job];
        let warm = run.search.as_ref().filter(|_| run.restart == 0).and_then(|search| search.warm());
        // Past a success the lane goes on for the jobs that want all their steps.
        let stop_on_success = run.open.iter().any(|open| jobs[open.job].stop_on_success);
        let input = self.work.lane_input(job, rung(job, run), run.sample, run.restart, warm);
        LaneInput { stop_on_success, ..input }
    }

    /// The next run that needs a lane; what needs none is finished here.
    pub(super) fn next(&mut self) -> Result<Option<Run>> {
        if let Some(run) = self.again.pop_front() {
            return Ok(Some(run));
        }
        while let Some(mut run) = self.queue.next(self.work.jobs) {
            let mut open = Vec::with_capacity(run.open.len());
            for one in run.open {
                let (attacked, lane) = self.work.jobs[one.job].role(self.work.subject, run.sample);
                if lane {
                    open.push(one);
                } else {
                    let untouched = self.work.untouched(&self.work.jobs[one.job], run.sample, attacked);
                    self.outlet.send(one.job, run.sample, untouched)?;
                }
            }
            if !open.is_empty() {
                run.open = open;
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// Takes what a paused lane found for the jobs that end here; the lane goes on for those that want more steps.
    fn settle(&mut self, lane: usize) -> Result<Found> {
        let output = self.block.output(lane)?;
        let jobs = self.work.jobs;
        let Some(run) = self.block.run_mut(lane) else { unreachable!("only busy lanes pause") };
        let share = output.seconds / run.open.len() as f64;
        run.open.iter_mut().for_each(|open| open.seconds += share);
        let ends = |open: &Open| {
            let job = &jobs[open.job];
            job.steps <= output.steps_used || (output.ended_early && job.stop_on_success)
        };
        // Mostly all of them end at once.
        if run.open.iter().all(ends) {
            let Some(run) = self.block.leave(lane)? else { unreachable!("only busy lanes pause") };
            return Ok(Found { run, output });
        }
        let (ended, rest): (Vec<Open>, Vec<Open>) = run.open.drain(..).partition(ends);
        let steps = rest.first().map_or(0, |next| jobs[next.job].steps - output.steps_used);
        let stop = rest.iter().any(|open| jobs[open.job].stop_on_success);
        let (sample, restart) = (run.sample, run.restart);
        run.open = rest;
        self.block.go_on(lane, steps, stop)?;
        Ok(Found { run: Run { sample, restart, open: ended, search: None }, output })
    }

    /// Judges what lanes found, and keeps the better of it and what earlier restarts found. Runs with restarts or budgets left go
    /// to `again`.
    pub(super) fn judge_all(&mut self) -> Result<()> {
        let mut found = std::mem::take(&mut self.found);
        for found in &mut found {
            let job = &self.work.jobs[found.run.open[0].job];
            let eps = rung(job, &found.run).eps;
            self.work.hold_budget(job, eps, found.run.sample, &mut found.output.x);
        }
        let inputs: Vec<&[f32]> = found.iter().map(|found| found.output.x.as_slice()).collect();
        let logits = self.judge.logits(&inputs)?;
        for (found, logits) in found.into_iter().zip(logits.chunks_exact(self.work.subject.outputs())) {
            let Found { run, output } = found;
            match run.search {
                None => self.conclude(run, &output, logits)?,
                Some(_) => self.search_on(run, &output, logits)?,
            }
        }
        self.outlet.flush()
    }

    /// Finishes the jobs of a run that are done with it; the others restart.
    fn conclude(&mut self, run: Run, output: &LaneOutput, logits: &[f32]) -> Result<()> {
        let Run { sample, restart, open, search } = run;
        let mut rest = Vec::new();
        for Open { job, best, seconds } in open {
            let asked = &self.work.jobs[job];
            let outcome = self.work.outcome(asked, sample, output, logits, seconds);
            let outcome = self.work.better(asked, sample, best, outcome);
            let done = outcome.success && asked.stop_on_success;
            if done || restart + 1 >= asked.restarts {
                self.outlet.send(job, sample, outcome)?;
            } else {
                rest.push(Open { job, best: Some(outcome), seconds: 0.0 });
            }
        }
        if !rest.is_empty() {
            self.again.push_back(Run { sample, restart: restart + 1, open: rest, search });
        }
        Ok(())
    }

    /// Takes what came of one budget of a search; the run goes on with another one, or all of its jobs are finished.
    fn search_on(&mut self, mut run: Run, output: &LaneOutput, logits: &[f32]) -> Result<()> {
        let job = &self.work.jobs[run.open[0].job];
        let Some(search) = &mut run.search else { unreachable!("the caller saw one") };
        let seconds = run.open.iter_mut().map(|open| std::mem::take(&mut open.seconds)).sum();
        let outcome = self.work.outcome(job, run.sample, output, logits, seconds);
        let outcome = self.work.better(job, run.sample, search.best(), outcome);
        if !outcome.success && run.restart + 1 < job.restarts {
            search.stay(outcome);
            run.restart += 1;
            self.again.push_back(run);
        } else if search.go_on(outcome) {
            run.restart = 0;
            self.again.push_back(run);
        } else {
            for open in &run.open {
                let asked = &self.work.jobs[open.job];
                let at =
                    asked.bisected.as_ref().and_then(|rungs| rungs.iter().position(|r| *r == asked.rung()));
                let Some(at) = at else { unreachable!("a job's own budget is on its ladder") };
                let mut outcome = search.outcome(at, || self.work.untouched(asked, run.sample, true));
                if !asked.keeps_inputs {
                    outcome.x = Vec::new();
                }
                self.outlet.send(open.job, run.sample, outcome)?;
            }
        }
        Ok(())
    }
}

/// The budget of a run: the job's own, or the one that its search tries.
pub(super) fn rung(job: &Job, run: &Run) -> Rung {
    match (&run.search, &job.bisected) {
        (Some(search), Some(rungs)) => rungs[search.at()],
        _ => job.rung(),
    }
}

impl Found {
    /// What a lane found for jobs that are done with it.
    pub(super) fn new(run: Run, output: LaneOutput) -> Self {
        Self { run, output }
    }
}
