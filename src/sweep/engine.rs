//! The engine: cells on a subject become lanes on a device, lanes become outcomes.
//!
//! Cells whose lanes can share a program run together, in any mixture; every worker has a block of lanes and refills it from one
//! queue. Nothing that a lane computes depends on which others are there.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use percuss_kernels::Device;

use super::identity::lane_key;
use super::judge::Judge;
use super::lanes::{LaneBlock, LaneInput, LaneOutput};
use super::subject::{Subject, margin};
use crate::attacks::Norm;
use crate::attacks::evasion::start::{Bounds, changed, distance, random_start};
use crate::attacks::evasion::{EvasionProgram, JudgeProgram, Settings};
use crate::graph::{Compiled, Graph, Phase, Uploads};
use crate::{Error, Result};

/// What counts as success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Any other class than the true one, on samples of every class.
    Any,
    /// As `Any`, on samples of this class only.
    AnyFrom(u32),
    /// This class, on samples of the others.
    Target(u32),
}

/// One cell, resolved for the engine.
#[derive(Clone, Debug)]
pub struct Job {
    /// What its lanes must have in common.
    pub settings: Settings,
    /// Budget in the data's scaled units.
    pub eps: f64,
    /// Step size in the same units.
    pub step_size: f64,
    /// Steps at most.
    pub steps: u64,
    /// Runs of a sample.
    pub restarts: u64,
    /// Whether runs start at random.
    pub random_start: bool,
    /// Whether a lane ends at its first success.
    pub stop_on_success: bool,
    /// What counts as success.
    pub goal: Goal,
    /// The finding that is attacked, 0 for other heads.
    pub finding: usize,
    /// Real parameters of the attack, by name.
    pub parameters: Vec<(&'static str, f32)>,
    /// The name of its stream of random numbers.
    pub stream: String,
    /// The seed of the stream.
    pub seed: u64,
}

/// What came of one sample under one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The adversarial (the clean input where nothing was attacked).
    pub x: Vec<f32>,
    /// Its raw logits by the judge.
    pub logits: Vec<f32>,
    /// Whether the sample counts as attacked: right when clean and, if targeted, not of the target class.
    pub attacked: bool,
    /// Whether the judge found the aim reached.
    pub success: bool,
    /// Features that changed.
    pub l0: u64,
    /// l1, l2, linf norms of the change, in scaled units.
    pub norms: [f64; 3],
    /// Steps taken, over all restarts.
    pub steps_used: u64,
    /// Forward passes.
    pub forward_calls: u64,
    /// Gradients.
    pub gradient_calls: u64,
    /// Sum over the steps of the share of zero gradient entries.
    pub zero_gradients: f64,
    /// Its share of the device's time.
    pub seconds: f64,
}

/// How the engine uses its device.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Where it runs.
    pub device: Device,
    /// Workers on a CPU, each with a block of lanes; a GPU has one.
    pub threads: usize,
    /// Lanes of a block; chosen from the program's memory if absent.
    pub lanes: Option<usize>,
}

/// A lane's work: a sample of a job at a restart.
#[derive(Debug)]
struct Run {
    job: usize,
    sample: usize,
    restart: u64,
    best: Option<Outcome>,
}

/// Bytes of lanes that a CPU worker keeps: what its cache holds.
const CPU_BLOCK_BYTES: u64 = 4 << 20;
/// Bytes of lanes on a GPU.
const GPU_BLOCK_BYTES: u64 = 1 << 30;
/// Steps between looks at the lanes' flags on a GPU.
const GPU_STEPS: usize = 8;

impl Engine {
    fn is_cpu(&self) -> bool {
        matches!(self.device, Device::Cpu { .. })
    }

    fn workers(&self) -> usize {
        if self.is_cpu() { self.threads.max(1) } else { 1 }
    }

    /// Runs `jobs` on `subject`; `finished` gets each job's outcomes, one a sample, as soon as they are complete.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once `stop` is set; a device failure; whatever `finished` returns.
    pub fn run(
        &self,
        subject: &Subject,
        jobs: &[Job],
        stop: &AtomicBool,
        mut finished: impl FnMut(usize, Vec<Outcome>) -> Result<()>,
    ) -> Result<()> {
        let mut uploads = Uploads::default();
        for group in groups(jobs) {
            let program = EvasionProgram::new(&subject.model, &jobs[group[0]].settings);
            self.run_group(subject, jobs, &group, &program, &mut uploads, stop, &mut finished)?;
        }
        Ok(())
    }

