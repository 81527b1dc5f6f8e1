//! One rule decides what is right: at ties, at thresholds, and where a logit is no number.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use percuss::attacks::Norm;
use percuss::attacks::evasion::loss::Loss;
use percuss::data::{Domain, Labels};
use percuss::models::{Config, Model, WeightTensor, Weights};
use percuss::statistics::{sensitivity, specificity};
use percuss::sweep::engine::Goal;
use percuss::sweep::resolve::{clean_metrics, fit_threshold};
use percuss::sweep::study::Rate;
use percuss::sweep::subject::{NO_CLASS, Subject, margin, prediction};
use support::evasion::*;
use support::signed;

#[test]
fn a_tie_goes_to_the_first_class_and_nan_to_none() {
    assert_eq!(prediction(&[1.0, 1.0]), 0);
    assert_eq!(prediction(&[0.0, 1.0, 1.0]), 1);
    assert_eq!(margin(&[1.0, 1.0], 1), 0.0);
    for deciding in [[f32::NAN, 1.0], [0.0, f32::NAN]] {
        assert_eq!(prediction(&deciding), NO_CLASS);
        assert!(margin(&deciding, 0).is_nan() && margin(&deciding, 1).is_nan());
    }
}

#[test]
fn what_eval_calls_right_is_what_is_attacked() {
    // The logits are equal where the feature is 0: class 0, by the rule.
    let values = vec![0.0, 0.0, 0.0, 1.0, -1.0];
    let labels = Labels::Class(vec![1, 0, 1, 1, 1]);
    let model = linear(&[(&[0.0], 0.0), (&[1.0], 0.0)], "softmax");
    let tied = subject(model, values, labels, Domain::uniform(-2.0, 2.0));
    let outcomes = &attack(&tied, &[job(&tied, "fgsm", Norm::Linf, 1e-3)], &CPU)[0];
    let attacked: Vec<bool> = outcomes.iter().map(|outcome| outcome.attacked).collect();
    assert_eq!(attacked, [false, true, false, true, false]);
    assert_eq!(clean_metrics(&tied)["accuracy"], 2.0 / 5.0);
}

/// Clean logits are finite; one step up the only feature makes both hidden units infinite, and their difference NaN.
fn breaks_into_nan() -> Subject {
    let config = r#"{"architecture": "mlp", "inputs": 1, "hidden": [2], "classes": 2}"#;
    let tensor = |shape: &[usize], data: &[f32]| WeightTensor { shape: shape.to_vec(), data: data.to_vec() };
    let tensors = BTreeMap::from([
        ("0.weight".to_string(), tensor(&[2, 1], &[2e38, 1e38])),
        ("0.bias".to_string(), tensor(&[2], &[0.0, 0.0])),
        ("2.weight".to_string(), tensor(&[2, 2], &[-1.0, 1.0, 0.0, 0.0])),
        ("2.bias".to_string(), tensor(&[2], &[0.0, -3e37])),
    ]);
    let model = Model::new(Config::parse(config, "test").unwrap(), Weights::new(tensors)).unwrap();
    subject(model, vec![0.1], Labels::Class(vec![0]), Domain::uniform(-100.0, 100.0))
}

#[test]
fn nan_under_attack_is_broken_but_hits_no_target() {
    let subject = breaks_into_nan();
    assert_eq!(clean_metrics(&subject)["accuracy"], 1.0);
    let mut any = job(&subject, "fgsm", Norm::Linf, 10.0);
    any.settings.loss = Loss::Margin;
    for (job, success) in
        [(any.clone(), true), (targeted(any.clone(), 1), false), (with_goal(any, Goal::AnyFrom(0)), true)]
    {
        let outcome = &attack(&subject, &[job], &CPU)[0][0];
        assert!(outcome.attacked && outcome.logits[0].is_nan(), "{:?}", outcome.logits);
        assert_eq!(outcome.success, success);
        assert_eq!(prediction(&subject.deciding(&outcome.logits, 0)), NO_CLASS);
    }
}

fn with_goal(mut job: percuss::sweep::engine::Job, goal: Goal) -> percuss::sweep::engine::Job {
    job.goal = goal;
    job
}

/// Logits by the hundred: random ones, ties, neighbours within f32 rounding, large ones.
fn logits(name: &str, n: usize, outputs: usize) -> Vec<f32> {
    let (values, kinds) = (signed(name, n * outputs, 4.0), signed(&format!("{name} kinds"), n, 1.0));
    (0..n)
        .flat_map(|i| {
            let own = values[i * outputs..][..outputs].to_vec();
            let last = own[outputs - 1];
            let mut changed = own;
            changed[outputs - 1] = match kinds[i] {
                k if k < -0.4 => last,
                k if k < 0.0 => last.round(),
                k if k < 0.8 => f32::from_bits(1.25f32.to_bits() + (last.abs() * 4.0) as u32),
                _ => last * 4.0,
            };
            changed
        })
        .collect()
}

#[test]
fn an_operating_point_is_reached_by_the_decision_itself() {
    let mut exact = 0;
    for (head, outputs) in [("softmax", 2), ("sigmoid", 1)] {
        for round in 0..60 {
            let n = 5 + 13 * round;
            let rows: Vec<(&[f32], f32)> = vec![(&[1.0], 0.0); outputs];
            let truth: Vec<bool> =
                signed(&format!("truth {round}"), n, 1.0).iter().map(|t| *t > 0.2).collect();
            let labels = Labels::Class(truth.iter().map(|t| u32::from(*t)).collect());
            let mut subject = subject(linear(&rows, head), vec![0.0; n], labels, Domain::uniform(-1.0, 1.0));
            subject.clean = logits(&format!("{head} {round}"), n, outputs);
            let wanted = f64::from(signed(&format!("wanted {round}"), 1, 0.5)[0] + 0.5).max(0.01);
            for rate in [Rate::Sensitivity(wanted), Rate::Specificity(wanted)] {
                if !truth.contains(&matches!(rate, Rate::Sensitivity(_))) {
                    continue;
                }
                let threshold = fit_threshold(&subject, &subject.clean, 0, &truth, rate).expect("reachable");
                subject.thresholds = vec![threshold];
                let said: Vec<bool> =
                    (0..n).map(|i| prediction(&subject.deciding(subject.clean_logits(i), 0)) == 1).collect();
                let reached = match rate {
                    Rate::Sensitivity(_) => sensitivity(&said, &truth),
                    Rate::Specificity(_) => specificity(&said, &truth),
                };
                let reached = reached.unwrap();
                assert!(reached >= wanted, "{head} {round} {rate:?}: {reached} at {threshold}");
                let kind = truth.iter().filter(|t| **t == matches!(rate, Rate::Sensitivity(_))).count();
                exact += usize::from(reached < wanted + 1.0 / kind as f64);
                let name = if matches!(rate, Rate::Sensitivity(_)) { "sensitivity" } else { "specificity" };
                assert_eq!(clean_metrics(&subject)[name], reached, "eval says the same");
            }
        }
    }
    // Ties aside, not one sample more than needed: most rounds have no tie at the threshold.
    assert!(exact > 100, "{exact} of at most 240");
}
