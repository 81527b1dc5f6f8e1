//! Statistics against scikit-learn 1.9.1, SciPy 1.17.1 and NumPy 2.4.6 (constants below), and against brute force.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use percuss::statistics::*;

/// Sums of fewer than a hundred f64 terms near 1, in another order than the reference's.
const ROUNDING: f64 = 1e-13;

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a value");
    assert!((found - expected).abs() <= ROUNDING, "{found} is not {expected}");
}

const SCORES: [f64; 14] = [0.1, 0.4, 0.35, 0.8, 0.8, 0.2, 0.5, 0.5, 0.9, 0.05, 0.65, 0.5, 0.3, 0.7];
const POSITIVE: [u8; 14] = [0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1];
const PROBABILITIES: [[f64; 3]; 8] = [
    [0.7, 0.2, 0.1],
    [0.1, 0.6, 0.3],
    [0.2, 0.2, 0.6],
    [0.4, 0.35, 0.25],
    [0.3, 0.4, 0.3],
    [0.25, 0.25, 0.5],
    [0.5, 0.3, 0.2],
    [0.1, 0.45, 0.45],
];
const CLASSES: [u32; 8] = [0, 1, 2, 0, 2, 1, 1, 1];

fn positive() -> Vec<bool> {
    POSITIVE.iter().map(|y| *y == 1).collect()
}

/// A small generator for the random cases.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 40) as f64 / (1u64 << 24) as f64
}

#[test]
fn ranking_and_calibration_equal_scikit_learn() {
    let y = positive();
    near(auroc(&SCORES, &y), 0.8265306122448979);
    near(brier(&SCORES, &y), 0.16982142857142857);
    near(expected_calibration_error(&SCORES, &y), 0.19642857142857142);
    let predicted: Vec<bool> = SCORES.iter().map(|s| *s >= 0.5).collect();
    near(sensitivity(&predicted, &y), 0.8571428571428571);
    near(specificity(&predicted, &y), 0.7142857142857143);
    let rows: Vec<Vec<f64>> = PROBABILITIES.iter().map(|r| r.to_vec()).collect();
    near(auroc_macro(&rows, &CLASSES, 3), 0.8194444444444445);
    // A class that no sample has changes nothing.
    near(auroc_macro(&rows, &CLASSES, 4), 0.8194444444444445);
    near(brier_multiclass(&rows, &CLASSES), 0.5118750000000001);
    let truth = [0, 0, 1, 1, 2, 2, 2, 3, 0, 1, 2, 0];
    let said = [0, 1, 1, 1, 2, 0, 2, 1, 0, 2, 2, 0];
    near(balanced_accuracy(&said, &truth), 0.5416666666666666);
    near(macro_f1(&said, &truth), 0.5178571428571428);
}

#[test]
fn wilson_equals_scipy() {
    let cases = [
        (0, 20, 0.0, 0.16112515805281935),
        (7, 50, 0.06950833427016292, 0.26186193710585537),
        (50, 50, 0.9286524008666412, 1.0),
        (745, 1000, 0.7170834253930005, 0.7710414629490774),
    ];
    for (successes, n, low, high) in cases {
        let interval = wilson(successes, n).unwrap();
        near(Some(interval.low), low);
        near(Some(interval.high), high);
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn quantiles_equal_numpy_and_take_infinities() {
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    near(quantile(&values, 0.025), 1.0);
    near(median(&values), 3.5);
    near(quantile(&values, 0.975), 8.475);
    let inf = f64::INFINITY;
    assert_eq!(median(&[1.0, inf, inf]), Some(inf));
    assert_eq!(median(&[1.0, 2.0, inf]), Some(2.0));
    assert_eq!(median(&[1.0, inf]), Some(inf));
    assert_eq!(median(&[inf, inf]), Some(inf));
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[f64::NAN]), None);
}

