//! Momentum iterative FGSM: steps along a running sum of l1-normalised gradients.

use super::StepContext;
use percuss_kernels::ops::{Ball, Unary};

use super::ball::{direction, unit};
use super::parameters::{LOSS, PROJECTION, STEP_SIZE, STEPS, step_size, whole};
use crate::attacks::{Attack, Kind, Knowledge, Norm, Parameter, Value};
use crate::graph::Tensor;

/// MI-FGSM.
pub static MI_FGSM: Attack = Attack {
    name: "mi-fgsm",
    aliases: &["mifgsm", "momentum"],
    summary: "Gradient steps along an accumulated, normalised gradient.",
    paper: "Dong et al. 2018, Boosting adversarial attacks with momentum (arXiv 1710.06081), algorithm 1",
    knowledge: Knowledge::WhiteBox,
    revision: 2,
    norms: &[Norm::Linf, Norm::L2],
    parameters: &[
        STEPS,
        STEP_SIZE,
        Parameter {
            name: "decay",
            doc: "How much of the accumulated gradient is kept each step (mu in the paper).",
            kind: Kind::Real(0.0, 10.0),
            default: Value::Real(1.0),
        },
        Parameter {
            name: "accumulate",
            doc: "What is accumulated: the gradient over its l1 length (the paper), or its sign (Foolbox's variant).",
            kind: Kind::Choice(&["gradient", "sign"]),
            default: Value::Word("gradient"),
        },
        LOSS,
        PROJECTION,
    ],
    deterministic: |_| true,
    step,
    steps: |get| whole(get("steps")),
    step_size,
};

/// `m <- decay m + g / |g|_1; x + step_size * direction(m)` (equations 6 and 7).
fn step(context: &mut StepContext) -> Tensor {
    let momentum = context.state("momentum");
    let decay = context.parameter("decay");
    let signs = context.choice("accumulate") == Some("sign");
    let graph = &mut *context.graph;
    let unit = if signs {
        graph.unary(Unary::Sign, context.gradient)
    } else {
        unit(graph, context.gradient, Ball::L1)
    };
    let kept = graph.load(momentum);
    let kept = graph.mul(kept, decay);
    let sum = graph.add(kept, unit);
    context.assign(momentum, sum);
    let along = direction(context.graph, context.norm, sum);
    context.advance(along)
}
