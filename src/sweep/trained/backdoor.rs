//! Backdoor cells: each trains a member on a set with a trigger in it, and asks it about clean and stamped test samples.

use std::collections::BTreeMap;

use super::detection::Untouched;
use super::poisoning::poisoned_share;
use super::{Class, School, Taker, TrainedCell};
use crate::Result;
use crate::attacks::backdoor::{self, Poisoned, Setting, Stamp, Visibility, visibility};
use crate::attacks::evasion::start::{changed, distance};
use crate::attacks::poisoning::selection::check_class;
use crate::attacks::{Norm, Value};
use crate::data::Dataset;
use crate::models::Model;
use crate::results::{CellRow, MetricRow, SampleRow};
use crate::sweep::job::Outcome;
use crate::sweep::rows::{RowMaker, Rows};
use crate::sweep::study::ladder::canonical;
use crate::sweep::subject::{Subject, prediction};
use crate::training::{Member, evaluate};

/// Amplitudes at which the trigger is tried besides the trained one, as multiples of that.
const OTHER_AMPLITUDES: [f64; 5] = [0.25, 0.5, 0.75, 1.5, 2.0];

/// A backdoored model beside the unpoisoned twin of its seed.
pub(super) struct Exam<'a> {
    /// With its answers on clean test samples.
    pub(super) subject: &'a Subject,
    pub(super) twin: &'a Subject,
    /// The test samples with the trigger in them.
    pub(super) stamped: &'a Dataset,
    pub(super) target: u32,
}

/// How often the twin of a seed gives the target under a trigger, named by [`stamp_of`], at an amplitude: cells that poison more or other
/// samples ask the same of it.
type TwinsSay = BTreeMap<(u64, String, u64), Option<f64>>;

/// Everything that a cell's trigger is made of, and its target.
fn stamp_of(cell: &TrainedCell) -> String {
    let of_training = ["rate", "clean_label", "amplitude"];
    let own = cell.parameters.iter().filter(|(name, _)| !of_training.contains(name)).collect::<Vec<_>>();
    format!("{} {own:?}", cell.kind)
}

/// Whether a cell can be done, as far as can be told before anything is trained.
///
/// # Errors
/// A target that is no class of the data, a rate of more samples than may be stamped, a trigger that the data do not allow.
pub(super) fn check(school: &School, cell: &TrainedCell) -> Result<()> {
    let train = &school.prepared.splits.train;
    check_class(train, "backdoor.target", cell.whole("target"))?;
    let clean_label = cell.get("clean_label") == Value::Flag(true);
    backdoor::candidates(train, cell.real("rate"), cell.whole("target") as u32, clean_label)?;
    stamp(school, cell, cell.real("amplitude")).map(|_| ())
}

fn stamp(school: &School, cell: &TrainedCell, amplitude: f64) -> Result<Stamp> {
    let Some(trigger) = backdoor::find(cell.kind) else { unreachable!("a cell's trigger is registered") };
    let get = |name: &str| cell.get(name);
    let given = |name: &str| match cell.parameter(name) {
        Some(Value::Real(number)) => Some(number),
        _ => None,
    };
    let (sampling_rate, millivolt) = (given(backdoor::SAMPLING_RATE), given(backdoor::MILLIVOLT));
    let imputed = school.imputed.as_deref();
    let data = &school.prepared.splits.train;
    trigger.prepare(&Setting { data, amplitude, imputed, sampling_rate, millivolt, get: &get })
}

