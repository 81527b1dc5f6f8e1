//! The engine: cells on subjects become lanes on a device, lanes become outcomes.
//!
//! Cells whose lanes can share a program run together, in any mixture: that is a stage. Every worker has a block of lanes, refills it from
//! the stage's queue, and goes on to the next stage, be it of another model, without waiting for the others. Nothing that a lane computes
//! depends on which others are there.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use percuss_kernels::Device;

pub use super::job::{Goal, Job, Outcome, Rung, Work};
use super::lanes::LaneBlock;
use super::stage::{Site, Stage};
use super::worker::{Outlet, Settled, Sink, Worker};
use crate::graph::{Compiled, Graph, Phase};
use crate::{Error, Result};

/// What a run tells while it goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T> {
    /// A job is done.
    Finished {
        /// The position of the work.
        work: usize,
        /// The position of the job in it.
        job: usize,
        /// What was made of its outcomes.
        made: T,
    },
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
    /// Whether jobs share what is provably equal; no outcome depends on it.
    pub sharing: bool,
}

impl Engine {
    /// An engine that chooses its lanes, and shares.
    pub fn new(device: Device, threads: usize) -> Self {
        Self { device, threads, lanes: None, sharing: true }
    }
}

/// Bytes of lanes that a CPU worker keeps: what its cache holds.
const CPU_BLOCK_BYTES: u64 = 4 << 20;
/// Bytes of weights that a CPU's cache does not hold beside them: then each is fetched once a block, for so many lanes at least.
const CPU_WEIGHT_BYTES: u64 = 4 << 20;
const CPU_WEIGHT_LANES: usize = 8;
/// Bytes of lanes that a CPU worker does not go beyond for the sake of weights: lanes this large have rows enough for each fetch.
const CPU_MOST_BYTES: u64 = 256 << 20;
/// Bytes of lanes on a GPU.
const GPU_BLOCK_BYTES: u64 = 1 << 30;
/// Samples of finished jobs that wait to be heard of, about: workers that are further ahead of who writes wait for it.
const AHEAD: usize = 16_384;
/// Time between two [`Event::Waiting`].
const PAUSE: Duration = Duration::from_secs(1);
/// Steps between looks at the lanes' flags on a GPU.
const GPU_STEPS: usize = 8;
/// Lanes of the smallest block of a CPU worker.
const FEWEST_LANES: usize = 4;

impl Engine {
    fn is_cpu(&self) -> bool {
        self.device.is_cpu()
    }

    /// Threads that run lanes.
    pub(super) fn workers(&self) -> usize {
        if self.is_cpu() { self.threads.max(1) } else { 1 }
    }

