//! Synthetic heart beats of five classes, by the dynamical model of McSharry, Clifford, Tarassenko and Smith 2003
//! (IEEE Transactions on Biomedical Engineering 50(3):289).
//!
//! A point runs round the unit circle, once a beat; where it passes an event's angle (P, Q, R, S, T), it is pushed up or
//! down (eq. 1 of the paper). Each half of a turn has its own speed, so that beats can come early. The events of a
//! class and their spread from patient to patient are ours; N has the paper's Table I as its centre.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use rayon::prelude::*;

use super::beats::{CLASSES, LENGTH, PEAK, SAMPLES_PER_SECOND as FREQUENCY};
use super::draw::Draw;
use super::subset::sha256;
use super::{Dataset, Domain, Labels};
use crate::{Error, Result};

/// The seed of the data set `ecg-synthetic`.
pub const SEED: u64 = 0;
/// Changes whenever the generator gives other values.
pub const VERSION: u32 = 1;
/// Synthetic patients of train, val and test.
pub const PATIENTS: [usize; 3] = [80, 16, 32];
/// Beats of each patient.
pub const BEATS: usize = 40;

/// Integration steps a sample: the narrowest event, a pacing spike, lasts about one sample.
const SUBSTEPS: usize = 2;
/// How often each class occurs.
const SHARES: [f64; 5] = [0.55, 0.13, 0.16, 0.08, 0.08];

/// One event of a beat: a bump of `height` mV, `at` seconds from the R peak, `width` seconds wide (standard deviation).
#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    height: f64,
    width: f64,
}

/// A beat: its events, and the time since the R peak before it in seconds.
#[derive(Clone, Debug)]
struct Cycle {
    events: Vec<Event>,
    rr: f64,
}

/// What belongs to a patient and stays alike over his or her beats.
struct Patient {
    rr: f64,
    normal: [Event; 5],
    ectopic: [Event; 3],
    spike: Event,
    wander: f64,
    noise: f64,
    offset: f64,
}

/// Generates a split of `ecg-synthetic`: shape `[1, 256, 1]`, mV, the R peak at sample 100, grouped by patient.
///
/// No patient is in two splits. Equal seeds give equal values; the data set's own seed is [`SEED`].
///
/// # Errors
/// A split that is not train, val, test or all.
pub fn generate(split: &str, seed: u64) -> Result<Dataset> {
    let patients = patients_of(split)?;
    let beats: Vec<(u64, usize, Vec<f32>)> = patients
        .into_par_iter()
        .flat_map_iter(|number| {
            let patient = Patient::draw(&mut Draw::new(seed, number as u64));
            (0..BEATS).map(move |k| {
                let index = (number * BEATS + k) as u64;
                let mut draw = Draw::new(seed ^ 0x6265_6174, index);
                let class = pick_class(draw.unit());
                (index, class, patient.beat(class, &mut draw))
            })
        })
        .collect();
    let group: Vec<String> =
        beats.iter().map(|(index, ..)| format!("patient-{}", *index as usize / BEATS)).collect();
    Ok(Dataset {
        name: "ecg-synthetic".to_string(),
        split: split.to_string(),
        synthetic: true,
        sha256: sha256(format!("ecg-synthetic version {VERSION} seed {seed}").as_bytes()),
        shape: vec![1, LENGTH, 1],
        inputs: Vec::new(),
        labels: Labels::Class(beats.iter().map(|&(_, class, _)| class as u32).collect()),
        classes: CLASSES.map(str::to_string).to_vec(),
        unit: "mV".to_string(),
        subgroups: BTreeMap::from([("patient".to_string(), group.clone())]),
        group: Some(group),
        index: beats.iter().map(|&(index, ..)| index).collect(),
        domain: Domain::uniform(-5.12, 5.115),
        values: beats.into_iter().flat_map(|(_, _, signal)| signal).collect(),
        samples_per_second: Some(FREQUENCY),
        remarks: Vec::new(),
    })
}

fn patients_of(split: &str) -> Result<std::ops::Range<usize>> {
    let [train, val, test] = PATIENTS;
    match split {
        "train" => Ok(0..train),
        "val" => Ok(train..train + val),
        "test" => Ok(train + val..train + val + test),
        "all" => Ok(0..train + val + test),
        other => Err(Error::input("ecg-synthetic", "split", other, "train, val, test or all")),
    }
}

fn pick_class(unit: f64) -> usize {
    let mut sum = 0.0;
    SHARES
        .iter()
        .position(|share| {
            sum += share;
            unit < sum
        })
        .unwrap_or(0)
}

