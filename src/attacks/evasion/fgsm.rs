//! The fast gradient (sign) method: one step of the whole budget.

use super::ball::steepest_ascent;
use super::parameters::{LOSS, PROJECTION};
use crate::attacks::{Attack, Knowledge, Norm, Value};

/// FGSM; under l2 and l1, its steepest-ascent kin (FGM).
pub static FGSM: Attack = Attack {
    name: "fgsm",
    aliases: &["fgm", "fast-gradient-sign"],
    summary: "One gradient step of length eps; under l1 it moves all entries in proportion to their gradients: sparse steps are those of bim and pgd.",
    paper: "Goodfellow, Shlens & Szegedy 2015, Explaining and harnessing adversarial examples (arXiv 1412.6572), section 4",
    knowledge: Knowledge::WhiteBox,
    revision: 2,
    norms: &[Norm::Linf, Norm::L2, Norm::L1],
    parameters: &[LOSS, PROJECTION],
    deterministic: |_| true,
    step: steepest_ascent,
    steps: |_| 1,
    step_size: |_| Value::Relative(1.0),
};
