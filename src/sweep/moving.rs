//! Which of a model's inputs a cell moves, by their names in the study.

use std::ops::Range;
use std::sync::Arc;

use super::cell::Cell;
use super::study::{AttackTable, Beside, Study};
use crate::Result;
use crate::attacks::Norm;
use crate::attacks::evasion::Part;
use crate::data::{Dataset, Domain};
use crate::models::{Config, Input, InputKind};
use crate::spelling::one_of;

/// What the columns of a table are called together, where the model has an input for each.
const COLUMNS: &str = "all columns";

/// What budgets may be for: a model's inputs, and before them all columns of a table that it reads through several.
pub(super) fn inputs(config: &Config, data: Option<&Dataset>) -> Vec<Input> {
    let own = config.inputs();
    let len = own.iter().map(|input| input.range.len()).sum();
    let is_table = |data: &Dataset| {
        data.inputs.is_empty() && !data.domain.features.is_empty() && data.sample_len() == len
    };
    let of = |kind: InputKind| own.iter().any(|input| input.kind == kind);
    if own.len() < 2 || !data.is_some_and(is_table) || !of(InputKind::Numbers) || of(InputKind::Tokens) {
        return own;
    }
    let all = Input { name: COLUMNS.into(), shape: vec![len], range: 0..len, kind: InputKind::Numbers };
    std::iter::once(all).chain(own).collect()
}

/// Keeps the columns of a table that the model reads as whole numbers as they are.
pub(super) fn fix_whole_numbers(config: &Config, data: &mut Dataset) {
    let all = inputs(config, Some(data));
    if all.first().is_some_and(|input| input.name == COLUMNS) {
        data.domain.immutable.resize(data.sample_len(), false);
        let whole = all.iter().filter(|input| input.kind == InputKind::Whole);
        whole.for_each(|input| data.domain.immutable[input.range.clone()].fill(true));
    }
}

/// Whether a budget in this norm is one for such an input.
fn fits(input: &Input, norm: Norm) -> bool {
    match input.kind {
        InputKind::Numbers => norm != Norm::Tokens,
        InputKind::Tokens => norm == Norm::Tokens,
        InputKind::Whole => false,
    }
}

/// The input that a ladder of budgets is for: the one of this name, or the first that such a budget fits.
pub(super) fn main<'i>(inputs: &'i [Input], name: Option<&str>, norm: Norm) -> Option<&'i Input> {
    match name {
        Some(name) => inputs.iter().find(|input| input.name == name),
        None => inputs.iter().find(|input| input.name != COLUMNS && fits(input, norm)),
    }
}

/// What a table's budgets are for, by the study or, where nothing moves beside, as all columns; `None` leaves it to [`main`].
pub(super) fn asked(table: &AttackTable, inputs: &[Input]) -> Option<Arc<str>> {
    let alone = table.beside.iter().all(|beside| beside.is_empty());
    let all = inputs.first().filter(|input| alone && input.name == COLUMNS);
    table.input.clone().or_else(|| all.map(|input| input.name.as_str().into()))
}

/// For each input the smallest and largest value in the unit of budgets, `None` where its features differ in them.
pub(super) fn ranges(domain: &Domain, inputs: &[Input]) -> Vec<Option<[f64; 2]>> {
    let shared = |values: &[f32]| values.first().copied().filter(|first| values.iter().all(|v| v == first));
    let range = |input: &Input| {
        let Domain { low, high, scale, .. } = domain.part(&input.range);
        let [low, high, scale] = [shared(&low)?, shared(&high)?, shared(&scale)?].map(f64::from);
        Some([low / scale, high / scale])
    };
    inputs.iter().map(range).collect()
}

