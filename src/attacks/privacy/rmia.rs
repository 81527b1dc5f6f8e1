//! The robust membership inference attack: does training raise the candidate's probability more than it raises other samples'?

use super::evidence::{Answer, SOURCE};
use super::parameters::{MODE, QUERIES, real, whole, word};
use super::{Access, Answers, Asks, Evidence, MembershipAttack, Needs, need_shadows};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::{Error, Result};

/// RMIA, with the paper's settings as defaults.
///
/// The authors' current code takes `confidence = "softmax"`, `temperature = 1` and `gamma = 1`; its Taylor series for "order 4" ends at
/// the third power, which is `order = 3` here. A score is a share of the population, so that no finer difference than one over its size
/// is seen.
///
/// Queries vote (as in the authors' code): variant k of x is compared with variant k of z where z was asked under as many variants, else with z
/// as it is. Where the paper leaves freedom: most queries are strictly more than half; p(x) online is the mean of the means with and without
/// x, whatever their numbers; no shadow model has learnt from z, so that p(z) online is the mean over all of them.
pub static RMIA: MembershipAttack = MembershipAttack {
    name: "rmia",
    aliases: &["robust-mia"],
    summary: "The share of non-members z for which p(x | target) / p(x) > gamma p(z | target) / p(z).",
    paper: "Zarifzadeh, Liu & Shokri 2024, Low-cost high-power membership inference attacks (arXiv 2312.03262)",
    access: Access::Population,
    asks: Asks::Once,
    needs: |get| Needs {
        models: 1,
        with: usize::from(word(get("mode")) == "online"),
        without: 1,
        both: false,
    },
    revision: 2,
    parameters: &[
        MODE,
        QUERIES,
        Parameter {
            name: "gamma",
            doc: "How much larger the candidate's ratio must be.",
            kind: Kind::Real(1e-3, 1e3),
            default: Value::Real(2.0),
        },
        Parameter {
            name: "a",
            doc: "Offline only: p(x) = ((1 + a) p_out(x) + (1 - a)) / 2, which stands for the models that were trained on x.",
            kind: Kind::Real(0.0, 1.0),
            default: Value::Real(0.3),
        },
        Parameter {
            name: "confidence",
            doc: "What p is: the soft-margin Taylor softmax (Banerjee et al. 2020) or the plain softmax.",
            kind: Kind::Choice(&["taylor", "softmax"]),
            default: Value::Word("taylor"),
        },
        Parameter {
            name: "temperature",
            doc: "Logits are divided by it before either.",
            kind: Kind::Real(1e-3, 1e3),
            default: Value::Real(2.0),
        },
        Parameter {
            name: "margin",
            doc: "Taylor only: what the label's logit is lowered by.",
            kind: Kind::Real(0.0, 100.0),
            default: Value::Real(0.6),
        },
        Parameter {
            name: "order",
            doc: "Taylor only: highest power of the series; an odd order may fall below zero, which counts as the smallest positive number.",
            kind: Kind::Whole(1, 20),
            default: Value::Whole(4),
        },
    ],
    rule,
};

/// How the probability of the label is read from logits.
enum Confidence {
    Softmax { temperature: f64 },
    Taylor { temperature: f64, margin: f64, order: u64 },
}

fn rule(evidence: &Evidence, get: Chosen) -> Result<Vec<f64>> {
    need_shadows(evidence, RMIA.name)?;
    let population =
        evidence.population.filter(|population| !population.labels.is_empty()).ok_or_else(|| {
            Error::input(SOURCE, RMIA.name, "no population", "samples that no model was trained on")
        })?;
    let temperature = real(get("temperature"));
    let confidence = if word(get("confidence")) == "softmax" {
        Confidence::Softmax { temperature }
    } else {
        Confidence::Taylor { temperature, margin: real(get("margin")), order: whole(get("order")) }
    };
    let online = word(get("mode")) == "online";
    let a = if online { None } else { Some(real(get("a"))) };
    let queries = evidence.target.queries();
    // Where samples of the population were asked under as many variants, variants are compared with each other.
    let paired = population.target.queries() == queries
        && evidence
            .shadows
            .iter()
            .all(|shadow| shadow.population.as_ref().is_some_and(|answers| answers.queries() == queries));
    let asked = if paired { queries } else { 1 };
    let ratios_z: Vec<Vec<f64>> =
        (0..asked).map(|query| population_ratios(evidence, population, query, &confidence, a)).collect();
    let vote = Vote::new(ratios_z, real(get("gamma")));
    let score = |i: usize| Ok(vote.share(&candidate_ratios(evidence, i, &confidence, a)?));
    (0..evidence.labels.len()).map(score).collect()
}

