//! Membership attacks against an independent implementation of their papers (tests/golden/privacy.py).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::privacy::{Answers, Evidence, MembershipAttack, Population, REGISTRY, Shadow, find};
use percuss::attacks::{Kind, Value};
use percuss::models::Weights;
use serde::Deserialize;
use support::golden;

/// Relative to the expected score, or absolute where that is below 1.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Case {
    set: String,
    attack: String,
    parameters: serde_json::Map<String, serde_json::Value>,
    /// Under how many variants the population was asked; all of them if absent.
    population_queries: Option<usize>,
    /// Which tensor says who was in which shadow model.
    #[serde(default = "member")]
    member: String,
    /// What the scores are to be multiplied by: released code averages over queries.
    #[serde(default = "once")]
    times: f64,
    scores: Vec<f64>,
}

fn member() -> String {
    "member".into()
}

fn once() -> f64 {
    1.0
}

#[derive(Deserialize)]
struct Threshold {
    set: String,
    attack: String,
    parameters: serde_json::Map<String, serde_json::Value>,
    threshold: f64,
}

/// What models said, from the golden file.
struct Said {
    labels: Vec<u32>,
    target: Answers,
    shadows: Vec<Shadow>,
    population_labels: Vec<u32>,
    population: Answers,
}

impl Said {
    fn read(golden: &Weights, set: &str, member: &str, population_queries: Option<usize>) -> Self {
        let tensor = |name: &str| &golden.tensors[&format!("{set}.{name}")];
        let labels = |name: &str| -> Vec<u32> { tensor(name).data.iter().map(|l| *l as u32).collect() };
        let blocks = |name: &str, queries: Option<usize>| -> Vec<Answers> {
            let tensor = tensor(name);
            let [.., n, asked, classes] = tensor.shape[..] else { panic!("{name}: {:?}", tensor.shape) };
            let queries = queries.unwrap_or(asked);
            let of = |block: &[f32]| {
                let kept: Vec<f32> = block
                    .chunks_exact(asked * classes)
                    .flat_map(|sample| sample[..queries * classes].to_vec())
                    .collect();
                if set == "sigmoid" {
                    // Of each pair of logits the first is 0.
                    let single: Vec<f32> = kept.iter().skip(1).step_by(2).copied().collect();
                    return Answers::from_sigmoid_logits(n, queries, &single).unwrap();
                }
                Answers::from_logits(n, queries, classes, &kept).unwrap()
            };
            tensor.data.chunks_exact(n * asked * classes).map(of).collect()
        };
        let n = tensor("labels").data.len();
        let candidates = blocks("shadows", None).into_iter();
        let population = blocks("population_shadows", population_queries);
        let shadows = candidates.zip(population).zip(tensor(member).data.chunks_exact(n));
        Self {
            labels: labels("labels"),
            target: blocks("target", None).remove(0),
            shadows: shadows
                .map(|((candidates, population), marks)| Shadow {
                    candidates,
                    member: marks.iter().map(|mark| *mark == 1.0).collect(),
                    population: Some(population),
                })
                .collect(),
            population_labels: labels("population_labels"),
            population: blocks("population_target", population_queries).remove(0),
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            shadows: self.shadows.iter().collect(),
            population: Some(Population { labels: &self.population_labels, target: &self.population }),
            ..Evidence::new(&self.labels, &self.target)
        }
    }
}

/// The attack's parameters as a study would choose them, defaults elsewhere.
fn chosen<'a>(
    attack: &'a MembershipAttack,
    set: &'a serde_json::Map<String, serde_json::Value>,
) -> impl Fn(&str) -> Value + 'a {
    for name in set.keys() {
        // What only one mode has may be named in the other, too.
        assert!(attack.parameter(name).is_some(), "{} has no parameter {name}", attack.name);
    }
    move |name| {
        let parameter = attack.parameter(name).unwrap();
        match (set.get(name), parameter.kind) {
            (None, _) => parameter.default,
            (Some(value), Kind::Real(..)) => Value::Real(value.as_f64().unwrap()),
            (Some(value), Kind::Whole(..)) => Value::Whole(value.as_u64().unwrap()),
            (Some(value), Kind::Choice(words)) => {
                Value::Word(words.iter().find(|word| Some(**word) == value.as_str()).unwrap())
            }
            (Some(value), other) => panic!("{name} = {value} for {other:?}"),
        }
    }
}

fn off(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

#[test]
fn scores_equal_the_papers_formulas() {
    let golden = golden("privacy");
    let cases: Vec<Case> = serde_json::from_str(&golden.metadata["cases"]).unwrap();
    let mut worst = (0f64, String::new());
    for case in &cases {
        let said = Said::read(&golden, &case.set, &case.member, case.population_queries);
        let attack = find(&case.attack).unwrap();
        let found = attack.score(&said.evidence(), &chosen(attack, &case.parameters)).unwrap();
        assert_eq!(found.len(), case.scores.len());
        for (i, (found, expected)) in found.iter().zip(&case.scores).enumerate() {
            let expected = case.times * expected;
            let named = format!("{}: {} {:?}, candidate {i}", case.set, case.attack, case.parameters);
            assert!(off(*found, expected) < TOLERANCE, "{named}: {found} is not {expected}");
            if off(*found, expected) > worst.0 {
                worst = (off(*found, expected), named);
            }
        }
    }
    println!("{} cases, the worst score off by {:e}: {}", cases.len(), worst.0, worst.1);
    // Label-only distances are given, not computed.
    for attack in REGISTRY.iter().filter(|attack| !attack.name.ends_with("-distance")) {
        for set in ["many", "sigmoid"] {
            assert!(
                cases.iter().any(|case| case.attack == attack.name && case.set == set),
                "no case of {} in {set}",
                attack.name
            );
        }
    }
}

#[test]
fn transferred_thresholds_equal_brute_force() {
    let golden = golden("privacy");
    let cases: Vec<Threshold> = serde_json::from_str(&golden.metadata["thresholds"]).unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let said = Said::read(&golden, &case.set, "member", Some(1));
        let attack = find(&case.attack).unwrap();
        let get = chosen(attack, &case.parameters);
        let found = attack.transferred_threshold(&said.evidence(), &get).unwrap().unwrap();
        let named = format!("{}: {}", case.set, case.attack);
        assert!(off(found, case.threshold) < TOLERANCE, "{named}: {found} is not {}", case.threshold);
    }
}

#[test]
fn probabilities_tell_what_logits_tell_as_far_as_f32_goes() {
    let golden = golden("privacy");
    let said = Said::read(&golden, "sigmoid", "member", None);
    let n = said.labels.len();
    let pair = |i: usize| {
        let z = said.target.answer(i, 0, 0).logits[1];
        [(1.0 / (1.0 + z.exp())) as f32, (1.0 / (1.0 + (-z).exp())) as f32]
    };
    let probabilities: Vec<f32> = (0..n).flat_map(pair).collect();
    let rounded = Answers::from_probabilities(n, 1, 2, &probabilities).unwrap();
    for (i, &label) in said.labels.iter().enumerate() {
        let (exact, found) = (said.target.answer(i, 0, label), rounded.answer(i, 0, label));
        // Both probabilities are known to 2^-24 of themselves.
        assert!(
            (exact.log_odds() - found.log_odds()).abs() < 3e-7,
            "{} {}",
            exact.log_odds(),
            found.log_odds()
        );
        assert_eq!(exact.right(), found.right());
    }
}
