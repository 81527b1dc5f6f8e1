//! Robustness to noise as a label-only score: members lie further from the decision boundary.

use super::evidence::SOURCE;
use super::{Access, Evidence, MembershipAttack};
use crate::attacks::Chosen;
use crate::{Error, Result};

/// The noise robustness attack.
pub static NOISE_DISTANCE: MembershipAttack = MembershipAttack {
    name: "noise-distance",
    aliases: &["noise-robustness"],
    summary: "The share of noisy copies that the target still classifies as the label.",
    paper: "Choquette-Choo et al. 2021, Label-only membership inference attacks (arXiv 2007.14321); Li & Zhang 2021 (arXiv 2007.15528)",
    access: Access::Labels,
    revision: 1,
    parameters: &[],
    rule,
};

fn rule(evidence: &Evidence, _get: Chosen) -> Result<Vec<f64>> {
    let noise = evidence.noise.ok_or_else(|| {
        Error::input(
            SOURCE,
            NOISE_DISTANCE.name,
            "no decisions on noisy copies",
            "a count for each candidate",
        )
    })?;
    Ok(noise.right.iter().map(|&right| f64::from(right) / f64::from(noise.copies)).collect())
}
