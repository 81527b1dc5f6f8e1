//! The losses that evasion ascends, one value a lane, and the margin that decides success.

use percuss_kernels::Precision;
use percuss_kernels::ops::{Binary, Reduction, Unary};

use super::ball::or_one;
use crate::graph::{Graph, Tensor};

/// The gradients of an ascended loss, one a lane, to each of `by`, in a program that multiplies in `precision`; each lane's are a power of
/// 2 times too large or small, see [`lift`].
///
/// In f16 the loss is scaled before, and its gradient back after, by a power of 2: what reaches the layers of a confident model would
/// otherwise be too small for it (Micikevicius et al. 2018, Mixed Precision Training, section 3.2).
pub(super) fn gradients(
    graph: &mut Graph,
    precision: Precision,
    ascended: Ascended,
    by: &[Tensor],
) -> Vec<Tensor> {
    const SCALE: f32 = 1024.0;
    graph.precision = precision;
    let lifted = graph.mul(ascended.value, ascended.lift);
    if precision == Precision::F32 {
        return graph.gradients(lifted, by);
    }
    let scale = graph.scalar(SCALE);
    let scaled = graph.mul(lifted, scale);
    let gradients = graph.gradients(scaled, by);
    let back = graph.scalar(1.0 / SCALE);
    gradients.into_iter().map(|gradient| graph.mul(gradient, back)).collect()
}

/// 1 where a margin is below 0, by so much that the graph's precision cannot have made it so.
///
/// A lane that stops at a success which the f32 pass then denies would make a model look stronger than it is. In f16 a margin counts
/// from 1/64 of the largest logit and of 1 on: products of 11 binary digits are a few times closer than that.
pub(super) fn negative(graph: &mut Graph, margin: Tensor, logits: Tensor) -> Tensor {
    let zero = graph.scalar(0.0);
    if graph.precision == Precision::F32 {
        return graph.less(margin, zero);
    }
    let sizes = graph.unary(Unary::Abs, logits);
    let largest = graph.reduce(Reduction::Max, sizes, 0..1);
    let (one, share) = (graph.scalar(1.0), graph.scalar(1.0 / 64.0));
    let size = graph.add(largest, one);
    let slack = graph.mul(size, share);
    let raised = graph.add(margin, slack);
    graph.less(raised, zero)
}

/// A loss by its resolved name: what a row's `loss` column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Cross-entropy of the true class (of the target, negated), see [`ascended`].
    CrossEntropy,
    /// Largest other logit minus the true one (Carlini & Wagner 2017, f6 without the confidence clamp).
    Margin,
    /// Difference of logits ratio (Croce & Hein 2020, equation 6; targeted: equation 7).
    Dlr,
}

impl Loss {
    /// The loss for the study's word, the number of classes and whether there is a target. DLR needs 3 classes, targeted 4; with
    /// fewer the margin takes its place.
    pub fn resolve(word: &str, classes: usize, targeted: bool) -> Self {
        match word {
            "margin" => Self::Margin,
            "dlr" if classes >= if targeted { 4 } else { 3 } => Self::Dlr,
            "dlr" => Self::Margin,
            _ => Self::CrossEntropy,
        }
    }

    /// The name in the `loss` column; a substitute names both.
    pub fn column(word: &str, classes: usize, targeted: bool) -> String {
        let resolved = Self::resolve(word, classes, targeted);
        match (word, resolved) {
            ("dlr", Self::Margin) => "margin (for dlr: too few classes)".into(),
            _ => word.into(),
        }
    }
}

/// A loss with the power of 2 by which its gradient is lifted.
#[derive(Clone, Copy, Debug)]
pub struct Ascended {
    /// The loss, one a lane.
    pub value: Tensor,
    /// See [`lift`], one a lane.
    pub lift: Tensor,
}

/// The loss to ascend. logits `[classes]`, label `[]` (the true class), target `[]` if targeted.
///
/// Cross-entropy is ascended as the log odds against the class, which rise with it: the gradient of cross-entropy is theirs times 1 - p, and
/// where the model is sure of its answer that factor is rounded to nothing. Steps go by the gradient's signs or over its length, so that
/// the factor would mean nothing to them. Targeted it is the log odds for the target.
pub fn ascended(
    graph: &mut Graph,
    loss: Loss,
    logits: Tensor,
    label: Tensor,
    target: Option<Tensor>,
) -> Ascended {
    let up = lift(graph, logits);
    let negative = |graph: &mut Graph, value: Tensor| graph.unary(Unary::Neg, value);
    let value = match (loss, target) {
        (Loss::CrossEntropy, None) => graph.odds_against(logits, label),
        (Loss::CrossEntropy, Some(target)) => {
            let odds = graph.odds_against(logits, target);
            negative(graph, odds)
        }
        (Loss::Margin, None) => {
            let margin = margin(graph, logits, label);
            negative(graph, margin)
        }
        (Loss::Margin, Some(target)) => margin(graph, logits, target),
        (Loss::Dlr, target) => {
            // A ratio of logits, whose gradient has their scale inverted.
            let value = dlr(graph, logits, label, target);
            let one = graph.scalar(1.0);
            return Ascended { value, lift: graph.div(one, up) };
        }
    };
    Ascended { value, lift: up }
}

