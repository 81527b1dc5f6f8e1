//! Membership attacks on a model that never saw any of the candidates tell nothing: AUC 0.5 within its interval.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use percuss::attacks::Value;
use percuss::attacks::privacy::{Answers, Evidence, MembershipAttack, Population, REGISTRY, Shadow, find};
use percuss::data::{Dataset, Labels};
use percuss::models::{Model, Weights};
use percuss::statistics::auroc;
use percuss::statistics::roc::area_interval;
use percuss::training::random::permutation;
use percuss::training::{
    Course, Lesson, Member, Options, Prepared, TrainFile, Workshop, evaluate, prepare, train_members,
};
use percuss_kernels::Device;

const CPU: Device = Device::Cpu { threads: 2 };
const SHADOWS: usize = 24;
/// Random markings of the candidates as members and others.
const MARKINGS: u64 = 400;

const RECIPE: &str = r#"
epochs = 60
batch = 25
[data]
name = "support2"
val = "none"
limit = 1000
[model]
architecture = "mlp"
hidden = [64]
[optimizer]
kind = "adamw"
learning_rate = 5e-3
"#;

/// A target that learnt from half of the train split, and what is known of the other half, its candidates.
struct Ground {
    labels: Vec<u32>,
    population_labels: Vec<u32>,
    /// Of the target.
    stranger: [Answers; 2],
    /// Models that learnt from random halves of the candidates; the last one serves as a target that did see them.
    insiders: Vec<Shadow>,
}

/// Which of `n` candidates are marked: a random half.
fn marked(n: usize, number: u64) -> Vec<bool> {
    let mut marks = vec![false; n];
    permutation(n, 77, number)[..n / 2].iter().for_each(|&i| marks[i] = true);
    marks
}

fn classes(data: &Dataset) -> Vec<u32> {
    match &data.labels {
        Labels::Class(labels) => labels.clone(),
        Labels::Findings(_) => panic!("support2 has classes"),
    }
}

impl Ground {
    fn new() -> Self {
        let file = TrainFile::parse(Path::new("mlp.toml"), RECIPE).unwrap();
        let Prepared { config, recipe, splits, .. } = prepare(file, &Options::new(CPU, 2)).unwrap();
        let (base, population) = (splits.train, splits.test.unwrap());
        let order = permutation(base.len(), 3, 0);
        let (theirs, candidates) = order.split_at(base.len() / 2);
        let marks: Vec<Vec<bool>> =
            (0..=SHADOWS as u64).map(|k| marked(candidates.len(), 1_000_000 + k)).collect();
        let lesson = |at: usize| {
            if at == 0 {
                return theirs.to_vec();
            }
            let chosen = candidates.iter().zip(&marks[at - 1]);
            chosen.filter(|(_, marked)| **marked).map(|(position, _)| *position).collect()
        };
        let member =
            |at: usize| Ok(Member::new(at as u64, Lesson { samples: lesson(at), ..Lesson::default() }));
        let asked = base.subset(candidates).unwrap();
        let course =
            Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 0 };
        let stop = AtomicBool::new(false);
        let workshop = Workshop { device: &CPU, threads: 2, lanes: None, stop: &stop };
        let mut said: Vec<Option<[Answers; 2]>> = vec![None; SHADOWS + 2];
        train_members(&course, SHADOWS + 2, &member, &workshop, |at, fitted| {
            let model = Model::new(config.clone(), Weights::new(fitted.weights))?;
            said[at] = Some([&asked, &population].map(|data| {
                let logits = evaluate::logits(&model, data, &CPU, 1).unwrap();
                if config.classes() == 1 {
                    return Answers::from_sigmoid_logits(data.len(), 1, &logits).unwrap();
                }
                Answers::from_logits(data.len(), 1, config.classes(), &logits).unwrap()
            }));
            Ok(())
        })
        .unwrap();
        let mut said = said.into_iter().map(Option::unwrap);
        let stranger = said.next().unwrap();
        let insider = |([candidates, population], member): ([Answers; 2], Vec<bool>)| Shadow {
            candidates,
            member,
            population: Some(population),
        };
        let insiders = said.zip(marks).map(insider).collect();
        Self { labels: classes(&asked), population_labels: classes(&population), stranger, insiders }
    }

    fn evidence<'a>(&'a self, target: &'a Answers, population: &'a Answers) -> Evidence<'a> {
        Evidence {
            shadows: self.insiders[..SHADOWS].iter().collect(),
            population: Some(Population { labels: &self.population_labels, target: population }),
            ..Evidence::new(&self.labels, target)
        }
    }
}

