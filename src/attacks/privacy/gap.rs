//! The gap attack: whoever is classified rightly is taken for a member.

use super::{Access, Asks, Evidence, MembershipAttack, Needs};
use crate::Result;
use crate::attacks::Chosen;

/// The gap attack, the least that a label-only adversary can do.
pub static GAP: MembershipAttack = MembershipAttack {
    name: "gap",
    aliases: &["label-only-gap", "baseline"],
    summary: "1 where the target's decision is right, else 0.",
    paper: "Yeom et al. 2018, Privacy risk in machine learning (arXiv 1709.01604); named so by Choquette-Choo et al. 2021 (arXiv 2007.14321)",
    access: Access::Labels,
    asks: Asks::Once,
    needs: |_| Needs::NOTHING,
    revision: 1,
    parameters: &[],
    rule,
};

fn rule(evidence: &Evidence, _get: Chosen) -> Result<Vec<f64>> {
    Ok(evidence.statistics(evidence.target, |answer| f64::from(u8::from(answer.right()))))
}
