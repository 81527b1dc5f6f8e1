//! The numbers of a cell, from its sample rows.

use std::collections::BTreeSet;

use super::aims::{asked, concerns, concerns_all, keeps};
use super::records::{CellRow, MetricRow, SampleRow};
use super::text::Text;
use crate::statistics::{
    Interval, auroc, auroc_macro, balanced_accuracy, brier, brier_multiclass, expected_calibration_error,
    macro_f1, mean, median, sensitivity, share_interval, specificity,
};

/// The flag of a cell whose interval rests on fewer than ten groups.
pub const FEW_GROUPS: &str = "few-groups";

/// How a model's scores become an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head<'a> {
    /// The largest of so many scores decides.
    Classes(usize),
    /// A probability decides by the threshold: the scores are `[p]` or `[1 - p, p]`; the positive class is 1.
    Binary,
    /// Several findings, each decided by its own threshold; the scores are one probability a finding.
    Findings {
        /// The finding that the cell attacks.
        index: usize,
        /// What was said of every labelled finding of the clean inputs, row-major `[samples, findings]`, by the rule that `clean_pred` is made
        /// by.
        said_clean: &'a [u32],
        /// What was said of those of the adversarial inputs.
        said_adv: &'a [u32],
        /// The true findings, row-major `[samples, findings]`, 0 or 1; above where nobody says.
        labels: &'a [u8],
    },
}

/// What the sample rows do not say of themselves.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The model's head.
    pub head: Head<'a>,
    /// Columns to break results down by: a name, and a value for each of the samples.
    pub subgroups: &'a [(String, Vec<String>)],
}

/// Fills the counts, rates, intervals, medians, `forward_calls` and flags of `cell` from its samples, and returns its metrics.
///
/// `cell` gives `cell_id` and `stop`: with `stop = "success"` a lane ends at the threshold, so metrics of the scores
/// and decisions under attack would flatter the model and are null.
pub fn summarise(cell: &mut CellRow, samples: &[SampleRow], context: &Context) -> Vec<MetricRow> {
    let all: Vec<&SampleRow> = samples.iter().collect();
    let count = |test: fn(&SampleRow) -> bool| samples.iter().filter(|row| test(row)).count();
    let share = |hits: usize, of: usize| (of > 0).then(|| hits as f64 / of as f64);
    let n = samples.len();
    let n_attacked = count(|row| row.success.is_some());
    let n_success = count(|row| row.success == Some(true));
    cell.n = n as u64;
    cell.n_attacked = n_attacked as u64;
    cell.n_success = n_success as u64;
    cell.n_recovered = count(|row| row.clean_pred != row.label && row.adv_pred == row.label) as u64;
    cell.n_groups = groups(&all).map(count_distinct);
    cell.clean_accuracy = share(count(|row| row.clean_pred == row.label), n);
    cell.accuracy_adv = share(count(|row| row.adv_pred == row.label), n);
    cell.attack_success_rate = share(n_success, n_attacked);
    let (aim, target) = (cell.aim.clone(), cell.target);
    let aim = Aim { name: aim, target };
    summarise_asked(cell, &all, &aim);
    if concerns_all(aim.name.as_deref()) {
        cell.robust_accuracy = cell.asked_robust;
        (cell.robust_accuracy_low, cell.robust_accuracy_high) =
            (cell.asked_robust_low, cell.asked_robust_high);
    }
    cell.median_l2 = median_to_break(samples, |row| row.l2);
    cell.median_linf = median_to_break(samples, |row| row.linf);
    cell.forward_calls = mean(samples.iter().map(|row| row.forward_calls as f64));
    let mut metrics = Metrics { cell_id: cell.cell_id.clone(), rows: Vec::new() };
    metrics.shares("all", &all, &aim);
    for (name, norm) in
        [("median_l2_success", norm_l2 as fn(&SampleRow) -> f64), ("median_linf_success", norm_linf)]
    {
        let broken: Vec<f64> = samples.iter().filter(|row| row.success == Some(true)).map(norm).collect();
        metrics.add(name, "all", (None, median(&broken)), n_success, None);
    }
    metrics.scored(&all, context, cell.stop.as_deref() == Some("success"));
    metrics.scopes(&all, context, &aim);
    metrics.rows
}

