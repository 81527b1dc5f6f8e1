//! Steepest directions and projections of the norm balls, in the data's scaled units.

use percuss_kernels::ops::{Ball, Reduction, Unary};

use super::StepContext;
use crate::attacks::Norm;
use crate::graph::{Graph, Tensor};

/// Keeps a quotient finite where a gradient is zero throughout.
const TINY: f32 = 1e-12;

/// `x + step_size * direction(gradient)`: the step of FGSM, BIM and PGD.
pub(super) fn steepest_ascent(context: &mut StepContext) -> Tensor {
    let along = direction(context.graph, context.norm, context.gradient);
    context.advance(along)
}

/// The unit step along `gradient`: its sign (linf), or the gradient over its l2 or l1 length (as Foolbox's FGM does).
pub(super) fn direction(graph: &mut Graph, norm: Norm, gradient: Tensor) -> Tensor {
    match norm {
        Norm::Linf => graph.unary(Unary::Sign, gradient),
        Norm::Tokens => unreachable!("words are replaced, not moved"),
        Norm::L2 => {
            let length = l2_length(graph, gradient);
            graph.div(gradient, length)
        }
        Norm::L1 => {
            let length = l1_length(graph, gradient);
            graph.div(gradient, length)
        }
    }
}

/// Sum of absolute values of each lane, at least tiny, shaped to broadcast.
pub(super) fn l1_length(graph: &mut Graph, x: Tensor) -> Tensor {
    let rank = graph.dims(x).len();
    let magnitude = graph.unary(Unary::Abs, x);
    let sum = graph.sum_lane(magnitude);
    let tiny = graph.scalar(TINY);
    let safe = graph.max(sum, tiny);
    graph.expand(safe, rank)
}

/// Euclidean length of each lane, at least tiny, shaped to broadcast. Divided by the largest entry first: no square under- or overflows.
pub(super) fn l2_length(graph: &mut Graph, x: Tensor) -> Tensor {
    let rank = graph.dims(x).len();
    let magnitude = graph.unary(Unary::Abs, x);
    let largest = graph.reduce(Reduction::Max, magnitude, 0..rank);
    let tiny = graph.scalar(1e-30);
    let largest = graph.max(largest, tiny);
    let wide = graph.expand(largest, rank);
    let scaled = graph.div(x, wide);
    let square = graph.mul(scaled, scaled);
    let sum = graph.sum_lane(square);
    let root = graph.unary(Unary::Sqrt, sum);
    let length = graph.mul(root, largest);
    let floor = graph.scalar(TINY);
    let length = graph.max(length, floor);
    graph.expand(length, rank)
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
    let length = if ball == Ball::L2 { l2_length(graph, units) } else { l1_length(graph, units) };
    let radius = graph.expand(region.radius, rank);
    let one = graph.scalar(1.0);
    let ratio = graph.div(radius, length);
    let shrink = graph.min(ratio, one);
    let kept = graph.mul(moved, shrink);
    let inside = graph.add(region.x0, kept);
    graph.clamp(inside, region.low, region.high)
}
