//! Projected gradient descent on the negative loss, from a random point of the ball, restarted at will.

use super::ball::steepest_ascent;
use super::parameters::{
    L1_STEP, LOSS, PROJECTION, RANDOM_START, RESTARTS, STEP_SIZE, STEPS, step_size, whole,
};
use crate::attacks::{Attack, Knowledge, Norm, Value};

/// PGD.
pub static PGD: Attack = Attack {
    name: "pgd",
    aliases: &["projected-gradient"],
    summary: "Projected gradient steps from a random start, with restarts.",
    paper: "Madry et al. 2018, Towards deep learning models resistant to adversarial attacks (arXiv 1706.06083), section 2.1",
    knowledge: Knowledge::WhiteBox,
    revision: 3,
    norms: &[Norm::Linf, Norm::L2, Norm::L1],
    parameters: &[STEPS, STEP_SIZE, RANDOM_START, RESTARTS, LOSS, PROJECTION, L1_STEP],
    deterministic: |get| get("random_start") == Value::Flag(false),
    step: steepest_ascent,
    steps: |get| whole(get("steps")),
    step_size,
};
