//! The likelihood ratio attack: is the target's log-odds likelier under models that saw the candidate than under models that did not?

use super::evidence::SOURCE;
use super::parameters::{MODE, QUERIES, word};
use super::{Access, Answers, Asks, Evidence, MembershipAttack, Needs, need_shadows};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::normal::log_tail;
use crate::{Error, Result};

/// Standard deviations below this, in nats of log-odds, are raised to it: f32 scores say nothing finer.
const SMALLEST_DEVIATION: f64 = 1e-6;

/// LiRA.
///
/// The authors' released code differs from algorithm 1; `centre = "median"`, `variance = "fixed-as-released"` and `test = "density"` give
/// its numbers (where every candidate is in as many shadow models as any other: it cuts to the fewest) times the number of queries, for it
/// averages over them.
///
/// Where the paper leaves freedom: a candidate's variance is the maximum-likelihood one (divided by n, as released); queries are taken as
/// independent, so that their log ratios add up; `fixed` pools squares within candidates and queries over their degrees of freedom; the
/// offline score is minus log Pr[Z > phi], which ranks as the paper's 1 - Pr[Z > phi] and does not round to 1.
pub static LIRA: MembershipAttack = MembershipAttack {
    name: "lira",
    aliases: &["likelihood-ratio"],
    summary: "Log likelihood ratio of the label's log-odds under shadow models with and without the candidate.",
    paper: "Carlini et al. 2022, Membership inference attacks from first principles (arXiv 2112.03570), algorithm 1",
    access: Access::Shadows,
    asks: Asks::Once,
    needs,
    revision: 2,
    parameters: &[
        MODE,
        QUERIES,
        Parameter {
            name: "variance",
            doc: "per-example: of each candidate and query; fixed: one for all candidates on each side, pooled around their own means; \
                  fixed-as-released: of all values around one mean and, online, that of the shadow models with the candidate for both \
                  sides, as the released code has it.",
            kind: Kind::Choice(&["per-example", "fixed", "fixed-as-released"]),
            default: Value::Word("per-example"),
        },
        Parameter {
            name: "centre",
            doc: "Centre of each normal distribution: the mean (the paper) or the median (the released code) of the shadow models.",
            kind: Kind::Choice(&["mean", "median"]),
            default: Value::Word("mean"),
        },
        Parameter {
            name: "test",
            doc: "Offline only. one-sided: how surely a model without the candidate is less sure of it (the paper); density: how unlikely \
                  the answer is for such a model in either direction (the released code).",
            kind: Kind::Choice(&["one-sided", "density"]),
            default: Value::Word("one-sided"),
        },
    ],
    rule,
};

fn needs(get: Chosen) -> Needs {
    let each = of_a_side(word(get("variance")));
    let with = if word(get("mode")) == "online" { each } else { 0 };
    // Some candidate must have two of a side for pooled squares to have a degree of freedom.
    Needs { models: 2, with, without: each, both: false }
}

/// Shadow models of a side that a variance takes.
fn of_a_side(variance: &str) -> usize {
    if variance == "per-example" { 2 } else { 1 }
}

/// Sum over the queries, which the paper takes as independent normal variables.
fn rule(evidence: &Evidence, get: Chosen) -> Result<Vec<f64>> {
    need_shadows(evidence, LIRA.name)?;
    let samples = Samples::new(evidence);
    let (variance, centre) = (word(get("variance")), word(get("centre")));
    let out = samples.side(false, variance, centre)?;
    let online = word(get("mode")) == "online";
    let terms: Vec<f64> = if online {
        let within = samples.side(true, variance, centre)?;
        let shares_deviation = variance == "fixed-as-released";
        let out_deviations = if shares_deviation { &within.deviation } else { &out.deviation };
        let log_ratio = |(j, &phi): (usize, &f64)| {
            log_density(phi, within.centre[j], within.deviation[j])
                - log_density(phi, out.centre[j], out_deviations[j])
        };
        samples.target.iter().enumerate().map(log_ratio).collect()
    } else {
        let one_sided = word(get("test")) == "one-sided";
        let surprise = |(j, &phi): (usize, &f64)| {
            if one_sided {
                -log_tail((phi - out.centre[j]) / out.deviation[j])
            } else {
                -log_density(phi, out.centre[j], out.deviation[j])
            }
        };
        samples.target.iter().enumerate().map(surprise).collect()
    };
    Ok(terms.chunks_exact(samples.queries).map(|queries| queries.iter().sum()).collect())
}

