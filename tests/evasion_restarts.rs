//! Restarts: an outcome is the best of its runs, each run is what it would be alone, and their costs add up.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::evasion::EvasionProgram;
use percuss::attacks::evasion::start::{Bounds, random_start};
use percuss::attacks::{Norm, Value};
use percuss::data::{Domain, Labels};
use percuss::graph::{Compiled, Executable, State, Uploads};
use percuss::sweep::engine::{Goal, Job, Outcome};
use percuss::sweep::identity::lane_key;
use percuss::sweep::subject::{Subject, clean_logits, margin};
use support::evasion::*;
use support::signed;
use support::studies::{grid, study};

const SAMPLES: usize = 20;

fn fixture() -> Subject {
    let mut domain = Domain::uniform(-2.0, 2.0);
    domain.scale = vec![0.5, 1.0, 2.0, 1.0, 0.25, 1.0];
    right_subject(mlp(6, &[12], 3, "softmax"), signed("restarts", 6 * SAMPLES, 1.5), domain)
}

/// One run of one sample.
struct Alone {
    x: Vec<f32>,
    steps: u64,
    forwards: u64,
}

/// The job's run `restart` on sample `i`, with the attack's own program but none of the engine.
fn alone(subject: &Subject, job: &Job, i: usize, restart: u64) -> Alone {
    let program = EvasionProgram::new(&subject.model, &job.settings);
    let compiled = Compiled::new(&program.graph, &program.phases, 2).unwrap();
    let mut executable = compiled.instantiate(&CPU, &mut Uploads::default(), 1).unwrap();
    let (clean, domain, norm) = (subject.data.sample(i), &subject.data.domain, job.settings.norm);
    let bounds = Bounds::new(clean, domain, norm, job.eps);
    let key = lane_key(job.seed, &job.stream, subject.data.index[i], restart);
    let start = random_start(norm, job.eps, clean, &bounds, domain, key);
    let slots = &program.slots;
    let mut write = |state: State, values: &[f32]| executable.write_lane(state, 1, values).unwrap();
    write(slots.x, &start);
    write(slots.x0, clean);
    write(slots.low, &bounds.low);
    write(slots.high, &bounds.high);
    write(slots.label, &[subject.label(i, 0) as f32]);
    write(slots.target, &[if let Goal::Target(class) = job.goal { class as f32 } else { 0.0 }]);
    // As the engine has it: so much smaller that f32 sums stay within eps.
    let radius = if norm == Norm::Linf { job.eps } else { job.eps * (1.0 - 4e-6) };
    write(slots.radius, &[radius as f32]);
    write(slots.step_size, &[job.step_size as f32]);
    write(slots.remaining, &[job.steps as f32]);
    write(slots.stop, &[f32::from(u8::from(job.stop_on_success))]);
    executable.run(0, job.steps as usize).unwrap();
    let number = |executable: &mut Executable, state| executable.read_lane(state, 1).unwrap()[0] as u64;
    let steps = job.steps - number(&mut executable, slots.remaining);
    let forwards = steps + number(&mut executable, slots.done);
    Alone { x: executable.read_lane(slots.x, 1).unwrap(), steps, forwards }
}

/// How far an input reaches the job's aim; success is above 0.
fn reach(subject: &Subject, job: &Job, i: usize, x: &[f32]) -> f32 {
    let data = support::dataset(
        subject.data.shape.clone(),
        x.to_vec(),
        Labels::Class(vec![0]),
        3,
        subject.data.domain.clone(),
    );
    let logits = clean_logits(&subject.model, &data, &CPU).unwrap();
    match job.goal {
        Goal::Target(class) => margin(&logits, class),
        _ => -margin(&logits, subject.label(i, 0)),
    }
}

fn jobs(subject: &Subject) -> Vec<Job> {
    let mut all = Vec::new();
    for (norm, eps) in [(Norm::Linf, 0.25), (Norm::L2, 0.45), (Norm::L1, 0.8)] {
        for stop in [false, true] {
            let job = Job {
                steps: 3,
                restarts: 4,
                stop_on_success: stop,
                seed: 9,
                ..job(subject, "pgd", norm, eps)
            };
            all.extend([targeted(job.clone(), 1), job]);
        }
    }
    all
}

