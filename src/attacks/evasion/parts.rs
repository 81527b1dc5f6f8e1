//! A step of a sample of which one input moves, or several, each under a budget of its own; the others stay as they are.

use std::ops::Range;

use super::ball::{self, Region};
use super::program::{Slots, View, every_scale};
use super::{Settings, StepContext, categories, hotflip};
use crate::attacks::Norm;
use crate::graph::{Graph, State, Tensor};

/// An input that moves beside the one that the ladder of budgets is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it is among a sample's values.
    pub range: Range<usize>,
    /// The norm of its budget.
    pub norm: Norm,
}

/// One input that moves, with its lanes' budgets.
struct Moving {
    range: Range<usize>,
    norm: Norm,
    radius: Tensor,
    step_size: State,
}

/// Where a step leads.
pub(super) struct Next {
    /// The next iterate, within budget and bounds.
    pub(super) x: Tensor,
    /// The same before one-hot groups are rounded.
    pub(super) relaxed: Tensor,
    /// New values of the attack's own memory.
    pub(super) memory: Vec<(State, Tensor)>,
}

/// Every lane's next iterate.
pub(super) fn next(
    graph: &mut Graph,
    slots: &mut Slots,
    settings: &Settings,
    x: Tensor,
    view: &View,
    region: Region,
) -> Next {
    let mut memory = Vec::new();
    let whole = || 0..graph.dims(x).iter().product();
    let range = settings.input.clone().unwrap_or_else(whole);
    let main = Moving { range, norm: settings.norm, radius: region.radius, step_size: slots.step_size };
    if settings.input.is_none() {
        let [relaxed, x] = step(graph, slots, settings, &main, [x, view.gradient], view, region, &mut memory);
        return Next { x, relaxed, memory };
    }
    let mut moving = vec![main];
    for (part, &[radius, step_size]) in settings.beside.iter().zip(&slots.beside) {
        let radius = graph.load(radius);
        moving.push(Moving { range: part.range.clone(), norm: part.norm, radius, step_size });
    }
    moving.sort_by_key(|part| part.range.start);
    let all = graph.dims(x)[0];
    let mut pieces: [Vec<Tensor>; 2] = Default::default();
    let mut at = 0;
    for part in &moving {
        if at < part.range.start {
            let still = graph.slice(region.x0, 0, at..part.range.start);
            pieces.iter_mut().for_each(|pieces| pieces.push(still));
        }
        at = part.range.end;
        let mut own = |whole: Tensor| graph.slice(whole, 0, part.range.clone());
        let (x, gradient) = (own(x), own(view.gradient));
        let [x0, low, high] = [region.x0, region.low, region.high].map(own);
        let scale = match graph.dims(region.scale).is_empty() {
            true => region.scale,
            false => graph.slice(region.scale, 0, part.range.clone()),
        };
        let region = Region { x0, low, high, scale, radius: part.radius };
        let own = step(graph, slots, settings, part, [x, gradient], view, region, &mut memory);
        pieces.iter_mut().zip(own).for_each(|(pieces, own)| pieces.push(own));
    }
    if at < all {
        let still = graph.slice(region.x0, 0, at..all);
        pieces.iter_mut().for_each(|pieces| pieces.push(still));
    }
    let [relaxed, x] = pieces.map(|pieces| match pieces[..] {
        [one] => one,
        _ => graph.concat(&pieces, 0),
    });
    Next { x, relaxed, memory }
}

/// The next iterate of one input, before and after its one-hot groups are rounded.
fn step(
    graph: &mut Graph,
    slots: &mut Slots,
    settings: &Settings,
    part: &Moving,
    [x, gradient]: [Tensor; 2],
    view: &View,
    region: Region,
    memory: &mut Vec<(State, Tensor)>,
) -> [Tensor; 2] {
    let text = part.norm == Norm::Tokens;
    let slope = gradient;
    let gradient = match view.words {
        Some(words) if text => words,
        // In scaled units; a scale of 1 everywhere is left out.
        _ if *settings.scale == [1.0] => slope,
        _ => graph.mul(slope, region.scale),
    };
    let mut context = StepContext {
        graph,
        norm: part.norm,
        x,
        loss: view.loss,
        gradient,
        region,
        step_size: part.step_size,
        reading: view.reading.clone().filter(|_| text),
        settings,
        slots,
        moved: Vec::new(),
    };
    let rule = if text { hotflip::flip } else { settings.attack.step };
    let candidate = rule(&mut context);
    memory.append(&mut context.moved);
    let dims = graph.dims(x).to_vec();
    let whole = Region { scale: spread(graph, settings, part, region.scale, &dims), ..region };
    let relaxed = ball::project(graph, part.norm, settings.exact, candidate, whole);
    let within = settings.one_hot.iter().filter(|group| part.range.contains(&group.start));
    let groups: Vec<Range<usize>> =
        within.map(|group| group.start - part.range.start..group.end - part.range.start).collect();
    if groups.is_empty() {
        return [relaxed, relaxed];
    }
    [relaxed, categories::round(graph, part.norm, &groups, relaxed, slope, whole)]
}

/// A scale for every value, as projections and categories want it.
fn spread(graph: &mut Graph, settings: &Settings, part: &Moving, scale: Tensor, dims: &[usize]) -> Tensor {
    let bare = matches!(part.norm, Norm::Linf | Norm::Tokens) && settings.one_hot.is_empty();
    if bare || graph.dims(scale) == dims {
        return scale;
    }
    every_scale(graph, &settings.scale[..1], dims)
}

/// The gradient by the values that the ladder of budgets is for.
pub(super) fn attacked_gradient(graph: &mut Graph, settings: &Settings, view: &View) -> Tensor {
    match (&settings.input, view.words) {
        (Some(_), Some(words)) if settings.norm == Norm::Tokens => words,
        (Some(range), _) => graph.slice(view.gradient, 0, range.clone()),
        (None, _) => view.gradient,
    }
}
