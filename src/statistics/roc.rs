//! The ROC curve of scores: points, rates at a false positive rate, thresholds, and the interval of the area under it.

use super::{Interval, MIN_GROUPS, PRIOR_ALIKE, auroc, wilson_of_rate};

pub use super::binomial::clopper_pearson;

/// What a threshold makes of scored samples, where `score >= threshold` is called positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// A score that occurs, or infinity for the point at which nothing is called positive.
    pub threshold: f64,
    /// Positives that are called so.
    pub true_positives: u64,
    /// Negatives that are called positive.
    pub false_positives: u64,
}

/// A ROC curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Roc {
    /// Number of positives, 1 or more.
    pub positives: u64,
    /// Number of negatives, 1 or more.
    pub negatives: u64,
    /// One point a distinct score, from the highest threshold (nothing is called positive) to the lowest (everything is).
    pub points: Vec<Point>,
}

impl Roc {
    /// The curve of `scores` (higher for likelier positives, infinite ones allowed). `None` without both kinds, where a score is NaN, or where
    /// the two slices differ in length.
    pub fn new(scores: &[f64], positive: &[bool]) -> Option<Self> {
        let positives = positive.iter().filter(|p| **p).count() as u64;
        let negatives = positive.len() as u64 - positives;
        if positives == 0
            || negatives == 0
            || scores.len() != positive.len()
            || scores.iter().any(|s| s.is_nan())
        {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut point = Point { threshold: f64::INFINITY, true_positives: 0, false_positives: 0 };
        let mut points = vec![point];
        // `==` and not total_cmp, so that -0.0 ties with 0.0.
        for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
            let hits = tied.iter().filter(|i| positive[**i]).count() as u64;
            point.threshold = scores[tied[0]];
            point.true_positives += hits;
            point.false_positives += tied.len() as u64 - hits;
            points.push(point);
        }
        Some(Self { positives, negatives, points })
    }

    /// The share of positives that are called so.
    pub fn true_positive_rate(&self, point: &Point) -> f64 {
        point.true_positives as f64 / self.positives as f64
    }

    /// The share of negatives that are called positive.
    pub fn false_positive_rate(&self, point: &Point) -> f64 {
        point.false_positives as f64 / self.negatives as f64
    }

    /// The mean of the true positive rate and the true negative rate.
    pub fn balanced_accuracy(&self, point: &Point) -> f64 {
        0.5 * (self.true_positive_rate(point) + 1.0 - self.false_positive_rate(point))
    }

    /// The area under the curve, a tie counting half.
    pub fn area(&self) -> f64 {
        let trapezium = |pair: &[Point]| {
            let width = pair[1].false_positives - pair[0].false_positives;
            // Twice the area, exact in whole numbers.
            u128::from(width) * u128::from(pair[0].true_positives + pair[1].true_positives)
        };
        let doubled: u128 = self.points.windows(2).map(trapezium).sum();
        doubled as f64 / (2.0 * self.positives as f64 * self.negatives as f64)
    }

    /// The point of the largest true positive rate among those whose false positive rate is `rate` (0 to 1) at most: nothing is read
    /// between points. The true positives of `positives` have the [`clopper_pearson`] interval.
    pub fn at_false_positive_rate(&self, rate: f64) -> Point {
        // k / n and a decimal literal of the same number round to the same f64.
        let within = self.points.iter().take_while(|point| self.false_positive_rate(point) <= rate);
        within.last().copied().unwrap_or(self.points[0])
    }

    /// The point of the best balanced accuracy, the strictest of several.
    pub fn best(&self) -> Point {
        // In whole numbers: rounding must not choose among equals.
        let advantage = |point: &Point| {
            i128::from(point.true_positives) * i128::from(self.negatives)
                - i128::from(point.false_positives) * i128::from(self.positives)
        };
        let better =
            |best: Point, point: &Point| if advantage(point) > advantage(&best) { *point } else { best };
        self.points.iter().fold(self.points[0], better)
    }
}

/// The threshold of best balanced accuracy, to be taken to other scores: midway between the lowest score that is called positive and the next
/// lower one. `None` where there is no curve.
pub fn best_threshold(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let roc = Roc::new(scores, positive)?;
    let best = roc.best();
    let place = roc.points.iter().position(|point| *point == best)?;
    let (here, below) =
        (best.threshold, roc.points.get(place + 1).map_or(f64::NEG_INFINITY, |p| p.threshold));
    if place == 0 || below.is_infinite() || here.is_infinite() {
        // Nothing beats calling nothing positive, there is nothing below, or there is no middle.
        return Some(if place == 0 && below.is_finite() { below.next_up() } else { here });
    }
    Some(below + 0.5 * (here - below))
}

/// The balanced accuracy of `score >= threshold`; `None` without both kinds.
pub fn balanced_accuracy_at(scores: &[f64], positive: &[bool], threshold: f64) -> Option<f64> {
    let share = |kind: bool| {
        let of_kind = scores.iter().zip(positive).filter(|(_, p)| **p == kind);
        super::mean(of_kind.map(|(s, _)| f64::from(u8::from((*s >= threshold) == kind))))
    };
    Some(0.5 * (share(true)? + share(false)?))
}

