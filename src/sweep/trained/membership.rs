//! Membership cells: a target trained on a random half of its pool, and an adversary who says of every sample of the pool whether the
//! target learnt from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shadows::{Knowledge, classes_of};
use super::{Class, Taker, TrainedCell};
use crate::attacks::Value;
use crate::attacks::privacy::{self, Answers, Evidence, Population, Shadow};
use crate::data::Dataset;
use crate::results::roc::{Roc, area_interval, balanced_accuracy_at, clopper_pearson};
use crate::results::statistics::Interval;
use crate::results::{MetricRow, SampleRow, Text};
use crate::sweep::rows::{Rows, salted_groups};
use crate::training::random::name_number;
use crate::{Error, Result};

/// False positive rates at which the true positive rate is a metric of its own.
const RATES: [f64; 2] = [0.01, 0.001];
/// Points of the ROC that are stored, at equal ratios of the false positive rate from 1e-4 to 1, and 0.
const ROC_POINTS: usize = 41;

/// One target with what is known of it.
struct Target {
    answers: Answers,
    population: Answers,
    member: Vec<bool>,
}

/// What the attacks of one knowledge on one recipe share.
struct Ground {
    /// What models are asked about: the train split.
    candidates: Dataset,
    /// Of those the candidates that the target may have learnt from, whom results are about.
    pool: Vec<usize>,
    labels: Vec<u32>,
    groups: Option<Vec<Text>>,
    population_labels: Vec<u32>,
    shadows: Vec<Shadow>,
    targets: BTreeMap<u64, Target>,
}

impl Class<'_> {
    /// Runs the membership cells at these positions: by knowledge and number of shadow models, so that those are trained once.
    pub(super) fn infer_members(&self, cells: &[usize], taker: &mut Taker) -> Result<()> {
        let mut by_ground: BTreeMap<(Knowledge, u64), Vec<usize>> = BTreeMap::new();
        for &i in cells {
            let cell = &self.all.cells[i];
            by_ground.entry((knowledge(cell), cell.whole("shadows"))).or_default().push(i);
        }
        for ((knowledge, shadows), cells) in by_ground {
            let ground = self.ground(knowledge, shadows, &cells)?;
            for i in cells {
                taker(i, self.inferred(i, &ground)?)?;
            }
        }
        Ok(())
    }

    fn ground(&self, knowledge: Knowledge, shadows: u64, cells: &[usize]) -> Result<Ground> {
        let train = &self.school.prepared.splits.train;
        let [pool, theirs] = knowledge.pools(train.len());
        let candidates = train.clone();
        let labels = classes_of(&candidates)?;
        let seeds: Vec<u64> = (0..shadows).map(|k| name_number(&format!("shadow {k}"))).collect();
        let halves = self.halves("shadow", &theirs, &seeds)?;
        let shadows: Result<Vec<Shadow>> = halves.iter().map(|half| self.shadow(half, &candidates)).collect();
        let mut seeds: Vec<u64> = cells.iter().map(|&i| self.all.cells[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let mut targets = BTreeMap::new();
        for (seed, half) in seeds.iter().zip(self.halves("target", &pool, &seeds)?) {
            let Shadow { candidates: answers, member, population } = self.shadow(&half, &candidates)?;
            let Some(population) = population else { continue };
            targets.insert(*seed, Target { answers, population, member });
        }
        let groups = salted_groups(&candidates);
        let population_labels = classes_of(&self.school.test)?;
        Ok(Ground { candidates, pool, labels, groups, population_labels, shadows: shadows?, targets })
    }

    fn inferred(&self, i: usize, ground: &Ground) -> Result<Rows> {
        let cell = &self.all.cells[i];
        let Some(attack) = privacy::find(cell.kind) else { unreachable!("a cell's attack is registered") };
        let target = &ground.targets[&cell.seed];
        let evidence = Evidence {
            shadows: ground.shadows.iter().collect(),
            population: Some(Population { labels: &ground.population_labels, target: &target.population }),
            ..Evidence::new(&ground.labels, &target.answers)
        };
        let get = |name: &str| cell.get(name);
        let scores = attack.score(&evidence, &get)?;
        let transferred = attack.transferred_threshold(&evidence, &get)?;
        let scores: Vec<f64> = ground.pool.iter().map(|&i| scores[i]).collect();
        let member: Vec<bool> = ground.pool.iter().map(|&i| target.member[i]).collect();
        let roc = Roc::new(&scores, &member)
            .ok_or_else(|| Error::Failed(format!("{}: no ROC of members and others", cell.kind)))?;
        let id = &self.all.ids[i];
        let report = Report { id, ground, target, scores: &scores, member: &member, roc: &roc, transferred };
        let samples = report.samples();
        let mut row = self.row(i);
        row.split = ground.candidates.split.as_str().into();
        row.n = samples.len() as u64;
        row.n_attacked = row.n;
        row.n_success = samples.iter().filter(|sample| sample.success == Some(true)).count() as u64;
        row.attack_success_rate = Some(row.n_success as f64 / row.n.max(1) as f64);
        row.clean_accuracy = Some(right(&target.population, &ground.population_labels));
        row.threshold = report.threshold().filter(|threshold| threshold.is_finite());
        Ok(Rows { cell: row, metrics: report.metrics(), samples })
    }
}

fn knowledge(cell: &TrainedCell) -> Knowledge {
    match cell.get("knows") {
        Value::Word(word) => Knowledge::parse(word),
        _ => Knowledge::Exact,
    }
}

/// The share of samples whose largest logit is their class's.
fn right(answers: &Answers, labels: &[u32]) -> f64 {
    let right = labels.iter().enumerate().filter(|(i, label)| answers.answer(*i, 0, **label).right()).count();
    right as f64 / labels.len().max(1) as f64
}

/// What came of one attack on one target.
struct Report<'a> {
    id: &'a Text,
    ground: &'a Ground,
    target: &'a Target,
    /// Of the pool, as what follows.
    scores: &'a [f64],
    member: &'a [bool],
    roc: &'a Roc,
    /// The threshold that the adversary would take from the shadow models.
    transferred: Option<f64>,
}

