//! The evasion cells of a study: from cells to jobs, from jobs to rows.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::doubts;
use super::engine::{Engine, Event, Goal, Job, Outcome, Rung, Work};
use super::grid::Cell;
use super::identity::lane_stream;
use super::moving;
use super::resolution;
use super::resolve::ResolvedSubject;
use super::rows::{Provenance, RowMaker, Rows, save_inputs};
use super::study::{Aim, Save, Stop, Study};
use super::subject::Subject;
use crate::Result;
use crate::attacks::evasion::Settings;
use crate::attacks::evasion::loss::Loss;
use crate::attacks::{Norm, Value};
use crate::models::Input;
use crate::results::flags::{STILL_RISING, ZERO_GRADIENTS, check_alone};
use crate::results::{CellRow, Text};

/// The cells of a study with what they need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evasion<'a> {
    pub(super) study: &'a Study,
    pub(super) subjects: &'a [ResolvedSubject],
    pub(super) cells: &'a [Cell],
    /// The ids of `cells`.
    pub(super) ids: &'a [Text],
}

impl Evasion<'_> {
    /// Runs the cells at the positions `pending`; each one's rows go to `events`, with its position.
    ///
    /// # Errors
    /// As [`Engine::run`]; an input that cannot be stored.
    pub(super) fn run(
        &self,
        engine: &Engine,
        pending: &[usize],
        out: &Path,
        provenance: &Provenance,
        stop: &AtomicBool,
        events: impl FnMut(Event<(usize, Rows)>) -> Result<()>,
    ) -> Result<()> {
        let of = |resolved: &ResolvedSubject| -> Vec<usize> {
            let subject = (resolved.model, resolved.data);
            let here = |&i: &usize| (self.cells[i].model, self.cells[i].data) == subject;
            pending.iter().copied().filter(here).collect()
        };
        let asked: Vec<Vec<usize>> = self.subjects.iter().map(of).collect();
        let subjects = || self.subjects.iter().zip(&asked);
        let jobs: Vec<Vec<Job>> = subjects()
            .map(|(resolved, cells)| {
                let mut maker = JobMaker::new(&resolved.subject);
                cells.iter().map(|&i| maker.job(&self.cells[i])).collect()
            })
            .collect();
        let work: Vec<Work> = self
            .subjects
            .iter()
            .zip(&jobs)
            .map(|(resolved, jobs)| Work { subject: &resolved.subject, jobs })
            .collect();
        let makers: Vec<(RowMaker, CellRow, Doubts)> = self
            .subjects
            .iter()
            .map(|resolved| {
                let subject = &resolved.subject;
                Ok((RowMaker::new(subject, out)?, self.row_of_all(resolved, provenance), Doubts::of(subject)))
            })
            .collect::<Result<_>>()?;
        let make = |at: usize, job: usize, outcomes: Vec<Outcome>| {
            let i = asked[at][job];
            let (cell, id) = (&self.cells[i], &self.ids[i]);
            save_inputs(out, id, cell, &self.subjects[at].subject, &outcomes)?;
            let (maker, all, doubts) = &makers[at];
            let row = self.cell_row(&self.subjects[at].subject, cell, id, &outcomes, all);
            let mut rows = maker.rows(row, cell.finding, &outcomes);
            let huge = covers_range(&self.subjects[at].subject, cell);
            let softmax = self.subjects[at].subject.model.kept_ending().is_some();
            let alone = check_alone(&rows.cell, huge, softmax);
            rows.cell.flags.extend(alone);
            rows.cell.flags.extend(still_rising(cell, &outcomes).then(|| STILL_RISING.into()));
            rows.cell.flags.extend(led_nowhere(&outcomes).then(|| ZERO_GRADIENTS.into()));
            rows.cell.flags.extend(doubts.flags(&self.subjects[at].subject, cell));
            Ok((i, rows))
        };
        engine.run(&work, stop, make, events)
    }

    /// What the rows of all cells of a subject say.
    fn row_of_all(&self, resolved: &ResolvedSubject, provenance: &Provenance) -> CellRow {
        let (study, subject) = (self.study, &resolved.subject);
        CellRow {
            model: study.models[resolved.model].id.as_str().into(),
            model_sha256: subject.model.sha256.as_str().into(),
            data: study.data[resolved.data].id.as_str().into(),
            threat: "evasion".into(),
            eps_unit: Some(subject.data.unit.as_str().into()),
            classes: subject.decision_names().into_iter().map(Text::from).collect(),
            ..provenance.row(&subject.data)
        }
    }

    fn cell_row(
        &self,
        subject: &Subject,
        cell: &Cell,
        id: &Text,
        outcomes: &[Outcome],
        all: &CellRow,
    ) -> CellRow {
        let labelled = subject.samples_of(cell.finding.unwrap_or(0)).len();
        let gradients: u64 = outcomes.iter().map(|o| o.gradient_calls).sum();
        let zeros: f64 = outcomes.iter().map(|o| o.zero_gradients).sum();
        let loss = Loss::column(cell.loss(), subject.classes(), cell.wanted().is_some());
        let classes = &subject.data.classes;
        let finding = |f: usize| classes.get(f).map_or_else(|| f.to_string().into(), |c| c.as_str().into());
        CellRow {
            cell_id: id.clone(),
            defense: self.study.defenses[cell.defense].id.as_str().into(),
            attack: cell.attack.name.into(),
            attack_revision: cell.attack.revision,
            knowledge: cell.attack.knowledge.name().into(),
            aim: Some(cell.aim.name().into()),
            target: cell.target,
            finding: cell.finding.map(finding),
            inputs: moving::text(cell, &subject.inputs()).map(Text::from),
            norm: Some(cell.norm.name().into()),
            eps: Some(cell.eps),
            eps_unit: match cell.norm {
                Norm::Tokens => Some(cell.norm.name().into()),
                _ => all.eps_unit.clone(),
            },
            steps: Some(cell.steps()),
            step_size: Some(cell.step_size()),
            restarts: Some(cell.restarts()),
            random_start: Some(cell.random_start()),
            loss: Some(loss.into()),
            stop: Some(cell.stop.name().into()),
            curve: Some(cell.curve().name().into()),
            seed: (!cell.deterministic()).then_some(cell.seed),
            params: cell.params_json().into(),
            threshold: subject.thresholds.get(cell.finding.unwrap_or(0)).copied(),
            gradient_calls: Some(gradients as f64 / labelled.max(1) as f64),
            zero_gradient_share: (gradients > 0).then(|| zeros / gradients as f64),
            ..all.clone()
        }
    }

    /// Steps of all lanes of the cell at position `i`: what its time is estimated by.
    pub(super) fn work(&self, i: usize) -> u64 {
        let cell = &self.cells[i];
        let subject = self.subjects.iter().find(|s| (s.model, s.data) == (cell.model, cell.data));
        let (weight, samples) = subject.map_or((1, 0), |s| {
            let weight = s.subject.model.parameters() as u64;
            (weight, s.subject.data.len() as u64)
        });
        samples * cell.steps() * cell.restarts() * weight
    }
}