impl Class<'_> {
    /// Runs the backdoor cells at these positions.
    pub(super) fn backdoor(&self, cells: &[usize], taker: &mut Taker) -> Result<()> {
        let train = &self.school.prepared.splits.train;
        let twins = self.twins(cells)?;
        let members = self.members(cells);
        let member = |at: usize| {
            let cell = &self.all.cells[members[at][0]];
            Ok(Member::new(cell.seed, self.infected(cell)?.lesson))
        };
        let most = cells.iter().map(|&i| self.all.cells[i].real("rate")).fold(0.0, f64::max);
        let own_values = (most * train.len() as f64).ceil() as usize;
        let (mut untouched, mut twins_say) = (Untouched::new(), TwinsSay::new());
        self.train(own_values, members.len(), &member, |at, fitted| {
            let cell = &self.all.cells[members[at][0]];
            let subject = self.school.subject(self.school.model(fitted)?, self.workshop.device)?;
            let (twin, target) = (&twins[&cell.seed].subject, cell.whole("target") as u32);
            let stamped = self.stamped(cell, cell.real("amplitude"))?;
            let exam = Exam { subject: &subject, twin, stamped: &stamped, target };
            let rows = self.examined(members[at][0], &exam, &mut twins_say)?;
            let poisoned = self.infected(cell)?;
            let mut rows = rows;
            rows.metrics.push(poisoned_share(&rows.cell.cell_id, poisoned.changed.len(), train.len()));
            for &i in &members[at] {
                let mut rows = self.rows_of(i, &rows);
                rows.metrics.extend(self.detected(i, &exam, &poisoned, &mut untouched)?);
                taker(i, rows)?;
            }
            Ok(())
        })
    }

    /// The cells that one trained member serves, which differ in what looks at it.
    fn members(&self, cells: &[usize]) -> Vec<Vec<usize>> {
        let (mut members, mut places): (Vec<Vec<usize>>, BTreeMap<String, usize>) = Default::default();
        for &i in cells {
            let place = *places.entry(self.all.cells[i].params_json()).or_insert(members.len());
            match members.get_mut(place) {
                Some(cells) => cells.push(i),
                None => members.push(vec![i]),
            }
        }
        members
    }

    /// The rows of another cell of the same member.
    fn rows_of(&self, i: usize, rows: &Rows) -> Rows {
        let (id, own) = (&self.all.ids[i], self.row(i));
        Rows {
            cell: CellRow { cell_id: id.clone(), defense: own.defense, ..rows.cell.clone() },
            metrics: rows
                .metrics
                .iter()
                .map(|row| MetricRow { cell_id: id.clone(), ..row.clone() })
                .collect(),
            samples: rows
                .samples
                .iter()
                .map(|row| SampleRow { cell_id: id.clone(), ..row.clone() })
                .collect(),
        }
    }

    /// What a cell's member learns from.
    fn infected(&self, cell: &TrainedCell) -> Result<Poisoned> {
        let train = &self.school.prepared.splits.train;
        let stamp = self.stamp(cell, cell.real("amplitude"))?;
        let clean_label = cell.get("clean_label") == Value::Flag(true);
        let target = cell.whole("target") as u32;
        backdoor::poison(train, &stamp, cell.real("rate"), target, clean_label, cell.seed)
    }

    /// The trigger of a cell at an amplitude; it is prepared on the training set, whatever it is stamped on.
    fn stamp(&self, cell: &TrainedCell, amplitude: f64) -> Result<Stamp> {
        stamp(self.school, cell, amplitude)
    }

    /// What a backdoored model says of stamped samples.
    fn examined(&self, i: usize, exam: &Exam, twins_say: &mut TwinsSay) -> Result<Rows> {
        let cell = &self.all.cells[i];
        let Exam { subject, twin, stamped, target } = *exam;
        let trained = cell.real("amplitude");
        let logits = self.says(&subject.model, stamped)?;
        let came = outcomes(subject, stamped, &logits, target);
        let row = CellRow { aim: Some("target".into()), target: Some(target), ..self.row(i) };
        let mut rows = RowMaker::new(subject, self.all.out)?.rows(row, None, &came);
        let id = rows.cell.cell_id.clone();
        let add =
            |metric: &str, scope: String, value_clean: Option<f64>, value: Option<f64>, n: usize| MetricRow {
                cell_id: id.clone(),
                metric: metric.into(),
                scope: scope.into(),
                value_clean,
                value,
                n: n as u64,
                ..MetricRow::default()
            };
        let n = subject.data.len();
        rows.metrics.push(add("accuracy", "all".into(), accuracy(twin), accuracy(subject), n));
        let attacked = came.iter().filter(|outcome| outcome.attacked).count();
        let mut tried = Vec::new();
        for amplitude in std::iter::once(1.0).chain(OTHER_AMPLITUDES).map(|times| canonical(times * trained))
        {
            // Beyond what the trigger allows, or 0 times anything.
            let Ok(stamped) = self.stamped(cell, amplitude) else { continue };
            if tried.contains(&amplitude) {
                continue;
            }
            tried.push(amplitude);
            let by = |asked: &Subject| -> Result<Option<f64>> {
                let logits = self.says(&asked.model, &stamped)?;
                Ok(success_rate(&outcomes(asked, &stamped, &logits, target)))
            };
            let scope = if amplitude == trained { "all".into() } else { format!("amplitude={amplitude}") };
            let key = (cell.seed, stamp_of(cell), amplitude.to_bits());
            let unpoisoned = match twins_say.get(&key) {
                Some(known) => *known,
                None => *twins_say.entry(key).or_insert(by(twin)?),
            };
            rows.metrics.push(add("trigger_success", scope, unpoisoned, by(subject)?, attacked));
        }
        let pairs = (0..n).map(|i| (subject.data.sample(i), stamped.sample(i)));
        let Visibility { snr_db, linf, changed } = visibility(&subject.data, pairs);
        rows.metrics.push(add("snr_db", "all".into(), None, snr_db, changed));
        rows.metrics.push(add("trigger_linf", "all".into(), None, Some(linf), n));
        Ok(rows)
    }

    /// The test samples with the trigger in them.
    fn stamped(&self, cell: &TrainedCell, amplitude: f64) -> Result<Dataset> {
        let (stamp, test) = (self.stamp(cell, amplitude)?, &self.school.test);
        let values = (0..test.len()).flat_map(|i| stamp.applied(test.sample(i))).collect();
        Ok(Dataset { values, ..test.clone() })
    }

    fn says(&self, model: &Model, data: &Dataset) -> Result<Vec<f32>> {
        evaluate::logits(model, data, self.workshop.device, 1)
    }
}

