//! A worker's lanes: members come, learn epoch by epoch, and go.

use std::sync::mpsc::SyncSender;

use super::program::Program;
use super::{Course, Member, Workshop};
use crate::data::{Dataset, Labels};
use crate::graph::Executable;
use crate::models::{Head, Model};
use crate::training::Epoch;
use crate::training::fit::{Fitted, Place, check_loss, improves, measure};
use crate::training::init::initial;
use crate::training::lesson::Lesson;
use crate::training::random::permutation;
use crate::training::trainer::{load_parameters, read_parameters};
use crate::{Error, Result};

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
pub(super) struct Block<'a> {
    course: &'a Course<'a>,
    program: &'a Program,
    workshop: &'a Workshop<'a>,
    stopped: &'a (dyn Fn() -> bool + Sync),
    executable: Executable,
    lanes: Vec<Option<Busy>>,
}

impl<'a> Block<'a> {
    pub(super) fn new(
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
    pub(super) fn run(
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
            let mut quiet = |_: &Epoch| {};
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