    fn run_group(
        &self,
        subject: &Subject,
        jobs: &[Job],
        group: &[usize],
        program: &EvasionProgram,
        uploads: &mut Uploads,
        stop: &AtomicBool,
        finished: &mut impl FnMut(usize, Vec<Outcome>) -> Result<()>,
    ) -> Result<()> {
        let samples = subject.data.len();
        let wanted = (group.len() * samples).div_ceil(self.workers()).max(1);
        let (sender, receiver) = sync_channel::<(usize, usize, Outcome)>(1024);
        let queue = Queue::new(subject, group);
        let abort = AtomicBool::new(false);
        let mut workers = Vec::new();
        for _ in 0..self.workers() {
            let block = self.open_block(program, wanted, uploads)?;
            let lanes = self.judge_lanes(subject, wanted)?;
            let judge = Judge::new(&subject.model, lanes, &self.device, uploads, 1)?;
            workers.push(Worker {
                subject,
                jobs,
                queue: &queue,
                block,
                judge,
                steps: if self.is_cpu() { 1 } else { GPU_STEPS },
            });
        }
        std::thread::scope(|scope| {
            let handles: Vec<_> = workers
                .into_iter()
                .map(|mut worker| {
                    let sender = sender.clone();
                    let abort = &abort;
                    scope.spawn(move || {
                        let result = worker
                            .work(&sender, &|| stop.load(Ordering::Relaxed) || abort.load(Ordering::Relaxed));
                        if result.is_err() {
                            abort.store(true, Ordering::Relaxed);
                        }
                        result
                    })
                })
                .collect();
            drop(sender);
            let mut open: HashMap<usize, (usize, Vec<Option<Outcome>>)> = HashMap::new();
            let mut collected = Ok(());
            for (job, sample, outcome) in receiver {
                let (left, outcomes) = open.entry(job).or_insert_with(|| (samples, vec![None; samples]));
                outcomes[sample] = Some(outcome);
                *left -= 1;
                if *left == 0 && collected.is_ok() {
                    let outcomes = open.remove(&job).map(|(_, outcomes)| outcomes).unwrap_or_default();
                    collected = finished(job, outcomes.into_iter().flatten().collect());
                    if collected.is_err() {
                        abort.store(true, Ordering::Relaxed);
                    }
                }
            }
            let mut first = collected;
            for handle in handles {
                let result = handle.join().unwrap_or_else(|_| Err(Error::Failed("a worker panicked".into())));
                first = first.and(result);
            }
            first
        })?;
        if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// A block of lanes, halved until it fits the device.
    fn open_block<'p>(
        &self,
        program: &'p EvasionProgram,
        wanted: usize,
        uploads: &mut Uploads,
    ) -> Result<LaneBlock<'p, Run>> {
        let mut lanes = self.lanes_for(&program.graph, &program.step, wanted)?;
        loop {
            let compiled = Compiled::new(&program.graph, std::slice::from_ref(&program.step), lanes)?;
            match LaneBlock::new(program, &compiled, &self.device, uploads, 1) {
                Err(Error::Device(percuss_kernels::Error::OutOfMemory { .. })) if lanes > 1 => lanes /= 2,
                other => return other,
            }
        }
    }

    fn judge_lanes(&self, subject: &Subject, wanted: usize) -> Result<usize> {
        let program = JudgeProgram::new(&subject.model);
        self.lanes_for(&program.graph, &program.judge, wanted)
    }

    /// How many lanes of a program fill its memory budget, at most `wanted`.
    fn lanes_for(&self, graph: &Graph, phase: &Phase, wanted: usize) -> Result<usize> {
        if let Some(lanes) = self.lanes {
            return Ok(lanes);
        }
        let bytes =
            |lanes| Ok::<u64, Error>(Compiled::new(graph, std::slice::from_ref(phase), lanes)?.bytes());
        let each = (bytes(33)? - bytes(1)?) / 32;
        let (budget, least, most) =
            if self.is_cpu() { (CPU_BLOCK_BYTES, 4, 256) } else { (GPU_BLOCK_BYTES, 32, 8192) };
        let fitting = (budget / each.max(1)) as usize;
        Ok(fitting.clamp(least, most).min(wanted.max(2)))
    }
}

/// Jobs whose lanes share a program, by their positions.
fn groups(jobs: &[Job]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        match groups.iter_mut().find(|group| jobs[group[0]].settings.shares_program(&job.settings)) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

/// What is still to do in a group: job by job, sample by sample.
struct Queue<'a> {
    subject: &'a Subject,
    group: &'a [usize],
    next: Mutex<usize>,
}

impl<'a> Queue<'a> {
    fn new(subject: &'a Subject, group: &'a [usize]) -> Self {
        Self { subject, group, next: Mutex::new(0) }
    }

    fn next(&self) -> Option<Run> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = self.subject.data.len();
        let position = *next;
        let job = *self.group.get(position / samples)?;
        *next += 1;
        Some(Run { job, sample: position % samples, restart: 0, best: None })
    }

    /// What the sample is to this job: whether it counts as attacked, and whether a lane is needed.
    fn role(&self, job: &Job, sample: usize) -> (bool, bool) {
        let label = self.subject.label(sample, job.finding);
        let deciding = self.subject.deciding(self.subject.clean_logits(sample), job.finding);
        let right = margin(&deciding, label) >= 0.0;
        let meant = match job.goal {
            Goal::Any => true,
            Goal::AnyFrom(class) => label == class,
            Goal::Target(class) => label != class,
        };
        // Run to the end, a misclassified sample is attacked as well: the attack may even correct it.
        (right && meant, meant && (right || !job.stop_on_success))
    }
}