/// Whether more than half of the runs that broke nothing, [`MANY`] at least, still had a rising loss at their end.
fn still_rising(cell: &Cell, outcomes: &[Outcome]) -> bool {
    let unbroken = || outcomes.iter().filter(|o| o.attacked && !o.success && !o.inferred);
    let rising = unbroken().filter(|o| o.rising).count();
    cell.steps() > 1 && cell.norm != Norm::Tokens && rising >= MANY && 2 * rising > unbroken().count()
}

/// Whether more than half of the runs that broke nothing, a tenth of all at least, had no gradient at any step: it is masked (Athalye et al. 2018).
/// That some entries are zero says nothing: a largest value has few places, and a model need not read every value.
fn led_nowhere(outcomes: &[Outcome]) -> bool {
    let run = || outcomes.iter().filter(|o| o.attacked && !o.inferred && o.gradient_calls > 0);
    let unbroken = || run().filter(|o| !o.success);
    let masked = unbroken().filter(|o| o.zero_gradients >= o.gradient_calls as f64 * (1.0 - 1e-6)).count();
    masked > 0 && 2 * masked > unbroken().count() && 10 * masked >= run().count()
}

/// Runs that say something of an attack.
const MANY: usize = 10;

/// What is doubtful about a subject whatever attacks it, looked up once.
struct Doubts {
    /// Flags of the data, and of the model's clean answers for each finding.
    flags: Vec<Vec<&'static str>>,
    resolution: Vec<(Range<usize>, Option<f64>)>,
}

impl Doubts {
    fn of(subject: &Subject) -> Self {
        let decisions = if subject.sigmoid() { subject.outputs() } else { 1 };
        let flags = (0..decisions).map(|finding| {
            let answers = doubts::of_answers(subject, finding);
            let flags: Vec<&str> =
                subject.data.remarks.iter().chain(&answers).filter_map(|remark| remark.flag).collect();
            flags
        });
        let resolution = resolution::steps(&subject.data, &subject.inputs());
        Self { flags: flags.collect(), resolution }
    }

    fn flags(&self, subject: &Subject, cell: &Cell) -> Vec<Text> {
        let of_finding = self.flags.get(cell.finding.unwrap_or(0)).into_iter().flatten().copied();
        let (input, _) = moving::parts(cell, &subject.inputs());
        let data = &subject.data;
        let (domain, len) = match &input {
            Some(range) => (data.domain.part(range), range.len()),
            None => (data.domain.clone(), data.sample_len()),
        };
        let step = resolution::step_of(&self.resolution, input.as_ref());
        let of_budget = doubts::of_budget(&domain, len, step, cell.norm, cell.eps);
        let mut flags: Vec<&str> = of_finding.chain(of_budget).collect();
        flags.sort_unstable();
        flags.dedup();
        flags.into_iter().map(Text::from).collect()
    }
}