/// `p(z | target) / p(z)` of one query of each sample of the population, which no shadow model was trained on.
fn population_ratios(
    evidence: &Evidence,
    population: super::Population,
    query: usize,
    confidence: &Confidence,
    a: Option<f64>,
) -> Vec<f64> {
    let known: Vec<&Answers> =
        evidence.shadows.iter().filter_map(|shadow| shadow.population.as_ref()).collect();
    let one = |(i, &label): (usize, &u32)| {
        let p = |answers: &Answers| confidence.of(answers.answer(i, query, label));
        let out = known.iter().map(|answers| p(answers)).sum::<f64>() / known.len() as f64;
        p(population.target) / a.map_or(out, |a| offline(out, a))
    };
    population.labels.iter().enumerate().map(one).collect()
}

/// `p(x | target) / p(x)` of each query of candidate `i`.
fn candidate_ratios(
    evidence: &Evidence,
    i: usize,
    confidence: &Confidence,
    a: Option<f64>,
) -> Result<Vec<f64>> {
    let label = evidence.labels[i];
    let mean = |query: usize, member: bool| {
        let side = evidence.shadows.iter().filter(|shadow| shadow.member[i] == member);
        let values = side.map(|shadow| confidence.of(shadow.candidates.answer(i, query, label)));
        let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
        if n == 0 {
            let with = if member { "with" } else { "without" };
            return Err(Error::input(
                SOURCE,
                RMIA.name,
                format!("no shadow model {with} candidate {i}"),
                "one or more",
            ));
        }
        Ok(sum / f64::from(n))
    };
    let ratio = |query: usize| -> Result<f64> {
        let out = mean(query, false)?;
        let expected = match a {
            Some(a) => offline(out, a),
            None => 0.5 * (out + mean(query, true)?),
        };
        Ok(confidence.of(evidence.target.answer(i, query, label)) / expected)
    };
    (0..evidence.target.queries()).map(ratio).collect()
}

/// Whether most queries of a candidate, strictly more than half, say that it is more than `gamma` times as far above expectation as a
/// sample of the population is.
enum Vote {
    /// Ratios of the population, ascending, times gamma: every query meets the same ones.
    Shared(Vec<f64>),
    /// The same for each query, in the population's order.
    Paired(Vec<Vec<f64>>),
}

impl Vote {
    /// From the ratios of the population, query by query.
    fn new(mut ratios: Vec<Vec<f64>>, gamma: f64) -> Self {
        ratios.iter_mut().flatten().for_each(|ratio| *ratio *= gamma);
        match <[Vec<f64>; 1]>::try_from(ratios) {
            Ok([mut one]) => {
                one.sort_by(f64::total_cmp);
                Self::Shared(one)
            }
            Err(ratios) => Self::Paired(ratios),
        }
    }

    /// The share of the population that a candidate beats, from its ratios query by query.
    fn share(&self, ratios: &[f64]) -> f64 {
        match self {
            Self::Shared(ratios_z) => {
                let mut falling = ratios.to_vec();
                falling.sort_by(|x, y| y.total_cmp(x));
                // What more than half of the queries reach.
                let decisive = falling[ratios.len() / 2];
                ratios_z.partition_point(|ratio_z| *ratio_z < decisive) as f64 / ratios_z.len() as f64
            }
            Self::Paired(ratios_z) => {
                let n = ratios_z[0].len();
                let most = |z: &usize| {
                    let for_it = ratios_z.iter().zip(ratios).filter(|(ratio_z, ratio)| ratio_z[*z] < **ratio);
                    2 * for_it.count() > ratios.len()
                };
                (0..n).filter(most).count() as f64 / n as f64
            }
        }
    }
}

/// The average over models with and without a sample, from those without alone.
fn offline(out: f64, a: f64) -> f64 {
    0.5 * ((1.0 + a) * out + (1.0 - a))
}

impl Confidence {
    /// The probability of the answer's label; positive.
    fn of(&self, answer: Answer) -> f64 {
        let p = match *self {
            Self::Softmax { temperature } => {
                let own = answer.logits[answer.label];
                1.0 / answer.logits.iter().map(|z| ((z - own) / temperature).exp()).sum::<f64>()
            }
            Self::Taylor { temperature, margin, order } => {
                let own = taylor(answer.logits[answer.label] / temperature - margin, order);
                let others = answer.logits.iter().enumerate().filter(|(class, _)| *class != answer.label);
                let rest: f64 = others.map(|(_, z)| taylor(z / temperature, order)).sum();
                own / (own + rest)
            }
        };
        p.max(f64::MIN_POSITIVE)
    }
}

/// The Taylor series of the exponential function up to a power, by Horner's rule.
fn taylor(x: f64, order: u64) -> f64 {
    (1..=order).rev().fold(1.0, |sum, power| 1.0 + x / power as f64 * sum)
}
