//! Poisoning cells: each trains a member on a poisoned lesson and holds it against the unpoisoned twin of its seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::harm::Harm;
use super::{Class, School, Taker, TrainedCell};
use crate::attacks::poisoning::{self, Aim, Order, Patient, Poisoned, Poisoning, Victim};
use crate::attacks::{Chosen, Value};
use crate::data::Labels;
use crate::models::Model;
use crate::results::{MetricRow, Text};
use crate::sweep::job::Outcome;
use crate::sweep::rows::RowMaker;
use crate::sweep::subject::{Subject, prediction};
use crate::training::{Lesson, Member, evaluate};
use crate::{Error, Result};

/// What an unpoisoned model says: of the test samples, and of those that it learnt from.
pub(super) struct Twin {
    pub(super) subject: Subject,
    /// What decides, `[n, classes]`.
    train_logits: Vec<f32>,
}

impl Class<'_> {
    /// Runs the poisoning cells at these positions.
    pub(super) fn poison(&self, cells: &[usize], taker: &mut Taker) -> Result<()> {
        let train = &self.school.prepared.splits.train;
        let twins = self.twins(cells)?;
        let own = self.own_surrogates(cells)?;
        let changed = Mutex::new(BTreeMap::new());
        let member = |at: usize| {
            let cell = &self.all.cells[cells[at]];
            let twin = &twins[&cell.seed];
            let poisoned = self.poisoned(cell, twin, Self::surrogate(cell, twin, &own))?;
            if let Ok(mut changed) = changed.lock() {
                changed.insert(at, poisoned.changed.len());
            }
            Ok(Member::new(cell.seed, poisoned.lesson))
        };
        let most = cells.iter().map(|&i| self.all.cells[i].real("rate")).fold(0.0, f64::max);
        let own_values = (most * train.len() as f64).ceil() as usize;
        self.train(own_values, cells.len(), &member, |at, fitted| {
            let i = cells[at];
            let twin = &twins[&self.all.cells[i].seed];
            let model = self.school.model(fitted)?;
            let logits = evaluate::logits(&model, &self.school.test, self.workshop.device, 1)?;
            let outcomes = outcomes(&twin.subject, &logits);
            let mut rows = RowMaker::new(&twin.subject, self.all.out)?.rows(self.row(i), None, &outcomes);
            let (id, cell) = (&self.all.ids[i], &self.all.cells[i]);
            let harm = Harm { id, cell, twin: &twin.subject, logits: &logits, samples: &rows.samples };
            rows.metrics.extend(harm.rows());
            let poisoned = changed.lock().ok().and_then(|changed| changed.get(&at).copied());
            rows.metrics.extend(poisoned.map(|poisoned| poisoned_share(id, poisoned, train.len())));
            taker(i, rows)
        })
    }

    /// What a cell's member learns from.
    fn poisoned(&self, cell: &TrainedCell, twin: &Twin, surrogate: Option<&Model>) -> Result<Poisoned> {
        let attack = attack_of(cell);
        let get = |name: &str| cell.get(name);
        let order = order(self.school, cell, &get)?;
        let mut victim = Victim {
            scores: Some(&twin.train_logits),
            imputed: self.school.imputed.as_deref(),
            ..Victim::new(&self.school.prepared.splits.train)
        };
        match surrogate {
            Some(model) => self.crafted(attack, victim, &order, model),
            None => attack.poison(&mut victim, &order),
        }
    }

    /// The unpoisoned model of every seed that these cells have.
    pub(super) fn twins(&self, cells: &[usize]) -> Result<BTreeMap<u64, Arc<Twin>>> {
        let mut seeds: Vec<u64> = cells.iter().map(|&i| self.all.cells[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let train = &self.school.prepared.splits.train;
        let mut twins = BTreeMap::new();
        self.unpoisoned(&seeds, |at, model| {
            let logits = evaluate::logits(&model, train, self.workshop.device, 1)?;
            let subject = self.school.subject(model, self.workshop.device)?;
            let rows = logits.chunks_exact(subject.outputs());
            let train_logits = rows.flat_map(|logits| subject.deciding(logits, 0).to_vec()).collect();
            twins.insert(seeds[at], Arc::new(Twin { subject, train_logits }));
            Ok(())
        })?;
        Ok(twins)
    }

    /// Trains a model on the clean set for each of these seeds; `each` gets them with their positions.
    pub(super) fn unpoisoned(
        &self,
        seeds: &[u64],
        mut each: impl FnMut(usize, Model) -> Result<()>,
    ) -> Result<()> {
        let n = self.school.prepared.splits.train.len();
        let member = |at: usize| Ok(Member::new(seeds[at], Lesson::whole(n)));
        self.train(0, seeds.len(), &member, |at, fitted| each(at, self.school.model(fitted)?))
    }
}

/// What a cell orders; `get` tells its parameters.
fn order<'o>(school: &'o School, cell: &TrainedCell, get: Chosen<'o>) -> Result<Order<'o>> {
    let class = cell.whole("class") as u32;
    let aim = match cell.get("aim") {
        Value::Word("class") => Aim::Class(class),
        Value::Word("patient") => Aim::Patient(patient(school, cell.whole("patient") as usize, class)?),
        _ => Aim::Everybody,
    };
    Ok(Order { rate: cell.real("rate"), magnitude: cell.real("magnitude"), aim, seed: cell.seed, get })
}

/// A sample of the test split.
fn patient(school: &School, position: usize, wanted: u32) -> Result<Patient<'_>> {
    let test = &school.test;
    let label = match &test.labels {
        Labels::Class(labels) => labels.get(position).copied(),
        Labels::Findings(_) => None,
    };
    let expected = format!("below {}, of a split whose samples have one class each", test.len());
    let label = label.ok_or_else(|| Error::input(&test.name, "poisoning.patient", position, expected))?;
    Ok(Patient { values: test.sample(position), label, wanted })
}