/// A power of 2 that keeps gradients of very small or large logits within f32: half of the way from the logits' scale to 1, since it is not
/// known in which layer they get it. Of logits from 2^-40 to 2^40 it is 1.
fn lift(graph: &mut Graph, logits: Tensor) -> Tensor {
    let sizes = graph.unary(Unary::Abs, logits);
    let largest = graph.reduce(Reduction::Max, sizes, 0..1);
    let [least, most, up, down] = [-40, 40, 60, -50].map(|power| graph.scalar(2f32.powi(power)));
    let one = graph.scalar(1.0);
    let large = graph.less(most, largest);
    let factor = graph.select(large, down, one);
    let small = graph.less(largest, least);
    graph.select(small, up, factor)
}

/// `z_c - max over j != c of z_j`: positive where class c wins.
pub fn margin(graph: &mut Graph, logits: Tensor, class: Tensor) -> Tensor {
    let classes = graph.dims(logits)[0];
    let chosen = graph.one_hot(class, classes);
    let own = pick(graph, logits, chosen);
    let lowest = graph.scalar(f32::MIN);
    let others = graph.select(chosen, lowest, logits);
    let best = graph.reduce(Reduction::Max, others, 0..1);
    graph.sub(own, best)
}

/// The logit where `chosen` is 1.
fn pick(graph: &mut Graph, logits: Tensor, chosen: Tensor) -> Tensor {
    let zero = graph.scalar(0.0);
    let only = graph.select(chosen, logits, zero);
    graph.sum(only, 0..1)
}

fn dlr(graph: &mut Graph, logits: Tensor, label: Tensor, target: Option<Tensor>) -> Tensor {
    let classes = graph.dims(logits)[0];
    let sorted = largest(graph, logits, if target.is_some() { 4 } else { 3 });
    match target {
        None => {
            let margin = margin(graph, logits, label);
            let spread = graph.sub(sorted[0], sorted[2]);
            let safe = or_one(graph, spread);
            let ratio = graph.div(margin, safe);
            graph.unary(Unary::Neg, ratio)
        }
        Some(target) => {
            let (of_label, of_target) = (graph.one_hot(label, classes), graph.one_hot(target, classes));
            let own = pick(graph, logits, of_label);
            let wanted = pick(graph, logits, of_target);
            let gap = graph.sub(own, wanted);
            let lower = graph.add(sorted[2], sorted[3]);
            let half = graph.scale(lower, 0.5);
            let spread = graph.sub(sorted[0], half);
            let safe = or_one(graph, spread);
            let ratio = graph.div(gap, safe);
            graph.unary(Unary::Neg, ratio)
        }
    }
}

/// The `count` largest logits, descending; of equal ones the first comes first.
fn largest(graph: &mut Graph, logits: Tensor, count: usize) -> Vec<Tensor> {
    let classes = graph.dims(logits)[0];
    let position = graph.index(&[classes], 0);
    let lowest = graph.scalar(f32::MIN);
    let beyond = graph.scalar(classes as f32);
    let mut rest = logits;
    let mut found = Vec::new();
    for _ in 0..count {
        let best = graph.reduce(Reduction::Max, rest, 0..1);
        let wide = graph.expand(best, 1);
        let hit = graph.equal(rest, wide);
        let places = graph.select(hit, position, beyond);
        let first = graph.reduce(Reduction::Min, places, 0..1);
        let chosen = graph.one_hot(first, classes);
        // Picked from the logits themselves, so that the gradient flows to this one entry.
        found.push(pick(graph, logits, chosen));
        rest = graph.select(chosen, lowest, rest);
    }
    found
}

/// The logits that decide: those of the classes, or `[0, z]` for the one finding that a sigmoid head is asked about; the second
/// shifted so that it wins exactly where the score is above the threshold.
pub fn decision_logits(
    graph: &mut Graph,
    logits: Tensor,
    sigmoid: bool,
    finding: Tensor,
    threshold_logit: Tensor,
) -> Tensor {
    let classes = graph.dims(logits)[0];
    let shift = graph.expand(threshold_logit, 1);
    let second = graph.index(&[2], 0);
    if sigmoid {
        let chosen = graph.one_hot(finding, classes);
        let value = pick(graph, logits, chosen);
        let value = graph.expand(value, 1);
        let above = graph.sub(value, shift);
        let zero = graph.scalar(0.0);
        return graph.select(second, above, zero);
    }
    if classes != 2 {
        return logits;
    }
    let moved = graph.binary(Binary::Sub, logits, shift);
    graph.select(second, moved, logits)
}
