//! Many models at once: the members of an ensemble are lanes of one program and draw their minibatches from a data set that they share.
//!
//! A lane trains one member after another. What a member learns from is an index list, with labels and rows of its own where its
//! [`Lesson`] says so; all of that, and the rates of its steps, are tensors, so that an epoch runs without the host. A lane whose member is
//! done takes the next one. No op mixes lanes, so a member's weights do not depend on its company.

mod block;
mod program;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use percuss_kernels::Device;

use self::block::Block;
use self::program::Program;
use super::fit::{Fitted, Recipe, fits};
use super::lesson::Lesson;
use crate::data::Dataset;
use crate::graph::Compiled;
use crate::models::Config;
use crate::{Error, Result};

/// What the members of an ensemble have in common.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// The architecture.
    pub config: &'a Config,
    /// How each is trained; the seed is the member's own.
    pub recipe: &'a Recipe,
    /// The samples that they share.
    pub base: &'a Dataset,
    /// What early stopping watches.
    pub validation: Option<&'a Dataset>,
    /// The most samples with values of their own that a member's lesson has.
    pub own_values: usize,
}

/// A model to train.
#[derive(Clone, Debug)]
pub struct Member {
    /// Of its initial values and the order of its samples.
    pub seed: u64,
    /// What it learns from.
    pub lesson: Lesson,
    /// Its learning rate, before the schedule; the recipe's if absent.
    pub rate: Option<f64>,
}

impl Member {
    /// A member that learns at the recipe's rate.
    pub fn new(seed: u64, lesson: Lesson) -> Self {
        Self { seed, lesson, rate: None }
    }
}

/// Where an ensemble is trained.
#[derive(Clone, Copy, Debug)]
pub struct Workshop<'a> {
    /// The device.
    pub device: &'a Device,
    /// Workers on a CPU; a GPU has one.
    pub threads: usize,
    /// Members of a block; chosen from the program's memory if absent. No weight depends on it.
    pub lanes: Option<usize>,
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
}

/// Checks that members can be trained by a recipe on these data.
///
/// # Errors
/// Data that do not fit the model; augmentation, since members draw from shared samples.
pub fn learnable(config: &Config, recipe: &Recipe, base: &Dataset) -> Result<()> {
    fits(config, &recipe.rule.loss, base)?;
    match recipe.augment {
        None => Ok(()),
        Some(_) => {
            let found = "a recipe with [augment]";
            Err(Error::input(&base.name, "recipe", found, "none: members draw from shared samples"))
        }
    }
}

/// Trains `count` members; `member` tells of each when its turn comes, and `finished` gets each one's number and model, in whatever order
/// they finish, on the calling thread. A member's model is the same bits as [`fit`](super::fit()) gives for its seed, samples and
/// learning rate.
///
/// # Errors
/// As [`fit`](super::fit()); a lesson that does not fit the base data; whatever `member` and `finished` return.
pub fn train_members(
    course: &Course,
    count: usize,
    member: &(dyn Fn(usize) -> Result<Member> + Sync),
    workshop: &Workshop,
    mut finished: impl FnMut(usize, Fitted) -> Result<()>,
) -> Result<()> {
    learnable(course.config, course.recipe, course.base)?;
    let program = Program::new(course);
    let next = AtomicUsize::new(0);
    let abort = AtomicBool::new(false);
    let stopped = || workshop.stop.load(Ordering::Relaxed) || abort.load(Ordering::Relaxed);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < count && !stopped());
    let workers = if workshop.device.is_cpu() { workshop.threads.clamp(1, count.max(1)) } else { 1 };
    let lanes = program.lanes(workshop, count.div_ceil(workers));
    let first = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<(usize, Fitted)>(workers);
        let work = |_| {
            let (sender, program, take, stopped, abort) = (sender.clone(), &program, &take, &stopped, &abort);
            scope.spawn(move || {
                let block = Block::new(course, program, workshop, lanes, stopped);
                let result = block.and_then(|mut block| block.run(&take, member, &sender));
                if result.is_err() {
                    abort.store(true, Ordering::Relaxed);
                }
                result
            })
        };
        let handles: Vec<_> = (0..workers).map(work).collect();
        drop(sender);
        let mut first = receiver.iter().try_for_each(|(at, fitted)| finished(at, fitted));
        if first.is_err() {
            abort.store(true, Ordering::Relaxed);
        }
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
    if workshop.stop.load(Ordering::Relaxed) { first.and(Err(Error::Interrupted)) } else { first }
}

/// What a step of one member costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCost {
    /// Floating-point operations.
    pub flops: u64,
    /// Seconds, with every worker busy.
    pub seconds: f64,
}

/// Times a step of `course` where it would be trained, for a tenth of a second.
///
/// # Errors
/// Data that do not fit the model; a device failure.
pub fn step_cost(course: &Course, workshop: &Workshop) -> Result<StepCost> {
    const MEASURED: Duration = Duration::from_millis(100);
    fits(course.config, &course.recipe.rule.loss, course.base)?;
    let program = Program::new(course);
    // Two lanes: a single row may be computed in another way.
    let flops = Compiled::sketch(&program.graph, &program.phase, 2).flops(0) / 2;
    let lanes = program.lanes(workshop, usize::MAX);
    let mut executable = program.open(workshop.device, lanes)?;
    let mut step = || -> Result<()> {
        executable.write(program.step, &vec![0.0; lanes])?;
        executable.run(0, 1)?;
        executable.read(program.losses).map(|_| ())
    };
    step()?;
    let (began, mut runs) = (Instant::now(), 0);
    while runs == 0 || began.elapsed() < MEASURED {
        step()?;
        runs += 1;
    }
    let workers = if workshop.device.is_cpu() { workshop.threads.max(1) } else { 1 };
    Ok(StepCost { flops, seconds: began.elapsed().as_secs_f64() / (runs * lanes * workers) as f64 })
}