/// Whether a cell can be done, as far as can be told before anything is trained.
///
/// # Errors
/// As [`Poisoning::check`]; a patient who is not in the test split.
pub(super) fn check(school: &School, cell: &TrainedCell) -> Result<()> {
    let get = |name: &str| cell.get(name);
    attack_of(cell).check(&school.prepared.splits.train, &order(school, cell, &get)?)
}

/// The share of training samples that were changed: what a rate came to.
pub(super) fn poisoned_share(id: &Text, changed: usize, n: usize) -> MetricRow {
    MetricRow {
        cell_id: id.clone(),
        metric: "poisoned_share".into(),
        scope: "all".into(),
        value_clean: Some(0.0),
        value: Some(changed as f64 / n as f64),
        n: n as u64,
        ..MetricRow::default()
    }
}

fn attack_of(cell: &TrainedCell) -> &'static Poisoning {
    let Some(attack) = poisoning::find(cell.kind) else { unreachable!("a cell's attack is registered") };
    attack
}

/// What a poisoned model's `logits` of the test samples are beside the twin's: a sample that the twin has right is attacked, and an error
/// there is a success.
fn outcomes(twin: &Subject, logits: &[f32]) -> Vec<Outcome> {
    let each = |(i, logits): (usize, &[f32])| {
        let label = twin.label(i, 0);
        let says = |logits: &[f32]| prediction(&twin.deciding(logits, 0));
        let attacked = says(twin.clean_logits(i)) == label;
        Outcome {
            x: Vec::new(),
            logits: logits.to_vec(),
            attacked,
            success: attacked && says(logits) != label,
            l0: 0,
            norms: [0.0; 3],
            steps_used: 0,
            forward_calls: 1,
            gradient_calls: 0,
            zero_gradients: 0.0,
            rising: false,
            seconds: 0.0,
            inferred: false,
        }
    };
    logits.chunks_exact(twin.outputs()).enumerate().map(each).collect()
}
