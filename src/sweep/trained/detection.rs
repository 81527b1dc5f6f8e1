//! What a detector sees of a backdoored model: how well its suspicions tell what was poisoned or stamped from the rest, and what it says of
//! each class. The unpoisoned twin is looked at in the same way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::backdoor::Exam;
use super::rates::Judged;
use super::{Class, School, TrainedCell};
use crate::Result;
use crate::attacks::Value;
use crate::attacks::poisoning::Poisoned;
use crate::data::Dataset;
use crate::defenses::{self, About, Attraction, Detector, Evidence, Findings};
use crate::models::FeatureSpace;
use crate::results::{MetricRow, Text};
use crate::sweep::study::{DetectorEntry, Study};
use crate::sweep::subject::{Subject, prediction};
use crate::training::random::{Stream, name_number};
use crate::training::{Lesson, Probe, Pull};

/// False positive rates at which the true positive rate is a metric of its own.
const RATES: [f64; 2] = [0.01, 0.05];

/// What detectors found in twins, by seed and defence: cells that differ in their trigger share it.
pub(super) type Untouched = BTreeMap<(u64, usize), Arc<Findings>>;

/// A detector at work.
struct Defender<'a> {
    detector: &'static Detector,
    entry: &'a DetectorEntry,
    seed: u64,
    /// Positions of the test samples that it knows to be clean.
    clean: Vec<usize>,
    /// What it judges, if it judges inputs.
    inputs: Vec<&'a [f32]>,
}

impl Class<'_> {
    /// What the detector that defends cell `i` finds, as rows.
    pub(super) fn detected(
        &self,
        i: usize,
        exam: &Exam,
        poisoned: &Poisoned,
        untouched: &mut Untouched,
    ) -> Result<Vec<MetricRow>> {
        let cell = &self.all.cells[i];
        let Some(entry) = &self.all.study.defenses[cell.defense].detector else { return Ok(Vec::new()) };
        let Some(detector) = defenses::find(entry.name) else {
            unreachable!("a study's detector is registered")
        };
        let train = &self.school.prepared.splits.train;
        let (clean, judged) = self.drawn(cell, entry)?;
        let is_target = |&position: &usize| exam.subject.label(position, 0) == exam.target;
        let stamped: Vec<usize> = judged.iter().copied().filter(|position| !is_target(position)).collect();
        let inputs = judged.iter().map(|&position| exam.subject.data.sample(position));
        let inputs = inputs.chain(stamped.iter().map(|&position| exam.stamped.sample(position))).collect();
        let defender = Defender { detector, entry, seed: cell.seed, clean, inputs };
        let found = self.look(&defender, exam.subject, &poisoned.lesson)?;
        let whole = Lesson::whole(train.len());
        let twin = match detector.about {
            // Inputs carry the cell's own trigger.
            About::Input => Arc::new(self.look(&defender, exam.twin, &whole)?),
            _ => match untouched.get(&(cell.seed, cell.defense)) {
                Some(known) => known.clone(),
                None => {
                    let found = Arc::new(self.look(&defender, exam.twin, &whole)?);
                    untouched.insert((cell.seed, cell.defense), found.clone());
                    found
                }
            },
        };
        let named = |data: &'_ Dataset, positions: &[usize]| -> Option<Vec<String>> {
            data.group.as_ref().map(|groups| positions.iter().map(|&i| groups[i].clone()).collect())
        };
        let (positive, groups, clean): (Vec<bool>, _, _) = match detector.about {
            About::Training => {
                let samples = &poisoned.lesson.samples;
                let changed = |position: &usize| poisoned.changed.binary_search(position).is_ok();
                (samples.iter().map(changed).collect(), named(train, samples), None)
            }
            About::Input => {
                let all: Vec<usize> = judged.iter().chain(&stamped).copied().collect();
                let positive = (0..all.len()).map(|at| at >= judged.len()).collect();
                (positive, named(&exam.subject.data, &all), Some(twin.suspicions.as_slice()))
            }
            About::Class { .. } => {
                let classes = 0..found.suspicions.len() as u32;
                let positive = classes.map(|class| class == exam.target).collect();
                (positive, None, Some(twin.suspicions.as_slice()))
            }
        };
        let groups: Option<Vec<&str>> =
            groups.as_ref().map(|groups| groups.iter().map(String::as_str).collect());
        let suspicions = &found.suspicions;
        let (positive, groups) = (&positive, groups.as_deref());
        let judged = Judged { prefix: "detector_", rates: RATES, suspicions, clean, positive, groups };
        let id = &self.all.ids[i];
        let mut rows = judged.rows(id);
        rows.extend(of_classes(id, &found, &twin));
        if let About::Class { above } = detector.about {
            rows.extend(flags(id, &found, &twin, above, exam.target));
        }
        Ok(rows)
    }

    /// Positions of test samples: those that the defender knows to be clean, and others, which it judges.
    fn drawn(&self, cell: &TrainedCell, entry: &DetectorEntry) -> Result<(Vec<usize>, Vec<usize>)> {
        let test = &self.school.test;
        let whole = |name: &str| whole_of(entry, name);
        let (clean, inputs) = (whole("clean"), whole("inputs"));
        let mut order: Vec<usize> = (0..test.len()).collect();
        order.sort_by_cached_key(|&position| {
            let mut stream = Stream::new(cell.seed, &[name_number("defender"), test.index[position]]);
            (stream.bits(), position)
        });
        let judged = order[clean..].iter().copied().take(inputs).collect();
        order.truncate(clean);
        Ok((order, judged))
    }

    /// What a detector finds in a model that learnt from `lesson`.
    fn look(&self, defender: &Defender, subject: &Subject, lesson: &Lesson) -> Result<Findings> {
        let (train, device) = (&self.school.prepared.splits.train, self.workshop.device);
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        if defender.detector.about == About::Training {
            let values: Vec<f32> = lesson
                .samples
                .iter()
                .flat_map(|&position| lesson.sample(train, position).iter().copied())
                .collect();
            features = FeatureSpace::new(&subject.model, device)?.of(&values)?;
            labels = lesson.samples.iter().filter_map(|&position| lesson.label(train, position)).collect();
        }
        let features: Vec<f64> = features.into_iter().map(f64::from).collect();
        let clean: Vec<&[f32]> = defender.clean.iter().map(|&at| subject.data.sample(at)).collect();
        let probe = RefCell::new(Probe::new(&subject.model, device)?);
        let mut scores = |samples: &[Vec<f32>]| probe.borrow_mut().logits(samples);
        let mut attraction = |samples: &[Vec<f32>], class: u32| {
            let Pull { logits, loss, gradient } = probe.borrow_mut().pull(samples, class)?;
            let said = logits.chunks_exact(subject.classes()).map(prediction);
            Ok(Attraction { loss, hit: said.map(|said| said == class).collect(), gradient })
        };
        let mut evidence = Evidence {
            classes: subject.classes(),
            labels: &labels,
            features: &features,
            samples: &defender.inputs,
            clean: &clean,
            shape: &subject.data.shape,
            domain: &subject.data.domain,
            scores: Some(&mut scores),
            attraction: Some(&mut attraction),
            seed: defender.seed,
        };
        let parameters = &defender.entry.parameters;
        let get = |name: &str| match parameters.iter().find(|(other, _)| *other == name) {
            Some((_, value)) => *value,
            None => unreachable!("{} declares no parameter {name}", defender.entry.name),
        };
        (defender.detector.suspect)(&mut evidence, &get)
    }
}

