//! Many models at once: the members of an ensemble are lanes of one program and draw their minibatches from a data set that they share.
//!
//! A lane trains one member after another. What a member learns from is an index list, with labels and rows of its own where its
//! [`Lesson`] says so; all of that, and the rates of its steps, are tensors, so that an epoch runs without the host. A lane whose member is
//! done takes the next one. No op mixes lanes, so a member's weights do not depend on its company.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use percuss_kernels::Device;

use super::fit::{Fitted, Place, Recipe, check_loss, fits, improves, measure};
use super::init::initial;
use super::lesson::Lesson;
use super::random::permutation;
use super::trainer::{Descent, Step, descend, load_parameters, parameter_states, read_parameters};
use crate::data::{Dataset, Labels};
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Tensor, Uploads};
use crate::models::{Config, Declared, Head, Model};
use crate::{Error, Result};

/// Bytes of members that a CPU worker keeps at once, and how many at most: what its cache holds.
const CPU_BLOCK: (u64, usize) = (4 << 20, 32);
/// The same of a GPU.
const GPU_BLOCK: (u64, usize) = (2 << 30, 4096);

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

/// A training step whose minibatch is drawn on the device.
struct Program {
    graph: Graph,
    phase: [Phase; 1],
    parameters: Vec<(Declared, State)>,
    memory: Vec<State>,
    /// Rows with values of the member's own `[own, sample]`; numbered after the base's.
    own: Option<State>,
    /// The rows of an epoch `[steps, batch]`.
    rows: State,
    /// Their labels `[steps, batch]` (findings: `[steps, batch * outputs]`).
    labels: State,
    /// The rates of its steps `[steps, 3]`.
    rates: State,
    /// The step of the epoch `[]`.
    step: State,
    losses: State,
    batch: usize,
}

impl Program {
    fn new(course: &Course) -> Self {
        let Course { config, recipe, base, .. } = *course;
        let batch = recipe.batch.min(base.len());
        let steps = base.len() / batch;
        let mut graph = Graph::new();
        let parameters = parameter_states(&mut graph, config);
        let label_dims = recipe.rule.loss.label_dims(batch, config.classes());
        let mut state = |name: &str, dims: &[usize]| graph.state(name, Shape::lanes(dims));
        let rows = state("rows", &[steps, batch]);
        let labels = state("labels", &[steps, label_dims.iter().product()]);
        let rates = state("rates", &[steps, 3]);
        let (step, losses) = (state("step", &[]), state("losses", &[]));
        let own = (course.own_values > 0).then(|| {
            let dims = [&[course.own_values], base.shape.as_slice()].concat();
            state("own values", &dims)
        });
        let at = graph.load(step);
        let drawn = row_of(&mut graph, rows, at, &[batch]);
        let x = minibatch(&mut graph, base, own, drawn);
        let x = graph.reshape(x, &[&[batch], config.input_shape().as_slice()].concat());
        let wanted = row_of(&mut graph, labels, at, &label_dims);
        let rate = row_of(&mut graph, rates, at, &[3]);
        let rate = [0, 1, 2].map(|i| {
            let one = graph.slice(rate, 0, i..i + 1);
            graph.reshape(one, &[])
        });
        let mut phase = Phase::new();
        let given = Step { x, labels: wanted, rates: rate };
        let Descent { loss, memory } =
            descend(&mut graph, &mut phase, config, &recipe.rule, &parameters, given);
        let before = graph.load(losses);
        let sum = graph.add(before, loss);
        phase.assign(&mut graph, losses, sum);
        let next = graph.shift(at, 1.0);
        phase.assign(&mut graph, step, next);
        Self { graph, phase: [phase], parameters, memory, own, rows, labels, rates, step, losses, batch }
    }

