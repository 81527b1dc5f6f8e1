//! Members of an ensemble: the bits that each would have alone, whatever its company, from index lists and rows of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use percuss::data::{Dataset, Domain, Labels};
use percuss::models::{Config, Head};
use percuss::training::fit::Place;
use percuss::training::random::Stream;
use percuss::training::trainer::Rule;
use percuss::training::{
    Course, EarlyStopping, Fitted, Lesson, Loss, Member, Metric, Optimizer, Recipe, Schedule, Workshop, fit,
    train_members,
};
use percuss::{Error, Result};
use percuss_kernels::Device;
use support::dataset;

const CPU: Device = Device::Cpu { threads: 1 };

/// Images of two classes: brighter at the top or at the bottom, with noise.
fn images(split: &str, n: usize) -> Dataset {
    let mut stream = Stream::new(if split == "train" { 1 } else { 2 }, &[3]);
    let labels: Vec<u32> = (0..n).map(|i| (i % 3 == 0).into()).collect();
    let mut values = Vec::new();
    for &label in &labels {
        for pixel in 0..36 {
            let bright = f32::from(u8::from((pixel < 18) == (label == 0)));
            values.push(0.4 * bright + 0.7 * stream.normal());
        }
    }
    let labels = Labels::Class(labels);
    Dataset { split: split.into(), ..dataset(vec![6, 6, 1], values, labels, 2, Domain::uniform(-9.0, 9.0)) }
}

/// Batch norm and dropout-free convolution: running averages are part of what must not mix.
fn cnn() -> Config {
    let text = r#"{"architecture": "cnn", "input": [6, 6, 1], "classes": 2, "layers": [
        {"kind": "conv", "out": 4, "kernel": 3}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2}]}"#;
    Config::parse(text, "test").unwrap()
}

fn recipe(optimizer: Optimizer) -> Recipe {
    Recipe {
        seed: 0,
        epochs: 5,
        batch: 16,
        rule: Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm: Some(1.0) },
        rate: 0.05,
        schedule: Schedule::Cosine { warmup: 1.0, floor: 0.0 },
        augment: None,
        early_stopping: None,
    }
}

const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-3 };
const ADAMW: Optimizer = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-2 };

/// Eight members: whole, half, relabelled, with rows of their own, twice the same, and one that learns at another rate.
fn members(base: &Dataset) -> Vec<Member> {
    let n = base.len();
    let whole = Lesson::whole(n);
    let half = Lesson { samples: (0..n).step_by(2).collect(), ..Lesson::default() };
    let relabelled = Lesson { labels: [(3, 1), (0, 0), (8, 1)].into(), ..whole.clone() };
    let noisy = |i: usize| (i, base.sample(i).iter().map(|value| value + 0.5).collect::<Vec<f32>>());
    let own = Lesson {
        values: [noisy(4), noisy(11), noisy(n - 1)].into(),
        labels: [(4, 1)].into(),
        ..whole.clone()
    };
    let mut members =
        [(1, &whole), (2, &half), (3, &relabelled), (4, &own), (5, &whole), (4, &own), (1, &whole)]
            .map(|(seed, lesson)| Member::new(seed, lesson.clone()))
            .to_vec();
    members.push(Member { rate: Some(0.02), ..members[0].clone() });
    members
}

fn trained(
    course: &Course,
    members: &[Member],
    lanes: Option<usize>,
    threads: usize,
    device: &Device,
) -> Vec<Fitted> {
    let stop = AtomicBool::new(false);
    let workshop = Workshop { device, threads, lanes, stop: &stop };
    let mut all: Vec<Option<Fitted>> = vec![None; members.len()];
    let member = |at: usize| -> Result<Member> { Ok(members[at].clone()) };
    train_members(course, members.len(), &member, &workshop, |at, fitted| {
        assert!(all[at].replace(fitted).is_none(), "member {at} came twice");
        Ok(())
    })
    .unwrap();
    all.into_iter().map(Option::unwrap).collect()
}

/// The samples that a lesson names, as a data set of their own.
fn spelled_out(base: &Dataset, lesson: &Lesson) -> Dataset {
    let values = lesson.samples.iter().flat_map(|&i| lesson.sample(base, i).to_vec()).collect();
    let labels = lesson.samples.iter().map(|&i| lesson.label(base, i).unwrap()).collect();
    dataset(base.shape.clone(), values, Labels::Class(labels), 2, Domain::uniform(-9.0, 9.0))
}

fn alone(
    config: &Config,
    recipe: &Recipe,
    base: &Dataset,
    validation: Option<&Dataset>,
    member: &Member,
) -> Fitted {
    let data = spelled_out(base, &member.lesson);
    let recipe = Recipe { seed: member.seed, rate: member.rate.unwrap_or(recipe.rate), ..recipe.clone() };
    let stop = AtomicBool::new(false);
    let mut place = Place { device: &CPU, threads: 1, stop: &stop, watch: &mut |_| {} };
    fit(config, &recipe, &data, validation, &mut place).unwrap()
}