/// The paper's Table I at 60 beats a minute, R taken as 1 mV: an event of angle theta and parameters (a, b) peaks
/// theta / 2 pi seconds from R at a b^2 / 2 pi (R's is 0.0477), b / 2 pi seconds wide.
const TABLE_I: [Event; 5] = [
    Event { at: -1.0 / 6.0, height: 0.25, width: 0.040 },
    Event { at: -1.0 / 24.0, height: -0.167, width: 0.016 },
    Event { at: 0.0, height: 1.0, width: 0.016 },
    Event { at: 1.0 / 24.0, height: -0.25, width: 0.016 },
    Event { at: 0.25, height: 0.4, width: 0.064 },
];

impl Event {
    fn varied(self, draw: &mut Draw, height: f64, width: f64, at: f64) -> Self {
        Self {
            at: self.at + at * draw.normal(),
            height: self.height * draw.factor(height),
            width: self.width * draw.factor(width),
        }
    }

    /// Between two events: `share` of the way to `other`.
    fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a + share * (b - a);
        Self {
            at: mix(self.at, other.at),
            height: mix(self.height, other.height),
            width: mix(self.width, other.width),
        }
    }
}

impl Patient {
    fn draw(draw: &mut Draw) -> Self {
        let size = draw.factor(0.25);
        let mut normal = TABLE_I.map(|event| event.varied(draw, 0.3, 0.15, 0.006));
        normal.iter_mut().for_each(|event| event.height *= size);
        normal[2].at = 0.0;
        // A fifth of the patients have a broad QRS in every beat, as with a bundle branch block.
        if draw.unit() < 0.2 {
            normal[1..4].iter_mut().for_each(|event| event.width *= 1.6);
        }
        // An ectopic beat spreads through the muscle: wide, tall, its T wave against it; up or down by its origin.
        let sign = if draw.unit() < 0.75 { 1.0 } else { -1.0 };
        let ectopic = [
            Event { at: 0.0, height: 1.3 * sign, width: 0.036 },
            Event { at: 0.085, height: -0.5 * sign, width: 0.034 },
            Event { at: 0.27, height: -0.45 * sign, width: 0.070 },
        ]
        .map(|event| event.varied(draw, 0.3, 0.18, 0.008));
        let spike = Event { at: -0.06, height: draw.between(0.3, 1.0), width: 0.0045 };
        Self {
            rr: draw.between(0.62, 1.05),
            normal,
            ectopic,
            spike: Event { at: spike.at - draw.between(0.0, 0.04), ..spike },
            wander: 0.15 * draw.factor(0.5),
            noise: 0.03 * draw.factor(0.5),
            offset: 0.1 * draw.normal(),
        }
    }

    /// The signal of one beat of `class` with what surrounds it, in mV.
    fn beat(&self, class: usize, draw: &mut Draw) -> Vec<f32> {
        let rate = draw.factor(0.06);
        let normal = |draw: &mut Draw, rr: f64| Cycle { events: self.normal_events(draw, rr), rr };
        let before = normal(draw, self.rr * rate);
        let early = match class {
            1 => draw.between(0.6, 0.92),
            2 => draw.between(0.55, 1.0),
            3 => draw.between(0.85, 1.02),
            _ => draw.factor(0.06).clamp(0.8, 1.25),
        };
        let rr = (self.rr * rate * early).max(0.3);
        let cycle = Cycle { events: self.events(class, rr, draw), rr };
        // After an early beat the heart waits: fully after a ventricular one, partly after an atrial one.
        let pause = if class == 2 { 2.0 - early } else { 1.0 + 0.3 * (1.0 - early).max(0.0) };
        let after = normal(draw, self.rr * rate * pause);
        let clean = integrate(&[before, cycle, after], self.wander, draw.unit());
        let offset = self.offset + 0.05 * draw.normal();
        let noisy = clean.into_iter().map(|mv| mv + offset + self.noise * draw.normal());
        noisy.map(|mv| mv.clamp(-5.12, 5.115) as f32).collect()
    }

    fn normal_events(&self, draw: &mut Draw, rr: f64) -> Vec<Event> {
        let mut events = self.normal.map(|event| event.varied(draw, 0.08, 0.05, 0.003));
        // The T wave follows the rate (Bazett 1920).
        events[4].at *= rr.sqrt().clamp(0.7, 1.1);
        events.to_vec()
    }