/// Whether a model's inputs are what a table's budgets are for.
///
/// # Errors
/// A name that no input has, an input twice, a norm that an input does not go with: numbers move by linf, l2 or l1, texts by tokens, whole
/// numbers not at all.
pub(super) fn check(study: &Study, table: &AttackTable, inputs: &[Input], model: usize) -> Result<()> {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let place = |key: &str| format!("line {}, attack.{key} (model {})", table.line, study.models[model].id);
    let unfit = |key: &str, input: &Input, norm: Norm| {
        let expected = match input.kind {
            InputKind::Numbers if norm == Norm::Tokens => "linf, l2 or l1; texts need `words` of the model",
            InputKind::Numbers => "linf, l2 or l1, which numbers move by",
            InputKind::Tokens => "tokens, which a text changes by",
            InputKind::Whole => {
                "another input: whole numbers stay as they are, and so do texts without `words` of the model (of pixels: export it with floats there, or with \
                 a Cast to float before anything else)"
            }
        };
        study.error(place(key), format!("{} for input {}", norm.name(), input.name), expected)
    };
    let asked = asked(table, inputs);
    for budget in &table.budgets {
        let only = inputs.first().filter(|_| inputs.len() == 1 && table.input.is_none());
        let Some(input) = main(inputs, asked.as_deref(), budget.norm).or(only) else {
            let found = table.input.as_deref().map_or_else(
                || format!("{}, and inputs {}", budget.norm.name(), names.join(", ")),
                |name| format!("{name:?}"),
            );
            return Err(study.error(
                place("input"),
                found,
                one_of(&names, table.input.as_deref().unwrap_or("")),
            ));
        };
        if !fits(input, budget.norm) {
            return Err(unfit("budget", input, budget.norm));
        }
        for beside in table.beside.iter().flat_map(|all| all.iter()) {
            let Some(other) = inputs.iter().find(|input| input.name == beside.input) else {
                let found = format!("{:?}", beside.input);
                return Err(study.error(place("beside"), found, one_of(&names, &beside.input)));
            };
            if !fits(other, beside.norm) {
                return Err(unfit("beside", other, beside.norm));
            }
            if other.range.start < input.range.end && input.range.start < other.range.end {
                let found = format!("{}, which the budget is for", other.name);
                return Err(study.error(place("beside"), found, "another input of the model"));
            }
        }
    }
    Ok(())
}

/// The name of the input that budgets are for, unless it is the one that they would be for anyway.
pub(super) fn named(name: &Option<Arc<str>>, inputs: &[Input], norm: Norm) -> Option<Arc<str>> {
    let usual = main(inputs, None, norm).map(|input| input.name.as_str());
    name.clone().filter(|name| usual != Some(name))
}

/// The place of the input that the cell's budget is for, `None` for the whole of a sample, and those that move beside. The study was
/// checked.
pub(super) fn parts(cell: &Cell, inputs: &[Input]) -> (Option<Range<usize>>, Vec<Part>) {
    let all = cell.input.as_deref() == Some(COLUMNS) || inputs.len() == 1;
    if all && inputs[0].kind == InputKind::Numbers {
        return (None, Vec::new());
    }
    let range = main(inputs, cell.input.as_deref(), cell.norm).map(|input| input.range.clone());
    let part = |beside: &Beside| {
        let input = inputs.iter().find(|input| input.name == beside.input)?;
        Some(Part { range: input.range.clone(), norm: beside.norm })
    };
    (range, cell.beside.iter().filter_map(part).collect())
}

/// The inputs that move in words, where the model has several: the one that the budget is for, then each other with its budget.
pub(super) fn text(cell: &Cell, inputs: &[Input]) -> Option<String> {
    if inputs.len() == 1 {
        return None;
    }
    let main = main(inputs, cell.input.as_deref(), cell.norm).map(|input| input.name.clone());
    let beside = |beside: &Beside| format!("{} {} {}", beside.input, beside.norm.name(), beside.eps);
    Some(main.into_iter().chain(cell.beside.iter().map(beside)).collect::<Vec<_>>().join("; "))
}