/// What a cell's attack is after.
struct Aim {
    name: Option<Text>,
    target: Option<u32>,
}

impl Aim {
    /// Those of the samples that it concerns.
    fn concerned<'a>(&self, samples: &[&'a SampleRow]) -> Vec<&'a SampleRow> {
        let concerned = |row: &&SampleRow| concerns(self.name.as_deref(), self.target, row.label);
        samples.iter().copied().filter(concerned).collect()
    }

    /// Whether the clean answer keeps what it is after.
    fn kept_clean(&self, row: &SampleRow) -> bool {
        keeps(self.name.as_deref(), self.target, row.label, row.clean_pred)
    }

    /// Whether that is so, and the attack did not reach the aim.
    fn withstands(&self, row: &SampleRow) -> bool {
        self.kept_clean(row) && row.success != Some(true)
    }
}

/// Fills what the aim asks of the samples that it concerns.
fn summarise_asked(cell: &mut CellRow, samples: &[&SampleRow], aim: &Aim) {
    let concerned = aim.concerned(samples);
    let share = |hits: Vec<bool>| mean(hits.into_iter().map(|hit| f64::from(u8::from(hit))));
    cell.asked = Some(asked(cell).into());
    cell.n_concerned = Some(concerned.len() as u64);
    cell.asked_clean = share(concerned.iter().map(|row| aim.kept_clean(row)).collect());
    cell.asked_robust = share(concerned.iter().map(|row| aim.withstands(row)).collect());
    let interval = interval_of(&concerned, |row| aim.withstands(row));
    cell.asked_robust_low = interval.map(|i| i.low);
    cell.asked_robust_high = interval.map(|i| i.high);
    cell.ci_method = interval.map(|i| i.method.into());
    if interval.is_some_and(|i| i.few_groups) && !cell.flags.iter().any(|flag| flag == FEW_GROUPS) {
        cell.flags.push(FEW_GROUPS.into());
    }
}

fn norm_l2(row: &SampleRow) -> f64 {
    row.l2
}

fn norm_linf(row: &SampleRow) -> f64 {
    row.linf
}

/// The median over attacked samples, an unbroken one counting as infinite.
fn median_to_break(samples: &[SampleRow], norm: fn(&SampleRow) -> f64) -> Option<f64> {
    let to_break = |row: &SampleRow| row.success.map(|broken| if broken { norm(row) } else { f64::INFINITY });
    median(&samples.iter().filter_map(to_break).collect::<Vec<_>>())
}

/// The samples' groups; `None` unless every sample has one.
fn groups<'a>(samples: &[&'a SampleRow]) -> Option<Vec<&'a str>> {
    samples.iter().map(|row| row.group.as_deref()).collect::<Option<Vec<_>>>().filter(|g| !g.is_empty())
}

fn count_distinct(groups: Vec<&str>) -> u64 {
    groups.into_iter().collect::<BTreeSet<_>>().len() as u64
}

/// The interval of the share of samples that pass `test`.
fn interval_of(samples: &[&SampleRow], test: impl Fn(&SampleRow) -> bool) -> Option<Interval> {
    let hits: Vec<bool> = samples.iter().map(|row| test(row)).collect();
    share_interval(&hits, groups(samples).as_deref())
}

/// The metric rows of one cell, as they come.
struct Metrics {
    cell_id: Text,
    rows: Vec<MetricRow>,
}

impl Metrics {
    /// Adds one row; nothing where it has neither value, so that absent metrics do not fill the table.
    fn add(
        &mut self,
        name: &str,
        scope: &str,
        values: (Option<f64>, Option<f64>),
        n: usize,
        method: Option<&str>,
    ) {
        let (value_clean, value) = values;
        if value_clean.is_some() || value.is_some() {
            self.rows.push(MetricRow {
                cell_id: self.cell_id.clone(),
                metric: name.into(),
                scope: scope.into(),
                value_clean,
                value,
                n: n as u64,
                method: method.map(Text::from),
                ..Default::default()
            });
        }
    }

