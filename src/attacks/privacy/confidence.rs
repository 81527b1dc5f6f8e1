//! The confidence threshold: members are given the larger probability of their label.

use super::class_thresholds::{self, scores};
use super::evidence::Answer;
use super::parameters::THRESHOLD;
use super::{Access, Asks, MembershipAttack};

/// The confidence attack. With a shared threshold it ranks like `loss`; where probabilities round to 1 it ties and `loss` does not.
pub static CONFIDENCE: MembershipAttack = MembershipAttack {
    name: "confidence",
    aliases: &[],
    summary: "The probability of the label.",
    paper: "Song & Mittal 2021, Systematic evaluation of privacy risks of machine learning models (arXiv 2003.10595)",
    access: Access::Scores,
    asks: Asks::Once,
    needs: class_thresholds::needs,
    revision: 1,
    parameters: &[THRESHOLD],
    rule: |evidence, get| scores(evidence, get, |answer: Answer| answer.log_probability().exp()),
};