impl Report<'_> {
    /// Where the adversary says "member": by the shadow models, else where the balanced accuracy is best.
    fn threshold(&self) -> Option<f64> {
        self.transferred.or_else(|| crate::results::roc::best_threshold(self.scores, self.member))
    }

    fn samples(&self) -> Vec<SampleRow> {
        let threshold = self.threshold().unwrap_or(f64::INFINITY);
        let ground = self.ground;
        let sample = |(place, &i): (usize, &usize)| {
            let (label, said) = (u32::from(self.member[place]), u32::from(self.scores[place] >= threshold));
            let answer = self.target.answers.answer(i, 0, ground.labels[i]);
            let largest = answer.logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = answer.logits.iter().map(|z| (z - largest).exp()).sum();
            let scores: Arc<[f32]> =
                answer.logits.iter().map(|z| ((z - largest).exp() / sum) as f32).collect();
            SampleRow {
                cell_id: self.id.clone(),
                sample: ground.candidates.index[i],
                group: ground.groups.as_ref().map(|groups| groups[i].clone()),
                label,
                clean_pred: label,
                adv_pred: said,
                scores_clean: scores,
                scores_adv: vec![self.scores[place] as f32],
                success: Some(said == label),
                robust: said != label,
                margin_clean: answer.log_odds(),
                margin_adv: self.scores[place] - threshold,
                ..SampleRow::default()
            }
        };
        ground.pool.iter().enumerate().map(sample).collect()
    }

    fn metrics(&self) -> Vec<MetricRow> {
        let (roc, member, pool) = (self.roc, self.member, &self.ground.pool);
        let groups: Option<Vec<&str>> =
            self.ground.groups.as_ref().map(|groups| pool.iter().map(|&i| groups[i].as_str()).collect());
        let mut rows = Vec::new();
        let area = area_interval(self.scores, member, groups.as_deref());
        rows.push(self.row("auc", "all", Some(roc.area()), area));
        let best = roc.balanced_accuracy(&roc.best());
        rows.push(self.row("balanced_accuracy", "best-threshold", Some(best), None));
        let transferred =
            self.transferred.and_then(|threshold| balanced_accuracy_at(self.scores, member, threshold));
        rows.push(self.row("balanced_accuracy", "shadow-threshold", transferred, None));
        for rate in RATES {
            let point = roc.at_false_positive_rate(rate);
            let interval = clopper_pearson(point.true_positives, roc.positives);
            rows.push(self.row(
                "tpr",
                &format!("fpr={rate}"),
                Some(roc.true_positive_rate(&point)),
                interval,
            ));
        }
        for k in 0..=ROC_POINTS {
            let rate =
                if k == 0 { 0.0 } else { 10f64.powf(-4.0 + 4.0 * (k - 1) as f64 / (ROC_POINTS - 1) as f64) };
            let point = roc.at_false_positive_rate(rate);
            rows.push(self.row(
                "roc",
                &format!("fpr={rate:.3e}"),
                Some(roc.true_positive_rate(&point)),
                None,
            ));
        }
        for (scope, whom) in [("members", true), ("others", false)] {
            let of = |(place, i): (usize, &usize)| (member[place] == whom).then_some(*i);
            let all: Vec<usize> = pool.iter().enumerate().filter_map(of).collect();
            let right = |i: &&usize| self.target.answers.answer(**i, 0, self.ground.labels[**i]).right();
            let share = all.iter().filter(right).count() as f64 / all.len().max(1) as f64;
            rows.push(MetricRow { n: all.len() as u64, ..self.row("accuracy", scope, Some(share), None) });
        }
        rows.into_iter().filter(|row| row.value.is_some()).collect()
    }

    fn row(&self, metric: &str, scope: &str, value: Option<f64>, interval: Option<Interval>) -> MetricRow {
        MetricRow {
            cell_id: self.id.clone(),
            metric: metric.into(),
            scope: scope.into(),
            value,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            n: self.scores.len() as u64,
            method: interval.map(|interval| interval.method.into()),
            ..MetricRow::default()
        }
    }
}
