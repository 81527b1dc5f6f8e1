//! Feature collision: clean-labelled samples of one class that look like a patient to the model, and like themselves to a doctor.

use super::reach::Reach;
use super::selection::{shuffled, take, wanted_class};
use super::{Features, Needs, Order, Poisoned, Poisoning, Victim, patient_of, surrogate};
use crate::attacks::chosen::{real, whole};
use crate::attacks::columns::entry;
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::data::Dataset;
use crate::{Error, Result};

/// Feature collision ("poison frogs").
pub static FEATURE_COLLISION: Poisoning = Poisoning {
    name: "feature-collision",
    aliases: &["poison-frogs"],
    summary: "Samples of the wanted class moved next to a patient in feature space, labels unchanged.",
    paper: "Shafahi et al. 2018, Poison frogs! Targeted clean-label poisoning attacks on neural networks (arXiv 1804.00792), equation 1 \
            and algorithm 1",
    knowledge: Knowledge::WhiteBox,
    needs: Needs::Features,
    revision: 1,
    parameters: &[
        surrogate::parameter("twin"),
        Parameter {
            name: "beta",
            doc: "How much a poison's likeness to the sample it was made of counts against the collision; times (features / values of a \
                  sample)^2, as in the paper.",
            kind: Kind::Real(0.0, 1e9),
            default: Value::Real(0.25),
        },
        Parameter {
            name: "steps",
            doc: "Forward-backward steps.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(200),
        },
        Parameter {
            name: "step_length",
            doc: "The first forward step's factor of the gradient in the domain's scaled units; it grows by half after a step that helped \
                  and halves after one that did not, which is then taken back.",
            kind: Kind::Real(1e-12, 1e12),
            default: Value::Real(0.01),
        },
    ],
    magnitude: Some(
        "Largest change of a value, in the domain's scaled units; infinite: only beta and the data's bounds hold it, as in the paper.",
    ),
    most: f64::INFINITY,
    candidates: wanted_class,
    craft,
};

/// Bases are drawn uniformly from the class that the patient shall be given.
fn craft(victim: &mut Victim, order: &Order) -> Result<Poisoned> {
    let train = victim.train;
    let patient = patient_of(train, "feature-collision", &order.aim)?;
    let Some(features) = victim.features.as_mut() else {
        return Err(Error::input(&train.name, "feature-collision", "no surrogate", "a surrogate's features"));
    };
    let bases = shuffled(train, wanted_class(train, order)?, order.seed);
    let bases = take(train, FEATURE_COLLISION.name, bases, order.rate)?;
    let goal = (features.of)(patient.values)?;
    let ratio = features.dimensions as f64 / train.sample_len() as f64;
    let settings = Settings {
        beta: real(order.get, "beta") * ratio * ratio,
        steps: whole(order.get, "steps"),
        step_length: real(order.get, "step_length"),
        magnitude: order.magnitude,
    };
    let poisons = collide(train, features, &bases, &goal, &settings)?;
    let values = bases.into_iter().zip(poisons).collect();
    Ok(Poisoned::new(train, Default::default(), values))
}

/// How poisons are moved.
struct Settings {
    beta: f64,
    steps: u64,
    step_length: f64,
    magnitude: f64,
}

/// A poison under way; lengths are in scaled units.
struct Poison {
    values: Vec<f32>,
    gradient: Vec<f32>,
    objective: f64,
    step: f64,
}

/// Minimises |f(x) - goal|^2 + beta |x - base|^2 over each base's box. No poison depends on another.
fn collide(
    train: &Dataset,
    features: &mut Features,
    bases: &[usize],
    goal: &[f32],
    settings: &Settings,
) -> Result<Vec<Vec<f32>>> {
    let reaches: Vec<Reach> =
        bases.iter().map(|&base| Reach::new(train, train.sample(base), settings.magnitude)).collect();
    let start: Vec<Vec<f32>> = bases.iter().map(|&base| train.sample(base).to_vec()).collect();
    let judged = judge(train, features, bases, &start, goal, settings.beta)?;
    let mut poisons: Vec<Poison> = start
        .into_iter()
        .zip(judged)
        .map(|(values, (objective, gradient))| Poison {
            values,
            gradient,
            objective,
            step: settings.step_length,
        })
        .collect();
    for _ in 0..settings.steps {
        let candidates: Vec<Vec<f32>> = poisons
            .iter()
            .zip(bases)
            .zip(&reaches)
            .map(|((poison, &base), reach)| advance(train, poison, train.sample(base), reach, settings.beta))
            .collect();
        let judged = judge(train, features, bases, &candidates, goal, settings.beta)?;
        for ((poison, values), (objective, gradient)) in poisons.iter_mut().zip(candidates).zip(judged) {
            if objective <= poison.objective {
                *poison = Poison { values, gradient, objective, step: poison.step * 1.5 };
            } else {
                poison.step *= 0.5;
            }
        }
    }
    Ok(poisons.into_iter().map(|poison| poison.values).collect())
}

/// A gradient step towards the goal, then the proximal step towards the base (exact for equation 1, whose factor 2 the paper's listing
/// leaves to beta), cut to the box: with a box, the separable quadratic's proximal point is the cut one.
fn advance(train: &Dataset, poison: &Poison, base: &[f32], reach: &Reach, beta: f64) -> Vec<f32> {
    let pull = 2.0 * poison.step * beta;
    let one = |i: usize| {
        let scale = f64::from(entry(&train.domain.scale, i));
        let forward =
            f64::from(poison.values[i]) - poison.step * scale * scale * f64::from(poison.gradient[i]);
        reach.clamp(i, (forward + pull * f64::from(base[i])) / (1.0 + pull))
    };
    (0..base.len()).map(one).collect()
}

/// The objective and the gradient of the collision, for each poison.
fn judge(
    train: &Dataset,
    features: &mut Features,
    bases: &[usize],
    poisons: &[Vec<f32>],
    goal: &[f32],
    beta: f64,
) -> Result<Vec<(f64, Vec<f32>)>> {
    let found = (features.approach)(&poisons.concat(), goal)?;
    let rows = found.gradient.chunks_exact(train.sample_len());
    let moved = |at: usize| -> f64 {
        let pairs = poisons[at].iter().zip(train.sample(bases[at])).enumerate();
        let scaled = |(i, (x, b)): (usize, (&f32, &f32))| {
            (f64::from(*x) - f64::from(*b)) / f64::from(entry(&train.domain.scale, i))
        };
        pairs.map(|pair| scaled(pair).powi(2)).sum()
    };
    let one = |(at, gradient): (usize, &[f32])| {
        (f64::from(found.distance[at]) + beta * moved(at), gradient.to_vec())
    };
    Ok(rows.enumerate().map(one).collect())
}