    fn events(&self, class: usize, rr: f64, draw: &mut Draw) -> Vec<Event> {
        let mut normal = self.normal_events(draw, rr);
        let ectopic = self.ectopic.map(|event| event.varied(draw, 0.15, 0.1, 0.004));
        match class {
            1 => {
                // The P wave comes from elsewhere in the atria: small, flat or upside down, nearer to the QRS.
                normal[0].height *= draw.between(-1.0, 0.6);
                normal[0].at += draw.between(0.0, 0.05);
                normal
            }
            2 => ectopic.to_vec(),
            3 => {
                // Two waves meet: a P wave, and a QRS and a T wave that are part normal, part ectopic.
                let share = draw.between(0.3, 0.75);
                let pairs = [(2, 0), (3, 1), (4, 2)];
                let mut events = vec![normal[0]];
                events.extend(pairs.map(|(n, e)| normal[n].mixed(ectopic[e], share)));
                events
            }
            4 if draw.unit() < 0.7 => {
                let mut events = vec![self.spike.varied(draw, 0.1, 0.05, 0.002)];
                events.extend(ectopic.map(|e| Event { height: 0.8 * e.height, width: 1.1 * e.width, ..e }));
                events
            }
            4 => {
                // Unclassifiable: events that belong to no pattern.
                let event = |draw: &mut Draw| Event {
                    at: draw.between(-0.2, 0.3),
                    height: 0.6 * draw.normal(),
                    width: draw.between(0.012, 0.06),
                };
                (0..5).map(|_| event(draw)).collect()
            }
            _ => normal,
        }
    }
}

/// Runs the model over three beats with RK4 and returns the window around the middle one's R peak.
fn integrate(cycles: &[Cycle; 3], wander: f64, phase: f64) -> Vec<f64> {
    // From half a turn before the first R peak; each half turn takes half of the RR interval that it belongs to.
    let start = -(cycles[0].rr / 2.0 + cycles[1].rr);
    let window = -(PEAK as f64) / FREQUENCY;
    let step = 1.0 / FREQUENCY / SUBSTEPS as f64;
    let warm_up = ((window - start) / step).floor().max(0.0) as usize;
    let begin = window - warm_up as f64 * step;
    let events = placed(cycles);
    let baseline = |t: f64| wander * (TAU * (0.25 * t + phase)).sin();
    let mut state = [angle_at(begin, cycles).cos(), angle_at(begin, cycles).sin(), baseline(begin)];
    let mut signal = Vec::with_capacity(LENGTH);
    for k in 0.. {
        if k >= warm_up && (k - warm_up).is_multiple_of(SUBSTEPS) {
            signal.push(state[2]);
            if signal.len() == LENGTH {
                break;
            }
        }
        let t = begin + k as f64 * step;
        state = runge_kutta(state, t, step, |s, t| derivative(s, t, cycles, &events, baseline(t)));
    }
    signal
}

/// The times of the three R peaks; 0 is the middle one's.
fn peaks(cycles: &[Cycle; 3]) -> [f64; 3] {
    [-cycles[1].rr, 0.0, cycles[2].rr]
}

/// The events of all beats, each at its time from the middle R peak.
fn placed(cycles: &[Cycle; 3]) -> Vec<Event> {
    let beats = cycles.iter().zip(peaks(cycles));
    beats
        .flat_map(|(cycle, peak)| cycle.events.iter().map(move |e| Event { at: peak + e.at, ..*e }))
        .collect()
}

/// The beat that time `t` (0 at the middle R peak) belongs to, and the speed of its half turn.
fn turn_at(t: f64, cycles: &[Cycle; 3]) -> (usize, f64) {
    let [before, middle, after] = [cycles[0].rr, cycles[1].rr, cycles[2].rr];
    match t {
        t if t < -middle => (0, TAU / before),
        t if t < -middle / 2.0 => (0, TAU / middle),
        t if t < 0.0 => (1, TAU / middle),
        t if t < after / 2.0 => (1, TAU / after),
        t if t < after => (2, TAU / after),
        _ => (2, TAU / after),
    }
}

/// The angle at time `t` on the limit cycle: 0 at each R peak.
fn angle_at(t: f64, cycles: &[Cycle; 3]) -> f64 {
    let (cycle, omega) = turn_at(t, cycles);
    omega * (t - peaks(cycles)[cycle])
}

