//! Steepest directions and projections of the norm balls, in the data's scaled units.

use percuss_kernels::ops::{Ball, Reduction, Unary};

use super::StepContext;
use crate::attacks::Norm;
use crate::graph::{Graph, Tensor};

/// Under l1 the share of the entries that a sparse step moves, one at least: those of the largest gradients (Tramer & Boneh 2019, whose q is
/// 1 - SPARSE).
const SPARSE: f64 = 0.01;

/// `x + step_size * direction(gradient)`: the step of FGSM, BIM and PGD.
pub(super) fn steepest_ascent(context: &mut StepContext) -> Tensor {
    let along = if context.norm == Norm::L1 && context.choice("l1_step") == Some("sparse") {
        sparse_direction(context.graph, context.gradient, context.x, context.region)
    } else {
        direction(context.graph, context.norm, context.gradient)
    };
    context.advance(along)
}

/// The unit step along `gradient`: its sign (linf), or the gradient over its l2 or l1 length (as Foolbox's FGM does).
pub(super) fn direction(graph: &mut Graph, norm: Norm, gradient: Tensor) -> Tensor {
    match norm {
        Norm::Linf => graph.unary(Unary::Sign, gradient),
        Norm::Tokens => unreachable!("words are replaced, not moved"),
        Norm::L2 => unit(graph, gradient, Ball::L2),
        Norm::L1 => unit(graph, gradient, Ball::L1),
    }
}

/// x of every lane over its l2 or l1 length, whatever its scale: over the largest entry first, so that nothing under- or overflows. Zero
/// stays zero.
pub(super) fn unit(graph: &mut Graph, x: Tensor, ball: Ball) -> Tensor {
    let rank = graph.dims(x).len();
    let largest = largest(graph, x);
    let largest = graph.expand(largest, rank);
    let scaled = graph.div(x, largest);
    let length = bare_length(graph, scaled, ball);
    let length = or_one(graph, length);
    let length = graph.expand(length, rank);
    graph.div(scaled, length)
}

/// The l2 or l1 length of each lane, 1 for that of zero.
fn length(graph: &mut Graph, x: Tensor, ball: Ball) -> Tensor {
    let rank = graph.dims(x).len();
    let largest = largest(graph, x);
    let wide = graph.expand(largest, rank);
    let scaled = graph.div(x, wide);
    let length = bare_length(graph, scaled, ball);
    let length = graph.mul(length, largest);
    or_one(graph, length)
}

fn bare_length(graph: &mut Graph, x: Tensor, ball: Ball) -> Tensor {
    match ball {
        Ball::L1 => {
            let sizes = graph.unary(Unary::Abs, x);
            graph.sum_lane(sizes)
        }
        Ball::L2 => {
            let square = graph.mul(x, x);
            let sum = graph.sum_lane(square);
            graph.unary(Unary::Sqrt, sum)
        }
    }
}

/// The largest absolute value of each lane, 1 where all are zero.
fn largest(graph: &mut Graph, x: Tensor) -> Tensor {
    let rank = graph.dims(x).len();
    let sizes = graph.unary(Unary::Abs, x);
    let largest = graph.reduce(Reduction::Max, sizes, 0..rank);
    or_one(graph, largest)
}

/// 1 in the place of zero.
pub(super) fn or_one(graph: &mut Graph, x: Tensor) -> Tensor {
    let (zero, one) = (graph.scalar(0.0), graph.scalar(1.0));
    let nothing = graph.equal(x, zero);
    graph.select(nothing, one, x)
}

/// The signs of the largest gradients, all ties included, over their number: l1 ascent is sparse, and a step that is spread over all
/// entries is mostly lost to the projection (Tramer & Boneh 2019, Adversarial training and robustness for multiple perturbations, algorithm
/// 1). Entries that a bound holds back do not count.
fn sparse_direction(graph: &mut Graph, gradient: Tensor, x: Tensor, region: Region) -> Tensor {
    let rank = graph.dims(gradient).len();
    let zero = graph.scalar(0.0);
    let (below, above) = (graph.less(region.low, x), graph.less(x, region.high));
    let rises = graph.less(zero, gradient);
    let room = graph.select(rises, above, below);
    let open = graph.select(room, gradient, zero);
    let entries: usize = graph.dims(gradient).iter().product();
    let least = graph.rank(open, ((entries as f64 * SPARSE) as usize).max(1));
    let least = graph.expand(least, rank);
    let sizes = graph.unary(Unary::Abs, open);
    let short = graph.less(sizes, least);
    let signs = graph.unary(Unary::Sign, open);
    let signs = graph.select(short, zero, signs);
    unit(graph, signs, Ball::L1)
}

/// What a projection needs besides the candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// The clean input.
    pub(super) x0: Tensor,
    /// Lower bounds; under linf they hold the ball, too.
    pub(super) low: Tensor,
    /// Upper bounds.
    pub(super) high: Tensor,
    /// The data's scale of a perturbation: a scalar, or over the features.
    pub(super) scale: Tensor,
    /// Radius of the ball, one a lane.
    pub(super) radius: Tensor,
}

/// Brings a candidate back into ball and bounds.
pub(super) fn project(
    graph: &mut Graph,
    norm: Norm,
    exact: bool,
    candidate: Tensor,
    region: Region,
) -> Tensor {
    let ball = match norm {
        Norm::Linf => return graph.clamp(candidate, region.low, region.high),
        // Whoever replaces words counts them.
        Norm::Tokens => return candidate,
        Norm::L2 => Ball::L2,
        Norm::L1 => Ball::L1,
    };
    if exact {
        let points = [candidate, region.x0, region.low, region.high];
        return graph.project(ball, points, region.scale, region.radius);
    }
    let rank = graph.dims(candidate).len();
    let moved = graph.sub(candidate, region.x0);
    let units = graph.div(moved, region.scale);
    let length = length(graph, units, ball);
    let length = graph.expand(length, rank);
    let radius = graph.expand(region.radius, rank);
    let one = graph.scalar(1.0);
    let ratio = graph.div(radius, length);
    let shrink = graph.min(ratio, one);
    let kept = graph.mul(moved, shrink);
    let inside = graph.add(region.x0, kept);
    graph.clamp(inside, region.low, region.high)
}