#[test]
fn a_member_has_the_bits_that_it_would_have_alone() {
    let base = images("train", 70);
    let members = members(&base);
    for optimizer in [SGD, ADAMW] {
        let recipe = recipe(optimizer);
        let config = cnn();
        let course =
            Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 3 };
        let expected: Vec<Fitted> =
            members.iter().map(|member| alone(&config, &recipe, &base, None, member)).collect();
        for (lanes, threads) in [(Some(1), 1), (Some(3), 1), (Some(3), 2), (Some(16), 1), (None, 2)] {
            let found = trained(&course, &members, lanes, threads, &CPU);
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(
                    found.weights, expected.weights,
                    "member {at}, {lanes:?} lanes, {threads} threads"
                );
                assert_eq!(found.losses, expected.losses, "member {at}");
            }
        }
        assert_ne!(expected[0].weights, expected[2].weights, "labels of its own matter");
        assert_ne!(expected[0].weights, expected[3].weights, "values of its own matter");
        assert_ne!(expected[0].weights, expected[7].weights, "a rate of its own matters");
    }
}

#[test]
fn members_that_stop_early_leave_and_others_take_their_lanes() {
    let (base, validation) = (images("train", 70), images("val", 60));
    let metric = Metric::Auroc;
    let recipe =
        Recipe { epochs: 30, early_stopping: Some(EarlyStopping { metric, patience: 2 }), ..recipe(ADAMW) };
    let config = cnn();
    let course = Course {
        config: &config,
        recipe: &recipe,
        base: &base,
        validation: Some(&validation),
        own_values: 3,
    };
    let members = members(&base);
    let found = trained(&course, &members, Some(2), 1, &CPU);
    for (at, (found, member)) in found.iter().zip(&members).enumerate() {
        let expected = alone(&config, &recipe, &base, Some(&validation), member);
        assert_eq!((found.epoch, found.epochs_run), (expected.epoch, expected.epochs_run), "member {at}");
        assert_eq!(found.weights, expected.weights, "member {at}");
        assert_eq!(found.validation, expected.validation, "member {at}");
    }
    let runs: std::collections::BTreeSet<usize> = found.iter().map(|fitted| fitted.epochs_run).collect();
    assert!(runs.len() > 1 && runs.iter().any(|&run| run < 30), "they stop at different times: {runs:?}");
}

#[test]
fn an_adapter_trains_the_same_members_in_any_company() {
    let device = Device::select("gpu:0", 1).unwrap();
    let base = images("train", 40);
    let recipe = Recipe { epochs: 2, ..recipe(ADAMW) };
    let config = cnn();
    let course = Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 3 };
    let members = members(&base);
    let expected = trained(&course, &members, Some(1), 1, &device);
    for lanes in [2, 7] {
        let found = trained(&course, &members, Some(lanes), 1, &device);
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.weights, expected.weights, "member {at} among {lanes} lanes");
        }
    }
    // Another device sums in another order: close, not equal. (AdamW would make whole steps of the rounding errors in the gradient of the
    // bias before a batch norm, which is 0.)
    let recipe = Recipe { epochs: 2, ..self::recipe(SGD) };
    let course = Course { recipe: &recipe, ..course };
    let (expected, cpu) =
        (trained(&course, &members, None, 1, &device), trained(&course, &members, None, 1, &CPU));
    for (at, (found, expected)) in expected.iter().zip(&cpu).enumerate() {
        for (name, tensor) in &found.weights {
            let other = &expected.weights[name];
            let worst =
                tensor.data.iter().zip(&other.data).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-4, "member {at}: {name} is off by {worst}");
        }
    }
}

#[test]
fn a_lesson_that_does_not_fit_is_named() {
    let base = images("train", 40);
    let (recipe, config) = (recipe(SGD), cnn());
    let course = Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 0 };
    let whole = Lesson::whole(40);
    let bad = [
        (Lesson { samples: vec![0; 3], ..Lesson::default() }, "3", "16 (a minibatch) to 40"),
        (Lesson { samples: vec![40; 20], ..Lesson::default() }, "40", "below 40"),
        (Lesson { labels: [(2, 2)].into(), ..whole.clone() }, "2", "below 2"),
        (Lesson { values: [(2, vec![0.0; 36])].into(), ..whole.clone() }, "1", "at most 0"),
    ];
    let stop = AtomicBool::new(false);
    let workshop = Workshop { device: &CPU, threads: 1, lanes: None, stop: &stop };
    for (lesson, found, expected) in bad {
        let member = |_| -> Result<Member> { Ok(Member::new(0, lesson.clone())) };
        let error = train_members(&course, 1, &member, &workshop, |_, _| Ok(())).unwrap_err();
        let Error::Input { found: f, expected: e, .. } = &error else { panic!("{error}") };
        assert_eq!((f.as_str(), e.as_str()), (found, expected));
    }
}

#[test]
fn training_stops_when_it_is_told_to() {
    let base = images("train", 40);
    let (recipe, config) = (recipe(SGD), cnn());
    let course = Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 0 };
    let stop = AtomicBool::new(false);
    let workshop = Workshop { device: &CPU, threads: 1, lanes: Some(1), stop: &stop };
    let member = |at: usize| -> Result<Member> { Ok(Member::new(at as u64, Lesson::whole(40))) };
    let mut done = 0;
    let error = train_members(&course, 50, &member, &workshop, |_, _| {
        done += 1;
        stop.store(done == 3, Ordering::Relaxed);
        Ok(())
    })
    .unwrap_err();
    assert!(matches!(error, Error::Interrupted) && done < 50, "{error} after {done}");
}
