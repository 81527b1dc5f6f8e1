//! Stages: what a sweep runs through, one group of jobs after another, over all of its subjects.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::engine::Engine;
use super::job::Work;
use super::judge::Judge;
use super::sharing::{Queue, groups};
use crate::attacks::evasion::{EvasionProgram, JudgeProgram};
use crate::graph::{Compiled, Executable, Uploads};
use crate::{Error, Result};

/// A subject with its stages.
pub(super) struct Site<'a> {
    /// The position of the work.
    pub(super) position: usize,
    pub(super) work: Work<'a>,
    pub(super) stages: Vec<Stage>,
    uploads: Mutex<Uploads>,
    /// Workers that are done here.
    left: AtomicUsize,
}

/// A group's queue with its program.
pub(super) struct Stage {
    pub(super) queue: Queue,
    program: OnceLock<EvasionProgram>,
    /// Opened before its time.
    ready: Mutex<Option<Executable>>,
}

/// A poisoned lock only says that another thread panicked; the data behind ours is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Site<'a> {
    /// The stages of some work, nothing opened yet.
    pub(super) fn new(engine: &Engine, position: usize, work: Work<'a>) -> Self {
        let samples = work.subject.data.len();
        let stage = |group| Stage {
            queue: Queue::new(group, samples),
            program: OnceLock::new(),
            ready: Mutex::default(),
        };
        let stages = groups(work.jobs, engine.sharing).into_iter().map(stage).collect();
        Self { position, work, stages, uploads: Mutex::default(), left: AtomicUsize::new(0) }
    }

    /// A judge of the model.
    pub(super) fn judge(&self, engine: &Engine) -> Result<Judge> {
        let model = &self.work.subject.model;
        let program = JudgeProgram::new(model);
        let most = self.stages.iter().map(|stage| stage.queue.len()).max().unwrap_or(0);
        let lanes =
            engine.lanes_for(&program.graph, std::slice::from_ref(&program.judge), self.share(engine, most));
        halving(lanes, |lanes| Judge::open(model, lanes, &engine.device, &mut lock(&self.uploads)))
    }

    /// Of so many runs, those that one worker does.
    fn share(&self, engine: &Engine, runs: usize) -> usize {
        runs.div_ceil(engine.workers()).max(1)
    }

    /// The program of a stage, built by whoever asks first.
    pub(super) fn program<'s>(&self, stage: &'s Stage) -> &'s EvasionProgram {
        stage.program.get_or_init(|| {
            let group = stage.queue.group();
            let (model, settings) = (&self.work.subject.model, &self.work.jobs[group.first()].settings);
            if group.leaps {
                EvasionProgram::in_two(model, settings)
            } else {
                EvasionProgram::new(model, settings)
            }
        })
    }

    /// A block of lanes of a stage.
    pub(super) fn open(&self, engine: &Engine, stage: &Stage) -> Result<Executable> {
        if let Some(ready) = lock(&stage.ready).take() {
            return Ok(ready);
        }
        let program = self.program(stage);
        let wanted = self.share(engine, stage.queue.len());
        let lanes = engine.lanes_for(&program.graph, &program.phases, wanted);
        halving(lanes, |lanes| self.open_lanes(engine, stage, lanes))
    }

    /// Opens a block of lanes of a stage that is about to come, so that the device need not wait for it.
    pub(super) fn open_early(&self, engine: &Engine, stage: &Stage) {
        let mut ready = lock(&stage.ready);
        if stage.program.get().is_none() {
            let program = self.program(stage);
            let wanted = self.share(engine, stage.queue.len());
            let lanes = engine.lanes_for(&program.graph, &program.phases, wanted);
            // What fails now fails again when its time comes, and is told then.
            *ready = self.open_lanes(engine, stage, lanes).ok();
        }
    }

    /// A block of so many lanes of a stage.
    pub(super) fn open_lanes(&self, engine: &Engine, stage: &Stage, lanes: usize) -> Result<Executable> {
        let program = self.program(stage);
        let mut uploads = lock(&self.uploads);
        let compiled = Compiled::on(&engine.device, &mut uploads, &program.graph, &program.phases, lanes)?;
        compiled.instantiate(&engine.device, &mut uploads, 1)
    }

    /// A worker is done here; the last one lets go of the model's constants on the device.
    pub(super) fn leave(&self, engine: &Engine) {
        if self.left.fetch_add(1, Ordering::AcqRel) + 1 == engine.workers() {
            *lock(&self.uploads) = Uploads::default();
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
