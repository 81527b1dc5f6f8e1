//! One-hot groups: from the relaxed values that steps move to the categories that the model is asked about.

use std::ops::Range;
use std::sync::Arc;

use percuss_kernels::ops::{Reduction, Unary};

use super::ball::Region;
use crate::attacks::Norm;
use crate::graph::{Graph, Tensor};

/// A group's relaxed values as a flip: where to, what for, at what price.
struct Flip {
    /// The category with the largest relaxed value, one-hot `[categories]`.
    chosen: Tensor,
    /// The clean category `[categories]`.
    clean: Tensor,
    /// What it adds to the loss, to first order, `[1]`.
    gain: Tensor,
    /// Its part of the budget `[1]`, see [`price`].
    price: Tensor,
    /// Positive where the group's bounds are open `[1]`.
    room: Tensor,
}

/// Every group set to the category with the largest relaxed value (of equal ones that of the largest gradient: sign steps move all that
/// help alike), as far as the budget goes: the flips that gain most come first, the remaining groups stay clean. Under linf a group's
/// bounds are open only where every flip is paid for.
pub(super) fn round(
    graph: &mut Graph,
    norm: Norm,
    groups: &[Range<usize>],
    relaxed: Tensor,
    gradient: Tensor,
    region: Region,
) -> Tensor {
    let flips: Vec<Flip> = groups
        .iter()
        .map(|group| {
            let mut part = |x: Tensor| graph.slice(x, 0, group.clone());
            let (values, gradient, clean) = (part(relaxed), part(gradient), part(region.x0));
            let (scale, low, high) = (part(region.scale), part(region.low), part(region.high));
            let chosen = largest(graph, values, gradient);
            let moved = graph.sub(chosen, clean);
            let gain = graph.mul(moved, gradient);
            let units = graph.div(moved, scale);
            let span = graph.sub(high, low);
            Flip {
                chosen,
                clean,
                gain: total(graph, gain),
                price: price(graph, norm, units),
                room: total(graph, span),
            }
        })
        .collect();
    let mut all = |one: fn(&Flip) -> Tensor| {
        let parts: Vec<Tensor> = flips.iter().map(one).collect();
        graph.concat(&parts, 0)
    };
    let (gains, prices, rooms) = (all(|flip| flip.gain), all(|flip| flip.price), all(|flip| flip.room));
    let zero = graph.scalar(0.0);
    let open = graph.less(zero, rooms);
    let (accepted, others) = if norm == Norm::Linf {
        (open, relaxed)
    } else {
        let flips = [gains, prices, open];
        share_budget(graph, norm, groups, flips, relaxed, gradient, region)
    };
    let mut parts = Vec::new();
    let mut at = 0;
    for (g, (group, flip)) in groups.iter().zip(&flips).enumerate() {
        if at < group.start {
            parts.push(graph.slice(others, 0, at..group.start));
        }
        let take = graph.slice(accepted, 0, g..g + 1);
        parts.push(graph.select(take, flip.chosen, flip.clean));
        at = group.end;
    }
    let features = graph.dims(relaxed)[0];
    if at < features {
        parts.push(graph.slice(others, 0, at..features));
    }
    graph.concat(&parts, 0)
}

/// One-hot of the largest value; of equal ones that with the largest gradient, of equal ones the first.
fn largest(graph: &mut Graph, values: Tensor, gradient: Tensor) -> Tensor {
    let categories = graph.dims(values)[0];
    let lowest = graph.scalar(f32::MIN);
    let top = most(graph, values);
    let steepest = graph.select(top, gradient, lowest);
    let steepest = most(graph, steepest);
    let both = graph.mul(top, steepest);
    let position = graph.index(&[categories], 0);
    let beyond = graph.scalar(categories as f32);
    let places = graph.select(both, position, beyond);
    let first = graph.reduce(Reduction::Min, places, 0..1);
    graph.one_hot(first, categories)
}

/// 1 where x has its largest value.
fn most(graph: &mut Graph, x: Tensor) -> Tensor {
    let largest = graph.reduce(Reduction::Max, x, 0..1);
    let largest = graph.expand(largest, 1);
    graph.equal(x, largest)
}

