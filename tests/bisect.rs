//! `curve = "bisect"`: each sample's smallest breaking budget, found with a few of a ladder's budgets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::sync::Arc;

use percuss::attacks::Norm;
use percuss::data::Domain;
use percuss::sweep::engine::{Engine, Job, Outcome, Rung};
use percuss::sweep::subject::Subject;
use support::evasion::*;
use support::{signed, studies};

const RUNGS: usize = 15;

/// A ladder of budgets on which a search may try 4.
fn ladder(subject: &Subject, attack: &str, norm: Norm, most: f64) -> Vec<Job> {
    let budgets: Vec<f64> = (1..=RUNGS).map(|i| most * i as f64 / RUNGS as f64).collect();
    let rungs: Arc<[Rung]> = budgets.iter().map(|&eps| Rung { eps, step_size: 0.25 * eps }).collect();
    let one = |&eps: &f64| Job {
        stop_on_success: true,
        bisected: Some(rungs.clone()),
        ..job(subject, attack, norm, eps)
    };
    budgets.iter().map(one).collect()
}

fn in_full(jobs: &[Job]) -> Vec<Job> {
    jobs.iter().map(|job| Job { bisected: None, ..job.clone() }).collect()
}

/// The first budget of the ladder that breaks a sample.
fn first(outcomes: &[Vec<Outcome>], sample: usize) -> usize {
    outcomes.iter().position(|rung| rung[sample].success).unwrap_or(RUNGS)
}

fn gradients(outcomes: &[Vec<Outcome>]) -> u64 {
    outcomes.iter().flatten().map(|outcome| outcome.gradient_calls).sum()
}

/// A linear model, on which what an attack can do grows with its budget: the assumption holds there.
#[test]
fn finds_what_the_whole_grid_finds_where_the_assumption_holds() {
    let model = linear(&[(&[1.0, -0.5, 2.0, 0.25], 0.1), (&[-0.75, 0.5, -1.0, 1.5], -0.2)], "softmax");
    let values = signed("bisect", 32 * 4, 1.0);
    let subject = right_subject(model, values, Domain::uniform(-1.0, 1.0));
    for (norm, most) in [(Norm::Linf, 0.9), (Norm::L2, 1.4), (Norm::L1, 2.0)] {
        for attack_name in ["bim", "pgd"] {
            let jobs = ladder(&subject, attack_name, norm, most);
            let (searched, full) = (attack(&subject, &jobs, &CPU), attack(&subject, &in_full(&jobs), &CPU));
            let mut places = std::collections::BTreeSet::new();
            for sample in 0..subject.data.len() {
                let (found, expected) = (first(&searched, sample), first(&full, sample));
                // Along the gradient is not the best way under l1; there a warm start may find a smaller budget.
                let same = if norm == Norm::L1 { found <= expected } else { found == expected };
                assert!(same, "{} {sample}: {found}, {expected}", name(&jobs[0]));
                places.insert(first(&full, sample));
            }
            assert!(places.len() > 4, "the samples break at {places:?} alone");
            for (job, outcomes) in jobs.iter().zip(&searched) {
                check_budget(&subject, job, outcomes);
            }
            assert!(2 * gradients(&searched) < gradients(&full), "{norm:?} {attack_name}");
        }
    }
}

#[test]
fn says_which_rows_it_inferred_and_from_what() {
    let subject = right_subject(
        mlp(6, &[12], 3, "softmax"),
        signed("sharing", 6 * 24, 1.5),
        Domain::uniform(-2.0, 2.0),
    );
    let jobs = ladder(&subject, "pgd", Norm::L2, 3.0);
    let outcomes = attack(&subject, &jobs, &CPU);
    for sample in 0..subject.data.len() {
        let of = |rung: usize| &outcomes[rung][sample];
        let first = first(&outcomes, sample);
        let computed = (0..RUNGS).filter(|&rung| !of(rung).inferred).count();
        assert!((1..=4).contains(&computed), "sample {sample}: {computed} budgets tried");
        for rung in 0..RUNGS {
            assert_eq!(of(rung).success, rung >= first, "sample {sample}");
            if of(rung).inferred {
                let expected = if rung >= first { &of(first).x } else { subject.data.sample(sample) };
                assert_eq!(of(rung).x, expected, "sample {sample}, budget {rung}");
                assert_eq!((of(rung).gradient_calls, of(rung).steps_used), (0, 0));
            }
        }
        assert!(first == RUNGS || !of(first).inferred, "the smallest breaking budget was run");
    }
}

#[test]
fn a_part_of_the_ladder_gets_what_the_whole_ladder_gets() {
    let subject = right_subject(
        mlp(6, &[12], 3, "softmax"),
        signed("sharing", 6 * 24, 1.5),
        Domain::uniform(-2.0, 2.0),
    );
    let mut jobs = ladder(&subject, "pgd", Norm::Linf, 1.5);
    jobs.iter_mut().for_each(|job| job.restarts = 2);
    let timeless = |mut all: Vec<Vec<Outcome>>| {
        all.iter_mut().flatten().for_each(|outcome| outcome.seconds = 0.0);
        all
    };
    let whole = timeless(attack(&subject, &jobs, &CPU));
    let part = timeless(attack(&subject, &jobs[3..5], &CPU));
    assert_eq!(part, whole[3..5]);
    let engine = Engine { lanes: Some(3), ..Engine::new(CPU, 1) };
    assert_eq!(timeless(attack_by(&engine, &subject, &jobs)), whole);
}

#[test]
fn a_study_asks_for_it_and_single_steps_and_the_plan_know_better() {
    let table = |more: &str| {
        format!(
            "[[attack]]\nkind = [\"fgsm\", \"bim\"]\ncurve = \"bisect\"\nsteps = 10\nbudget = [{{ norm = \"linf\", eps = [4, 1, 2, 3] }}]\n{more}"
        )
    };
    let grid = studies::grid(&studies::study(&table("")));
    for cell in &grid.cells {
        let ladder = cell.bisected.as_deref();
        // A ladder of single steps costs one gradient as it is.
        assert_eq!(ladder, (cell.attack.name == "bim").then_some(&[1.0, 2.0, 3.0, 4.0][..]));
        assert_eq!(cell.params_json().contains("\"ladder\":[1.0,2.0,3.0,4.0]"), ladder.is_some());
    }
    let error = studies::parse(&format!("{}{}", studies::HEAD, table("stop = [\"success\", \"steps\"]")))
        .unwrap_err()
        .to_string();
    assert!(error.contains("stop") && error.contains("bisect"), "{error}");
}
