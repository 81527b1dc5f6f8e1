//! Gradient matching: clean-labelled samples whose training gradient points where the wrong diagnosis of one patient would.

use super::reach::Reach;
use super::selection::{shuffled, stream, take, wanted_class};
use super::{Gradients, Needs, Order, Poisoned, Poisoning, Victim, patient_of, surrogate};
use crate::attacks::chosen::{real, whole};
use crate::attacks::columns::entry;
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::data::Dataset;
use crate::{Error, Result};

/// Gradient matching ("witches' brew").
pub static GRADIENT_MATCHING: Poisoning = Poisoning {
    name: "gradient-matching",
    aliases: &["witches-brew"],
    summary: "Samples of the wanted class changed so that learning them teaches one patient's wrong class, labels unchanged.",
    paper: "Geiping et al. 2021, Witches' brew: industrial scale data poisoning via gradient matching (arXiv 2009.02276), equation 3 and \
            algorithm 1, without its data augmentation",
    knowledge: Knowledge::GreyBox,
    needs: Needs::Gradients,
    revision: 1,
    parameters: &[
        surrogate::parameter("own"),
        Parameter {
            name: "steps",
            doc: "Signed Adam steps.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(250),
        },
        Parameter {
            name: "step_length",
            doc: "Length of the first steps as a share of the magnitude; a tenth of it after 3/8, 5/8 and 7/8 of the steps each.",
            kind: Kind::Real(1e-9, 10.0),
            default: Value::Real(0.1),
        },
        Parameter {
            name: "restarts",
            doc: "Independent random starts, of which the best match is kept.",
            kind: Kind::Whole(1, 1000),
            default: Value::Whole(1),
        },
        Parameter {
            name: "difference",
            doc: "Length of the shift of the parameters, as a share of their own length, over which input gradients are differenced.",
            kind: Kind::Real(1e-6, 0.1),
            default: Value::Real(1e-3),
        },
    ],
    magnitude: Some("Largest change of a value, in the domain's scaled units."),
    most: 1e9,
    candidates: wanted_class,
    craft,
};

/// Bases are drawn uniformly from the class that the patient shall be given.
fn craft(victim: &mut Victim, order: &Order) -> Result<Poisoned> {
    let train = victim.train;
    let patient = patient_of(train, "gradient-matching", &order.aim)?;
    let Some(gradients) = victim.gradients.as_mut() else {
        return Err(Error::input(
            &train.name,
            "gradient-matching",
            "no surrogate",
            "a surrogate's gradients",
        ));
    };
    let bases = shuffled(train, wanted_class(train, order)?, order.seed);
    let bases = take(train, GRADIENT_MATCHING.name, bases, order.rate)?;
    if bases.is_empty() {
        return Ok(Poisoned::new(train, Default::default(), Default::default()));
    }
    let wanted = (gradients.to_parameters)(patient.values, &[patient.wanted])?;
    let mut best: Option<(f64, Vec<f32>)> = None;
    for restart in 0..whole(order.get, "restarts") {
        let found = brew(train, gradients, &bases, &wanted, patient.wanted, order, restart)?;
        if best.as_ref().is_none_or(|(cosine, _)| found.0 > *cosine) {
            best = Some(found);
        }
    }
    let poisons = best.map(|(_, poisons)| poisons).unwrap_or_default();
    let values =
        bases.into_iter().zip(poisons.chunks_exact(train.sample_len()).map(<[f32]>::to_vec)).collect();
    Ok(Poisoned::new(train, Default::default(), values))
}