#[test]
fn auroc_is_the_share_of_ordered_pairs() {
    let mut state = 1;
    for _ in 0..300 {
        let n = 2 + (random(&mut state) * 12.0) as usize;
        // Few distinct values, so that ties are common.
        let scores: Vec<f64> = (0..n).map(|_| (random(&mut state) * 5.0).floor()).collect();
        let y: Vec<bool> = (0..n).map(|_| random(&mut state) < 0.5).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                if y[i] && !y[j] {
                    pairs += 1.0;
                    won += if scores[i] > scores[j] {
                        1.0
                    } else if scores[i] == scores[j] {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
        }
        match auroc(&scores, &y) {
            Some(found) => near(Some(found), won / pairs),
            None => assert_eq!(pairs, 0.0),
        }
    }
    assert_eq!(auroc(&[f64::NAN, 1.0], &[true, false]), None);
    assert_eq!(auroc(&[-0.0, 0.0], &[true, false]), Some(0.5));
}

#[test]
fn the_operating_point_is_the_highest_that_finds_enough() {
    let y = positive();
    let first = |wanted: f64| thresholds_for_sensitivity(&SCORES, &y, wanted).first().copied();
    // The threshold lies midway between the last score that must be found and the next lower one of any sample.
    let midway = |score: f64| {
        let below = SCORES.iter().copied().filter(|s| *s < score).fold(0.0, f64::max);
        Some(below + (score - below) / 2.0)
    };
    // From scikit-learn's roc_curve: sensitivity 6/7 is reached at 0.5 and 7/7 at 0.35.
    assert_eq!(first(0.85), midway(0.5));
    assert_eq!(first(6.0 / 7.0), midway(0.5));
    assert_eq!(first(0.95), midway(0.35));
    assert_eq!(first(0.01), midway(0.9));
    assert!(thresholds_for_sensitivity(&SCORES, &[false; 14], 0.5).is_empty());
    assert!(thresholds_for_sensitivity(&[0.5, f64::NAN], &[true; 2], 0.5).is_empty());
    assert_eq!(thresholds_for_sensitivity(&[0.5], &[true], 1.0), [0.25], "below the lowest: half of it");
    let mut state = 9;
    for _ in 0..200 {
        let n = 1 + (random(&mut state) * 15.0) as usize;
        let scores: Vec<f64> = (0..n).map(|_| (1.0 + (random(&mut state) * 6.0).floor()) / 8.0).collect();
        let y: Vec<bool> = (0..n).map(|_| random(&mut state) < 0.6).collect();
        let wanted = random(&mut state).max(1e-9);
        let reached = |t: f64| sensitivity(&scores.iter().map(|s| *s > t).collect::<Vec<_>>(), &y);
        let found = thresholds_for_sensitivity(&scores, &y, wanted);
        assert_eq!(found.is_empty(), !y.contains(&true));
        assert!(found.iter().all(|t| reached(*t).is_some_and(|s| s >= wanted) && !scores.contains(t)));
        // One level up it would no longer be reached.
        if let Some(first) = found.first() {
            let above = scores.iter().copied().filter(|s| s > first).fold(f64::INFINITY, f64::min);
            assert!(reached(above).unwrap() < wanted);
        }
    }
}

#[test]
fn an_interval_follows_the_groups() {
    // 30 records of 20 beats; a record is all right or all wrong, so its beats are one observation.
    let names: Vec<String> = (0..600).map(|i| format!("r{:02}", i / 20)).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let hits: Vec<bool> = (0..600).map(|i| (i / 20) % 3 != 0).collect();
    let clustered = share_interval(&hits, Some(&groups)).unwrap();
    assert_eq!((clustered.method, clustered.few_groups), ("wilson-groups", false));
    let records = wilson(20, 30).unwrap();
    assert!((clustered.low - records.low).abs() < 0.02, "{clustered:?}, {records:?}");
    assert!((clustered.high - records.high).abs() < 0.02, "{clustered:?}, {records:?}");
    // Where groups have nothing in common, it is nearly that of independent samples.
    let independent = share_interval(&hits, None).unwrap();
    assert_eq!(independent.method, "wilson");
    let spread: Vec<bool> = (0..600).map(|i| i % 3 != 0).collect();
    let apart = share_interval(&spread, Some(&groups)).unwrap();
    let width = |interval: &Interval| interval.high - interval.low;
    assert!(width(&apart) >= width(&independent) && width(&apart) < 1.1 * width(&independent), "{apart:?}");
    let own: Vec<String> = (0..600).map(|i| i.to_string()).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    assert_eq!(
        share_interval(&hits, Some(&own)).unwrap().method,
        "wilson",
        "a group a sample is independence"
    );
    // Nine groups are few; and where nothing varies the interval is not a point, and wider than that of as many independent samples.
    let few = share_interval(&hits[..180], Some(&groups[..180])).unwrap();
    assert!(few.few_groups);
    let none = share_interval(&[false; 600], Some(&groups)).unwrap();
    assert_eq!((none.low, none.method), (0.0, "wilson-groups"));
    assert!(none.high > wilson(0, 600).unwrap().high && none.high < wilson(0, 30).unwrap().high);
    assert_eq!(share_interval(&[], None), None);
    assert_eq!(share_interval(&[], Some(&[])), None);
}

#[test]
fn an_interval_does_not_widen_where_the_last_sample_falls() {
    for (count, size) in [(22, 50), (22, 450), (400, 3), (30, 20), (12, 8)] {
        let n = count * size;
        let names: Vec<String> = (0..n).map(|i| format!("{}", i % count)).collect();
        let groups: Vec<&str> = names.iter().map(String::as_str).collect();
        let hit = |right: usize| (0..n).map(|i| i < right).collect::<Vec<bool>>();
        let none = share_interval(&hit(0), Some(&groups)).unwrap();
        let one_percent = share_interval(&hit(n / 100), Some(&groups)).unwrap();
        assert!(none.high <= one_percent.high, "{count} groups of {size}: {none:?}, {one_percent:?}");
        assert_eq!((none.method, one_percent.method), ("wilson-groups", "wilson-groups"));
        // And from the other side.
        let all = share_interval(&hit(n), Some(&groups)).unwrap();
        assert!((1.0 - all.low - none.high).abs() < 1e-12 && all.high == 1.0, "{all:?}");
    }
}

#[test]
fn calibration_of_several_classes_by_the_top_score() {
    let top = |r: &[f64; 3]| r.iter().copied().fold(0.0, f64::max);
    let confidence: Vec<f64> = PROBABILITIES.iter().map(top).collect();
    let right: Vec<bool> = PROBABILITIES
        .iter()
        .zip(CLASSES)
        .map(|(r, y)| r.iter().position(|p| *p == top(r)) == Some(y as usize))
        .collect();
    near(expected_calibration_error(&confidence, &right), 0.35624999999999996);
    assert_eq!(expected_calibration_error(&[], &[]), None);
    assert_eq!(expected_calibration_error(&[1.5], &[true]), None);
    assert_eq!(expected_calibration_error(&[0.0, 1.0], &[false, true]), Some(0.0));
}