    /// Adds a share with its interval.
    fn share(
        &mut self,
        name: &str,
        scope: &str,
        clean: Option<f64>,
        of: &[&SampleRow],
        test: impl Fn(&SampleRow) -> bool,
    ) {
        let value = mean(of.iter().map(|row| f64::from(u8::from(test(row)))));
        self.add(name, scope, (clean, value), of.len(), None);
        if let (Some(row), Some(interval)) =
            (self.rows.last_mut().filter(|_| value.is_some()), interval_of(of, test))
        {
            (row.low, row.high) = (Some(interval.low), Some(interval.high));
            row.n_groups = groups(of).map(count_distinct);
            let mark = if interval.few_groups { format!(", {FEW_GROUPS}") } else { String::new() };
            row.method = Some(format!("{}{mark}", interval.method).into());
        }
    }

    /// Success rate over a scope, and what is asked of it: robust accuracy where the aim concerns every sample.
    fn shares(&mut self, scope: &str, samples: &[&SampleRow], aim: &Aim) {
        let concerned = aim.concerned(samples);
        let clean = mean(concerned.iter().map(|row| f64::from(u8::from(aim.kept_clean(row)))));
        let name = if concerns_all(aim.name.as_deref()) { "robust_accuracy" } else { "asked_robust" };
        self.share(name, scope, clean, &concerned, |row| aim.withstands(row));
        let attacked: Vec<&SampleRow> = samples.iter().copied().filter(|row| row.success.is_some()).collect();
        self.share("attack_success_rate", scope, None, &attacked, |row| row.success == Some(true));
    }

    /// [`shares`](Self::shares) by class and by subgroup.
    fn scopes(&mut self, samples: &[&SampleRow], context: &Context, aim: &Aim) {
        for class in samples.iter().map(|row| row.label).collect::<BTreeSet<_>>() {
            let of_class: Vec<&SampleRow> =
                samples.iter().copied().filter(|row| row.label == class).collect();
            self.shares(&format!("class:{class}"), &of_class, aim);
        }
        for (column, values) in context.subgroups {
            for value in values.iter().collect::<BTreeSet<_>>() {
                let inside = samples.iter().zip(values).filter(|(_, v)| *v == value).map(|(row, _)| *row);
                self.shares(&format!("{column}={value}"), &inside.collect::<Vec<_>>(), aim);
            }
        }
    }

