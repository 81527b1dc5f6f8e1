//! A worker: a block of lanes with its judge, refilled from the queue until that is empty.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

use super::identity::lane_key;
use super::job::{Goal, Job, Outcome};
use super::judge::Judge;
use super::lanes::{LaneBlock, LaneInput, LaneOutput};
use super::sharing::{Open, Queue, Run};
use super::subject::Subject;
use crate::Result;
use crate::attacks::Norm;
use crate::attacks::evasion::start::{Bounds, changed, distance, random_start};

/// A job's position, a sample's, and what came of it.
pub(super) type Finished = (usize, usize, Outcome);

/// A block of lanes with its judge.
pub(super) struct Worker<'a> {
    pub(super) subject: &'a Subject,
    pub(super) jobs: &'a [Job],
    pub(super) queue: &'a Queue<'a>,
    pub(super) block: LaneBlock<'a, Run>,
    pub(super) judge: &'a mut Judge,
    /// Steps between looks at the lanes.
    pub(super) steps: usize,
}

/// What a lane found for the jobs that end here.
struct Found {
    trajectory: usize,
    sample: usize,
    restart: u64,
    jobs: Vec<Open>,
    output: LaneOutput,
}

impl Worker<'_> {
    /// Works until the queue is empty, or `stopped`, or nobody listens any more.
    pub(super) fn work(&mut self, sender: &SyncSender<Finished>, stopped: &dyn Fn() -> bool) -> Result<()> {
        let mut again: VecDeque<Run> = VecDeque::new();
        let mut found: Vec<Found> = Vec::new();
        let lanes = self.block.idle();
        loop {
            if stopped() {
                return Ok(());
            }
            while self.block.idle() > 0 {
                let Some(run) = again.pop_front().or_else(|| self.queue.next()) else { break };
                // Jobs of one trajectory agree in all that a role depends on.
                let (attacked, lane) = self.jobs[run.open[0].job].role(self.subject, run.sample);
                if lane {
                    let input = self.lane_input(&run);
                    self.block.enter(run, &input)?;
                    continue;
                }
                for open in &run.open {
                    if sender.send((open.job, run.sample, self.untouched(run.sample, attacked))).is_err() {
                        return Ok(());
                    }
                }
            }
            for lane in self.block.advance(self.steps)? {
                found.push(self.settle(lane)?);
            }
            let drained = self.block.idle() == lanes;
            if found.len() >= self.judge.block() || (drained && !found.is_empty()) {
                for finished in self.judge_all(std::mem::take(&mut found), &mut again)? {
                    if sender.send(finished).is_err() {
                        return Ok(());
                    }
                }
            } else if drained && again.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes what a paused lane found for the jobs that end here; the lane goes on for those that want more steps.
    fn settle(&mut self, lane: usize) -> Result<Found> {
        let output = self.block.output(lane)?;
        let jobs = self.jobs;
        let Some(run) = self.block.run_mut(lane) else { unreachable!("only busy lanes pause") };
        let share = output.seconds / run.open.len() as f64;
        run.open.iter_mut().for_each(|open| open.seconds += share);
        let ends = |open: &Open| output.ended_early || jobs[open.job].steps <= output.steps_used;
        let rest = run.open.split_off(run.open.iter().take_while(|open| ends(open)).count());
        let next = rest.first().map(|open| jobs[open.job].steps - output.steps_used);
        let (trajectory, sample, restart) = (run.trajectory, run.sample, run.restart);
        let ended = std::mem::replace(&mut run.open, rest);
        match next {
            Some(steps) => self.block.go_on(lane, steps)?,
            None => self.block.leave(lane)?,
        }
        Ok(Found { trajectory, sample, restart, jobs: ended, output })
    }

    fn lane_input(&self, run: &Run) -> LaneInput {
        let job = &self.jobs[run.open[0].job];
        let data = &self.subject.data;
        let clean = data.sample(run.sample);
        let norm = job.settings.norm;
        let bounds = Bounds::new(clean, &data.domain, norm, job.eps);
        let start = if job.random_start {
            let key = lane_key(job.seed, &job.stream, data.index[run.sample], run.restart);
            random_start(norm, job.eps, clean, &bounds, &data.domain, key)
        } else {
            clean.to_vec()
        };
        // Radii are a hair smaller than eps, so that an f32 sum of squares never lets an f64 norm exceed it.
        let radius = if norm == Norm::Linf { job.eps } else { job.eps * (1.0 - 4e-6) };
        LaneInput {
            start,
            clean: clean.to_vec(),
            bounds,
            label: self.subject.label(run.sample, job.finding),
            target: if let Goal::Target(class) = job.goal { class } else { 0 },
            finding: job.finding as u32,
            threshold_logit: self.subject.threshold_logit(job.finding),
            radius: radius as f32,
            step_size: job.step_size as f32,
            steps: job.steps,
            stop_on_success: job.stop_on_success,
            parameters: job.parameters.clone(),
        }
    }

    /// A sample that the cell leaves as it is.
    fn untouched(&self, sample: usize, attacked: bool) -> Outcome {
        Outcome {
            x: self.subject.data.sample(sample).to_vec(),
            logits: self.subject.clean_logits(sample).to_vec(),
            attacked,
            success: false,
            l0: 0,
            norms: [0.0; 3],
            steps_used: 0,
            forward_calls: 1,
            gradient_calls: 0,
            zero_gradients: 0.0,
            seconds: 0.0,
        }
    }

    /// Judges what lanes found, and keeps the better of it and what earlier restarts found. Jobs with restarts left go to `again`.
    fn judge_all(&mut self, mut found: Vec<Found>, again: &mut VecDeque<Run>) -> Result<Vec<Finished>> {
        for found in &mut found {
            self.hold_budget(&self.jobs[found.jobs[0].job], found.sample, &mut found.output.x);
        }
        let inputs: Vec<&[f32]> = found.iter().map(|found| found.output.x.as_slice()).collect();
        let logits = self.judge.logits(&inputs)?;
        let mut finished = Vec::new();
        for (found, logits) in found.into_iter().zip(logits.chunks_exact(self.subject.outputs())) {
            let mut rest = Vec::new();
            for Open { job, best, seconds } in found.jobs {
                let outcome = self.outcome(job, found.sample, &found.output, logits, seconds);
                let outcome = match best {
                    Some(best) => self.better(job, found.sample, best, outcome),
                    None => outcome,
                };
                let done = outcome.success && self.jobs[job].stop_on_success;
                if done || found.restart + 1 >= self.jobs[job].restarts {
                    finished.push((job, found.sample, outcome));
                } else {
                    rest.push(Open { job, best: Some(outcome), seconds: 0.0 });
                }
            }
            if !rest.is_empty() {
                let (trajectory, sample, restart) = (found.trajectory, found.sample, found.restart + 1);
                again.push_back(Run { trajectory, sample, restart, open: rest });
            }
        }
        Ok(finished)
    }

    /// The projection already keeps the budget; should rounding ever break it, the change is shrunk until it holds in f64: at
    /// first by a millionth, at last to nothing. Categories stay whole until then.
    fn hold_budget(&self, job: &Job, sample: usize, x: &mut [f32]) {
        let domain = &self.subject.data.domain;
        let clean = self.subject.data.sample(sample);
        let mut margin = 1e-6;
        while distance(job.settings.norm, x, clean, &domain.scale) > job.eps {
            for (i, (x, &clean)) in x.iter_mut().zip(clean).enumerate() {
                if margin >= 1.0 {
                    *x = clean;
                } else if !domain.one_hot.iter().any(|group| group.contains(&i)) {
                    *x = (f64::from(clean) + (f64::from(*x) - f64::from(clean)) * (1.0 - margin)) as f32;
                }
            }
            margin *= 2.0;
        }
    }

    fn outcome(
        &self,
        job: usize,
        sample: usize,
        output: &LaneOutput,
        logits: &[f32],
        seconds: f64,
    ) -> Outcome {
        let job = &self.jobs[job];
        let (attacked, _) = job.role(self.subject, sample);
        let data = &self.subject.data;
        let clean = data.sample(sample);
        let norms =
            [Norm::L1, Norm::L2, Norm::Linf].map(|norm| distance(norm, &output.x, clean, &data.domain.scale));
        Outcome {
            l0: changed(&output.x, clean),
            x: output.x.clone(),
            logits: logits.to_vec(),
            attacked,
            success: job.reach(self.subject, sample, logits) > 0.0,
            norms,
            steps_used: output.steps_used,
            forward_calls: output.steps_used + u64::from(output.ended_early),
            gradient_calls: output.steps_used,
            zero_gradients: f64::from(output.zero_gradients),
            seconds,
        }
    }

    /// The outcome that reaches the aim further, with the cost of both.
    fn better(&self, job: usize, sample: usize, best: Outcome, latest: Outcome) -> Outcome {
        let reach = |outcome: &Outcome| self.jobs[job].reach(self.subject, sample, &outcome.logits);
        let ahead = reach(&latest) > reach(&best);
        let (steps, forwards) =
            (best.steps_used + latest.steps_used, best.forward_calls + latest.forward_calls);
        let gradients = best.gradient_calls + latest.gradient_calls;
        let zeros = best.zero_gradients + latest.zero_gradients;
        let seconds = best.seconds + latest.seconds;
        let kept = if ahead { latest } else { best };
        Outcome {
            steps_used: steps,
            forward_calls: forwards,
            gradient_calls: gradients,
            zero_gradients: zeros,
            seconds,
            ..kept
        }
    }
}