/// Logarithm of the normal density.
fn log_density(value: f64, centre: f64, deviation: f64) -> f64 {
    let z = (value - centre) / deviation;
    -0.5 * (z * z + std::f64::consts::TAU.ln()) - deviation.ln()
}

/// Log-odds of the label, candidates x queries for each model.
struct Samples<'a> {
    queries: usize,
    target: Vec<f64>,
    shadows: Vec<(&'a [bool], Vec<f64>)>,
}

/// The normal distribution of every candidate and query under the shadow models of one side.
struct Side {
    centre: Vec<f64>,
    deviation: Vec<f64>,
}

impl<'a> Samples<'a> {
    fn new(evidence: &Evidence<'a>) -> Self {
        let queries = evidence.target.queries();
        let log_odds = |answers: &Answers| -> Vec<f64> {
            let labels = evidence.labels.iter().enumerate();
            labels
                .flat_map(|(i, &label)| (0..queries).map(move |q| answers.answer(i, q, label).log_odds()))
                .collect()
        };
        let of_shadow = |shadow: &&'a super::Shadow| (shadow.member.as_slice(), log_odds(&shadow.candidates));
        let shadows = evidence.shadows.iter().map(of_shadow).collect();
        Self { queries, target: log_odds(evidence.target), shadows }
    }

    /// The values of one candidate and query under the shadow models with (`member`) or without it.
    fn values(&self, j: usize, member: bool) -> Vec<f64> {
        let models = self.shadows.iter().filter(|(flags, _)| flags[j / self.queries] == member);
        models.map(|(_, values)| values[j]).collect()
    }

    fn side(&self, member: bool, variance: &str, centre: &str) -> Result<Side> {
        let values: Vec<Vec<f64>> = (0..self.target.len()).map(|j| self.values(j, member)).collect();
        let needed = of_a_side(variance);
        if let Some(j) = values.iter().position(|values| values.len() < needed) {
            let with = if member { "with" } else { "without" };
            let found = format!("{} shadow models {with} candidate {}", values[j].len(), j / self.queries);
            return Err(Error::input(
                SOURCE,
                LIRA.name,
                found,
                format!("{needed} or more (variance = \"{variance}\")"),
            ));
        }
        let middle = if centre == "median" { median } else { mean };
        let deviation = match variance {
            "per-example" => values.iter().map(|values| deviation(values)).collect(),
            "fixed" => vec![pooled_deviation(&values)?; values.len()],
            _ => vec![deviation(&values.concat()); values.len()],
        };
        let deviation = deviation.into_iter().map(|d: f64| d.max(SMALLEST_DEVIATION)).collect();
        Ok(Side { centre: values.iter().map(|values| middle(values)).collect(), deviation })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle value, or the mean of the two middle ones.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * (sorted[half - 1] + sorted[half]) }
}

/// The sum of squares around the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The maximum-likelihood standard deviation.
fn deviation(values: &[f64]) -> f64 {
    (squares(values) / values.len() as f64).sqrt()
}

/// One standard deviation for groups with means of their own: squares within groups over degrees of freedom.
fn pooled_deviation(groups: &[Vec<f64>]) -> Result<f64> {
    let freedom: usize = groups.iter().map(|values| values.len() - 1).sum();
    if freedom == 0 && !groups.is_empty() {
        let found = "one shadow model a side of every candidate";
        return Err(Error::input(
            SOURCE,
            LIRA.name,
            found,
            "two or more of some candidate (variance = \"fixed\")",
        ));
    }
    Ok((groups.iter().map(|values| squares(values)).sum::<f64>() / freedom as f64).sqrt())
}
