//! ROC curves and intervals against brute force and SciPy (tests/golden/roc.py).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use percuss::statistics::roc::{Roc, area_interval, balanced_accuracy_at, best_threshold, clopper_pearson};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    rates: Vec<f64>,
    cases: Vec<Case>,
    /// Successes, trials, low, high.
    clopper_pearson: Vec<(u64, u64, f64, f64)>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    scores: Vec<String>,
    positive: Vec<bool>,
    groups: Option<Vec<String>>,
    /// True and false positives of every threshold.
    points: Vec<[u64; 2]>,
    area: f64,
    low: f64,
    high: f64,
    method: String,
    tpr: Vec<f64>,
    balanced_accuracy: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/roc.json")).unwrap()
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-12, "{what}: {found} is not {expected}");
}

#[test]
fn curves_areas_and_intervals_equal_brute_force() {
    let golden = golden();
    for case in &golden.cases {
        let name = case.name.as_str();
        let scores: Vec<f64> = case.scores.iter().map(|text| text.parse().unwrap()).collect();
        let roc = Roc::new(&scores, &case.positive).unwrap();
        let points: Vec<[u64; 2]> =
            roc.points.iter().map(|point| [point.true_positives, point.false_positives]).collect();
        assert_eq!(points, case.points, "{name}");
        near(roc.area(), case.area, name);
        let groups: Option<Vec<&str>> =
            case.groups.as_ref().map(|groups| groups.iter().map(String::as_str).collect());
        let interval = area_interval(&scores, &case.positive, groups.as_deref()).unwrap();
        assert_eq!(interval.method, case.method, "{name}");
        near(interval.low, case.low, name);
        near(interval.high, case.high, name);
        for (rate, tpr) in golden.rates.iter().zip(&case.tpr) {
            let point = roc.at_false_positive_rate(*rate);
            near(roc.true_positive_rate(&point), *tpr, &format!("{name} at {rate}"));
            assert!(roc.false_positive_rate(&point) <= *rate);
        }
        near(roc.balanced_accuracy(&roc.best()), case.balanced_accuracy, name);
        // The threshold that is taken elsewhere gives the same on the scores that it is from.
        let threshold = best_threshold(&scores, &case.positive).unwrap();
        let taken = balanced_accuracy_at(&scores, &case.positive, threshold).unwrap();
        near(taken, case.balanced_accuracy, &format!("{name} at {threshold}"));
    }
}

#[test]
fn exact_intervals_equal_scipy() {
    for (k, n, low, high) in golden().clopper_pearson {
        let found = clopper_pearson(k, n).unwrap();
        near(found.low, low, &format!("{k} of {n}"));
        near(found.high, high, &format!("{k} of {n}"));
    }
}

/// Ranks 0 to 59, ten of which are a group: those above the middle are positives, but for the two next to it, as many as `swapped` says.
fn nearly_separated(swapped: usize) -> (Vec<f64>, Vec<bool>) {
    let positive = |i: usize| match i {
        29 => swapped > 1,
        30 => swapped == 0,
        i => i > 29,
    };
    ((0..60).map(|i| i as f64).collect(), (0..60).map(positive).collect())
}

#[test]
fn an_interval_does_not_leap_where_the_last_errors_go() {
    let spread: Vec<String> = (0..60).map(|i| format!("g{}", i % 6)).collect();
    let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
    for groups in [None, Some(spread.as_slice())] {
        let ends = [0, 1, 2].map(|swapped| {
            let (scores, positive) = nearly_separated(swapped);
            area_interval(&scores, &positive, groups).unwrap()
        });
        for pair in ends.windows(2) {
            // Worse answers, a lower end; by little, since one label in sixty changed. It rose from 0.884 to 0.996.
            let fell = pair[0].low - pair[1].low;
            assert!((0.0..0.01).contains(&fell), "{pair:?}");
            assert!(pair[1].high <= pair[0].high, "{pair:?}");
        }
        // With groups it fell to 0.29 without an error.
        assert!(ends[0].low > 0.88 && ends[0].high == 1.0, "{ends:?}");
    }
}

#[test]
fn one_kind_alone_has_no_curve() {
    let scores = [0.3, 0.1, 0.2];
    for kind in [false, true] {
        assert_eq!(Roc::new(&scores, &[kind; 3]), None);
        assert_eq!(area_interval(&scores, &[kind; 3], None), None);
        assert_eq!(best_threshold(&scores, &[kind; 3]), None);
        assert_eq!(balanced_accuracy_at(&scores, &[kind; 3], 0.2), None);
    }
    assert_eq!(Roc::new(&[], &[]), None);
    assert_eq!(Roc::new(&[f64::NAN, 0.0], &[true, false]), None);
    assert_eq!(Roc::new(&[0.0], &[true, false]), None);
    // A variance that would have to come from one positive.
    assert_eq!(area_interval(&[0.3, 0.1, 0.5], &[true, false, false], None), None);
    assert!(clopper_pearson(3, 2).is_none() && clopper_pearson(0, 0).is_none());
}

#[test]
fn of_equally_good_points_the_strictest_is_taken_whatever_the_rounding() {
    // With 49 positives and 7 negatives, 7k positives and k negatives called positive are as good as none at all.
    let mut scores = Vec::new();
    let mut positive = Vec::new();
    for k in 0..7 {
        for i in 0..8 {
            scores.push(f64::from(-k));
            positive.push(i < 7);
        }
    }
    let roc = Roc::new(&scores, &positive).unwrap();
    assert_eq!(roc.best(), roc.points[0]);
    let threshold = best_threshold(&scores, &positive).unwrap();
    assert!(threshold > 0.0 && threshold < 1e-300, "{threshold}");
}
