//! Poisons that are crafted against a surrogate: a small network in f64, whose gradients are written out.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::Value;
use percuss::attacks::poisoning::gradient_matching::match_gradient;
use percuss::attacks::poisoning::{Aim, Approach, Features, Gradients, Patient, Poisoned, Victim};
use percuss::data::{Dataset, Domain, Labels};
use support::poisoning::{Try, labels, poison_with};
use support::{dataset, signed};

/// A softmax regression with a smooth hidden layer, in f64: z = V tanh(W x).
struct Net {
    inputs: usize,
    hidden: usize,
    classes: usize,
    parameters: Vec<f64>,
}

impl Net {
    fn new(inputs: usize, hidden: usize, classes: usize) -> Self {
        let n = hidden * inputs + classes * hidden;
        let parameters = signed("poisoning.net", n, 0.7).into_iter().map(f64::from).collect();
        Self { inputs, hidden, classes, parameters }
    }

    fn shifted(&self, shift: &[f32]) -> Self {
        let parameters = self.parameters.iter().zip(shift).map(|(p, s)| p + f64::from(*s)).collect();
        Self { parameters, ..*self }
    }

    fn features(&self, x: &[f64]) -> Vec<f64> {
        let row = |j: usize| &self.parameters[j * self.inputs..][..self.inputs];
        (0..self.hidden).map(|j| row(j).iter().zip(x).map(|(w, x)| w * x).sum::<f64>().tanh()).collect()
    }

    /// Gradients of a sample's cross-entropy to the parameters and to the input.
    fn gradients(&self, x: &[f64], label: u32) -> (Vec<f64>, Vec<f64>) {
        let h = self.features(x);
        let v = &self.parameters[self.hidden * self.inputs..];
        let z: Vec<f64> = (0..self.classes)
            .map(|k| (0..self.hidden).map(|j| v[k * self.hidden + j] * h[j]).sum())
            .collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let dz: Vec<f64> = z
            .iter()
            .enumerate()
            .map(|(k, z)| z.exp() / total - f64::from(u8::from(k == label as usize)))
            .collect();
        let dh: Vec<f64> = (0..self.hidden)
            .map(|j| {
                (0..self.classes).map(|k| dz[k] * v[k * self.hidden + j]).sum::<f64>() * (1.0 - h[j] * h[j])
            })
            .collect();
        let mut parameters: Vec<f64> = dh.iter().flat_map(|d| x.iter().map(move |x| d * x)).collect();
        parameters.extend(dz.iter().flat_map(|d| h.iter().map(move |h| d * h)));
        let inputs = (0..self.inputs)
            .map(|i| (0..self.hidden).map(|j| dh[j] * self.parameters[j * self.inputs + i]).sum())
            .collect();
        (parameters, inputs)
    }

