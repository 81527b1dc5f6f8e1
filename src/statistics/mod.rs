//! The statistics that results are made of: intervals, ranking, calibration, decisions, quantiles.
//!
//! Every function is pure and defined for empty input (`None`). Scores are probabilities unless said otherwise.

mod binomial;
pub mod roc;

pub use binomial::sign_test;

/// The 97.5% point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// How alike samples of a group are taken to be until groups tell: an intraclass correlation that is high for patients of one practice
/// (Adams et al. 2004, Patterns of intra-cluster correlation from primary care research: median 0.010, three of four below 0.032).
const PRIOR_ALIKE: f64 = 0.05;
/// For how many groups that counts.
const PRIOR_GROUPS: f64 = 2.0;
/// With fewer groups than this the spread between groups is measured too roughly to trust; such results are flagged.
pub const MIN_GROUPS: usize = 10;
/// Equal-width bins of [`expected_calibration_error`].
const CALIBRATION_BINS: usize = 15;

/// A 95% interval and how it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// `wilson`, `wilson-groups`, `clopper-pearson` or `wilson-delong`.
    pub method: &'static str,
    /// Whether it rests on fewer than [`MIN_GROUPS`] groups.
    pub few_groups: bool,
}

/// The Wilson score interval of `successes` of `n` independent trials (Wilson 1927); `None` for no trials.
pub fn wilson(successes: u64, n: u64) -> Option<Interval> {
    let (low, high) = wilson_of_rate(successes as f64 / n as f64, n as f64)?;
    // Exact at the ends, where rounding would leave 1e-17.
    let low = if successes == 0 { 0.0 } else { low };
    let high = if successes == n { 1.0 } else { high };
    Some(Interval { low, high, method: "wilson", few_groups: false })
}

/// The Wilson ends for a rate over `n` trials.
fn wilson_of_rate(rate: f64, n: f64) -> Option<(f64, f64)> {
    if n <= 0.0 || !(0.0..=1.0).contains(&rate) {
        return None;
    }
    let z2 = Z * Z;
    let centre = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

/// The 95% interval of a share: Wilson's over the effective number of samples, so that nothing changes its method where all or none pass.
///
/// Samples of a group (one name a sample) are alike; their number counts over the design effect, the variance of the share between groups
/// over that of independent samples (Kish 1965, Survey Sampling). That effect is estimated from the groups that hold the rarer kind, beside
/// which [`PRIOR_GROUPS`] of an intraclass correlation of [`PRIOR_ALIKE`] are counted: where none or few tell, it is not taken for none. `wilson-groups`;
/// without groups, or where every sample is a group of its own, `wilson`.
pub fn share_interval(hits: &[bool], groups: Option<&[&str]>) -> Option<Interval> {
    let (n, successes) = (hits.len(), hits.iter().filter(|hit| **hit).count());
    let Some(groups) = groups else { return wilson(successes as u64, n as u64) };
    // In the order in which groups first appear: what they are called must not change the interval.
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut totals: Vec<(f64, f64)> = Vec::new();
    for (hit, group) in hits.iter().zip(groups) {
        let place = *places.entry(group).or_insert(totals.len());
        if place == totals.len() {
            totals.push((0.0, 0.0));
        }
        let (right, all) = &mut totals[place];
        *right += f64::from(u8::from(*hit));
        *all += 1.0;
    }
    let few_groups = totals.len() < MIN_GROUPS;
    if totals.len() == n {
        return Some(Interval { few_groups, ..wilson(successes as u64, n as u64)? });
    }
    let rate = successes as f64 / n as f64;
    let effect = design_effect(&totals, rate, n as f64);
    let (low, high) = wilson_of_rate(rate, n as f64 / effect)?;
    let low = if successes == 0 { 0.0 } else { low };
    let high = if successes == n { 1.0 } else { high };
    Some(Interval { low, high, method: "wilson-groups", few_groups })
}

/// By how much samples of groups, each `(right, all)`, spread their share more than as many independent ones would.
fn design_effect(groups: &[(f64, f64)], rate: f64, n: f64) -> f64 {
    // Where all samples of a group are the same.
    let most = groups.iter().map(|(_, all)| all * all).sum::<f64>() / n;
    let prior = 1.0 + (most - 1.0) * PRIOR_ALIKE;
    let rare = |&&(right, all): &&(f64, f64)| if rate <= 0.5 { right > 0.0 } else { right < all };
    let telling = groups.iter().filter(rare).count() as f64;
    let variance = rate * (1.0 - rate) / n;
    if telling == 0.0 || variance <= 0.0 {
        return prior;
    }
    let count = groups.len() as f64;
    let between = groups.iter().map(|(right, all)| (right - rate * all).powi(2)).sum::<f64>();
    // One group has no spread between groups to be measured.
    let scale = if count > 1.0 { count / (count - 1.0) } else { return most };
    let found = scale * between / (n * n) / variance;
    ((telling * found.max(1.0) + PRIOR_GROUPS * prior) / (telling + PRIOR_GROUPS)).clamp(1.0, most.max(1.0))
}

/// The area under the ROC curve: the chance that a positive scores above a negative, a tie counting half
/// (Mann and Whitney 1947). Any monotone score will do. `None` without both kinds, or where a score is NaN.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let positives = positive.iter().filter(|p| **p).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    // `==` and not total_cmp, so that -0.0 ties with 0.0; they are neighbours in the order.
    let mut rank_sum = 0.0;
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]).scan(0, |before, tied| {
        let start = *before;
        *before += tied.len();
        Some((start, tied))
    }) {
        let (before, tied) = tied;
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        rank_sum += rank * tied.iter().filter(|i| positive[**i]).count() as f64;
    }
    let (p, n) = (positives as f64, negatives as f64);
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