/// One run: the best match on its way and its poisons `[bases, sample_len]`.
fn brew(
    train: &Dataset,
    gradients: &mut Gradients,
    bases: &[usize],
    wanted: &[f32],
    label: u32,
    order: &Order,
    restart: u64,
) -> Result<(f64, Vec<f32>)> {
    let len = train.sample_len();
    let reaches: Vec<Reach> =
        bases.iter().map(|&base| Reach::new(train, train.sample(base), order.magnitude)).collect();
    let labels = vec![label; bases.len()];
    let scale = |at: usize| f64::from(entry(&train.domain.scale, at % len));
    let purpose = format!("gradient matching {restart}");
    let mut poisons: Vec<f32> = Vec::with_capacity(bases.len() * len);
    for (&base, reach) in bases.iter().zip(&reaches) {
        let mut stream = stream(train, order.seed, &purpose, base);
        poisons.extend(train.sample(base).iter().enumerate().map(|(i, &value)| {
            reach.clamp(i, f64::from(value) + order.magnitude * scale(i) * f64::from(stream.signed()))
        }));
    }
    let steps = whole(order.get, "steps");
    let (first, difference) =
        (real(order.get, "step_length") * order.magnitude, real(order.get, "difference"));
    let mut adam = Adam::new(poisons.len());
    let mut best = (f64::NEG_INFINITY, Vec::new());
    for step in 0..steps {
        let (cosine, gradient) = match_gradient(gradients, wanted, &poisons, &labels, difference)?;
        if cosine > best.0 {
            best = (cosine, poisons.clone());
        }
        let length = first * decay(step, steps);
        let directions = adam.directions(gradient.iter().map(|g| if *g == 0.0 { 0.0 } else { g.signum() }));
        for (at, direction) in directions.enumerate() {
            let moved = f64::from(poisons[at]) + length * scale(at) * direction;
            poisons[at] = reaches[at / len].clamp(at % len, moved);
        }
    }
    let last = cosine(wanted, &(gradients.to_parameters)(&poisons, &labels)?);
    Ok(if last > best.0 || best.1.is_empty() { (last, poisons) } else { best })
}

/// A tenth after 3/8, 5/8 and 7/8 of the steps each, as the paper does.
fn decay(step: u64, steps: u64) -> f64 {
    let passed = [3, 5, 7].into_iter().filter(|eighths| 8 * step >= eighths * steps).count();
    0.1f64.powi(passed as i32)
}

/// The cosine between `wanted` and the gradient of the samples' mean loss to the parameters, and the cosine's gradient to the samples'
/// values, `[n, sample_len]`.
///
/// With g the mean loss's gradient and v the cosine's derivative to g, the cosine's derivative to a sample is that of v . g, which is the
/// change of the sample's input gradient along v in parameter space: a central difference over shifts of `difference` times the
/// parameters' own length, over the number of samples. Where a gradient vanishes the cosine is 0 and so is its derivative.
///
/// # Errors
/// What the surrogate's functions report.
pub fn match_gradient(
    gradients: &mut Gradients,
    wanted: &[f32],
    samples: &[f32],
    labels: &[u32],
    difference: f64,
) -> Result<(f64, Vec<f64>)> {
    let own = (gradients.to_parameters)(samples, labels)?;
    let (cosine, wanted_length, own_length) = (cosine(wanted, &own), length(wanted), length(&own));
    let along: Vec<f64> = wanted
        .iter()
        .zip(&own)
        .map(|(w, g)| (f64::from(*w) / wanted_length - cosine * f64::from(*g) / own_length) / own_length)
        .collect();
    let along_length = along.iter().map(|v| v * v).sum::<f64>().sqrt();
    if !(along_length.is_finite() && along_length > 0.0) {
        return Ok((cosine, vec![0.0; samples.len()]));
    }
    let shift = difference * gradients.parameter_length.max(f64::from(f32::MIN_POSITIVE)) / along_length;
    let mut at = |sign: f64| {
        let shifted: Vec<f32> = along.iter().map(|v| (sign * shift * v) as f32).collect();
        (gradients.to_inputs)(samples, labels, &shifted)
    };
    let (ahead, behind) = (at(1.0)?, at(-1.0)?);
    let per_sample = 1.0 / labels.len() as f64;
    let slope = |(a, b): (&f32, &f32)| per_sample * (f64::from(*a) - f64::from(*b)) / (2.0 * shift);
    Ok((cosine, ahead.iter().zip(&behind).map(slope).collect()))
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// The cosine of the angle between two vectors; 0 where one vanishes.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    let lengths = length(a) * length(b);
    if lengths > 0.0 { product / lengths } else { 0.0 }
}

/// Adam's direction (Kingma & Ba 2015, algorithm 1, its own constants).
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(n: usize) -> Self {
        Self { first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    fn directions(&mut self, gradient: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
        self.steps += 1;
        let (c1, c2) = (1.0 - 0.9f64.powi(self.steps), 1.0 - 0.999f64.powi(self.steps));
        self.first.iter_mut().zip(&mut self.second).zip(gradient).map(move |((m, v), g)| {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            (*m / c1) / ((*v / c2).sqrt() + 1e-8)
        })
    }
}