    /// Metrics of scores and decisions, before and (where `stopped` is false) after the attack.
    fn scored(&mut self, samples: &[&SampleRow], context: &Context, stopped: bool) {
        let n = samples.len();
        let labels: Vec<u32> = samples.iter().map(|row| row.label).collect();
        let clean = View::of(samples, |row| &row.scores_clean, |row| row.clean_pred);
        let after = View::of(samples, |row| &row.scores_adv, |row| row.adv_pred);
        let mut both =
            |name: &str, scope: &str, method: Option<&str>, metric: &dyn Fn(&View) -> Option<f64>| {
                let value = if stopped { None } else { metric(&after) };
                self.add(name, scope, (metric(&clean), value), n, method);
            };
        match context.head {
            Head::Classes(classes) if classes != 2 => {
                both("auroc", "all", Some("one-vs-rest, macro"), &|v| {
                    auroc_macro(&v.rows(), &labels, classes)
                });
                both("brier", "all", Some("sum over classes"), &|v| {
                    brier_multiclass(&v.complete(classes)?, &labels)
                });
                both("ece", "all", Some("top label, 15 bins"), &|v| v.top_label_error(&labels));
                both("balanced_accuracy", "all", None, &|v| balanced_accuracy(&v.predicted, &labels));
                both("macro_f1", "all", None, &|v| macro_f1(&v.predicted, &labels));
                for class in 0..classes {
                    let scope = format!("class:{class}");
                    let positive: Vec<bool> = labels.iter().map(|label| *label as usize == class).collect();
                    let said =
                        |v: &View| v.predicted.iter().map(|p| *p as usize == class).collect::<Vec<_>>();
                    both("auroc", &scope, Some("one-vs-rest"), &|v| auroc(&v.column(class)?, &positive));
                    both("sensitivity", &scope, None, &|v| sensitivity(&said(v), &positive));
                    both("specificity", &scope, None, &|v| specificity(&said(v), &positive));
                }
            }
            head => {
                let positive: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
                let said = |v: &View| v.predicted.iter().map(|p| *p == 1).collect::<Vec<_>>();
                both("auroc", "all", None, &|v| auroc(&v.positive(head)?, &positive));
                both("brier", "all", None, &|v| brier(&v.positive(head)?, &positive));
                let risk = Some("risk, 15 bins");
                both("ece", "all", risk, &|v| expected_calibration_error(&v.positive(head)?, &positive));
                both("sensitivity", "all", None, &|v| sensitivity(&said(v), &positive));
                both("specificity", "all", None, &|v| specificity(&said(v), &positive));
                both("balanced_accuracy", "all", None, &|v| balanced_accuracy(&v.predicted, &labels));
                both("macro_f1", "all", None, &|v| macro_f1(&v.predicted, &labels));
            }
        }
        if let Head::Findings { said_clean, said_adv, labels, .. } = context.head {
            let width = (labels.len() / n.max(1)).max(1);
            let flipped = said_clean.chunks(width).zip(said_adv.chunks(width));
            let flipped = flipped.map(|(before, under)| f64::from(u8::from(before != under)));
            self.add("any_flip", "all", (None, mean(flipped)), n, None);
            let exact = |said: &[u32]| {
                let pairs = said.chunks(width).zip(labels.chunks(width));
                mean(pairs.map(|(said, truth)| {
                    let right = |(said, truth): (&u32, &u8)| *truth > 1 || *said == u32::from(*truth);
                    f64::from(u8::from(said.iter().zip(truth).all(right)))
                }))
            };
            self.add("exact_match", "all", (exact(said_clean), exact(said_adv)), n, None);
        }
    }
}

/// Scores and answers of all samples, clean or under attack.
struct View<'a> {
    samples: &'a [&'a SampleRow],
    scores: fn(&SampleRow) -> &[f32],
    predicted: Vec<u32>,
}

impl<'a> View<'a> {
    fn of(
        samples: &'a [&'a SampleRow],
        scores: fn(&SampleRow) -> &[f32],
        predicted: fn(&SampleRow) -> u32,
    ) -> Self {
        Self { samples, scores, predicted: samples.iter().map(|row| predicted(row)).collect() }
    }

    /// The scores of every sample.
    fn scores(&self) -> impl Iterator<Item = &[f32]> {
        self.samples.iter().map(|row| (self.scores)(row))
    }

    /// One score of every sample.
    fn column(&self, k: usize) -> Option<Vec<f64>> {
        self.scores().map(|row| row.get(k).map(|score| f64::from(*score))).collect()
    }

    /// The probability of the positive class of a two-way head.
    fn positive(&self, head: Head) -> Option<Vec<f64>> {
        match head {
            Head::Findings { index, .. } => self.column(index),
            _ => self.scores().map(|row| row.get(1).or(row.first()).map(|score| f64::from(*score))).collect(),
        }
    }

    /// All scores, a row a sample.
    fn rows(&self) -> Vec<Vec<f64>> {
        self.scores().map(|row| row.iter().map(|score| f64::from(*score)).collect()).collect()
    }

    /// [`Self::rows`], where every sample has a score a class.
    fn complete(&self, classes: usize) -> Option<Vec<Vec<f64>>> {
        self.scores().all(|row| row.len() == classes).then(|| self.rows())
    }

    /// Calibration error of the largest score.
    fn top_label_error(&self, labels: &[u32]) -> Option<f64> {
        let top: Option<Vec<f64>> =
            self.scores().map(|row| row.iter().copied().map(f64::from).reduce(f64::max)).collect();
        let right: Vec<bool> = self.predicted.iter().zip(labels).map(|(p, l)| p == l).collect();
        expected_calibration_error(&top?, &right)
    }
}
