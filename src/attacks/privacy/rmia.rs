//! The robust membership inference attack: does training raise the candidate's probability more than it raises other samples'?

use super::evidence::{Answer, SOURCE};
use super::parameters::{MODE, QUERIES, real, whole, word};
use super::{Access, Answers, Asks, Evidence, MembershipAttack, need_shadows};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::{Error, Result};

/// RMIA, with the paper's settings as defaults.
///
/// The authors' current code takes `confidence = "softmax"`, `temperature = 1` and `gamma = 1`; its Taylor series for "order 4" ends at
/// the third power, which is `order = 3` here. A score is a share of the population, so that no finer difference than one over its size
/// is seen.
pub static RMIA: MembershipAttack = MembershipAttack {
    name: "rmia",
    aliases: &["robust-mia"],
    summary: "The share of non-members z for which p(x | target) / p(x) > gamma p(z | target) / p(z).",
    paper: "Zarifzadeh, Liu & Shokri 2024, Low-cost high-power membership inference attacks (arXiv 2312.03262)",
    access: Access::Population,
    asks: Asks::Once,
    revision: 1,
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
    let mut ratios_z = population_ratios(evidence, population, &confidence, a);
    ratios_z.sort_by(f64::total_cmp);
    let gamma = real(get("gamma"));
    let share = |ratio: f64| {
        ratios_z.partition_point(|ratio_z| gamma * ratio_z < ratio) as f64 / ratios_z.len() as f64
    };
    (0..evidence.labels.len()).map(|i| Ok(share(candidate_ratio(evidence, i, &confidence, a)?))).collect()
}

/// `p(z | target) / p(z)` of query 0 of each sample of the population, which no shadow model was trained on.
fn population_ratios(
    evidence: &Evidence,
    population: super::Population,
    confidence: &Confidence,
    a: Option<f64>,
) -> Vec<f64> {
    let known: Vec<&Answers> =
        evidence.shadows.iter().filter_map(|shadow| shadow.population.as_ref()).collect();
    let one = |(i, &label): (usize, &u32)| {
        let p = |answers: &Answers| confidence.of(answers.answer(i, 0, label));
        let out = known.iter().map(|answers| p(answers)).sum::<f64>() / known.len() as f64;
        p(population.target) / a.map_or(out, |a| offline(out, a))
    };
    population.labels.iter().enumerate().map(one).collect()
}

/// `p(x | target) / p(x)` of candidate `i`: the value that more than half of its queries reach, so that comparing it is their vote.
fn candidate_ratio(evidence: &Evidence, i: usize, confidence: &Confidence, a: Option<f64>) -> Result<f64> {
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
    let mut ratios = (0..evidence.target.queries()).map(ratio).collect::<Result<Vec<f64>>>()?;
    ratios.sort_by(|x, y| y.total_cmp(x));
    Ok(ratios[ratios.len() / 2])
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