/// The numbers of each class, the twin's beside them.
fn of_classes(id: &Text, found: &Findings, twin: &Findings) -> Vec<MetricRow> {
    let mut rows = Vec::new();
    for (name, values) in &found.classes {
        let before = twin.classes.iter().find(|(other, _)| other == name).map(|(_, values)| values);
        for (class, value) in values.iter().enumerate() {
            let clean = before.and_then(|values| values.get(class).copied().flatten());
            if value.is_some() || clean.is_some() {
                rows.push(row(id, name, format!("class:{class}"), clean, *value, 1));
            }
        }
    }
    rows
}

/// Whether each class is called backdoored, and whether the target is.
fn flags(id: &Text, found: &Findings, twin: &Findings, above: f64, target: u32) -> Vec<MetricRow> {
    let flagged = |of: &Findings, class: usize| {
        of.suspicions.get(class).map(|suspicion| f64::from(u8::from(*suspicion > above)))
    };
    let one = |metric: &str, scope: String, class: usize| {
        row(id, metric, scope, flagged(twin, class), flagged(found, class), 1)
    };
    let mut rows: Vec<MetricRow> =
        (0..found.suspicions.len()).map(|class| one("flagged", format!("class:{class}"), class)).collect();
    rows.push(one("target_flagged", "all".into(), target as usize));
    rows
}

fn row(
    id: &Text,
    metric: &str,
    scope: String,
    value_clean: Option<f64>,
    value: Option<f64>,
    n: u64,
) -> MetricRow {
    MetricRow {
        cell_id: id.clone(),
        metric: metric.into(),
        scope: scope.into(),
        value_clean,
        value,
        n,
        ..MetricRow::default()
    }
}

/// A whole parameter of a detector, 0 where it lacks it.
fn whole_of(entry: &DetectorEntry, name: &str) -> usize {
    match entry.parameters.iter().find(|(other, _)| *other == name) {
        Some((_, Value::Whole(value))) => *value as usize,
        _ => 0,
    }
}

/// Whether a detector finds the clean samples that it asks for.
///
/// # Errors
/// A test split of no more samples than it knows to be clean.
pub(super) fn check(study: &Study, school: &School, entry: &DetectorEntry) -> Result<()> {
    let (clean, test) = (whole_of(entry, "clean"), &school.test);
    if clean < test.len() {
        return Ok(());
    }
    Err(study.error(
        "defense.clean",
        clean,
        format!("fewer than the {} samples of the test split", test.len()),
    ))
}