    /// Members of a block.
    fn lanes(&self, workshop: &Workshop, wanted: usize) -> usize {
        if let Some(lanes) = workshop.lanes {
            return lanes.max(1);
        }
        let (budget, most) = if workshop.device.is_cpu() { CPU_BLOCK } else { GPU_BLOCK };
        let bytes = |lanes| Compiled::sketch(&self.graph, &self.phase, lanes).bytes();
        let each = (bytes(9) - bytes(1)) / 8;
        ((budget / each.max(1)) as usize).clamp(1, most).min(wanted.max(1))
    }

    fn open(&self, device: &Device, lanes: usize) -> Result<Executable> {
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &self.graph, &self.phase, lanes)?;
        compiled.instantiate(device, &mut uploads, 1)
    }
}

/// Row `at` of a table that each lane has: `dims`.
fn row_of(graph: &mut Graph, table: State, at: Tensor, dims: &[usize]) -> Tensor {
    let table = graph.load(table);
    let at = graph.reshape(at, &[1]);
    let row = graph.gather(table, at);
    graph.reshape(row, dims)
}

/// Samples by row `[batch]`: the base's, and after them the lane's own.
fn minibatch(graph: &mut Graph, base: &Dataset, own: Option<State>, rows: Tensor) -> Tensor {
    let n = base.len();
    let table = graph.constant(&Arc::new(base.values.clone()), &[&[n], base.shape.as_slice()].concat());
    let Some(own) = own else { return graph.gather(table, rows) };
    let last = graph.scalar((n - 1) as f32);
    let shared = graph.min(rows, last);
    let shared = graph.gather(table, shared);
    let beyond = graph.shift(rows, -(n as f32));
    let first = graph.scalar(0.0);
    let beyond = graph.max(beyond, first);
    let own = graph.load(own);
    let own = graph.gather(own, beyond);
    let end = graph.scalar(n as f32);
    let is_base = graph.less(rows, end);
    let column = [graph.dims(rows), &vec![1; base.shape.len()]].concat();
    let is_base = graph.reshape(is_base, &column);
    graph.select(is_base, shared, own)
}

/// A member in a lane.
struct Busy {
    /// Its number.
    at: usize,
    member: Member,
    /// The epoch that it is in, from 1.
    epoch: usize,
    /// Steps of an epoch, and those of them that are left.
    steps: usize,
    left: usize,
    losses: Vec<f64>,
    kept: Option<Fitted>,
}

/// A block of lanes on a device.
struct Block<'a> {
    course: &'a Course<'a>,
    program: &'a Program,
    workshop: &'a Workshop<'a>,
    stopped: &'a (dyn Fn() -> bool + Sync),
    executable: Executable,
    lanes: Vec<Option<Busy>>,
}

