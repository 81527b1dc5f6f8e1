//! The loss threshold: members have the smaller loss.

use super::evidence::Answer;
use super::{Access, Asks, Evidence, MembershipAttack, Needs};
use crate::Result;
use crate::attacks::Chosen;

/// The loss threshold attack.
pub static LOSS: MembershipAttack = MembershipAttack {
    name: "loss",
    aliases: &["yeom", "loss-threshold"],
    summary: "Minus the cross-entropy of the label.",
    paper: "Yeom et al. 2018, Privacy risk in machine learning (arXiv 1709.01604)",
    access: Access::Scores,
    asks: Asks::Once,
    needs: |_| Needs::NOTHING,
    revision: 1,
    parameters: &[],
    rule,
};

fn rule(evidence: &Evidence, _get: Chosen) -> Result<Vec<f64>> {
    Ok(evidence.statistics(evidence.target, |answer: Answer| answer.log_probability()))
}
