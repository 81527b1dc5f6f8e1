//! Poisoned training sets: how many samples, which, how far, and what never changes.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::poisoning::{self, Aim, Patient, Poisoned, Victim};
use percuss::attacks::threats::Threat;
use percuss::attacks::{Kind, Value};
use percuss::data::{Dataset, Domain, Labels, Request, open_fitted};
use percuss::defenses;
use percuss::training::Lesson;
use support::poisoning::{Try, labels, poison_with};
use support::{dataset, signed};

const N: usize = 200;
const CLASSES: usize = 4;

/// Age (immutable), a lab value with its indicator, a category of three, a value on [0, 1], sex (an immutable category).
fn records() -> Dataset {
    let noise = signed("poisoning.records", N * 3, 1.0);
    let mut values = Vec::new();
    for i in 0..N {
        let (lab, missing) = if i % 10 == 3 { (1.25, 1.0) } else { (5.0 + 2.0 * noise[i], 0.0) };
        values.extend([60.0 + 20.0 * noise[N + i], lab, missing]);
        values.extend((0..3).map(|k| f32::from(u8::from(k == [0, 1, 1, 2, 1][i % 5]))));
        values.push(0.5 + 0.5 * noise[2 * N + i]);
        values.extend([i % 2, 1 - i % 2].map(|bit| bit as f32));
    }
    let names = ["age", "lab", "lab is missing", "c=x", "c=y", "c=z", "share", "sex=f", "sex=m"];
    let domain = Domain {
        low: vec![40.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        high: vec![80.0, 7.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        scale: vec![10.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.25, 1.0, 1.0],
        immutable: vec![true, false, true, false, false, false, false, true, true],
        one_hot: vec![3..6, 7..9],
        features: names.map(str::to_string).to_vec(),
    };
    let labels = (0..N).map(|i| (i * 7 % CLASSES) as u32).collect();
    let data = dataset(vec![9], values, Labels::Class(labels), CLASSES, domain);
    data.check().unwrap();
    data
}

fn poison(data: &Dataset, tried: &Try) -> Poisoned {
    poison_with(&mut Victim::new(data), tried).unwrap()
}

const SIMPLE: [&str; 4] = ["label-flip", "gaussian-noise", "uniform-noise", "missing"];

#[test]
fn rate_0_is_the_clean_set_and_every_rate_poisons_its_share_rounded_down() {
    let data = records();
    for name in SIMPLE {
        for (rate, wanted) in [(0.0, 0), (0.005, 1), (0.29, 58), (0.333, 66), (1.0, 200)] {
            let found = poison(&data, &Try { name, rate, ..Try::default() });
            assert_eq!(found.changed.len(), wanted, "{name} at {rate}");
            if wanted == 0 {
                assert_eq!(found.lesson, Lesson::whole(N));
            }
            assert_eq!(found.lesson.samples, Lesson::whole(N).samples);
            let mut keys: Vec<usize> =
                found.lesson.labels.keys().chain(found.lesson.values.keys()).copied().collect();
            keys.sort_unstable();
            assert_eq!(keys, found.changed);
        }
    }
}

#[test]
fn lower_rates_are_parts_of_higher_ones_and_attacks_fall_on_the_same_samples() {
    let data = records();
    let mut fallen = Vec::new();
    for name in SIMPLE {
        let [few, many] = [0.05, 0.1].map(|rate| poison(&data, &Try { name, rate, ..Try::default() }));
        assert!(few.changed.iter().all(|position| many.changed.contains(position)), "{name}");
        for position in &few.changed {
            assert_eq!(few.lesson.sample(&data, *position), many.lesson.sample(&data, *position));
            assert_eq!(few.lesson.label(&data, *position), many.lesson.label(&data, *position));
        }
        assert_eq!(few, poison(&data, &Try { name, rate: 0.05, ..Try::default() }), "{name}");
        let other = poison(&data, &Try { name, rate: 0.05, seed: 2, ..Try::default() });
        assert_ne!(few.changed, other.changed, "{name}");
        fallen.push(few.changed);
    }
    assert!(fallen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn flipped_labels_are_other_labels_all_of_them_equally_often() {
    let data = records();
    let mut counts = [[0u32; CLASSES]; CLASSES];
    for seed in 0..60 {
        let found = poison(&data, &Try { rate: 1.0, seed, ..Try::default() });
        assert!(found.lesson.values.is_empty());
        for (position, to) in &found.lesson.labels {
            counts[labels(&data)[*position] as usize][*to as usize] += 1;
        }
    }
    for (from, row) in counts.iter().enumerate() {
        for (to, &count) in row.iter().enumerate() {
            // 60 x 50 flips of each class, a third each: five binomial deviations are 129.
            assert!(if from == to { count == 0 } else { (871..=1129).contains(&count) }, "{counts:?}");
        }
    }
}

#[test]
fn one_class_becomes_another_and_no_more_than_there_are() {
    let data = records();
    let set = &[("from", Value::Whole(2)), ("to", Value::Whole(0))];
    for (rate, wanted) in [(0.1, 20), (0.25, 50)] {
        let found = poison(&data, &Try { rate, set, ..Try::default() });
        assert_eq!(found.changed.len(), wanted);
        assert!(found.changed.iter().all(|&p| labels(&data)[p] == 2 && found.lesson.labels[&p] == 0));
    }
    let refused =
        poison_with(&mut Victim::new(&data), &Try { rate: 0.9, set, ..Try::default() }).unwrap_err();
    assert!(
        refused.exit_code() == 2 && refused.to_string().contains("at most 0.25: 50 samples"),
        "{refused}"
    );
    let aimed = poison(&data, &Try { aim: Aim::Class(3), ..Try::default() });
    assert!(aimed.changed.iter().all(|&position| labels(&data)[position] == 3));
    for set in [&[("to", Value::Whole(4))][..], &[("to", Value::Whole(1)), ("from", Value::Whole(1))]] {
        let refused = poison_with(&mut Victim::new(&data), &Try { set, ..Try::default() });
        assert_eq!(refused.unwrap_err().exit_code(), 2);
    }
}

#[test]
fn the_nearest_and_the_farthest_follow_the_margin() {
    let data = records();
    let scores = signed("poisoning.scores", N * CLASSES, 3.0);
    let gap = |position: usize| {
        let row = &scores[position * CLASSES..][..CLASSES];
        let label = labels(&data)[position] as usize;
        let rival = (0..CLASSES).filter(|&k| k != label).map(|k| row[k]).fold(f32::MIN, f32::max);
        (row[label] - rival).abs()
    };
    let flipped = |choose| {
        let mut victim = Victim { scores: Some(&scores), ..Victim::new(&data) };
        let set = &[("choose", Value::Word(choose))];
        poison_with(&mut victim, &Try { set, rate: 0.15, ..Try::default() }).unwrap().changed
    };
    let mut gaps: Vec<f32> = (0..N).map(gap).collect();
    gaps.sort_by(f32::total_cmp);
    let (near, far) = (flipped("nearest"), flipped("farthest"));
    assert_eq!((near.len(), far.len()), (30, 30));
    assert!(near.iter().all(|&position| gap(position) <= gaps[29]));
    assert!(far.iter().all(|&position| gap(position) >= gaps[170]));
    let blind = poison_with(
        &mut Victim::new(&data),
        &Try { set: &[("choose", Value::Word("nearest"))], ..Try::default() },
    );
    assert_eq!(blind.unwrap_err().exit_code(), 2);
}

/// What holds of any poisoned record: bounds, categories, immutable features.
fn check_records(data: &Dataset, found: &Poisoned, indicator_may_change: bool) {
    for (&position, values) in &found.lesson.values {
        let clean = data.sample(position);
        assert_eq!([values[0], values[7], values[8]], [clean[0], clean[7], clean[8]]);
        assert!(indicator_may_change || values[2] == clean[2]);
        for (i, value) in values.iter().enumerate() {
            assert!((data.domain.low[i]..=data.domain.high[i]).contains(value), "feature {i}: {value}");
        }
        let mut group = values[3..6].to_vec();
        group.sort_by(f32::total_cmp);
        assert_eq!(group, [0.0, 0.0, 1.0]);
    }
}

#[test]
fn noise_keeps_to_bounds_categories_and_immutable_features() {
    let data = records();
    for name in ["gaussian-noise", "uniform-noise"] {
        for magnitude in [0.0, 0.1, 3.0] {
            let found = poison(&data, &Try { name, rate: 1.0, magnitude, ..Try::default() });
            check_records(&data, &found, false);
            assert_eq!(found.changed.is_empty(), magnitude == 0.0);
            assert!(found.lesson.labels.is_empty());
            let flips = found.lesson.values.iter().filter(|(p, v)| v[3..6] != data.sample(**p)[3..6]).count();
            // Uniform noise of 0.1 cannot bridge the gap of 1 between a category and the others.
            assert!(if magnitude < 1.0 { name != "uniform-noise" || flips == 0 } else { flips > 50 });
        }
    }
}

#[test]
fn the_magnitude_is_the_noise_in_scaled_units() {
    let n = 2000;
    let domain = Domain { scale: vec![4.0], ..Domain::uniform(-1e6, 1e6) };
    let data = dataset(vec![5], vec![0.0; n * 5], Labels::Class(vec![0; n]), 1, domain);
    let spread = |name| {
        let found = poison(&data, &Try { name, rate: 1.0, magnitude: 0.5, ..Try::default() });
        let all: Vec<f64> = found.lesson.values.values().flatten().map(|v| f64::from(*v)).collect();
        assert!(name != "uniform-noise" || all.iter().all(|v| v.abs() <= 2.0));
        (all.iter().map(|v| v * v).sum::<f64>() / all.len() as f64).sqrt()
    };
    // Standard deviations 0.5 * 4 and 0.5 * 4 / sqrt 3; the estimate's relative error is below 1 / sqrt(10000), four of which are 4%.
    assert!((spread("gaussian-noise") / 2.0 - 1.0).abs() < 0.04);
    assert!((spread("uniform-noise") / (2.0 / 3f64.sqrt()) - 1.0).abs() < 0.04);
}

#[test]
fn dropped_values_look_like_the_missing_values_that_were_there() {
    let data = records();
    let mut shares: Vec<f32> = (0..N).map(|i| data.sample(i)[6]).collect();
    shares.sort_by(f32::total_cmp);
    let middle = (shares[N / 2 - 1] + shares[N / 2]) / 2.0;
    let all = poison(&data, &Try { name: "missing", rate: 1.0, magnitude: 1.0, ..Try::default() });
    check_records(&data, &all, true);
    for values in all.lesson.values.values() {
        // 1.25 is what imputation wrote where the indicator says missing; y is the most frequent category.
        assert_eq!(values[1..3], [1.25, 1.0]);
        assert_eq!(values[3..6], [0.0, 1.0, 0.0]);
        assert!((values[6] - middle).abs() < 1e-6);
    }
    let some = poison(&data, &Try { name: "missing", rate: 1.0, magnitude: 0.3, ..Try::default() });
    let measured = || (0..N).filter(|i| data.sample(*i)[2] == 0.0);
    let dropped = measured().filter(|i| some.lesson.sample(&data, *i)[2] == 1.0).count();
    // 180 draws at 0.3: 54 +- 4 deviations of 6.1.
    assert!((30..=78).contains(&dropped), "{dropped}");
    let more = poison(&data, &Try { name: "missing", rate: 1.0, magnitude: 0.6, ..Try::default() });
    assert!(measured().all(|i| some.lesson.sample(&data, i)[2] <= more.lesson.sample(&data, i)[2]));
}

#[test]
fn in_support2_dropped_values_are_what_its_preprocessing_imputes() {
    let (train, fitted) = open_fitted(&Request::named("support2", "train"), None).unwrap();
    let imputed = fitted.unwrap().imputed();
    let feature = |name: &str| train.domain.features.iter().position(|feature| feature == name).unwrap();
    // The normal values of its preprocessing, bilirubin as log(1 + x).
    assert_eq!([imputed[feature("alb")], imputed[feature("bili")]], [3.5, 1.01f64.ln_1p() as f32]);
    let mut victim = Victim { imputed: Some(&imputed), ..Victim::new(&train) };
    let tried = Try { name: "missing", rate: 0.01, magnitude: 1.0, ..Try::default() };
    let found = poison_with(&mut victim, &tried).unwrap();
    assert_eq!(found.changed.len(), train.len() / 100);
    for (position, values) in &found.lesson.values {
        for (i, value) in values.iter().enumerate() {
            let expected = if train.domain.immutable[i] { train.sample(*position)[i] } else { imputed[i] };
            assert_eq!(*value, expected, "{}", train.domain.features[i]);
        }
    }
    // Where albumin is missing in the table (more than a third of the rows), 3.5 stands in the data already.
    let alike = (0..train.len()).filter(|&i| train.sample(i)[feature("alb")] == 3.5).count();
    assert!(3 * alike > train.len(), "{alike} of {}", train.len());
    let mut victim = Victim { imputed: Some(&imputed[1..]), ..Victim::new(&train) };
    assert_eq!(poison_with(&mut victim, &tried).unwrap_err().exit_code(), 2);
}

#[test]
fn aimed_at_a_patient_the_most_similar_samples_fall() {
    let data = records();
    let patient = Patient { values: data.sample(10), label: labels(&data)[10], wanted: 1 };
    let found = poison(
        &data,
        &Try { name: "gaussian-noise", rate: 0.005, aim: Aim::Patient(patient), ..Try::default() },
    );
    assert_eq!(found.changed, [10]);
    let flipped = poison(&data, &Try { rate: 0.1, aim: Aim::Patient(patient), ..Try::default() });
    assert_eq!(flipped.changed.len(), 20);
    assert!(flipped.changed.contains(&10) && flipped.lesson.labels.values().all(|to| *to == 1));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let data = records();
    let short = Patient { values: &[1.0], label: 0, wanted: 1 };
    let tries = [
        Try { rate: 1.5, ..Try::default() },
        Try { rate: f64::NAN, ..Try::default() },
        Try { rate: 0.004, ..Try::default() },
        Try { name: "gaussian-noise", magnitude: -1.0, ..Try::default() },
        Try { name: "missing", magnitude: 1.5, ..Try::default() },
        Try { aim: Aim::Class(9), ..Try::default() },
        Try { aim: Aim::Patient(Patient { values: data.sample(0), label: 1, wanted: 1 }), ..Try::default() },
        Try { aim: Aim::Patient(short), ..Try::default() },
        Try { name: "feature-collision", ..Try::default() },
        Try {
            name: "gradient-matching",
            aim: Aim::Patient(Patient { values: data.sample(0), ..short }),
            ..Try::default()
        },
    ];
    for tried in tries {
        let refused = poison_with(&mut Victim::new(&data), &tried).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{refused}");
    }
}

#[test]
fn findings_can_be_noisy_but_not_flipped() {
    let values = signed("poisoning.findings", 50 * 4, 1.0);
    let data = dataset(vec![4], values, Labels::Findings(vec![1; 100]), 2, Domain::uniform(-2.0, 2.0));
    let noisy = poison(&data, &Try { name: "uniform-noise", ..Try::default() });
    assert_eq!((noisy.changed.len(), noisy.lesson.labels.len()), (5, 0));
    for refused in [Try::default(), Try { name: "uniform-noise", aim: Aim::Class(0), ..Try::default() }] {
        assert_eq!(poison_with(&mut Victim::new(&data), &refused).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn names_are_unique_and_defaults_are_of_their_kind() {
    let mut names: Vec<&str> = poisoning::REGISTRY
        .iter()
        .flat_map(|attack| attack.aliases.iter().copied().chain([attack.name]))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    fn fits(kind: Kind, default: Value) -> bool {
        match (kind, default) {
            (Kind::Whole(low, high), Value::Whole(value)) => (low..=high).contains(&value),
            (Kind::Real(low, high), Value::Real(value)) => (low..=high).contains(&value),
            (Kind::Choice(words) | Kind::Or(_, words), Value::Word(word)) => words.contains(&word),
            (Kind::Or(kind, _), value) => fits(*kind, value),
            (Kind::Flag, Value::Flag(_)) => true,
            _ => false,
        }
    }
    let threats = Threat::ALL.into_iter().flat_map(Threat::attacks).flat_map(|attack| attack.parameters);
    let detectors = defenses::DETECTORS.iter().flat_map(|detector| detector.parameters).copied();
    for parameter in threats.chain(detectors) {
        assert!(fits(parameter.kind, parameter.default), "{}", parameter.name);
    }
}
