//! The shadow model attack: a model that has learned, from shadow models, how answers about members look.

use super::evidence::{Answer, SOURCE};
use super::logistic::Logistic;
use super::parameters::real;
use super::{Access, Asks, Evidence, MembershipAttack, Needs, need_shadows};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::{Error, Result};

/// The shadow model attack, with a logistic regression for each class in the place of the paper's networks.
///
/// What it reads of an answer are log-odds: the label's first, then those of the other classes in falling order (of two classes the
/// label's alone, since the other's is its negative). A class whose candidates were all members, or none, in every shadow model takes the
/// regression of all classes.
pub static SHADOW: MembershipAttack = MembershipAttack {
    name: "shadow",
    aliases: &["shokri", "shadow-models"],
    summary: "Log-odds of membership by a logistic regression for each class, fitted to the answers of shadow models.",
    paper: "Shokri et al. 2017, Membership inference attacks against machine learning models (arXiv 1610.05820), section V",
    access: Access::Shadows,
    asks: Asks::Once,
    needs: |_| Needs::BOTH,
    revision: 1,
    parameters: &[Parameter {
        name: "ridge",
        doc: "Penalty: half of this times the squared weights of standardised log-odds, beside the sum (not the mean) of losses.",
        kind: Kind::Real(1e-6, 1e6),
        default: Value::Real(1.0),
    }],
    rule,
};

fn rule(evidence: &Evidence, get: Chosen) -> Result<Vec<f64>> {
    need_shadows(evidence, SHADOW.name)?;
    let ridge = real(get("ridge"));
    let classes = evidence.target.classes();
    let width = if classes == 2 { 1 } else { classes };
    // Features and membership of each class, and of all candidates in the end.
    let mut known: Vec<(Vec<f64>, Vec<bool>)> = vec![Default::default(); classes + 1];
    for shadow in &evidence.shadows {
        for (i, &label) in evidence.labels.iter().enumerate() {
            let features = features(shadow.candidates.answer(i, 0, label));
            for group in [label as usize, classes] {
                known[group].0.extend_from_slice(&features);
                known[group].1.push(shadow.member[i]);
            }
        }
    }
    let fit = |(rows, member): &(Vec<f64>, Vec<bool>)| Logistic::fit(rows, width, member, ridge);
    let shared = fit(&known[classes]).ok_or_else(|| {
        Error::input(SOURCE, SHADOW.name, "only members or none in the shadow models", "some of both")
    })?;
    let models: Vec<Logistic> =
        known[..classes].iter().map(|group| fit(group).unwrap_or_else(|| shared.clone())).collect();
    let score = |(i, &label): (usize, &u32)| {
        models[label as usize].log_odds(&features(evidence.target.answer(i, 0, label)))
    };
    Ok(evidence.labels.iter().enumerate().map(score).collect())
}

fn features(answer: Answer) -> Vec<f64> {
    let classes = answer.logits.len();
    let mut others: Vec<f64> =
        (0..classes).filter(|class| *class != answer.label).map(|class| answer.log_odds_of(class)).collect();
    others.sort_by(|a, b| b.total_cmp(a));
    if classes == 2 {
        others.clear();
    }
    others.insert(0, answer.log_odds());
    others
}