    /// Runs all of `work`. What is settled of a job, one outcome a sample, goes as soon as it is complete to `make`, on the worker that
    /// completed it, with the positions of work and job; what that makes of it goes to `events`, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once `stop` is set; a device failure; whatever `make` or `events` return.
    pub fn run<T: Send>(
        &self,
        work: &[Work],
        stop: &AtomicBool,
        make: impl Fn(usize, usize, Vec<Outcome>) -> Result<T> + Sync,
        mut events: impl FnMut(Event<T>) -> Result<()>,
    ) -> Result<()> {
        let asked = work.iter().enumerate().filter(|(_, work)| !work.jobs.is_empty());
        let sites: Vec<Site> = asked.map(|(position, work)| Site::new(self, position, *work)).collect();
        let samples = work.iter().map(|work| work.subject.data.len()).max().unwrap_or(0);
        let (sender, receiver) = sync_channel(AHEAD / samples.max(1) + 1);
        let tally = Tally::default();
        let abort = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::Relaxed) || abort.load(Ordering::Relaxed);
        let first = std::thread::scope(|scope| {
            let worker = |_| {
                let sender: SyncSender<Event<T>> = sender.clone();
                let (sites, abort, stopped, tally, make) = (&sites, &abort, &stopped, &tally, &make);
                scope.spawn(move || {
                    let sink = |at: usize, settled| {
                        for (job, outcomes) in tally.add(at, work[at].subject.data.len(), settled) {
                            let finished = Event::Finished { work: at, job, made: make(at, job, outcomes)? };
                            sender.send(finished).map_err(|_| Error::Interrupted)?;
                        }
                        Ok(())
                    };
                    let result = self.work_through(sites, &sink, stopped);
                    if result.is_err() {
                        abort.store(true, Ordering::Relaxed);
                    }
                    result
                })
            };
            let handles: Vec<_> = (0..self.workers()).map(worker).collect();
            drop(sender);
            let mut first = listen(&receiver, &mut events);
            if first.is_err() {
                abort.store(true, Ordering::Relaxed);
            }
            // Workers that wait to be heard must find the end of the channel.
            drop(receiver);
            for handle in handles {
                let result = handle.join().unwrap_or_else(|_| Err(Error::Failed("a worker panicked".into())));
                // A worker that nobody listens to says that it was interrupted: the reason is another.
                first = match (first, result) {
                    (Ok(()) | Err(Error::Interrupted), Err(error)) => Err(error),
                    (first, _) => first,
                };
            }
            first
        });
        match first {
            Ok(()) if stop.load(Ordering::Relaxed) => Err(Error::Interrupted),
            first => first,
        }
    }

    /// One worker's way through all stages.
    fn work_through(&self, sites: &[Site], sink: &Sink, stopped: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let stages: Vec<(&Site, &Stage)> =
            sites.iter().flat_map(|site| site.stages.iter().map(move |stage| (site, stage))).collect();
        for site in sites {
            let mut judge = None;
            for stage in site.stages.iter().filter(|stage| !stage.queue.is_empty()) {
                if stopped() {
                    return Ok(());
                }
                let block = LaneBlock::new(site.program(stage), site.open(self, stage)?);
                let judge = match &mut judge {
                    Some(judge) => judge,
                    empty => empty.insert(site.judge(self)?),
                };
                let worker = Worker {
                    work: site.work,
                    queue: &stage.queue,
                    block,
                    judge,
                    outlet: Outlet::new(site.position, sink, stopped),
                    steps: if self.is_cpu() { 1 } else { GPU_STEPS },
                    again: VecDeque::new(),
                    found: Vec::new(),
                };
                let next = stages.iter().skip_while(|(_, other)| !std::ptr::eq(*other, stage)).nth(1);
                std::thread::scope(|scope| {
                    if let Some((site, stage)) = next.filter(|_| !self.is_cpu()) {
                        scope.spawn(|| site.open_early(self, stage));
                    }
                    self.work_on(worker, site, stage)
                })?;
            }
            site.leave(self);
        }
        Ok(())
    }

    fn work_on(&self, mut worker: Worker, site: &Site, stage: &Stage) -> Result<()> {
        if stage.queue.group().leaps {
            return worker.leap();
        }
        worker.walk(&|wanted, lanes| {
            // Fewer lanes are less work on a CPU; on a GPU they would be another kernel.
            let fewer = wanted.next_power_of_two().max(FEWEST_LANES);
            let worth = self.is_cpu() && self.lanes.is_none() && wanted > 0 && 2 * fewer <= lanes;
            worth.then(|| site.open_lanes(self, stage, fewer)).transpose()
        })
    }

    /// How many lanes of a program fill its memory budget, at most `wanted`.
    pub(super) fn lanes_for(&self, graph: &Graph, phases: &[Phase], wanted: usize) -> usize {
        if let Some(lanes) = self.lanes {
            return lanes;
        }
        let bytes = |lanes| Compiled::sketch(graph, phases, lanes).bytes();
        let each = (bytes(33) - bytes(1)) / 32;
        let fewest = if graph.constant_bytes() > CPU_WEIGHT_BYTES { CPU_WEIGHT_LANES } else { FEWEST_LANES };
        let least = fewest.min((CPU_MOST_BYTES / each.max(1)) as usize).max(1);
        let (budget, least, most) =
            if self.is_cpu() { (CPU_BLOCK_BYTES, least, 256) } else { (GPU_BLOCK_BYTES, 32, 8192) };
        let fitting = (budget / each.max(1)) as usize;
        fitting.clamp(least, most).min(wanted.max(2))
    }
}

/// What is settled of jobs that are not complete yet.
#[derive(Default)]
struct Tally {
    /// By the positions of work and job.
    open: Mutex<HashMap<(usize, usize), Partial>>,
}

/// How many samples of a job are not settled yet, and what came of the others.
type Partial = (usize, Vec<Option<Outcome>>);

impl Tally {
    /// Adds what is settled of a work of so many samples; the jobs that this completes, each with an outcome a sample.
    fn add(&self, work: usize, samples: usize, settled: Vec<Settled>) -> Vec<(usize, Vec<Outcome>)> {
        // A poisoned lock only says that another thread panicked; what it guards is whole.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complete = Vec::new();
        for (job, sample, outcome) in settled {
            let (left, outcomes) = open.entry((work, job)).or_insert_with(|| (samples, vec![None; samples]));
            outcomes[sample] = Some(outcome);
            *left -= 1;
            if *left == 0 {
                let outcomes = open.remove(&(work, job)).map(|(_, outcomes)| outcomes).unwrap_or_default();
                complete.push((job, outcomes));
            }
        }
        drop(open);
        let whole = |outcomes: Vec<Option<Outcome>>| outcomes.into_iter().flatten().collect();
        complete.into_iter().map(|(job, outcomes)| (job, whole(outcomes))).collect()
    }
}

/// Tells what there is to tell until all workers are done.
fn listen<T>(receiver: &Receiver<Event<T>>, events: &mut impl FnMut(Event<T>) -> Result<()>) -> Result<()> {
    let mut looked = Instant::now();
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(event) => events(event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if looked.elapsed() >= PAUSE {
            looked = Instant::now();
            events(Event::Waiting)?;
        }
    }
}