/// Eq. 1: `x' = alpha x - omega y`, `y' = alpha y + omega x`, `z' = - sum a dtheta exp(-dtheta^2 / 2 b^2) - (z - z0)`,
/// with `alpha = 1 - sqrt(x^2 + y^2)`.
///
/// A bump of height h and width w seconds is, at the angular speed omega, `b = omega w` and `a = h / (omega w^2)`. Angles
/// are compared as the times at which the point passes them, since the halves of a turn differ in speed.
fn derivative(state: [f64; 3], t: f64, cycles: &[Cycle; 3], events: &[Event], z0: f64) -> [f64; 3] {
    let [x, y, z] = state;
    let (cycle, omega) = turn_at(t, cycles);
    let alpha = 1.0 - x.hypot(y);
    // The arctangent jumps half a turn from R; the limit cycle says on which side of the jump the point is.
    let expected = angle_at(t, cycles);
    let theta = y.atan2(x);
    let theta = theta + TAU * ((expected - theta) / TAU).round();
    let passed = peaks(cycles)[cycle] + theta / omega;
    let mut push = 0.0;
    for event in events {
        let (delta, b) = (omega * (passed - event.at), omega * event.width);
        if delta.abs() < 6.0 * b {
            let a = event.height / (omega * event.width * event.width);
            push += a * delta * (-delta * delta / (2.0 * b * b)).exp();
        }
    }
    [alpha * x - omega * y, alpha * y + omega * x, -push - (z - z0)]
}

fn runge_kutta(s: [f64; 3], t: f64, h: f64, f: impl Fn([f64; 3], f64) -> [f64; 3]) -> [f64; 3] {
    let ahead = |k: [f64; 3], by: f64| [s[0] + by * k[0], s[1] + by * k[1], s[2] + by * k[2]];
    let k1 = f(s, t);
    let k2 = f(ahead(k1, h / 2.0), t + h / 2.0);
    let k3 = f(ahead(k2, h / 2.0), t + h / 2.0);
    let k4 = f(ahead(k3, h), t + h);
    std::array::from_fn(|i| s[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn one_bump_has_its_height_and_its_place() {
        let none = Cycle { events: vec![], rr: 0.8 };
        let one = Cycle { events: vec![Event { at: 0.0, height: 1.0, width: 0.02 }], rr: 0.7 };
        let signal = integrate(&[none.clone(), one, none], 0.0, 0.0);
        let peak = (0..LENGTH).max_by(|&a, &b| signal[a].total_cmp(&signal[b])).unwrap();
        assert!(peak.abs_diff(PEAK) <= 1, "{peak}");
        // The pull to the baseline (time constant 1 s) takes off about the bump's width, 0.02 to 0.05 s, of 1.
        assert!((signal[peak] - 1.0).abs() < 0.05, "{}", signal[peak]);
        assert!(signal[PEAK - 40].abs() < 0.02 && signal[PEAK + 40].abs() < 0.06);
    }

    #[test]
    fn rk4_keeps_to_the_circle_and_to_its_time() {
        let cycle = Cycle { events: vec![], rr: 0.9 };
        let cycles = [cycle.clone(), cycle.clone(), cycle];
        let step = 1.0 / FREQUENCY / SUBSTEPS as f64;
        let mut state = [(-PI / 2.0).cos(), (-PI / 2.0).sin(), 0.0];
        let quarter = 0.9 / 4.0;
        let steps = (quarter / step).round() as usize;
        for k in 0..steps {
            state = runge_kutta(state, -quarter + k as f64 * step, step, |s, t| {
                derivative(s, t, &cycles, &[], 0.0)
            });
        }
        assert!((state[0] - 1.0).abs() < 1e-6 && state[1].abs() < 1e-6, "{state:?}");
    }

    #[test]
    fn patients_are_distinct_and_values_repeat() {
        let val = generate("val", SEED).unwrap();
        assert_eq!(val.len(), PATIENTS[1] * BEATS);
        assert_eq!(val.values, generate("val", SEED).unwrap().values);
        assert_ne!(val.values, generate("val", 1).unwrap().values);
        let test = generate("test", SEED).unwrap();
        let groups = test.group.as_ref().unwrap();
        assert!(val.group.as_ref().unwrap().iter().all(|group| !groups.contains(group)));
        assert!(val.synthetic && val.check().is_ok() && test.check().is_ok());
        assert!(generate("tset", SEED).is_err());
        let Labels::Class(labels) = &test.labels else { panic!() };
        for class in 0..5 {
            assert!(labels.iter().filter(|&&l| l == class).count() >= 40, "class {class}");
        }
    }
}