/// Every attack but those on distances (no model is asked for them here), in its variants.
const ATTACKS: &[(&str, &[(&str, &str)])] = &[
    ("gap", &[]),
    ("loss", &[]),
    ("confidence", &[]),
    ("confidence", &[("threshold", "class")]),
    ("entropy", &[]),
    ("entropy", &[("threshold", "class")]),
    ("modified-entropy", &[]),
    ("modified-entropy", &[("threshold", "class")]),
    ("shadow", &[]),
    ("lira", &[]),
    ("lira", &[("variance", "fixed")]),
    ("lira", &[("variance", "fixed-as-released"), ("centre", "median")]),
    ("lira", &[("mode", "offline")]),
    ("lira", &[("mode", "offline"), ("variance", "fixed")]),
    ("lira", &[("mode", "offline"), ("test", "density"), ("centre", "median")]),
    ("rmia", &[]),
    ("rmia", &[("mode", "offline")]),
    ("rmia", &[("confidence", "softmax")]),
    ("rmia", &[("mode", "offline"), ("confidence", "softmax")]),
];

fn scores(attack: &MembershipAttack, set: &'static [(&str, &str)], evidence: &Evidence) -> Vec<f64> {
    let get = |name: &str| {
        let word = set.iter().find(|(key, _)| *key == name).map(|(_, word)| Value::Word(word));
        word.unwrap_or(attack.parameter(name).unwrap().default)
    };
    attack.score(evidence, &get).unwrap()
}

#[test]
fn candidates_that_the_target_never_saw_are_not_told_apart() {
    let ground = Ground::new();
    let n = ground.labels.len();
    let [candidates, population] = &ground.stranger;
    let evidence = ground.evidence(candidates, population);
    let markings: Vec<Vec<bool>> = (0..MARKINGS).map(|k| marked(n, k)).collect();
    let insider = ground.insiders.last().unwrap();
    let seen = ground.evidence(&insider.candidates, insider.population.as_ref().unwrap());
    for attack in REGISTRY.iter().filter(|attack| !attack.name.ends_with("-distance")) {
        assert!(ATTACKS.iter().any(|(name, _)| *name == attack.name), "{} is not listed", attack.name);
    }
    for (name, set) in ATTACKS {
        let attack = find(name).unwrap();
        let named = format!("{} {set:?}", attack.name);
        let scores_unseen = scores(attack, set, &evidence);
        let mut covered = 0;
        let mut sum = 0.0;
        for marks in &markings {
            let interval = area_interval(&scores_unseen, marks, None).unwrap();
            covered += u64::from(interval.low <= 0.5 && 0.5 <= interval.high);
            sum += auroc(&scores_unseen, marks).unwrap();
        }
        // 95% intervals: of 400 markings 380 cover 0.5, give or take 4.36; four of that.
        assert!((363..=397).contains(&covered), "{named}: {covered} of {MARKINGS} intervals cover 0.5");
        // The AUC of a random half of n has variance (n + 1) / (3 n^2) at most (less with ties).
        let error = ((n as f64 + 1.0) / (3.0 * (n * n) as f64) / MARKINGS as f64).sqrt();
        let mean = sum / MARKINGS as f64;
        assert!((mean - 0.5).abs() < 4.0 * error, "{named}: mean AUC {mean}");
        // The same attack does tell who was in a model that learnt from half of the candidates.
        let told = area_interval(&scores(attack, set, &seen), &insider.member, None).unwrap();
        assert!(told.low > 0.5, "{named}: {told:?} of a target that saw half of the candidates");
    }
}