/// The mean over classes of one-against-rest [`auroc`]; classes that are absent (or alone) are left out.
///
/// `scores[i]` holds one score a class for sample `i`.
pub fn auroc_macro(scores: &[Vec<f64>], labels: &[u32], classes: usize) -> Option<f64> {
    let one = |class: usize| {
        let column: Option<Vec<f64>> = scores.iter().map(|row| row.get(class).copied()).collect();
        let positive: Vec<bool> = labels.iter().map(|label| *label as usize == class).collect();
        auroc(&column?, &positive)
    };
    mean((0..classes).filter_map(one))
}

/// The Brier score of a binary head: mean of (p - y)^2, 0 to 1 (Brier 1950).
pub fn brier(probabilities: &[f64], positive: &[bool]) -> Option<f64> {
    mean(probabilities.iter().zip(positive).map(|(p, y)| (p - f64::from(u8::from(*y))).powi(2)))
}

/// The Brier score of several classes: mean of the squared distance to the one-hot label, 0 to 2 (Brier 1950).
pub fn brier_multiclass(probabilities: &[Vec<f64>], labels: &[u32]) -> Option<f64> {
    let one = |(row, label): (&Vec<f64>, &u32)| -> f64 {
        let wanted = |k: usize| f64::from(u8::from(k == *label as usize));
        row.iter().enumerate().map(|(k, p)| (p - wanted(k)).powi(2)).sum()
    };
    mean(probabilities.iter().zip(labels).map(one))
}

/// The expected calibration error over 15 equal-width bins, open below and closed above (Guo et al. 2017, section 2).
///
/// `confidence[i]` is what the model gave to an event and `happened[i]` whether it came: for several classes the top
/// score and whether its class is right; for a binary head the probability of the positive class and the label, which
/// is calibration of risk and does not depend on a threshold.
pub fn expected_calibration_error(confidence: &[f64], happened: &[bool]) -> Option<f64> {
    if confidence.is_empty() || confidence.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return None;
    }
    let mut gaps = [0.0; CALIBRATION_BINS];
    for (p, y) in confidence.iter().zip(happened) {
        let bin = (p * CALIBRATION_BINS as f64).ceil().max(1.0) as usize - 1;
        // A bin's share times |accuracy - confidence| is the absolute sum of its differences over n.
        gaps[bin.min(CALIBRATION_BINS - 1)] += p - f64::from(u8::from(*y));
    }
    Some(gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / confidence.len() as f64)
}