/// Whether the budget lets every value of the input that it is for take any value in its range, and the sample has no other input.
fn covers_range(subject: &Subject, cell: &Cell) -> bool {
    let (input, _) = moving::parts(cell, &subject.inputs());
    if input.is_some_and(|range| range.len() < subject.data.sample_len()) {
        return false;
    }
    let domain = &subject.data.domain;
    let free = domain.immutable.iter().all(|fixed| !fixed);
    let spans = domain.low.iter().zip(&domain.high).enumerate().map(|(i, (low, high))| {
        let scale = if domain.scale.len() == 1 {
            domain.scale[0]
        } else {
            domain.scale[i.min(domain.scale.len() - 1)]
        };
        f64::from(high - low) / f64::from(scale)
    });
    free && cell.norm == Norm::Linf && spans.fold(0.0, f64::max) <= cell.eps
}

/// Makes jobs of the cells of one subject, which share what is equal.
struct JobMaker<'a> {
    subject: &'a Subject,
    inputs: Vec<Input>,
    scale: Arc<[f32]>,
    one_hot: Arc<[Range<usize>]>,
    /// Random streams by the attack's name.
    streams: HashMap<&'static str, Arc<str>>,
    /// Ladders that are bisected, by their budgets and the parameters that make step sizes of them.
    ladders: HashMap<(*const f64, *const Value), Arc<[Rung]>>,
}

impl<'a> JobMaker<'a> {
    fn new(subject: &'a Subject) -> Self {
        let domain = &subject.data.domain;
        Self {
            subject,
            inputs: subject.inputs(),
            scale: domain.scale.as_slice().into(),
            one_hot: domain.one_hot.as_slice().into(),
            streams: HashMap::new(),
            ladders: HashMap::new(),
        }
    }

    /// A cell as the engine wants it. Cells outlive the maker, so that what they share is known by its address.
    fn job(&mut self, cell: &Cell) -> Job {
        let subject = self.subject;
        let targeted = cell.wanted().is_some();
        let stream = || lane_stream(cell.attack.name, &subject.data.sha256).into();
        let (input, beside) = moving::parts(cell, &self.inputs);
        let real = |(name, value)| match value {
            Value::Real(value) => Some((name, value as f32)),
            _ => None,
        };
        Job {
            settings: Settings {
                attack: cell.attack,
                norm: cell.norm,
                input,
                beside: beside.into(),
                loss: Loss::resolve(cell.loss(), subject.classes(), targeted),
                targeted,
                exact: cell.parameter("projection") != Some(Value::Word("scale")),
                choices: cell.choices(),
                scale: self.scale.clone(),
                one_hot: self.one_hot.clone(),
                precision: cell.precision,
            },
            eps: cell.eps,
            step_size: cell.step_size(),
            beside: cell.beside.iter().map(|budget| budget.eps).collect(),
            steps: cell.steps(),
            restarts: cell.restarts(),
            random_start: cell.random_start(),
            stop_on_success: cell.stop == Stop::Success,
            goal: match (cell.aim, cell.wanted()) {
                (_, Some(class)) => Goal::Target(class),
                (Aim::Raise, None) => Goal::AnyFrom(0),
                (_, None) => Goal::Any,
            },
            finding: cell.finding.unwrap_or(0),
            parameters: cell.parameters().filter_map(real).collect(),
            stream: self.streams.entry(cell.attack.name).or_insert_with(stream).clone(),
            seed: cell.seed,
            bisected: cell.bisected.as_ref().map(|ladder| self.rungs(ladder, cell)),
            keeps_inputs: cell.save != Save::None,
        }
    }

    fn rungs(&mut self, ladder: &Arc<[f64]>, cell: &Cell) -> Arc<[Rung]> {
        let rung = |&eps: &f64| Rung { eps, step_size: cell.step_size_at(eps) };
        let key = (ladder.as_ptr(), cell.values.as_ptr());
        self.ladders.entry(key).or_insert_with(|| ladder.iter().map(rung).collect()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_masked_where_all_entries_are_zero_and_the_attack_fails() {
        let outcomes = |zeros: f64, broken: usize| -> Vec<Outcome> {
            let outcome = |i| Outcome {
                x: vec![],
                logits: vec![],
                attacked: true,
                success: i < broken,
                l0: 0,
                norms: [0.0; 3],
                steps_used: 40,
                forward_calls: 40,
                gradient_calls: 40,
                zero_gradients: 40.0 * zeros,
                rising: false,
                seconds: 0.0,
                inferred: false,
            };
            (0..100).map(outcome).collect()
        };
        // The share of zeros alone is that of a linear model which reads a few of many values.
        for (zeros, broken, fires) in
            [(1.0, 0, true), (1.0, 60, true), (1.0, 95, false), (0.97, 0, false), (0.8, 99, false)]
        {
            assert_eq!(led_nowhere(&outcomes(zeros, broken)), fires, "{zeros} {broken}");
        }
    }
}