    fn mean_gradient(&self, samples: &[f32], labels: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.parameters.len()];
        for (x, &label) in samples.chunks_exact(self.inputs).zip(labels) {
            let (own, _) = self.gradients(&wide(x), label);
            sum.iter_mut().zip(own).for_each(|(sum, g)| *sum += g / labels.len() as f64);
        }
        narrow(&sum)
    }

    fn length(&self) -> f64 {
        self.parameters.iter().map(|p| p * p).sum::<f64>().sqrt()
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|x| *x as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| wide(a).iter().zip(wide(b)).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn points() -> Dataset {
    let values = signed("poisoning.points", 100 * 6, 1.0);
    let domain = Domain {
        scale: vec![1.0, 1.0, 2.0, 1.0, 1.0, 1.0],
        immutable: vec![false, false, false, false, false, true],
        ..Domain::uniform(-1.5, 1.5)
    };
    dataset(vec![6], values, Labels::Class((0..100).map(|i| i % 3).collect()), 3, domain)
}

const PATIENT: [f32; 6] = [0.9, -0.7, 0.8, 0.1, -0.5, 0.3];

#[test]
fn the_matching_gradient_is_the_slope_of_the_cosine() {
    let net = Net::new(6, 5, 3);
    let wanted = net.mean_gradient(&PATIENT, &[1]);
    let samples = signed("poisoning.match", 4 * 6, 1.0);
    let labels = [1; 4];
    let found = with_gradients(&net, |gradients| {
        match_gradient(gradients, &wanted, &samples, &labels, 1e-3).unwrap()
    });
    assert!((found.0 - cosine(&wanted, &net.mean_gradient(&samples, &labels))).abs() < 1e-12);
    let largest = found.1.iter().fold(0f64, |most, g| most.max(g.abs()));
    for at in 0..samples.len() {
        let moved = |by: f32| {
            let mut samples = samples.clone();
            samples[at] += by;
            (cosine(&wanted, &net.mean_gradient(&samples, &labels)), f64::from(samples[at]))
        };
        let ((up, x1), (down, x0)) = (moved(1e-2), moved(-1e-2));
        // Curvature over 1e-2 and f32 gradients: about 1e-4 relative each, with a margin of ten.
        assert!(((up - down) / (x1 - x0) - found.1[at]).abs() < 2e-3 * largest, "{at}");
    }
}

fn with_gradients<T>(net: &Net, then: impl FnOnce(&mut Gradients) -> T) -> T {
    let mut to_parameters = |samples: &[f32], labels: &[u32]| Ok(net.mean_gradient(samples, labels));
    let mut to_inputs = |samples: &[f32], labels: &[u32], shift: &[f32]| {
        let net = net.shifted(shift);
        let rows = samples.chunks_exact(net.inputs).zip(labels);
        Ok(rows.flat_map(|(x, &label)| narrow(&net.gradients(&wide(x), label).1)).collect())
    };
    let mut gradients = Gradients {
        parameter_length: net.length(),
        to_parameters: &mut to_parameters,
        to_inputs: &mut to_inputs,
    };
    then(&mut gradients)
}

/// Everything that a crafted poison owes: its class, its label, its budget, its immutable feature.
fn check_crafted(data: &Dataset, found: &Poisoned, magnitude: f64, wanted: usize) {
    assert_eq!(found.changed.len(), wanted);
    assert!(found.lesson.labels.is_empty());
    for (&position, values) in &found.lesson.values {
        assert_eq!(labels(data)[position], 1);
        for (i, (x, x0)) in values.iter().zip(data.sample(position)).enumerate() {
            let moved = (f64::from(*x) - f64::from(*x0)).abs() / f64::from(data.domain.scale[i]);
            assert!(moved <= magnitude && x.abs() <= 1.5);
            assert!(i != 5 || x == x0);
        }
    }
}

#[test]
fn matched_gradients_point_where_the_patient_points_within_the_budget() {
    let (data, net) = (points(), Net::new(6, 5, 3));
    let wanted = net.mean_gradient(&PATIENT, &[1]);
    let tried = |rate| Try {
        name: "gradient-matching",
        rate,
        magnitude: 0.4,
        aim: Aim::Patient(Patient { values: &PATIENT, label: 0, wanted: 1 }),
        set: &[("steps", Value::Whole(80))],
        ..Try::default()
    };
    let run = |rate| {
        let mut to_parameters = |samples: &[f32], labels: &[u32]| Ok(net.mean_gradient(samples, labels));
        let mut to_inputs = |samples: &[f32], labels: &[u32], shift: &[f32]| {
            let net = net.shifted(shift);
            let rows = samples.chunks_exact(net.inputs).zip(labels);
            Ok(rows.flat_map(|(x, &label)| narrow(&net.gradients(&wide(x), label).1)).collect())
        };
        let gradients = Gradients {
            parameter_length: net.length(),
            to_parameters: &mut to_parameters,
            to_inputs: &mut to_inputs,
        };
        let mut victim = Victim { gradients: Some(gradients), ..Victim::new(&data) };
        poison_with(&mut victim, &tried(rate)).unwrap()
    };
    let found = run(0.08);
    check_crafted(&data, &found, 0.4, 8);
    let gather = |clean: bool| -> Vec<f32> {
        let of = |p: &usize| if clean { data.sample(*p) } else { found.lesson.sample(&data, *p) };
        found.changed.iter().flat_map(|p| of(p).iter().copied()).collect()
    };
    let match_of = |samples: &[f32]| cosine(&wanted, &net.mean_gradient(samples, &[1; 8]));
    let (before, after) = (match_of(&gather(true)), match_of(&gather(false)));
    // Wherever it starts, at least half of what is missing to a perfect match is won.
    assert!(after > before + 0.5 * (1.0 - before), "{before} -> {after}");
    assert_eq!(found, run(0.08));
    assert!(run(0.04).changed.iter().all(|position| found.changed.contains(position)));
}

#[test]
fn colliding_features_come_near_the_patient_s_and_beta_holds_them_back() {
    let (data, net) = (points(), Net::new(6, 5, 3));
    let goal = net.features(&wide(&PATIENT));
    let distance =
        |x: &[f32]| -> f64 { net.features(&wide(x)).iter().zip(&goal).map(|(a, b)| (a - b).powi(2)).sum() };
    let run = |beta: f64, magnitude: f64| {
        let mut of =
            |x: &[f32]| Ok(x.chunks_exact(6).flat_map(|x| narrow(&net.features(&wide(x)))).collect());
        let mut approach = |x: &[f32], goal: &[f32]| {
            let mut found = Approach::default();
            for x in x.chunks_exact(6) {
                let f = net.features(&wide(x));
                let off: Vec<f64> = f.iter().zip(goal).map(|(f, g)| f - f64::from(*g)).collect();
                found.distance.push(off.iter().map(|o| o * o).sum::<f64>() as f32);
                found.gradient.extend((0..6).map(|i| {
                    let slope = |j: usize| 2.0 * off[j] * (1.0 - f[j] * f[j]) * net.parameters[j * 6 + i];
                    (0..5).map(slope).sum::<f64>() as f32
                }));
            }
            Ok(found)
        };
        let features = Features { dimensions: 5, of: &mut of, approach: &mut approach };
        let mut victim = Victim { features: Some(features), ..Victim::new(&data) };
        let set = &[("beta", Value::Real(beta))];
        let tried = Try {
            name: "feature-collision",
            rate: 0.07,
            magnitude,
            aim: Aim::Patient(Patient { values: &PATIENT, label: 0, wanted: 1 }),
            set,
            ..Try::default()
        };
        let found = poison_with(&mut victim, &tried).unwrap();
        check_crafted(&data, &found, magnitude, 7);
        let mean = |of: &dyn Fn(usize) -> f64| found.changed.iter().map(|&p| of(p)).sum::<f64>() / 7.0;
        let moved = |p: usize| {
            let pairs = found.lesson.sample(&data, p).iter().zip(data.sample(p));
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        let clean = mean(&|p| distance(data.sample(p)));
        (clean, mean(&|p| distance(found.lesson.sample(&data, p))), mean(&moved))
    };
    let (clean, free, far) = run(0.0, f64::INFINITY);
    assert!(free < 0.02 * clean, "{clean} -> {free}");
    let (_, held, near) = run(2.0, f64::INFINITY);
    assert!(free < held && held < clean && near < far, "{held} {near} {far}");
    let (_, boxed, _) = run(0.0, 0.2);
    assert!(free < boxed && boxed < clean);
}
