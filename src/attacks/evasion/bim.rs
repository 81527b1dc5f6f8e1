//! The basic iterative method: small gradient-sign steps from the clean input, projected back each time.

use super::ball::steepest_ascent;
use super::parameters::{L1_STEP, LOSS, PROJECTION, STEP_SIZE, STEPS, step_size, whole};
use crate::attacks::{Attack, Knowledge, Norm};

/// BIM, also known as I-FGSM.
pub static BIM: Attack = Attack {
    name: "bim",
    aliases: &["i-fgsm", "basic-iterative"],
    summary: "Projected gradient steps from the clean input.",
    paper: "Kurakin, Goodfellow & Bengio 2017, Adversarial examples in the physical world (arXiv 1607.02533), section 2.2",
    knowledge: Knowledge::WhiteBox,
    revision: 2,
    norms: &[Norm::Linf, Norm::L2, Norm::L1],
    parameters: &[STEPS, STEP_SIZE, LOSS, PROJECTION, L1_STEP],
    deterministic: |_| true,
    step: steepest_ascent,
    steps: |get| whole(get("steps")),
    step_size,
};