/// A block of lanes with its judge.
struct Worker<'a> {
    subject: &'a Subject,
    jobs: &'a [Job],
    queue: &'a Queue<'a>,
    block: LaneBlock<'a, Run>,
    judge: Judge,
    steps: usize,
}

impl Worker<'_> {
    fn work(
        &mut self,
        sender: &SyncSender<(usize, usize, Outcome)>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        let mut again: VecDeque<Run> = VecDeque::new();
        let mut found: Vec<(Run, LaneOutput)> = Vec::new();
        let lanes = self.block.idle();
        loop {
            if stopped() {
                return Ok(());
            }
            while self.block.idle() > 0 {
                let Some(run) = again.pop_front().or_else(|| self.queue.next()) else { break };
                let job = &self.jobs[run.job];
                let (attacked, lane) = self.queue.role(job, run.sample);
                if lane {
                    let input = self.lane_input(job, &run);
                    self.block.enter(run, &input)?;
                } else if sender.send((run.job, run.sample, self.untouched(run.sample, attacked))).is_err() {
                    return Ok(());
                }
            }
            found.extend(self.block.advance(self.steps)?);
            let drained = self.block.idle() == lanes;
            if found.len() >= self.judge.block() || (drained && !found.is_empty()) {
                for (run, outcome) in self.judge_all(std::mem::take(&mut found))? {
                    let job = &self.jobs[run.job];
                    let last = run.restart + 1 >= job.restarts || (outcome.success && job.stop_on_success);
                    if last {
                        if sender.send((run.job, run.sample, outcome)).is_err() {
                            return Ok(());
                        }
                    } else {
                        again.push_back(Run { restart: run.restart + 1, best: Some(outcome), ..run });
                    }
                }
            } else if drained && again.is_empty() {
                return Ok(());
            }
        }
    }

    fn lane_input(&self, job: &Job, run: &Run) -> LaneInput {
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

    /// Judges what lanes found, and keeps the better of it and what earlier restarts found.
    fn judge_all(&mut self, found: Vec<(Run, LaneOutput)>) -> Result<Vec<(Run, Outcome)>> {
        let found: Vec<(Run, LaneOutput)> = found
            .into_iter()
            .map(|(run, mut output)| {
                self.hold_budget(&self.jobs[run.job], run.sample, &mut output.x);
                (run, output)
            })
            .collect();
        let inputs: Vec<&[f32]> = found.iter().map(|(_, output)| output.x.as_slice()).collect();
        let logits = self.judge.logits(&inputs)?;
        let width = self.subject.outputs();
        let judged = found.into_iter().zip(logits.chunks_exact(width));
        Ok(judged
            .map(|((mut run, output), logits)| {
                let best = run.best.take();
                let outcome = self.outcome(&run, output, logits);
                let outcome = match best {
                    Some(best) => self.better(&run, best, outcome),
                    None => outcome,
                };
                (run, outcome)
            })
            .collect())
    }

    /// The projection already keeps the budget; should rounding ever break it, the change is shrunk until it holds in f64.
    fn hold_budget(&self, job: &Job, sample: usize, x: &mut [f32]) {
        let data = &self.subject.data;
        let clean = data.sample(sample);
        let mut shrink = 1.0 - 1e-6;
        while distance(job.settings.norm, x, clean, &data.domain.scale) > job.eps {
            for (x, &clean) in x.iter_mut().zip(clean) {
                *x = (f64::from(clean) + (f64::from(*x) - f64::from(clean)) * shrink) as f32;
            }
            shrink *= 1.0 - 1e-6;
        }
    }

    fn outcome(&self, run: &Run, output: LaneOutput, logits: &[f32]) -> Outcome {
        let job = &self.jobs[run.job];
        let (attacked, _) = self.queue.role(job, run.sample);
        let data = &self.subject.data;
        let clean = data.sample(run.sample);
        let norms =
            [Norm::L1, Norm::L2, Norm::Linf].map(|norm| distance(norm, &output.x, clean, &data.domain.scale));
        let gap = self.reach(job, run.sample, logits);
        Outcome {
            l0: changed(&output.x, clean),
            x: output.x,
            logits: logits.to_vec(),
            attacked,
            success: gap > 0.0,
            norms,
            steps_used: output.steps_used,
            forward_calls: output.steps_used + u64::from(output.ended_early),
            gradient_calls: output.steps_used,
            zero_gradients: f64::from(output.zero_gradients),
            seconds: output.seconds,
        }
    }

    /// How far the aim is reached: positive is success.
    fn reach(&self, job: &Job, sample: usize, logits: &[f32]) -> f32 {
        let deciding = self.subject.deciding(logits, job.finding);
        match job.goal {
            Goal::Any | Goal::AnyFrom(_) => -margin(&deciding, self.subject.label(sample, job.finding)),
            Goal::Target(class) => margin(&deciding, class),
        }
    }

    /// The outcome that reaches the aim further, with the cost of both.
    fn better(&self, run: &Run, best: Outcome, latest: Outcome) -> Outcome {
        let job = &self.jobs[run.job];
        let ahead = self.reach(job, run.sample, &latest.logits) > self.reach(job, run.sample, &best.logits);
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