impl<'a> Block<'a> {
    fn new(
        course: &'a Course,
        program: &'a Program,
        workshop: &'a Workshop,
        lanes: usize,
        stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self> {
        let executable = program.open(workshop.device, lanes)?;
        let lanes = std::iter::repeat_with(|| None).take(lanes).collect();
        Ok(Self { course, program, workshop, stopped, executable, lanes })
    }

    fn busy(&self) -> usize {
        self.lanes.iter().flatten().count()
    }

    /// Trains whatever `take` gives until it gives no more.
    fn run(
        &mut self,
        take: &dyn Fn() -> Option<usize>,
        member: &dyn Fn(usize) -> Result<Member>,
        sender: &SyncSender<(usize, Fitted)>,
    ) -> Result<()> {
        loop {
            for lane in 0..self.lanes.len() {
                if self.lanes[lane].is_none()
                    && let Some(at) = take()
                {
                    self.enter(lane, at, member(at)?)?;
                }
            }
            if self.busy() == 0 || (self.stopped)() {
                return Ok(());
            }
            self.shrink()?;
            // As far as the first that is at the end of its epoch.
            let steps = self.lanes.iter().flatten().map(|busy| busy.left).min().unwrap_or(0);
            self.executable.run(0, steps)?;
            for lane in 0..self.lanes.len() {
                let Some(busy) = &mut self.lanes[lane] else { continue };
                busy.left -= steps;
                if busy.left == 0
                    && let Some(done) = self.end_epoch(lane)?
                {
                    sender.send(done).map_err(|_| Error::Interrupted)?;
                }
            }
        }
    }

    /// The last members move into a smaller block: fewer lanes are less work on a CPU.
    fn shrink(&mut self) -> Result<()> {
        let (busy, lanes) = (self.busy(), self.lanes.len());
        if !self.workshop.device.is_cpu() || self.workshop.lanes.is_some() || 2 * busy > lanes {
            return Ok(());
        }
        let mut executable = self.program.open(self.workshop.device, busy)?;
        let mut left = Vec::with_capacity(busy);
        for lane in 0..lanes {
            if let Some(one) = self.lanes[lane].take() {
                self.executable.copy_lane(lane, &mut executable, left.len())?;
                left.push(Some(one));
            }
        }
        (self.executable, self.lanes) = (executable, left);
        Ok(())
    }

    /// A member takes an idle lane.
    fn enter(&mut self, lane: usize, at: usize, member: Member) -> Result<()> {
        self.check(&member)?;
        let program = self.program;
        let start = initial(&Model::declare(self.course.config), member.seed);
        load_parameters(&mut self.executable, &program.parameters, lane, &start)?;
        for &memory in &program.memory {
            let zeros = vec![0.0; program.graph.state_shape(memory).lane_len()];
            self.executable.write_lane(memory, lane, &zeros)?;
        }
        if let Some(own) = program.own {
            let mut values = vec![0.0; program.graph.state_shape(own).lane_len()];
            let each = self.course.base.sample_len();
            for (row, sample) in values.chunks_exact_mut(each).zip(member.lesson.values.values()) {
                row.copy_from_slice(sample);
            }
            self.executable.write_lane(own, lane, &values)?;
        }
        let steps = member.lesson.samples.len() / program.batch;
        let busy = Busy { at, member, epoch: 0, steps, left: 0, losses: Vec::new(), kept: None };
        self.lanes[lane] = Some(busy);
        self.begin_epoch(lane)
    }

    /// Whether a lesson is one over the base data.
    fn check(&self, member: &Member) -> Result<()> {
        let (base, lesson) = (self.course.base, &member.lesson);
        let bad = |what: &str, found: String, expected: String| {
            Err(Error::input(&base.name, format!("the lesson's {what}"), found, expected))
        };
        let range = self.program.batch..=base.len();
        if !range.contains(&lesson.samples.len()) {
            let expected = format!("{} (a minibatch) to {}", range.start(), range.end());
            return bad("samples", lesson.samples.len().to_string(), expected);
        }
        let positions = lesson.samples.iter().chain(lesson.labels.keys()).chain(lesson.values.keys());
        if let Some(position) = positions.copied().find(|&position| position >= base.len()) {
            return bad("positions", position.to_string(), format!("below {}", base.len()));
        }
        if lesson.values.len() > self.course.own_values {
            return bad(
                "own values",
                lesson.values.len().to_string(),
                format!("at most {}", self.course.own_values),
            );
        }
        if let Some(values) = lesson.values.values().find(|values| values.len() != base.sample_len()) {
            return bad("own values", format!("{} of a sample", values.len()), base.sample_len().to_string());
        }
        if let Some(label) = lesson.labels.values().find(|&&label| label as usize >= base.classes.len()) {
            return bad("labels", label.to_string(), format!("below {}", base.classes.len()));
        }
        Ok(())
    }

    /// Draws the next epoch's minibatches.
    fn begin_epoch(&mut self, lane: usize) -> Result<()> {
        let (program, recipe, base) = (self.program, self.course.recipe, self.course.base);
        let Some(busy) = &mut self.lanes[lane] else { return Ok(()) };
        busy.epoch += 1;
        busy.left = busy.steps;
        let lesson = &busy.member.lesson;
        let count = busy.steps * program.batch;
        let order = permutation(lesson.samples.len(), busy.member.seed, busy.epoch as u64);
        let drawn: Vec<usize> = order[..count].iter().map(|&i| lesson.samples[i]).collect();
        // Rows of its own come in the order of their positions.
        let own: Vec<usize> = lesson.values.keys().copied().collect();
        let row = |&position: &usize| match own.binary_search(&position) {
            Ok(own) => (base.len() + own) as f32,
            Err(_) => position as f32,
        };
        let mut rows: Vec<f32> = drawn.iter().map(row).collect();
        let mut labels = Vec::new();
        drawn.iter().for_each(|&position| label(base, recipe.rule.loss.head, lesson, position, &mut labels));
        let (taken, total) = ((busy.epoch - 1) * busy.steps, (recipe.epochs * busy.steps) as u64);
        let top = busy.member.rate.unwrap_or(recipe.rate);
        let mut rates: Vec<f32> = (taken..taken + busy.steps)
            .flat_map(|step| {
                let rate = recipe.schedule.rate(top, step as u64, busy.steps as u64, total);
                recipe.rule.optimizer.rates(rate, step as u64 + 1)
            })
            .collect();
        let tables = [(program.rows, &mut rows), (program.labels, &mut labels), (program.rates, &mut rates)];
        for (state, table) in tables {
            table.resize(program.graph.state_shape(state).lane_len(), 0.0);
            self.executable.write_lane(state, lane, table)?;
        }
        self.executable.write_lane(program.step, lane, &[0.0])?;
        self.executable.write_lane(program.losses, lane, &[0.0])
    }

    /// Looks at a member after an epoch: its model, if that was the last.
    fn end_epoch(&mut self, lane: usize) -> Result<Option<(usize, Fitted)>> {
        let Course { config, recipe, validation, .. } = *self.course;
        let sum = self.executable.read_lane(self.program.losses, lane)?[0];
        let Some(busy) = &mut self.lanes[lane] else { return Ok(None) };
        let loss = f64::from(sum) / busy.steps as f64;
        check_loss(loss, busy.epoch)?;
        busy.losses.push(loss);
        let last = busy.epoch == recipe.epochs;
        if recipe.early_stopping.is_some() || last {
            let weights = read_parameters(&mut self.executable, &self.program.parameters, lane)?;
            let mut quiet = |_: &super::Epoch| {};
            let stop = self.workshop.stop;
            let place = Place { device: self.workshop.device, threads: 1, stop, watch: &mut quiet };
            let measured =
                validation.map(|split| measure(config, &weights, split, &recipe.rule.loss, &place));
            let metrics = measured.transpose()?;
            if improves(recipe.early_stopping, metrics.as_ref(), busy.kept.as_ref(), validation)? {
                let epoch = busy.epoch;
                busy.kept =
                    Some(Fitted { weights, epoch, epochs_run: epoch, losses: vec![], validation: metrics });
            }
        }
        let since = busy.kept.as_ref().map_or(0, |kept| busy.epoch - kept.epoch);
        if !last && recipe.early_stopping.is_none_or(|stopping| since < stopping.patience) {
            self.begin_epoch(lane)?;
            return Ok(None);
        }
        let Some(busy) = self.lanes[lane].take() else { return Ok(None) };
        let kept = busy.kept.ok_or_else(|| Error::Failed("no epoch was run".into()))?;
        Ok(Some((busy.at, Fitted { epochs_run: busy.losses.len(), losses: busy.losses, ..kept })))
    }
}

/// Appends the label of the sample at `position` as the loss reads it.
fn label(base: &Dataset, head: Head, lesson: &Lesson, position: usize, out: &mut Vec<f32>) {
    match (&base.labels, lesson.label(base, position)) {
        (_, Some(label)) if head == Head::Softmax => out.push(label as f32),
        (_, Some(label)) => out.push(f32::from(u8::from(label > 0))),
        (Labels::Findings(labels), _) => {
            let findings = base.classes.len();
            out.extend(labels[position * findings..][..findings].iter().map(|&label| f32::from(label)));
        }
        (Labels::Class(_), None) => unreachable!("a base of classes gives every sample one"),
    }
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
