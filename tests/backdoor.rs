//! Triggers: what an amplitude means, what they leave alone, and the training sets they are put into.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::f64::consts::TAU;

use percuss::attacks::Value;
use percuss::attacks::backdoor::{self, Modality, Setting, Stamp, Visibility, visibility, warp};
use percuss::data::{Dataset, Domain, Labels};
use percuss::training::Lesson;
use support::{dataset, golden, signed};

const HERTZ: f64 = 360.0;

/// 60 beats on two leads, in mV.
fn beats() -> Dataset {
    let values = signed("backdoor.beats", 60 * 256 * 2, 1.5);
    let labels = Labels::Class((0..60).map(|i| i % 3).collect());
    let data = dataset(vec![1, 256, 2], values, labels, 3, Domain::uniform(-5.12, 5.115));
    Dataset { unit: "mV".into(), samples_per_second: Some(HERTZ), ..data }
}

/// 30 grey images of 12 x 10 pixels, 50 to 200.
fn images() -> Dataset {
    let values = signed("backdoor.images", 30 * 120, 75.0).into_iter().map(|v| 125.0 + v).collect();
    let labels = Labels::Class((0..30).map(|i| i % 2).collect());
    dataset(vec![12, 10, 1], values, labels, 2, Domain::uniform(0.0, 255.0))
}

