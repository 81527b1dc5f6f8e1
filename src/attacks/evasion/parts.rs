//! A step of a sample of which one input moves, or several, each under a budget of its own; the others stay as they are.

use std::ops::Range;

use super::ball::{self, Region};
use super::program::{Slots, View, every_scale};
use super::{Settings, StepContext, hotflip};
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

/// Every lane's next iterate within budget and bounds, and the new values of the attack's own memory.
pub(super) fn moved(
    graph: &mut Graph,
    slots: &mut Slots,
    settings: &Settings,
    x: Tensor,
    view: &View,
    region: Region,
) -> (Tensor, Vec<(State, Tensor)>) {
    let mut memory = Vec::new();
    let mut main =
        Moving { range: 0..0, norm: settings.norm, radius: region.radius, step_size: slots.step_size };
    let Some(range) = settings.input.clone() else {
        let next = step(graph, slots, settings, &main, [x, view.gradient], view, region, &mut memory);
        return (next, memory);
    };
    main.range = range;
    let mut moving = vec![main];
    for (part, &[radius, step_size]) in settings.beside.iter().zip(&slots.beside) {
        let radius = graph.load(radius);
        moving.push(Moving { range: part.range.clone(), norm: part.norm, radius, step_size });
    }
    moving.sort_by_key(|part| part.range.start);
    let all = graph.dims(x)[0];
    let mut pieces = Vec::new();
    let mut at = 0;
    for part in &moving {
        if at < part.range.start {
            pieces.push(graph.slice(region.x0, 0, at..part.range.start));
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
        pieces.push(step(graph, slots, settings, part, [x, gradient], view, region, &mut memory));
    }
    if at < all {
        pieces.push(graph.slice(region.x0, 0, at..all));
    }
    let next = if pieces.len() == 1 { pieces[0] } else { graph.concat(&pieces, 0) };
    (next, memory)
}

/// The next iterate of one input.
fn step(
    graph: &mut Graph,
    slots: &mut Slots,
    settings: &Settings,
    part: &Moving,
    [x, gradient]: [Tensor; 2],
    view: &View,
    region: Region,
    memory: &mut Vec<(State, Tensor)>,
) -> Tensor {
    let text = part.norm == Norm::Tokens;
    let gradient = match view.words {
        Some(words) if text => words,
        // In scaled units; a scale of 1 everywhere is left out.
        _ if *settings.scale == [1.0] => gradient,
        _ => graph.mul(gradient, region.scale),
    };
    let mut context = StepContext {
        graph,
        norm: part.norm,
        x,
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
    ball::project(graph, part.norm, settings.exact, candidate, whole)
}

/// A scale for every value, as projections want it.
fn spread(graph: &mut Graph, settings: &Settings, part: &Moving, scale: Tensor, dims: &[usize]) -> Tensor {
    if part.norm == Norm::Linf || part.norm == Norm::Tokens || graph.dims(scale) == dims {
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
