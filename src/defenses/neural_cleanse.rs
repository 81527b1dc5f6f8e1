//! Neural Cleanse: a class that a small trigger leads to has one; it is found by reverse engineering the smallest for every class.

use super::{About, AttractionOf, CLEAN, Detector, Evidence, Findings};
use crate::attacks::chosen::{real, whole};
use crate::attacks::columns::{entry, is_immutable};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::data::Domain;
use crate::statistics::median;
use crate::{Error, Result};

/// The constant that makes the median absolute deviation of normal numbers their standard deviation.
const CONSISTENCY: f64 = 1.4826;
/// Above this anomaly index the paper calls a class backdoored.
const BACKDOORED: f64 = 2.0;
/// Steps in a row at which the share of hits is enough (or not) before the weight of the mask's size moves.
const PATIENCE: u64 = 5;
/// By what the weight moves, up and (to the power 1.5) down.
const FACTOR: f64 = 1.5;

/// Neural Cleanse.
pub static NEURAL_CLEANSE: Detector = Detector {
    name: "neural-cleanse",
    aliases: &["cleanse"],
    summary: "The smallest trigger that leads to each class; a class whose trigger is far smaller than the others' is suspicious.",
    paper: "Wang et al. 2019, Neural Cleanse: identifying and mitigating backdoor attacks in neural networks (IEEE Symposium on Security \
            and Privacy), section IV",
    needs: "the model's input gradients, and some clean samples",
    revision: 1,
    parameters: &[
        CLEAN,
        Parameter {
            name: "steps",
            doc: "Adam steps for each class.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(300),
        },
        Parameter {
            name: "step_length",
            doc: "Adam's learning rate.",
            kind: Kind::Real(1e-6, 10.0),
            default: Value::Real(0.1),
        },
        Parameter {
            name: "weight",
            doc: "First weight of the mask's size against the loss; it then follows the share of hits.",
            kind: Kind::Real(0.0, 1e6),
            default: Value::Real(1e-3),
        },
        Parameter {
            name: "hits",
            doc: "Share of the clean samples that a trigger has to lead to its class.",
            kind: Kind::Real(0.0, 1.0),
            default: Value::Real(0.99),
        },
    ],
    about: About::Class { above: BACKDOORED },
    suspect,
};

fn suspect(evidence: &mut Evidence, get: Chosen) -> Result<Findings> {
    let Some(attraction) = evidence.attraction.as_mut() else {
        return Err(Error::input(
            "detector",
            "neural-cleanse",
            "no gradients",
            "a function from samples to gradients",
        ));
    };
    let settings = Settings {
        steps: whole(get, "steps"),
        step_length: real(get, "step_length"),
        weight: real(get, "weight"),
        hits: real(get, "hits"),
    };
    let found: Result<Vec<Reversed>> = (0..evidence.classes as u32)
        .map(|class| {
            reverse_engineer(evidence.clean, evidence.shape, evidence.domain, class, &settings, attraction)
        })
        .collect();
    let found = found?;
    let sizes: Vec<f64> = found.iter().map(Reversed::size).collect();
    let suspicions = anomaly_indices(&sizes);
    // An index is infinite where the other sizes do not differ at all.
    let indices = suspicions.iter().map(|index| Some(*index).filter(|index| index.is_finite())).collect();
    let classes = vec![
        ("anomaly_index", indices),
        ("reversed_size", sizes.into_iter().map(Some).collect()),
        ("reversed_hits", found.iter().map(|reversed| Some(reversed.hits)).collect()),
    ];
    Ok(Findings { suspicions, classes })
}

/// How a trigger is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Adam steps.
    pub steps: u64,
    /// Adam's learning rate.
    pub step_length: f64,
    /// First weight of the mask's size.
    pub weight: f64,
    /// Share of samples that must be led to the class.
    pub hits: f64,
}