#[test]
fn an_outcome_is_the_best_of_its_runs_and_costs_all_of_them() {
    let subject = fixture();
    let jobs = jobs(&subject);
    let (mut first_is_best, mut later_is_best) = (0, 0);
    for (job, outcomes) in jobs.iter().zip(attack(&subject, &jobs, &CPU)) {
        for (i, outcome) in outcomes.iter().enumerate().filter(|(_, outcome)| outcome.attacked) {
            let mut best: Option<(f32, Alone)> = None;
            let (mut steps, mut forwards, mut which) = (0, 0, 0);
            for restart in 0..job.restarts {
                let run = alone(&subject, job, i, restart);
                (steps, forwards) = (steps + run.steps, forwards + run.forwards);
                let gap = reach(&subject, job, i, &run.x);
                if best.as_ref().is_none_or(|(most, _)| gap > *most) {
                    (best, which) = (Some((gap, run)), restart);
                }
                if job.stop_on_success && gap > 0.0 {
                    break;
                }
            }
            let (gap, best) = best.unwrap();
            let what = format!("{} stop {}, sample {i}", name(job), job.stop_on_success);
            assert_eq!(outcome.x, best.x, "{what}");
            assert_eq!(outcome.success, gap > 0.0, "{what}");
            assert_eq!((outcome.steps_used, outcome.gradient_calls), (steps, steps), "{what}");
            assert_eq!(outcome.forward_calls, forwards, "{what}");
            *(if which == 0 { &mut first_is_best } else { &mut later_is_best }) += 1;
        }
    }
    assert!(first_is_best > 10 && later_is_best > 10, "{first_is_best} and {later_is_best} say little");
}

#[test]
fn a_run_to_the_end_costs_every_step_of_every_restart() {
    let subject = fixture();
    for restarts in [1, 3] {
        let jobs = NORMS.map(|norm| Job { steps: 5, restarts, ..job(&subject, "pgd", norm, 0.4) });
        for (job, outcomes) in jobs.iter().zip(attack(&subject, &jobs, &CPU)) {
            for outcome in outcomes {
                let calls = (outcome.gradient_calls, outcome.forward_calls);
                assert_eq!(calls, (5 * restarts, 5 * restarts), "{}", name(job));
            }
        }
    }
}

/// Whether no sample is lost by more restarts, and how many are won altogether.
fn nested(device: &percuss_kernels::Device, restarts: &[u64]) -> usize {
    let subject = fixture();
    let mut won = 0;
    for base in jobs(&subject).iter().filter(|job| !job.settings.targeted) {
        let jobs: Vec<Job> = restarts.iter().map(|&restarts| Job { restarts, ..base.clone() }).collect();
        let found: Vec<Vec<Outcome>> = attack(&subject, &jobs, device);
        for pair in found.windows(2) {
            for (i, (fewer, more)) in pair[0].iter().zip(&pair[1]).enumerate() {
                assert!(!fewer.success || more.success, "{}, sample {i} is lost", name(base));
                assert!(fewer.gradient_calls <= more.gradient_calls, "{}, sample {i}", name(base));
            }
        }
        won += successes(&found[found.len() - 1]) - successes(&found[0]);
    }
    won
}

#[test]
fn more_restarts_break_no_fewer_samples() {
    assert!(nested(&CPU, &[1, 2, 5, 12]) > 0, "restarts won nothing, so that this shows nothing");
}

#[test]
fn more_restarts_break_no_fewer_samples_on_the_gpu_executor() {
    nested(&gpu(), &[1, 4]);
}

#[test]
fn without_chance_there_is_one_run_whatever_the_study_says() {
    let study = study(
        "[[attack]]\nkind = [\"fgsm\", \"bim\", \"pgd\", \"mi-fgsm\"]\nbudget = [{ norm = \"linf\", eps = 1 }]\n\
         restarts = 7\nrandom_start = [true, false]\n",
    );
    let grid = grid(&study);
    let mut random = 0;
    for cell in &grid.cells {
        let chance = cell.attack.name == "pgd" && cell.random_start();
        assert_eq!(cell.restarts(), if chance { 7 } else { 1 }, "{}", cell.params_json());
        assert_eq!(cell.deterministic(), !chance);
        assert!(chance || cell.parameter("restarts").is_none_or(|value| value == Value::Whole(1)));
        random += usize::from(chance);
    }
    // Three seeds of PGD at random; one cell each of the others, whose seeds change nothing.
    assert_eq!((random, grid.cells.len()), (3, 3 + 4));
}
