//! Robustness to noise as a label-only score: members lie further from the decision boundary.

use super::evidence::SOURCE;
use super::{Access, Asks, Evidence, MembershipAttack, Needs};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::{Error, Result};

/// The noise robustness attack.
pub static NOISE_DISTANCE: MembershipAttack = MembershipAttack {
    name: "noise-distance",
    aliases: &["noise-robustness"],
    summary: "The share of noisy copies that the target still classifies as the label.",
    paper: "Choquette-Choo et al. 2021, Label-only membership inference attacks (arXiv 2007.14321); Li & Zhang 2021 (arXiv 2007.15528)",
    access: Access::Labels,
    asks: Asks::NoisyCopies,
    needs: |_| Needs::NOTHING,
    revision: 1,
    parameters: &[
        Parameter {
            name: "noise",
            doc: "Standard deviation of the normal noise in the data's scaled units (grey levels, mV, standard deviations of a laboratory \
                  value); categories and what cannot change stay as they are, values stay within their bounds.",
            kind: Kind::Real(1e-6, 1e6),
            default: Value::Real(0.5),
        },
        Parameter {
            name: "copies",
            doc: "Noisy copies asked of each candidate.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(100),
        },
    ],
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
