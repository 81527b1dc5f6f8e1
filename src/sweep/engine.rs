//! The engine: cells on a subject become lanes on a device, lanes become outcomes.
//!
//! Cells whose lanes can share a program run together, in any mixture; every worker has a block of lanes and refills it from one
//! queue. Nothing that a lane computes depends on which others are there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use percuss_kernels::Device;

pub use super::job::{Goal, Job, Outcome};
use super::judge::Judge;
use super::lanes::LaneBlock;
use super::sharing::{Queue, Run, groups};
use super::subject::Subject;
use super::worker::{Finished, Worker};
use crate::attacks::evasion::{EvasionProgram, JudgeProgram};
use crate::graph::{Compiled, Graph, Phase, Uploads};
use crate::{Error, Result};

/// What a run tells while it goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job, by its position, is done: its outcomes, one a sample.
    Finished(usize, Vec<Outcome>),
    /// Comes every second or so, however long the jobs take: time to put away what is finished.
    Waiting,
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

/// Bytes of lanes that a CPU worker keeps: what its cache holds.
const CPU_BLOCK_BYTES: u64 = 4 << 20;
/// Bytes of lanes on a GPU.
const GPU_BLOCK_BYTES: u64 = 1 << 30;
/// Time between two [`Event::Waiting`].
const PAUSE: Duration = Duration::from_secs(1);
/// Steps between looks at the lanes' flags on a GPU.
const GPU_STEPS: usize = 8;

impl Engine {
    fn is_cpu(&self) -> bool {
        matches!(self.device, Device::Cpu { .. })
    }

    /// Threads that run lanes.
    pub(super) fn workers(&self) -> usize {
        if self.is_cpu() { self.threads.max(1) } else { 1 }
    }

    /// Runs `jobs` on `subject`; `events` gets each job's outcomes as soon as they are complete.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once `stop` is set; a device failure; whatever `events` returns.
    pub fn run(
        &self,
        subject: &Subject,
        jobs: &[Job],
        stop: &AtomicBool,
        mut events: impl FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let mut uploads = Uploads::default();
        let samples = subject.data.len();
        let wanted = (jobs.len() * samples).div_ceil(self.workers()).max(1);
        let mut judges = self.open_judges(subject, wanted, &mut uploads)?;
        for group in groups(jobs) {
            let program = EvasionProgram::new(&subject.model, &jobs[group.first()].settings);
            let wanted = (group.trajectories.len() * samples).div_ceil(self.workers()).max(1);
            let blocks = self.open_blocks(&program, wanted, &mut uploads)?;
            let queue = Queue::new(&group, samples);
            let workers = blocks.into_iter().zip(&mut judges).map(|(block, judge)| Worker {
                subject,
                jobs,
                queue: &queue,
                block,
                judge,
                steps: if self.is_cpu() { 1 } else { GPU_STEPS },
            });
            run_workers(workers.collect(), samples, stop, &mut events)?;
        }
        Ok(())
    }

    /// A block of lanes for every worker.
    fn open_blocks<'p>(
        &self,
        program: &'p EvasionProgram,
        wanted: usize,
        uploads: &mut Uploads,
    ) -> Result<Vec<LaneBlock<'p, Run>>> {
        let phases = std::slice::from_ref(&program.step);
        halving(self.lanes_for(&program.graph, phases, wanted), |lanes| {
            let compiled = Compiled::on(&self.device, uploads, &program.graph, phases, lanes)?;
            (0..self.workers())
                .map(|_| LaneBlock::new(program, &compiled, &self.device, uploads, 1))
                .collect()
        })
    }

    /// A judge for every worker.
    fn open_judges(&self, subject: &Subject, wanted: usize, uploads: &mut Uploads) -> Result<Vec<Judge>> {
        let program = JudgeProgram::new(&subject.model);
        halving(self.lanes_for(&program.graph, std::slice::from_ref(&program.judge), wanted), |lanes| {
            Judge::open(&subject.model, lanes, &self.device, uploads, self.workers())
        })
    }

    /// How many lanes of a program fill its memory budget, at most `wanted`.
    pub(super) fn lanes_for(&self, graph: &Graph, phases: &[Phase], wanted: usize) -> usize {
        if let Some(lanes) = self.lanes {
            return lanes;
        }
        let bytes = |lanes| Compiled::sketch(graph, phases, lanes).bytes();
        let each = (bytes(33) - bytes(1)) / 32;
        let (budget, least, most) =
            if self.is_cpu() { (CPU_BLOCK_BYTES, 4, 256) } else { (GPU_BLOCK_BYTES, 32, 8192) };
        let fitting = (budget / each.max(1)) as usize;
        fitting.clamp(least, most).min(wanted.max(2))
    }
}

/// Runs workers, each on a thread of its own, and hands out a job's outcomes, one a sample, once it has all of them.
fn run_workers(
    workers: Vec<Worker>,
    samples: usize,
    stop: &AtomicBool,
    events: &mut impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let (sender, receiver) = sync_channel::<Finished>(1024);
    let abort = AtomicBool::new(false);
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
        let collected = collect(&receiver, samples, events);
        if collected.is_err() {
            abort.store(true, Ordering::Relaxed);
            // Workers that wait to be heard must find the end of the channel.
            receiver.iter().for_each(drop);
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

/// Puts outcomes together until all workers are done.
fn collect(
    receiver: &Receiver<Finished>,
    samples: usize,
    events: &mut impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let mut open: HashMap<usize, (usize, Vec<Option<Outcome>>)> = HashMap::new();
    let mut looked = Instant::now();
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok((job, sample, outcome)) => {
                let (left, outcomes) = open.entry(job).or_insert_with(|| (samples, vec![None; samples]));
                outcomes[sample] = Some(outcome);
                *left -= 1;
                if *left == 0 {
                    let outcomes = open.remove(&job).map(|(_, outcomes)| outcomes).unwrap_or_default();
                    events(Event::Finished(job, outcomes.into_iter().flatten().collect()))?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if looked.elapsed() >= PAUSE {
            looked = Instant::now();
            events(Event::Waiting)?;
        }
    }
}

/// Opens something with as many lanes as the device's memory allows: half of them, and again half, where it is full.
fn halving<T>(mut lanes: usize, mut open: impl FnMut(usize) -> Result<T>) -> Result<T> {
    loop {
        match open(lanes) {
            Err(Error::Device(percuss_kernels::Error::OutOfMemory { .. })) if lanes > 1 => lanes /= 2,
            other => return other,
        }
    }
}
