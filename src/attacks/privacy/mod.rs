//! Attacks on confidentiality: whose records was a model trained on?
//!
//! A membership attack turns [`Evidence`] (what models said, no model is run here) into one score a candidate; higher means more likely
//! a member. A new attack is one file and one line in [`REGISTRY`].

mod boundary_distance;
mod class_thresholds;
mod confidence;
mod entropy;
pub mod evidence;
mod gap;
pub mod hop_skip_jump;
mod lira;
mod logistic;
mod loss;
mod modified_entropy;
mod needs;
mod noise_distance;
mod parameters;
mod rmia;
mod shadow;

pub use evidence::{Answers, Evidence, NoiseDecisions, Population, Shadow};
pub use needs::Needs;

use super::{Chosen, Parameter, is_called};
use crate::statistics::roc;
use crate::{Error, Result};

/// Every membership attack, in the order in which it is listed.
pub static REGISTRY: &[&MembershipAttack] = &[
    &gap::GAP,
    &loss::LOSS,
    &confidence::CONFIDENCE,
    &entropy::ENTROPY,
    &modified_entropy::MODIFIED_ENTROPY,
    &shadow::SHADOW,
    &lira::LIRA,
    &rmia::RMIA,
    &noise_distance::NOISE_DISTANCE,
    &boundary_distance::BOUNDARY_DISTANCE,
];

/// What the adversary looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The target's decisions.
    Labels,
    /// The target's scores.
    Scores,
    /// The target's scores and those of shadow models.
    Shadows,
    /// The same, and what all of them say of samples that are known not to be members.
    Population,
}

impl Access {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Scores => "scores",
            Self::Shadows => "shadow models",
            Self::Population => "shadow models and a population",
        }
    }
}

/// What the target is asked of each candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The candidate, or its variants where the attack has `queries`.
    Once,
    /// Its decisions on noisy copies, [`Evidence::noise`]: parameters `noise` and `copies`.
    NoisyCopies,
    /// Its decisions along a search for the boundary, [`Evidence::boundary`]: parameter `decisions`.
    Boundary,
}

/// A membership attack's declaration.
#[derive(Debug)]
pub struct MembershipAttack {
    /// Its name in studies and results.
    pub name: &'static str,
    /// Other names that studies may use.
    pub aliases: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// What the adversary looks at, at least.
    pub access: Access,
    /// What the target is asked of each candidate.
    pub asks: Asks,
    /// Shadow models that it compares the target with, by its parameters.
    pub needs: fn(Chosen) -> Needs,
    /// Raised when the same configuration starts to give other scores.
    pub revision: u32,
    /// Its hyper-parameters.
    pub parameters: &'static [Parameter],
    /// One score a candidate of checked evidence; see [`Self::score`].
    pub rule: fn(&Evidence, Chosen) -> Result<Vec<f64>>,
}

impl MembershipAttack {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Whether shadow models tell it anything, if only a threshold: what more than one answer costs is spent on the target alone.
    pub fn learns_from_shadows(&self) -> bool {
        self.asks == Asks::Once
    }

    /// One score a candidate, higher for likelier members, never NaN, and finite unless a distance to the boundary is infinite.
    ///
    /// An error says what the evidence lacks for this attack, or which of its arrays do not belong together.
    pub fn score(&self, evidence: &Evidence, get: Chosen) -> Result<Vec<f64>> {
        evidence.check()?;
        let scores = (self.rule)(evidence, get)?;
        match scores.iter().position(|score| score.is_nan()) {
            None => Ok(scores),
            Some(i) => {
                Err(Error::Failed(format!("{}: the score of candidate {i} is not a number", self.name)))
            }
        }
    }

    /// The threshold that an adversary would take to the target, who does not know the target's members: of best balanced accuracy where
    /// each shadow model in turn is attacked with the help of the others.
    ///
    /// `None` if the scores tell nothing of shadow models (label-only distances), or if no shadow model was trained on a part of the
    /// candidates.
    pub fn transferred_threshold(&self, evidence: &Evidence, get: Chosen) -> Result<Option<f64>> {
        if !self.learns_from_shadows() {
            return Ok(None);
        }
        let (mut scores, mut member) = (Vec::new(), Vec::new());
        for (s, shadow) in evidence.shadows.iter().enumerate() {
            scores.extend(self.score(&evidence.about_shadow(s), get)?);
            member.extend_from_slice(&shadow.member);
        }
        Ok(roc::best_threshold(&scores, &member))
    }
}

/// The membership attack called `name`, by its name or an alias.
pub fn find(name: &str) -> Option<&'static MembershipAttack> {
    REGISTRY.iter().copied().find(|attack| is_called(name, attack.name, attack.aliases))
}

/// An error unless there are shadow models, which `attack` cannot do without.
fn need_shadows(evidence: &Evidence, attack: &str) -> Result<()> {
    if evidence.shadows.is_empty() {
        return Err(Error::input(evidence::SOURCE, attack, "no shadow model", "one or more"));
    }
    Ok(())
}
