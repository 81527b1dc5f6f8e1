//! One-hot groups: from the relaxed values that steps move to the categories that the model is asked about.

use std::sync::Arc;

use percuss_kernels::ops::{Reduction, Unary};

use super::Settings;
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
/// help alike). Flips that gain most come first, as far as the budget goes after what the other features took of it; the remaining groups
/// stay clean. Under linf a group's bounds are open only where every flip is paid for.
pub(super) fn round(
    graph: &mut Graph,
    settings: &Settings,
    relaxed: Tensor,
    gradient: Tensor,
    region: Region,
) -> Tensor {
    let flips: Vec<Flip> = settings
        .one_hot
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
                price: price(graph, settings.norm, units),
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
    let mut accepted = graph.less(zero, rooms);
    if settings.norm != Norm::Linf {
        let spent = spent_elsewhere(graph, settings, relaxed, region);
        let paid = affordable(graph, settings.norm, gains, prices, spent, region.radius);
        accepted = graph.mul(accepted, paid);
    }
    let mut parts = Vec::new();
    let mut at = 0;
    for (g, (group, flip)) in settings.one_hot.iter().zip(&flips).enumerate() {
        if at < group.start {
            parts.push(graph.slice(relaxed, 0, at..group.start));
        }
        let take = graph.slice(accepted, 0, g..g + 1);
        parts.push(graph.select(take, flip.chosen, flip.clean));
        at = group.end;
    }
    let features = graph.dims(relaxed)[0];
    if at < features {
        parts.push(graph.slice(relaxed, 0, at..features));
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
        Norm::L1 | Norm::Linf => graph.unary(Unary::Abs, units),
    };
    total(graph, each)
}

/// The price of the change in all features outside of groups, `[1]`.
fn spent_elsewhere(graph: &mut Graph, settings: &Settings, relaxed: Tensor, region: Region) -> Tensor {
    let features = graph.dims(relaxed)[0];
    let plain = |i: usize| !settings.one_hot.iter().any(|group| group.contains(&i));
    let mask: Vec<f32> = (0..features).map(|i| f32::from(u8::from(plain(i)))).collect();
    let mask = graph.constant(&Arc::new(mask), &[features]);
    let moved = graph.sub(relaxed, region.x0);
    let units = graph.div(moved, region.scale);
    let units = graph.mul(units, mask);
    price(graph, settings.norm, units)
}

/// 1 for the groups whose flip fits into the radius together with the flips that gain more (of equal ones the first).
fn affordable(
    graph: &mut Graph,
    norm: Norm,
    gains: Tensor,
    prices: Tensor,
    spent: Tensor,
    radius: Tensor,
) -> Tensor {
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
    let altogether = graph.add(sums, spent);
    let radius = graph.expand(radius, 1);
    let budget = if norm == Norm::L2 { graph.mul(radius, radius) } else { radius };
    let exceeds = graph.less(budget, altogether);
    graph.select(exceeds, zero, one)
}