/// A reverse-engineered trigger: `(1 - mask) x + mask pattern`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reversed {
    /// How much of each place is the trigger's, 0 to 1: `[height * width]` (all channels alike), or `[features]`.
    pub mask: Vec<f64>,
    /// The trigger's values in the data's units, `[sample_len]`.
    pub pattern: Vec<f64>,
    /// Share of the samples that it leads to the class.
    pub hits: f64,
}

impl Reversed {
    /// The mask's l1 size, by which classes are compared.
    pub fn size(&self) -> f64 {
        self.mask.iter().sum()
    }
}

/// The smallest trigger found for `class` that leads the wanted share of `clean` samples to it; where none did, that with the most hits.
///
/// Mask and pattern are `(tanh + 1) / 2` of free numbers (the pattern between the data's bounds). Mean loss + weight * |mask| is descended
/// by Adam (0.5, 0.9); the weight grows while hits are enough and falls while they are not (equation 3 and what follows). It starts from
/// a mask of 1/2 and a pattern in the middle of the bounds; immutable features are never part of a mask.
///
/// # Errors
/// No clean sample, and what `attraction` reports.
pub fn reverse_engineer(
    clean: &[&[f32]],
    shape: &[usize],
    domain: &Domain,
    class: u32,
    settings: &Settings,
    attraction: &mut AttractionOf,
) -> Result<Reversed> {
    let len: usize = shape.iter().product();
    if clean.is_empty() || clean.iter().any(|sample| sample.len() != len) {
        let found = format!("{} samples", clean.len());
        let expected = format!("at least one clean sample, each of {len} values");
        return Err(Error::input("detector", "neural-cleanse", found, expected));
    }
    let channels = if shape.len() == 1 { 1 } else { shape[shape.len() - 1] };
    let mut search = Search::new(len, channels, domain);
    let mut adam = Adam::new(len / channels + len);
    let mut weight = Weight { value: settings.weight, first: settings.weight, enough: 0, lacking: 0 };
    let mut best: Option<Reversed> = None;
    for _ in 0..=settings.steps {
        let now = search.trigger();
        let stamped: Vec<Vec<f32>> = clean.iter().map(|sample| search.stamp(&now, sample)).collect();
        let found = attraction(&stamped, class)?;
        let hits = found.hit.iter().filter(|hit| **hit).count() as f64 / clean.len() as f64;
        let now = Reversed { hits, ..now };
        if best.as_ref().is_none_or(|best| is_better(&now, best, settings.hits)) {
            best = Some(now.clone());
        }
        let gradient = search.gradient(&now, clean, &found.gradient, weight.value);
        adam.step(&mut search.free, &gradient, settings.step_length);
        weight.follow(hits >= settings.hits);
    }
    best.ok_or_else(|| Error::Failed("no trigger was tried".into()))
}

/// Smaller where both lead enough samples, else more hits.
fn is_better(new: &Reversed, old: &Reversed, wanted: f64) -> bool {
    match (new.hits >= wanted, old.hits >= wanted) {
        (true, true) => new.size() < old.size(),
        (new_enough, old_enough) => new_enough || (!old_enough && new.hits > old.hits),
    }
}

/// The weight of the mask's size.
struct Weight {
    value: f64,
    first: f64,
    enough: u64,
    lacking: u64,
}

impl Weight {
    fn follow(&mut self, enough: bool) {
        (self.enough, self.lacking) = if enough { (self.enough + 1, 0) } else { (0, self.lacking + 1) };
        if self.enough >= PATIENCE {
            // From 0, to which it may have fallen, it starts anew.
            self.value = if self.value > 0.0 { self.value * FACTOR } else { self.first };
            self.enough = 0;
        } else if self.lacking >= PATIENCE {
            self.value /= FACTOR.powf(1.5);
            self.lacking = 0;
        }
    }
}

/// The free numbers: masks first, then patterns.
struct Search {
    free: Vec<f64>,
    places: usize,
    channels: usize,
    low: Vec<f64>,
    span: Vec<f64>,
    movable: Vec<bool>,
}

