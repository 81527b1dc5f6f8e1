//! The modified entropy threshold: an entropy that falls only when the answer is sure and right.

use super::class_thresholds::{self, scores};
use super::evidence::{Answer, softplus};
use super::{Access, Asks, MembershipAttack};

/// The modified entropy attack.
pub static MODIFIED_ENTROPY: MembershipAttack = MembershipAttack {
    name: "modified-entropy",
    aliases: &["mentr", "m-entropy"],
    summary: "Minus the modified entropy of the answer: sure and right is least, sure and wrong is most.",
    paper: "Song & Mittal 2021, Systematic evaluation of privacy risks of machine learning models (arXiv 2003.10595), equation 8",
    access: Access::Scores,
    asks: Asks::Once,
    needs: class_thresholds::needs,
    revision: 1,
    parameters: &[super::parameters::THRESHOLD],
    rule: |evidence, get| scores(evidence, get, negative_modified_entropy),
};

/// `(1 - p_y) log p_y + sum over k != y of p_k log(1 - p_k)`.
fn negative_modified_entropy(answer: Answer) -> f64 {
    let one = |class: usize| {
        let log_odds = answer.log_odds_of(class);
        // log p = -softplus(-phi) and log(1 - p) = -softplus(phi).
        let (log_p, log_not_p) = (-softplus(-log_odds), -softplus(log_odds));
        if class == answer.label { log_not_p.exp() * log_p } else { log_p.exp() * log_not_p }
    };
    (0..answer.logits.len()).map(one).sum()
}