/// The sum over all entries, `[1]`.
fn total(graph: &mut Graph, x: Tensor) -> Tensor {
    let sum = graph.sum(x, 0..1);
    graph.expand(sum, 1)
}

/// What a change takes of the budget, so that prices add up: the sum of its squares (l2) or of its absolute values, `[1]`.
fn price(graph: &mut Graph, norm: Norm, units: Tensor) -> Tensor {
    let each = match norm {
        Norm::L2 => graph.mul(units, units),
        Norm::L1 | Norm::Linf | Norm::Tokens => graph.unary(Unary::Abs, units),
    };
    total(graph, each)
}

/// Which flips are made, `[groups]`, and the values of the other features.
///
/// Either the others keep their change and flips take what is left, or flips are paid for first and the change of the others is shrunk
/// to the rest: whichever adds more to the loss, to first order.
fn share_budget(
    graph: &mut Graph,
    norm: Norm,
    groups: &[Range<usize>],
    [gains, prices, open]: [Tensor; 3],
    relaxed: Tensor,
    gradient: Tensor,
    region: Region,
) -> (Tensor, Tensor) {
    let features = graph.dims(relaxed)[0];
    let plain = |i: usize| !groups.iter().any(|group| group.contains(&i));
    let mask: Vec<f32> = (0..features).map(|i| f32::from(u8::from(plain(i)))).collect();
    let mask = graph.constant(&Arc::new(mask), &[features]);
    let moved = graph.sub(relaxed, region.x0);
    let moved = graph.mul(moved, mask);
    let units = graph.div(moved, region.scale);
    let spent = price(graph, norm, units);
    let gain = graph.mul(moved, gradient);
    let gain = total(graph, gain);
    let radius = graph.expand(region.radius, 1);
    let budget = if norm == Norm::L2 { graph.mul(radius, radius) } else { radius };

    let left = graph.sub(budget, spent);
    let last = affordable(graph, gains, prices, left);
    let last = graph.mul(last, open);
    let first = affordable(graph, gains, prices, budget);
    let first = graph.mul(first, open);
    let paid = graph.mul(first, prices);
    let paid = total(graph, paid);
    let rest = graph.sub(budget, paid);
    let (zero, one, tiny) = (graph.scalar(0.0), graph.scalar(1.0), graph.scalar(f32::MIN_POSITIVE));
    let rest = graph.max(rest, zero);
    let spent = graph.max(spent, tiny);
    let share = graph.div(rest, spent);
    let share = if norm == Norm::L2 { graph.unary(Unary::Sqrt, share) } else { share };
    let share = graph.min(share, one);

    let by_last = graph.mul(last, gains);
    let by_last = total(graph, by_last);
    let by_last = graph.add(by_last, gain);
    let by_first = graph.mul(first, gains);
    let by_first = total(graph, by_first);
    let shrunk = graph.mul(gain, share);
    let by_first = graph.add(by_first, shrunk);
    let better = graph.less(by_last, by_first);
    let accepted = graph.select(better, first, last);
    let change = graph.mul(moved, share);
    let others = graph.add(region.x0, change);
    let others = graph.clamp(others, region.low, region.high);
    (accepted, graph.select(better, others, relaxed))
}

/// 1 for the groups whose flip fits into the budget together with the flips that gain more (of equal ones the first).
fn affordable(graph: &mut Graph, gains: Tensor, prices: Tensor, budget: Tensor) -> Tensor {
    let groups = graph.dims(gains)[0];
    let own = graph.reshape(gains, &[groups, 1]);
    let other = graph.reshape(gains, &[1, groups]);
    let (zero, one) = (graph.scalar(0.0), graph.scalar(1.0));
    let better = graph.less(own, other);
    let equal = graph.equal(own, other);
    let (row, column) = (graph.index(&[groups, groups], 0), graph.index(&[groups, groups], 1));
    let later = graph.less(row, column);
    let tied = graph.select(later, zero, equal);
    let before = graph.max(better, tied);
    let prices = graph.reshape(prices, &[1, groups]);
    let counted = graph.mul(before, prices);
    let sums = graph.sum(counted, 1..2);
    let exceeds = graph.less(budget, sums);
    graph.select(exceeds, zero, one)
}
