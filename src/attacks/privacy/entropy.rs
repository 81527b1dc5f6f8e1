//! The entropy threshold: members get answers that are surer, whatever their label.

use super::class_thresholds::{self, scores};
use super::evidence::Answer;
use super::{Access, Asks, MembershipAttack};

/// The entropy attack.
pub static ENTROPY: MembershipAttack = MembershipAttack {
    name: "entropy",
    aliases: &["prediction-entropy"],
    summary: "Minus the entropy of the answer, in nats.",
    paper: "Song & Mittal 2021, Systematic evaluation of privacy risks of machine learning models (arXiv 2003.10595)",
    access: Access::Scores,
    asks: Asks::Once,
    needs: class_thresholds::needs,
    revision: 1,
    parameters: &[super::parameters::THRESHOLD],
    rule: |evidence, get| scores(evidence, get, negative_entropy),
};

/// `sum over k of p_k log p_k`.
fn negative_entropy(answer: Answer) -> f64 {
    let largest = answer.logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = largest + answer.logits.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
    answer.logits.iter().map(|z| (z - log_sum).exp() * (z - log_sum)).sum()
}