/// A sample that is right and not of the target class is attacked; the target's class is a success.
fn outcomes(subject: &Subject, stamped: &Dataset, logits: &[f32], target: u32) -> Vec<Outcome> {
    let each = |(i, logits): (usize, &[f32])| {
        let (label, clean, x) = (subject.label(i, 0), subject.data.sample(i), stamped.sample(i));
        let says = |logits: &[f32]| prediction(&subject.deciding(logits, 0));
        let attacked = says(subject.clean_logits(i)) == label && label != target;
        let scale = &subject.data.domain.scale;
        Outcome {
            x: Vec::new(),
            logits: logits.to_vec(),
            attacked,
            success: attacked && says(logits) == target,
            l0: changed(x, clean),
            norms: [Norm::L1, Norm::L2, Norm::Linf].map(|norm| distance(norm, x, clean, scale)),
            steps_used: 0,
            forward_calls: 1,
            gradient_calls: 0,
            zero_gradients: 0.0,
            rising: false,
            seconds: 0.0,
            inferred: false,
        }
    };
    logits.chunks_exact(subject.outputs()).enumerate().map(each).collect()
}

/// Successes among attacked samples; `None` where none was.
fn success_rate(outcomes: &[Outcome]) -> Option<f64> {
    let attacked = outcomes.iter().filter(|outcome| outcome.attacked).count();
    let successes = outcomes.iter().filter(|outcome| outcome.success).count();
    (attacked > 0).then(|| successes as f64 / attacked as f64)
}

/// The share of clean test samples that a model has right.
pub(super) fn accuracy(subject: &Subject) -> Option<f64> {
    let n = subject.data.len();
    let right =
        |i: &usize| prediction(&subject.deciding(subject.clean_logits(*i), 0)) == subject.label(*i, 0);
    (n > 0).then(|| (0..n).filter(right).count() as f64 / n as f64)
}
