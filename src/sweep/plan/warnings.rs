//! What the user should know before starting.

use super::Subject;
use crate::attacks::evasion::crossing;
use crate::attacks::{Knowledge, Norm, Value};
use crate::sweep::grid::{Cell, Grid};
use crate::sweep::study::{Stop, Study};
use crate::sweep::{doubts, moving, resolution};
use crate::telling::counted;

pub(super) fn of(study: &Study, grid: &Grid, subjects: &[Subject]) -> Vec<String> {
    let mut warnings = Vec::new();
    let cells = &grid.cells;
    if !cells.is_empty() && cells.iter().all(|cell| cell.attack.knowledge == Knowledge::WhiteBox) {
        warnings.push("no black-box check: gradients that mislead would go unnoticed".to_string());
    }
    if study.seeds.len() == 1 && study.threats.iter().any(|table| table.given.is_none()) {
        warnings.push("only one seed: the spread over trained models stays unknown".to_string());
    }
    if study.seeds.len() == 1 && cells.iter().any(|cell| !cell.deterministic()) {
        warnings.push("only one seed: the spread over random starts stays unknown".to_string());
    }
    if cells.iter().any(|cell| cell.stop == Stop::Success) {
        warnings.push(
            "stop = \"success\": scores after the attack (auroc, brier, ece, ...) are null; stop = \"steps\" gives them".to_string(),
        );
    }
    let bisected = cells.iter().filter(|cell| cell.bisected.is_some()).count();
    if bisected > 0 {
        warnings.push(format!(
            "{bisected} cells are bisected: that a sample which withstands a budget withstands smaller ones is assumed"
        ));
    }
    warnings.extend(short_steps(cells));
    warnings.extend(long_steps(cells));
    warnings.extend(unshared_steps(cells));
    for subject in subjects {
        warnings.extend(of_subject(study, cells, subject));
    }
    for entry in &study.models {
        let fitted = entry.operating_point.as_ref();
        for &data in &entry.data {
            if fitted.is_some_and(|point| point.fit_on == study.data[data].request.split) {
                let (model, data) = (&entry.id, &study.data[data].id);
                warnings.push(format!(
                    "model {model}: the operating point is fitted on the attacked split of {data}"
                ));
            }
        }
        if entry.expect.is_empty() {
            warnings.push(format!("model {}: no expect, so clean metrics are not checked first", entry.id));
        }
    }
    warnings
}

fn of_subject(study: &Study, cells: &[Cell], subject: &Subject) -> Vec<String> {
    let Some(samples) = &subject.samples else { return Vec::new() };
    let id = &study.data[subject.data].id;
    let mut warnings = Vec::new();
    let own: Vec<&Cell> =
        cells.iter().filter(|c| c.model == subject.model && c.data == subject.data).collect();
    for (norm, span) in [Norm::Linf, Norm::L2, Norm::L1].into_iter().zip(samples.span) {
        let largest = own.iter().filter(|cell| cell.norm == norm).map(|cell| cell.eps).fold(0.0, f64::max);
        if largest > span {
            let norm = norm.name();
            warnings.push(format!(
                "data {id}: {norm} eps {largest} is more than the whole range of values, {span:.6}"
            ));
        }
    }
    let inputs = subject.outputs.as_ref().map_or(&[][..], |outputs| &outputs.inputs);
    let step = |cell: &Cell| {
        let (input, _) = moving::parts(cell, inputs);
        let step = resolution::step_of(&samples.resolution, input.as_ref())?;
        (cell.norm != Norm::Tokens && resolution::is_below(cell.eps, step)).then_some(step)
    };
    let below = || own.iter().filter_map(|cell| Some((cell, step(cell)?)));
    if let Some((smallest, step)) = below().next() {
        warnings.push(format!(
            "data {id}: {} cells have budgets such as {} eps {}, below the data's own resolution of {step:.6}",
            below().count(),
            smallest.norm.name(),
            smallest.eps
        ));
    }
    let extreme = |cell: &&&Cell| doubts::has_no_square(cell.norm, cell.eps);
    if let Some(cell) = own.iter().find(extreme) {
        warnings.push(format!(
            "data {id}: {} have budgets such as l2 eps {}, whose squares f32 does not hold: values of another unit, between 1e-15 and 1e15, \
             are attacked as l2 says",
            counted(own.iter().filter(extreme).count(), "cell"),
            cell.eps
        ));
    }
    match samples.groups {
        None => warnings.push(format!("data {id}: no group, so samples are taken as independent")),
        Some(groups) if groups < 10 => {
            warnings.push(format!("data {id}: {groups} groups only, so intervals are rough"));
        }
        Some(_) => {}
    }
    if samples.synthetic {
        warnings.push(format!("data {id} is synthetic"));
    }
    warnings
}

/// Attacks whose steps together are shorter than the ball is wide, from a random start be it one step: they may not reach what they look for.
fn short_steps(cells: &[Cell]) -> Option<String> {
    let short = |cell: &&Cell| {
        let away = cell.random_start() || cell.steps() > 1;
        away && cell.norm != Norm::Tokens
            && cell.steps() as f64 * cell.step_size() < 2.0 * cell.eps * (1.0 - 1e-9)
    };
    let count = cells.iter().filter(short).count();
    let example = cells.iter().find(short)?;
    let (name, steps, size, eps) = (example.attack.name, example.steps(), example.step_size(), example.eps);
    Some(format!(
        "{} cannot cross their ball, such as {name}: {} of {size} for eps {eps}; leave step_size out, or give it 2 eps over steps at least",
        counted(count, "cell"),
        counted(steps as usize, "step")
    ))
}

/// Attacks whose single steps are longer than the ball is wide: they jump from end to end of it and never come to rest.
fn long_steps(cells: &[Cell]) -> Option<String> {
    let long = |cell: &&Cell| {
        cell.steps() > 1 && cell.norm != Norm::Tokens && cell.step_size() > 2.0 * cell.eps * (1.0 + 1e-9)
    };
    let count = cells.iter().filter(long).count();
    let example = cells.iter().find(long)?;
    let (name, size, eps) = (example.attack.name, example.step_size(), example.eps);
    Some(format!(
        "steps longer than the ball is wide in {count} of {} cells, such as {name}: steps of {size} for eps {eps}; step_size is in the \
         data's own values, step_size = {{ rel = 0.1 }} in shares of eps",
        cells.len()
    ))
}

/// Attacks that would share their work by steps if their step size did not follow the number of steps.
fn unshared_steps(cells: &[Cell]) -> Option<String> {
    let follows = |cell: &&Cell| {
        cell.parameter("step_size") == Some(Value::Crossing) && crossing(cell.steps()) > crossing(u64::MAX)
    };
    let mut steps: Vec<(&str, u64)> =
        cells.iter().filter(follows).map(|cell| (cell.attack.name, cell.steps())).collect();
    steps.sort_unstable();
    steps.dedup();
    let several = steps.chunk_by(|a, b| a.0 == b.0).find(|same| same.len() > 1)?;
    let numbers: Vec<String> = several.iter().map(|(_, steps)| steps.to_string()).collect();
    Some(format!(
        "{} with {} steps shares nothing between them: its step size follows the number of steps where that is below 25; a step_size of \
         your own would be shared",
        several[0].0,
        numbers.join(", ")
    ))
}