impl Search {
    fn new(len: usize, channels: usize, domain: &Domain) -> Self {
        let bound = |of: &[f32]| -> Vec<f64> { (0..len).map(|i| f64::from(entry(of, i))).collect() };
        let (low, high) = (bound(&domain.low), bound(&domain.high));
        Self {
            free: vec![0.0; len / channels + len],
            places: len / channels,
            channels,
            span: low.iter().zip(&high).map(|(low, high)| high - low).collect(),
            low,
            movable: (0..len).map(|i| !is_immutable(domain, i)).collect(),
        }
    }

    fn trigger(&self) -> Reversed {
        let share = |x: &f64| (x.tanh() + 1.0) / 2.0;
        let (masks, patterns) = self.free.split_at(self.places);
        let in_reach = |place: usize| (0..self.channels).any(|c| self.movable[place * self.channels + c]);
        let mask = masks.iter().enumerate().map(|(p, x)| if in_reach(p) { share(x) } else { 0.0 }).collect();
        let bounds = self.low.iter().zip(&self.span);
        let pattern = patterns.iter().zip(bounds).map(|(x, (low, span))| low + span * share(x)).collect();
        Reversed { mask, pattern, hits: 0.0 }
    }

    fn stamp(&self, trigger: &Reversed, sample: &[f32]) -> Vec<f32> {
        let one = |(i, &x): (usize, &f32)| {
            if !self.movable[i] {
                return x;
            }
            let mask = trigger.mask[i / self.channels];
            ((1.0 - mask) * f64::from(x) + mask * trigger.pattern[i]) as f32
        };
        sample.iter().enumerate().map(one).collect()
    }

    /// The gradient of mean loss + weight * |mask| to the free numbers, from the samples' input gradients `[n, sample_len]`.
    fn gradient(&self, trigger: &Reversed, clean: &[&[f32]], inputs: &[f32], weight: f64) -> Vec<f64> {
        let len = self.low.len();
        let mut to_mask = vec![weight; self.places];
        let mut to_pattern = vec![0.0; len];
        for (sample, gradient) in clean.iter().zip(inputs.chunks_exact(len)) {
            for i in (0..len).filter(|&i| self.movable[i]) {
                let slope = f64::from(gradient[i]) / clean.len() as f64;
                to_mask[i / self.channels] += slope * (trigger.pattern[i] - f64::from(sample[i]));
                to_pattern[i] += slope * trigger.mask[i / self.channels] * self.span[i];
            }
        }
        let slopes = self.free.iter().map(|x| (1.0 - x.tanh().powi(2)) / 2.0);
        to_mask.into_iter().chain(to_pattern).zip(slopes).map(|(gradient, slope)| gradient * slope).collect()
    }
}

/// Adam (Kingma & Ba 2015) with the decays 0.5 and 0.9 that the paper's authors use.
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(n: usize) -> Self {
        Self { first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    fn step(&mut self, free: &mut [f64], gradient: &[f64], length: f64) {
        self.steps += 1;
        let (c1, c2) = (1.0 - 0.5f64.powi(self.steps), 1.0 - 0.9f64.powi(self.steps));
        for (at, g) in gradient.iter().enumerate() {
            self.first[at] = 0.5 * self.first[at] + 0.5 * g;
            self.second[at] = 0.9 * self.second[at] + 0.1 * g * g;
            free[at] -= length * (self.first[at] / c1) / ((self.second[at] / c2).sqrt() + 1e-8);
        }
    }
}

/// `(median - size) / (1.4826 * median absolute deviation)` of each class: above 2 the paper calls it backdoored. With two classes it is
/// always +-0.67 and says nothing; where the deviation is 0, so is the index of what lies at the median, and others are infinite.
pub fn anomaly_indices(sizes: &[f64]) -> Vec<f64> {
    let Some(middle) = median(sizes) else { return vec![0.0; sizes.len()] };
    let deviations: Vec<f64> = sizes.iter().map(|size| (size - middle).abs()).collect();
    let spread = CONSISTENCY * median(&deviations).unwrap_or(0.0);
    sizes.iter().map(|size| if *size == middle { 0.0 } else { (middle - size) / spread }).collect()
}