/// Sensitivity: the share of positives that are predicted positive; `None` without positives.
pub fn sensitivity(predicted: &[bool], positive: &[bool]) -> Option<f64> {
    mean(predicted.iter().zip(positive).filter(|(_, y)| **y).map(|(p, _)| f64::from(u8::from(*p))))
}

/// Specificity: the share of negatives that are predicted negative; `None` without negatives.
pub fn specificity(predicted: &[bool], positive: &[bool]) -> Option<f64> {
    mean(predicted.iter().zip(positive).filter(|(_, y)| !**y).map(|(p, _)| f64::from(u8::from(!*p))))
}

/// Balanced accuracy: the mean recall of the classes that are there.
pub fn balanced_accuracy(predicted: &[u32], labels: &[u32]) -> Option<f64> {
    let present: std::collections::BTreeSet<u32> = labels.iter().copied().collect();
    mean(present.into_iter().map(|class| {
        let of_class = labels.iter().zip(predicted).filter(|(label, _)| **label == class);
        let (right, all) =
            of_class.fold((0.0, 0.0), |(r, n), (l, p)| (r + f64::from(u8::from(l == p)), n + 1.0));
        right / all
    }))
}

/// Macro-F1: the mean F1 of the classes that are there or are predicted; a class never right has 0.
pub fn macro_f1(predicted: &[u32], labels: &[u32]) -> Option<f64> {
    let seen: std::collections::BTreeSet<u32> = labels.iter().chain(predicted).copied().collect();
    mean(seen.into_iter().map(|class| {
        let count = |test: fn(bool, bool) -> bool| {
            let pairs = labels.iter().zip(predicted);
            pairs.filter(|(label, p)| test(**label == class, **p == class)).count() as f64
        };
        let hit = count(|truth, said| truth && said);
        2.0 * hit / (2.0 * hit + count(|truth, said| truth != said))
    }))
}

/// Thresholds at which `score > threshold` finds at least the share `wanted` (0 to 1) of the positives, highest first: each midway between
/// the last score above it and the next lower one of any sample, the last at half of the lowest score.
///
/// The first is the operating point: chosen once on clean data, then frozen. Where the decision is made in coarser arithmetic than that of
/// the scores, a later one may be needed. Scores are probabilities. Empty without positives or with a NaN score.
pub fn thresholds_for_sensitivity(scores: &[f64], positive: &[bool], wanted: f64) -> Vec<f64> {
    let mut found: Vec<f64> = scores.iter().zip(positive).filter(|(_, y)| **y).map(|(s, _)| *s).collect();
    if scores.iter().any(|s| s.is_nan()) {
        return Vec::new();
    }
    found.sort_by(|a, b| b.total_cmp(a));
    let n = found.len() as f64;
    let needed = (1..=found.len()).find(|k| *k as f64 / n >= wanted);
    let Some(last) = needed.map(|k| found[k - 1]) else { return Vec::new() };
    let mut levels: Vec<f64> = scores.iter().copied().filter(|s| *s <= last).collect();
    levels.sort_by(|a, b| b.total_cmp(a));
    // `==` and not total_cmp, so that -0.0 ties with 0.0.
    levels.dedup_by(|a, b| a == b);
    let below = |i: usize| levels.get(i + 1).copied().unwrap_or(0.0);
    levels.iter().enumerate().map(|(i, level)| below(i) + (level - below(i)) / 2.0).collect()
}

/// The median; infinities are values like others (half of the values infinite: infinite). `None` for none or NaN.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The quantile `q` (0 to 1), linear between neighbours (NumPy's default); infinities are values like others.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, q)
}

/// [`quantile`] of ascending values.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (below, weight) = (sorted[position.floor() as usize], position.fract());
    let above = sorted[(position.floor() as usize + 1).min(last)];
    // Equal neighbours first: infinity minus infinity is no number.
    if weight == 0.0 || below == above { Some(below) } else { Some(below + (above - below) * weight) }
}

/// The mean; `None` for none.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    (n > 0.0).then_some(sum / n)
}