/// The 95% interval of the area under the curve, `wilson-delong`: Wilson's of a share over an effective number of trials, so that nothing changes
/// its method, or leaps, where all positives score above all negatives.
///
/// That number is `area (1 - area)` over the variance of DeLong, DeLong & Clarke-Pearson 1988; where `groups` (one name a sample) are given, over that of
/// Obuchowski 1997 for samples that come in clusters, which is the same where every sample is a group of its own. Near the ends that variance is
/// estimated from the few samples that are out of order, or from none: the number is at most what it is without any separation (Mann &
/// Whitney 1947; of samples of groups over the design effect of [`PRIOR_ALIKE`]). `None` as for [`Roc::new`], or where a variance would have to
/// come from a single sample (group) of a kind.
pub fn area_interval(scores: &[f64], positive: &[bool], groups: Option<&[&str]>) -> Option<Interval> {
    let area = auroc(scores, positive)?;
    let clusters = Clusters::new(scores, positive, groups)?;
    let few_groups = groups.is_some() && clusters.sums.len() < MIN_GROUPS;
    let variance = clusters.variance(area)?;
    let most = trials_without_separation(scores, clusters.totals) / clusters.design_effect();
    let trials = if variance > 0.0 { (area * (1.0 - area) / variance).min(most) } else { most };
    let (low, high) = wilson_of_rate(area, trials)?;
    // Exact at the ends, where rounding would leave 1e-17.
    let low = if area == 0.0 { 0.0 } else { low };
    let high = if area == 1.0 { 1.0 } else { high };
    Some(Interval { low, high, method: "wilson-delong", few_groups })
}

/// A quarter over the variance that the area has where positives and negatives, so many of each, score alike: three for each pair of a harmonic mean,
/// more where scores tie. One that no other ties is taken to be there.
fn trials_without_separation(scores: &[f64], [m, n]: [f64; 2]) -> f64 {
    let mut sorted: Vec<f64> = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all = m + n;
    // `==` and not total_cmp, so that -0.0 ties with 0.0.
    let tied = sorted.chunk_by(|a, b| a == b).map(|tied| tied.len() as f64);
    let tied: f64 = tied.map(|t| t * (t * t - 1.0)).sum();
    let untied = (1.0 - tied / (all * (all * all - 1.0))).max(3.0 / all);
    3.0 * m * n / all / untied
}

/// What the samples of each cluster add to the area.
struct Clusters {
    sums: Vec<Sum>,
    totals: [f64; 2],
}

/// A cluster's positives and negatives: how many, and the sum of the shares of the other kind that they win against.
#[derive(Clone, Copy, Default)]
struct Sum {
    n: [f64; 2],
    wins: [f64; 2],
}

impl Clusters {
    fn new(scores: &[f64], positive: &[bool], groups: Option<&[&str]>) -> Option<Self> {
        if groups.is_some_and(|groups| groups.len() != scores.len()) {
            return None;
        }
        let mut sorted = [Vec::new(), Vec::new()];
        for (score, &positive) in scores.iter().zip(positive) {
            // -0.0 ties with 0.0.
            sorted[usize::from(!positive)].push(score + 0.0);
        }
        sorted.iter_mut().for_each(|scores| scores.sort_by(f64::total_cmp));
        let mut sums: Vec<Sum> = Vec::new();
        let mut places = std::collections::BTreeMap::new();
        for (i, (score, &positive)) in scores.iter().zip(positive).enumerate() {
            let kind = usize::from(!positive);
            let others = &sorted[1 - kind];
            let below = others.partition_point(|s| s < score) as f64;
            let through = others.partition_point(|s| s <= score) as f64;
            let half_won = 0.5 * (below + through) / others.len() as f64;
            let place = match groups {
                Some(groups) => *places.entry(groups[i]).or_insert(sums.len()),
                None => sums.len(),
            };
            if place == sums.len() {
                sums.push(Sum::default());
            }
            sums[place].n[kind] += 1.0;
            sums[place].wins[kind] += if positive { half_won } else { 1.0 - half_won };
        }
        let totals = [sorted[0].len() as f64, sorted[1].len() as f64];
        Some(Self { sums, totals })
    }

    /// Clusters with positives, and with negatives.
    fn of_kind(&self) -> [u64; 2] {
        [0, 1].map(|kind| self.sums.iter().filter(|sum| sum.n[kind] > 0.0).count() as u64)
    }

    /// By how much samples of groups are taken to be alike before groups tell, see [`share_interval`](super::share_interval).
    fn design_effect(&self) -> f64 {
        let sizes = || self.sums.iter().map(|sum| sum.n[0] + sum.n[1]);
        let most = sizes().map(|size| size * size).sum::<f64>() / sizes().sum::<f64>();
        1.0 + (most - 1.0) * PRIOR_ALIKE
    }

    /// Obuchowski's variance; `None` with a single cluster of either kind.
    fn variance(&self, area: f64) -> Option<f64> {
        let excess = |sum: &Sum, kind: usize| sum.wins[kind] - sum.n[kind] * area;
        let counts = self.of_kind();
        if counts.iter().any(|count| *count < 2) {
            return None;
        }
        let own = |kind: usize| {
            let (clusters, total) = (counts[kind] as f64, self.totals[kind]);
            let squares: f64 = self.sums.iter().map(|sum| excess(sum, kind).powi(2)).sum();
            clusters / ((clusters - 1.0) * total) * squares / total
        };
        let clusters = self.sums.len() as f64;
        let products: f64 = self.sums.iter().map(|sum| excess(sum, 0) * excess(sum, 1)).sum();
        let shared = clusters / (clusters - 1.0) * products;
        Some((own(0) + own(1) + 2.0 * shared / (self.totals[0] * self.totals[1])).max(0.0))
    }
}