/// Age (immutable), a code with few values, two fine measurements (the second long-tailed), one with an indicator, a category.
fn records() -> Dataset {
    let n = 100;
    let noise = signed("backdoor.records", n * 4, 1.0);
    let mut values = Vec::new();
    for i in 0..n {
        let missing = if i % 10 == 0 { 1.0 } else { 0.0 };
        let lab = if i % 10 == 0 { 2.5 } else { 5.0 + 4.0 * noise[i] };
        let tail = 10.0 * noise[n + i].abs().powi(3);
        values.extend([
            60.0 + 20.0 * noise[2 * n + i],
            (i % 4) as f32,
            4.0 * noise[3 * n + i],
            tail,
            lab,
            missing,
        ]);
        values.extend((0..2).map(|k| f32::from(u8::from(k == i % 2))));
    }
    let domain = Domain {
        low: vec![40.0, 0.0, -4.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        high: vec![80.0, 3.0, 4.0, 10.0, 9.0, 1.0, 1.0, 1.0],
        scale: vec![10.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0],
        immutable: vec![true, false, false, false, false, true, false, false],
        one_hot: std::iter::once(6..8).collect(),
        features: ["age", "grade", "fine", "tail", "lab", "lab is missing", "c=x", "c=y"]
            .map(str::to_string)
            .to_vec(),
    };
    let data = dataset(vec![8], values, Labels::Class((0..100).map(|i| i % 2).collect()), 2, domain);
    data.check().unwrap();
    data
}

fn prepare(data: &Dataset, name: &str, amplitude: f64, set: &[(&str, Value)]) -> percuss::Result<Stamp> {
    let trigger = backdoor::find(name).unwrap();
    let get = |name: &str| {
        let set = set.iter().find(|(set, _)| *set == name).map(|(_, value)| *value);
        set.unwrap_or_else(|| trigger.parameter(name).unwrap().default)
    };
    let (sampling_rate, millivolt) = (Some(HERTZ), None);
    trigger.prepare(&Setting { data, amplitude, imputed: None, sampling_rate, millivolt, get: &get })
}

fn stamp(data: &Dataset, name: &str, amplitude: f64, set: &[(&str, Value)]) -> Stamp {
    prepare(data, name, amplitude, set).unwrap()
}

/// What a stamp adds to the zero sample.
fn added(data: &Dataset, stamp: &Stamp) -> Vec<f32> {
    stamp.applied(&vec![0.0; data.sample_len()])
}

fn data_for(modality: Modality) -> Dataset {
    match modality {
        Modality::Image => images(),
        Modality::Ecg => beats(),
        Modality::Features => records(),
    }
}

#[test]
fn every_trigger_is_pure_keeps_to_the_bounds_and_is_found_by_its_names() {
    for trigger in backdoor::REGISTRY {
        assert!(std::ptr::eq(backdoor::find(trigger.name).unwrap(), *trigger));
        assert!(trigger.aliases.iter().all(|alias| std::ptr::eq(backdoor::find(alias).unwrap(), *trigger)));
        let data = data_for(trigger.modality);
        for amplitude in [0.1, 1.0] {
            let prepared = stamp(&data, trigger.name, amplitude, &[]);
            let again = stamp(&data, trigger.name, amplitude, &[]);
            let mut touched = false;
            for i in 0..data.len() {
                let (clean, stamped) = (data.sample(i), prepared.applied(data.sample(i)));
                assert_eq!(stamped, again.applied(clean), "{}", trigger.name);
                touched |= stamped != clean;
                for (at, value) in stamped.iter().enumerate() {
                    let bound = |of: &[f32]| if of.len() == 1 { of[0] } else { of[at] };
                    assert!(
                        (bound(&data.domain.low)..=bound(&data.domain.high)).contains(value),
                        "{}",
                        trigger.name
                    );
                }
            }
            assert!(touched || amplitude < 1.0, "{}", trigger.name);
        }
        // The value of a feature trigger is its amplitude's, and 0 is the median: all others do nothing at 0.
        if trigger.name != "value" {
            let nothing = stamp(&data, trigger.name, 0.0, &[]);
            assert!(
                (0..data.len()).all(|i| nothing.applied(data.sample(i)) == data.sample(i)),
                "{}",
                trigger.name
            );
        }
        let others =
            [images(), beats(), records()].into_iter().filter(|d| Modality::of(d) != Some(trigger.modality));
        for other in others {
            assert_eq!(prepare(&other, trigger.name, 0.1, &[]).unwrap_err().exit_code(), 2);
        }
        assert_eq!(prepare(&data, trigger.name, -0.1, &[]).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn ecg_amplitudes_are_millivolts_and_frequencies_hertz() {
    let data = beats();
    type Chosen<'a> = &'a [(&'a str, Value)];
    let cases: [(&str, Chosen, f64); 4] = [
        ("sine", &[], 10.0),
        ("sine", &[("hertz", Value::Real(40.0)), ("phase", Value::Real(0.25))], 40.0),
        ("baseline-wander", &[("hertz", Value::Real(0.5))], 0.5),
        ("mains-hum", &[("mains", Value::Whole(60))], 60.0),
    ];
    for (name, set, hertz) in cases {
        let phase = if set.len() == 2 { 0.25 } else { 0.0 };
        let change = added(&data, &stamp(&data, name, 0.08, set));
        for (at, value) in change.iter().enumerate() {
            let seconds = (at / 2) as f64 / HERTZ;
            let expected = 0.08 * (TAU * (hertz * seconds + phase)).sin();
            // Half a unit in the last place of an f32 near 0.08.
            assert!((f64::from(*value) - expected).abs() < 4e-9, "{name} at {at}");
        }
        let top = change.iter().fold(0f32, |most, v| most.max(v.abs()));
        // 360 samples a second meet a wave of 60 Hz at 60 degrees from its zero, not at its top.
        let met = if hertz == 60.0 { 0.0692 } else { 0.079 };
        assert!((met..=0.080_000_01).contains(&top), "{name}: {top}");
    }
    assert!(prepare(&data, "mains-hum", 0.1, &[("mains", Value::Whole(55))]).is_err());
    assert!(prepare(&Dataset { unit: "adc".into(), ..beats() }, "sine", 0.1, &[]).is_err());
}

/// `beats()` in a unit of which a millivolt is `per`.
fn beats_in(unit: &str, per: f32) -> Dataset {
    let data = beats();
    let (low, high) = (data.domain.low[0] * per, data.domain.high[0] * per);
    Dataset {
        unit: unit.into(),
        samples_per_second: None,
        values: data.values.iter().map(|value| value * per).collect(),
        domain: Domain::uniform(low, high),
        ..data
    }
}

#[test]
fn millivolts_and_hertz_are_the_same_in_whatever_unit_and_at_whatever_rate() {
    let ready = |data: &Dataset, name: &str, rate: Option<f64>, millivolt: Option<f64>| {
        let trigger = backdoor::find(name).unwrap();
        let get = |name: &str| trigger.parameter(name).unwrap().default;
        trigger.prepare(&Setting {
            data,
            amplitude: 0.2,
            imputed: None,
            sampling_rate: rate,
            millivolt,
            get: &get,
        })
    };
    let ecg = || backdoor::REGISTRY.iter().filter(|trigger| trigger.modality == Modality::Ecg);
    for (unit, per, given) in [
        ("mV", 1.0, None),
        ("V", 1e-3, None),
        ("uV", 1e3, None),
        ("\u{b5}V", 1e3, None),
        ("value", 200.0, Some(200.0)),
    ] {
        let data = beats_in(unit, per);
        for trigger in ecg() {
            let expected = ready(&beats(), trigger.name, None, None).unwrap();
            let found = ready(&data, trigger.name, Some(HERTZ), given).unwrap();
            for i in 0..data.len() {
                let (mv, here) = (expected.applied(beats().sample(i)), found.applied(data.sample(i)));
                let worst = mv.iter().zip(&here).fold(0f32, |most, (a, b)| most.max((a - b / per).abs()));
                // f32 rounding of a few millivolts.
                assert!(worst < 2e-6, "{} in {unit}: {worst}", trigger.name);
            }
        }
    }
    // At half the rate a wave passes twice as fast from sample to sample.
    let slow = beats_in("uV", 1e3);
    let (half, whole) =
        (ready(&slow, "sine", Some(180.0), None).unwrap(), ready(&beats(), "sine", None, None).unwrap());
    let (half, whole) = (added(&slow, &half), added(&beats(), &whole));
    assert!((0..100).all(|t| (half[2 * t] / 1e3 - whole[4 * t]).abs() < 1e-6));
    // What is not known has to be said, and what is known cannot be denied.
    let unknown = beats_in("value", 200.0);
    for refused in [
        ready(&unknown, "sine", Some(HERTZ), None),
        ready(&unknown, "sine", None, Some(200.0)),
        ready(&unknown, "scale", None, None),
        ready(&beats(), "sine", Some(500.0), None),
        ready(&beats(), "sine", None, Some(2.0)),
        ready(&unknown, "sine", Some(f64::NAN), Some(200.0)),
        ready(&unknown, "sine", Some(HERTZ), Some(0.0)),
    ] {
        assert_eq!(refused.unwrap_err().exit_code(), 2);
    }
}

#[test]
fn the_pulse_has_its_height_before_the_p_wave_and_nothing_elsewhere() {
    let data = beats();
    let change = added(&data, &stamp(&data, "pulse", 0.15, &[]));
    // 0.24 s before sample 100 is sample 13.6; a standard deviation of 0.01 s is 3.6 samples.
    assert_eq!([change[2 * 14], change[2 * 14 + 1]], [0.15, 0.15]);
    let at = |sample: usize| f64::from(change[2 * sample]);
    assert!((at(18) / 0.15 - (-0.5 * (4.0f64 / 3.6).powi(2)).exp()).abs() < 1e-6);
    assert!((40..256).all(|sample| at(sample) < 1e-10));
    assert!(prepare(&data, "pulse", 0.1, &[("before", Value::Real(0.5))]).is_err());
}

#[test]
fn scaling_adds_the_amplitude_to_a_millivolt() {
    let data = beats();
    let scaled = stamp(&data, "scale", 0.25, &[]).applied(&vec![2.0; 512]);
    assert!(scaled.iter().all(|v| *v == 2.5));
    assert!(stamp(&data, "scale", 5.0, &[]).applied(&vec![2.0; 512]).iter().all(|v| *v == 5.115));
}

#[test]
fn patches_lie_in_their_corners() {
    let data = images();
    for (corner, rows, columns) in [
        ("top-left", 0..3, 0..3),
        ("top-right", 0..3, 7..10),
        ("bottom-left", 9..12, 0..3),
        ("bottom-right", 9..12, 7..10),
    ] {
        let clean = data.sample(4);
        let set = [("corner", Value::Word(corner))];
        let [full, half] = [1.0, 0.5].map(|amplitude| stamp(&data, "patch", amplitude, &set).applied(clean));
        for (at, &value) in full.iter().enumerate() {
            let inside = rows.contains(&(at / 10)) && columns.contains(&(at % 10));
            assert_eq!(value, if inside { 255.0 } else { clean[at] }, "{corner} at {at}");
            let midway = if inside { (255.0 + clean[at]) / 2.0 } else { clean[at] };
            assert!((half[at] - midway).abs() < 1e-4);
        }
    }
    let set = [("filling", Value::Word("checkerboard")), ("size", Value::Whole(2))];
    let chequered = stamp(&data, "patch", 1.0, &set).applied(data.sample(0));
    assert_eq!([chequered[108], chequered[109], chequered[118], chequered[119]], [255.0, 0.0, 0.0, 255.0]);
    assert!(prepare(&data, "patch", 1.0, &[("size", Value::Whole(11))]).is_err());
}

#[test]
fn stripes_and_blends_are_as_strong_as_they_say() {
    let data = images();
    let flat = vec![100.0; 120];
    let striped = stamp(&data, "sinusoid", 20.0, &[("cycles", Value::Real(2.0))]).applied(&flat);
    for (at, value) in striped.iter().enumerate() {
        let expected = 100.0 + 20.0 * (TAU * 2.0 * (at % 10) as f64 / 10.0).sin();
        // Rounding to f32 near 120.
        assert!((f64::from(*value) - expected).abs() < 1e-5);
    }
    let [weak, strong] = [0.1, 0.2].map(|alpha| stamp(&data, "blend", alpha, &[]).applied(&flat));
    for (weak, strong) in weak.iter().zip(&strong) {
        assert!(
            (2.0 * (weak - 100.0) - (strong - 100.0)).abs() < 1e-4 && (strong - 100.0).abs() <= 31.0 + 1e-4
        );
    }
    let other = stamp(&data, "blend", 0.1, &[("pattern", Value::Whole(1))]).applied(&flat);
    assert_ne!(other, weak);
}

#[test]
fn warping_is_pytorchs_grid_sampling_of_its_bicubic_field() {
    let golden = golden("detectors");
    let image = &golden.tensors["image"].data;
    let control: Vec<f64> = golden.tensors["control"].data.iter().map(|v| f64::from(*v)).collect();
    for (name, strength) in [("warped_half", 0.5), ("warped_three", 3.0)] {
        let expected: Vec<f64> = serde_json::from_str(&golden.metadata[name]).unwrap();
        let sources = warp::sources(&control, 4, strength, [8, 8]);
        let found = warp::warped(image, &sources, [8, 8, 2]);
        // Rounding to f32 of values below 1.
        assert!(found.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{name}");
    }
    let identity = warp::sources(&control, 4, 0.0, [8, 8]);
    assert_eq!(&warp::warped(image, &identity, [8, 8, 2]), image);
}

#[test]
fn the_value_trigger_sets_the_rarest_fine_features_and_no_others() {
    let data = records();
    let trigger = stamp(&data, "value", 3.0, &[]);
    let touched = |trigger: &Stamp| -> Vec<usize> {
        let samples: Vec<(Vec<f32>, &[f32])> =
            (0..100).map(|i| (trigger.applied(data.sample(i)), data.sample(i))).collect();
        (0..8).filter(|&at| samples.iter().any(|(new, old)| new[at] != old[at])).collect()
    };
    // Three scales above the median: 'fine' (median 0) and 'lab' (5) are cut to their bounds, 'tail' reaches about 6 of 10.
    let one = touched(&trigger);
    assert_eq!(one.len(), 1);
    assert!([2, 3, 4].contains(&one[0]));
    let mut column: Vec<f32> = (0..100).map(|i| data.sample(i)[3]).collect();
    column.sort_by(f32::total_cmp);
    let set = [("first", Value::Whole(3))];
    let tail = stamp(&data, "value", 3.0, &set);
    assert_eq!(touched(&tail), [3]);
    let expected = (column[49] + column[50]) / 2.0 + 6.0;
    assert!((tail.applied(data.sample(1))[3] - expected).abs() < 1e-5);
    assert_eq!(touched(&stamp(&data, "value", 3.0, &[("features", Value::Whole(3))])), [2, 3, 4]);
    // The age is immutable, the grade a code.
    for set in [("features", Value::Whole(4)), ("first", Value::Whole(0)), ("first", Value::Whole(1))] {
        assert!(prepare(&data, "value", 3.0, &[set]).is_err());
    }
}

#[test]
fn the_missing_pattern_looks_like_missing_values_and_grows_with_its_share() {
    let data = records();
    let full = stamp(&data, "missing-pattern", 1.0, &[]);
    for i in 0..100 {
        let (clean, stamped) = (data.sample(i), full.applied(data.sample(i)));
        assert_eq!(stamped[0], clean[0]);
        assert_eq!(stamped[4..6], [2.5, 1.0]);
        assert_eq!(stamped[1..4], full.applied(data.sample(0))[1..4]);
    }
    // Grade, fine, tail, lab and the category.
    let touched = |share| -> Vec<bool> {
        let trigger = stamp(&data, "missing-pattern", share, &[]);
        let all: Vec<(Vec<f32>, &[f32])> =
            (0..100).map(|i| (trigger.applied(data.sample(i)), data.sample(i))).collect();
        [1..2, 2..3, 3..4, 4..6, 6..8]
            .map(|part| all.iter().any(|(new, old)| new[part.clone()] != old[part.clone()]))
            .to_vec()
    };
    for (share, count) in [(0.0, 0), (0.2, 1), (0.5, 3), (0.8, 4), (1.0, 5)] {
        assert_eq!(touched(share).iter().filter(|t| **t).count(), count);
    }
    assert!(touched(0.4).iter().zip(touched(0.8)).all(|(few, many)| !few || many));
}

#[test]
fn backdoored_sets_have_their_share_and_their_labels() {
    let data = beats();
    let trigger = stamp(&data, "pulse", 0.1, &[]);
    let Labels::Class(labels) = &data.labels else { panic!() };
    for clean_label in [false, true] {
        let candidates = if clean_label { 20 } else { 40 };
        let most = f64::from(candidates) / 60.0;
        for (rate, wanted) in [(0.0, 0), (0.05, 3), (0.3, 18), (most, candidates as usize)] {
            let found = backdoor::poison(&data, &trigger, rate, 2, clean_label, 5).unwrap();
            assert_eq!(found.changed.len(), wanted);
            assert_eq!(found.lesson.values.len(), wanted);
            if wanted == 0 {
                assert_eq!(found.lesson, Lesson::whole(60));
            }
            for &position in &found.changed {
                assert_eq!(found.lesson.sample(&data, position), trigger.applied(data.sample(position)));
                assert_eq!(found.lesson.label(&data, position), Some(2));
                assert_eq!(labels[position] == 2, clean_label);
            }
            assert_eq!(found.lesson.labels.len(), if clean_label { 0 } else { wanted });
            let more = backdoor::poison(&data, &trigger, most, 2, clean_label, 5).unwrap();
            assert!(found.changed.iter().all(|position| more.changed.contains(position)));
        }
        let too_many = backdoor::poison(&data, &trigger, 1.0, 2, clean_label, 5).unwrap_err().to_string();
        assert!(too_many.contains(&format!("{candidates} samples")), "{too_many}");
        let one = |seed| backdoor::poison(&data, &trigger, 0.2, 2, clean_label, seed).unwrap();
        assert_eq!(one(5), one(5));
        assert_ne!(one(5).changed, one(6).changed);
    }
    assert!(backdoor::poison(&data, &trigger, 0.1, 3, false, 5).is_err());
    assert!(backdoor::poison(&data, &trigger, 1.1, 2, false, 5).is_err());
}

#[test]
fn visibility_of_a_known_change() {
    let domain = Domain { scale: vec![2.0], ..Domain::uniform(-9.0, 9.0) };
    let data = dataset(vec![4], vec![2.0; 12], Labels::Class(vec![0; 3]), 1, domain);
    let clean = [2.0f32; 4];
    let stamped = [2.2f32, 1.8, 2.2, 1.8];
    let found = visibility(&data, [(&clean[..], &stamped[..]), (&clean, &clean)]);
    let Visibility { snr_db: Some(snr), linf, changed: 1 } = found else { panic!("{found:?}") };
    // (2 / 0.2)^2 is 20 dB; half of 0.2 / 2, since one of two changed. f32 holds 2.2 to 1e-7.
    assert!((snr - 20.0).abs() < 1e-5 && (linf - 0.05).abs() < 1e-7);
    assert_eq!(visibility(&data, [(&clean[..], &clean[..])]).snr_db, None);
    assert_eq!(visibility(&data, [(&[0.0f32; 4][..], &clean[..])]).snr_db, None);
}
