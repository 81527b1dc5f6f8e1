//! Cells that differ in their number of steps, in their end, or in the budget of a single step share runs: each gets what it would have got
//! alone.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::Norm;
use percuss::data::Domain;
use percuss::sweep::engine::{Job, Outcome};
use percuss::sweep::subject::Subject;
use support::evasion::*;
use support::signed;

const STEPS: [u64; 3] = [7, 3, 20];

fn fixture() -> Subject {
    right_subject(mlp(6, &[12], 3, "softmax"), signed("sharing", 6 * 24, 1.5), Domain::uniform(-2.0, 2.0))
}

/// The same cell at several numbers of steps, for both ways to end and with restarts.
fn jobs(subject: &Subject, attack: &str, norm: Norm, stop_on_success: bool) -> Vec<Job> {
    let base = job(subject, attack, norm, 0.4);
    let restarts = if base.random_start { 2 } else { 1 };
    let one = |steps| Job { steps, step_size: 0.05, restarts, stop_on_success, ..base.clone() };
    STEPS.into_iter().map(one).collect()
}

/// All but the time, which is shared out.
fn without_time(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.iter_mut().for_each(|outcome| outcome.seconds = 0.0);
    outcomes
}

#[test]
fn shared_runs_yield_what_each_cell_yields_alone() {
    let subject = fixture();
    let mut different = 0;
    for attack_name in ["bim", "pgd", "mi-fgsm"] {
        for norm in NORMS {
            for stop_on_success in [true, false] {
                let jobs = jobs(&subject, attack_name, norm, stop_on_success);
                let together = attack(&subject, &jobs, &CPU);
                for (job, together) in jobs.iter().zip(together) {
                    let alone = attack(&subject, std::slice::from_ref(job), &CPU).remove(0);
                    different += usize::from(alone.iter().any(|outcome| outcome.steps_used < job.steps));
                    let what = format!("{}, {} steps", name(job), job.steps);
                    assert_eq!(without_time(together), without_time(alone), "{what}");
                }
            }
        }
    }
    assert!(different > 0, "no lane ended early: the test says nothing about those");
}

#[test]
fn both_ends_of_one_path_and_the_leaps_of_one_gradient_yield_what_each_yields_alone() {
    let subject = fixture();
    let mut jobs: Vec<Job> = Vec::new();
    for norm in NORMS {
        for stop_on_success in [true, false] {
            jobs.extend(self::jobs(&subject, "pgd", norm, stop_on_success));
            let leap = |eps| Job { stop_on_success, ..job(&subject, "fgsm", norm, eps) };
            jobs.extend([0.05, 0.3, 1.2].map(leap));
        }
    }
    // Wrong when clean: a lane for the jobs that want all their steps alone.
    let mut subject = subject;
    if let percuss::data::Labels::Class(labels) = &mut subject.data.labels {
        labels[3] = (labels[3] + 1) % 3;
    }
    let together = attack(&subject, &jobs, &CPU);
    for (job, together) in jobs.iter().zip(together) {
        let alone = attack(&subject, std::slice::from_ref(job), &CPU).remove(0);
        assert_eq!(without_time(together), without_time(alone), "{} {}", name(job), job.stop_on_success);
    }
}
