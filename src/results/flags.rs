//! Sanity checks: signs that a robust accuracy says more about the attack than about the model.
//!
//! They follow Athalye, Carlini and Wagner 2018 (section 3.1) and Carlini et al. 2019 (section 4): gradients that
//! are masked make a white-box attack fail where a weaker one succeeds.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::records::CellRow;

/// A black-box attack left fewer samples robust than the strongest white-box attack at the same budget (set on both).
pub const BLACK_BOX_STRONGER: &str = "black-box-stronger";
/// More steps left more samples robust than fewer steps of the same configuration.
pub const MORE_STEPS_WEAKER: &str = "more-steps-weaker";
/// A larger budget left more samples robust than a smaller one of the same configuration.
pub const LARGER_BUDGET_WEAKER: &str = "larger-budget-weaker";
/// A budget that covers the whole range of the data left samples robust.
pub const HUGE_BUDGET_NOT_ZERO: &str = "huge-budget-not-zero";
/// More than half of the gradient's entries were exactly zero.
pub const ZERO_GRADIENTS: &str = "zero-gradients";
/// The attack went through a final softmax or sigmoid, which flattens gradients where the model is sure.
pub const FINAL_SOFTMAX: &str = "final-softmax";

/// The flags that [`check_across`] sets and that depend on a cell's company.
const ACROSS: [&str; 3] = [BLACK_BOX_STRONGER, MORE_STEPS_WEAKER, LARGER_BUDGET_WEAKER];
/// Robust accuracies are quotients of counts: they differ by more than this or not at all.
const EQUAL: f64 = 1e-12;

/// The checks of one cell by itself.
///
/// `huge`: the budget lets every value take any value in its range. `softmax`: a final softmax or sigmoid was
/// attacked through.
pub fn check_alone(cell: &CellRow, huge: bool, softmax: bool) -> Vec<String> {
    let any = cell.aim.as_deref().is_none_or(|aim| aim == "any");
    let fired = [
        (HUGE_BUDGET_NOT_ZERO, huge && any && cell.robust_accuracy.is_some_and(|share| share > EQUAL)),
        (ZERO_GRADIENTS, cell.zero_gradient_share.is_some_and(|share| share > 0.5)),
        (FINAL_SOFTMAX, softmax),
    ];
    fired.into_iter().filter(|(_, fired)| *fired).map(|(flag, _)| flag.to_owned()).collect()
}

/// The checks of cells against each other; replaces what an earlier call set, and leaves other flags alone.
///
/// Any difference counts, a single sample's too: nothing that works gets weaker when it may do more.
pub fn check_across(cells: &mut [CellRow]) {
    let mut fired: Vec<(usize, &'static str)> = Vec::new();
    fired.extend(black_box_stronger(cells).into_iter().map(|i| (i, BLACK_BOX_STRONGER)));
    let by_steps =
        weaker_with_more(cells, &["steps"], |cell| cell.steps.map(|steps| steps as f64), |cell| cell.eps);
    fired.extend(by_steps.into_iter().map(|i| (i, MORE_STEPS_WEAKER)));
    let by_budget =
        weaker_with_more(cells, &["eps", "step_size"], |cell| cell.eps, |cell| cell.steps.map(|s| s as f64));
    fired.extend(by_budget.into_iter().map(|i| (i, LARGER_BUDGET_WEAKER)));
    for cell in cells.iter_mut() {
        cell.flags.retain(|flag| !ACROSS.contains(&flag.as_str()));
    }
    for (i, flag) in fired {
        cells[i].flags.push(flag.to_owned());
    }
    for cell in cells.iter_mut() {
        cell.flags.sort();
        cell.flags.dedup();
    }
}

/// What two cells must share to be comparable at all.
fn setting(cell: &CellRow) -> String {
    let who = (
        &cell.model,
        &cell.model_sha256,
        &cell.data,
        &cell.data_sha256,
        &cell.sample_set_sha256,
        &cell.defense,
    );
    format!("{who:?} {:?}", (&cell.threat, &cell.aim, cell.target, &cell.finding, &cell.norm))
}

/// Cells by a key, in order.
fn grouped(cells: &[CellRow], key: impl Fn(&CellRow) -> Option<String>) -> impl Iterator<Item = Vec<usize>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, cell) in cells.iter().enumerate() {
        if let (Some(key), Some(_)) = (key(cell), cell.robust_accuracy) {
            groups.entry(key).or_default().push(i);
        }
    }
    groups.into_values()
}

fn robust(cell: &CellRow) -> f64 {
    cell.robust_accuracy.unwrap_or(1.0)
}

/// Black-box cells that beat the strongest white-box cell of their setting and budget, and those white-box cells.
fn black_box_stronger(cells: &[CellRow]) -> Vec<usize> {
    let mut fired = Vec::new();
    for group in grouped(cells, |cell| Some(format!("{} {:?}", setting(cell), cell.eps?))) {
        let of = |knowledge: &str| {
            group.iter().copied().filter(|i| cells[*i].knowledge.starts_with(knowledge)).collect()
        };
        let (white, black): (Vec<usize>, Vec<usize>) = (of("white"), of("black"));
        let Some(strongest) = white.iter().map(|i| robust(&cells[*i])).min_by(f64::total_cmp) else {
            continue;
        };
        let beat: Vec<usize> = black.into_iter().filter(|i| robust(&cells[*i]) < strongest - EQUAL).collect();
        if !beat.is_empty() {
            fired.extend(beat);
            fired.extend(white.into_iter().filter(|i| robust(&cells[*i]) <= strongest + EQUAL));
        }
    }
    fired
}

/// Cells that leave more robust than a cell with a smaller `amount` and otherwise the same configuration.
///
/// `free` are the keys of `params` that may differ with the amount; `fixed` is the other axis, which must not.
fn weaker_with_more(
    cells: &[CellRow],
    free: &[&str],
    amount: fn(&CellRow) -> Option<f64>,
    fixed: fn(&CellRow) -> Option<f64>,
) -> Vec<usize> {
    let mut cache: HashMap<&str, String> = HashMap::new();
    let params: Vec<String> = cells
        .iter()
        .map(|cell| cache.entry(&cell.params).or_insert_with(|| without(&cell.params, free)).clone())
        .collect();
    let position: HashMap<&str, usize> =
        cells.iter().enumerate().map(|(i, c)| (c.cell_id.as_str(), i)).collect();
    let key = |cell: &CellRow| {
        amount(cell)?;
        let params = &params[*position.get(cell.cell_id.as_str())?];
        Some(format!(
            "{} {:?}",
            setting(cell),
            (&cell.attack, cell.seed, fixed(cell).map(f64::to_bits), params)
        ))
    };
    let mut fired = Vec::new();
    for mut group in grouped(cells, key) {
        group.sort_by(|a, b| amount(&cells[*a]).unwrap_or(0.0).total_cmp(&amount(&cells[*b]).unwrap_or(0.0)));
        let mut strongest = f64::INFINITY;
        for level in group.chunk_by(|a, b| amount(&cells[*a]) == amount(&cells[*b])) {
            fired.extend(level.iter().filter(|i| robust(&cells[**i]) > strongest + EQUAL));
            strongest = level.iter().map(|i| robust(&cells[*i])).fold(strongest, f64::min);
        }
    }
    fired
}

/// The configuration without the keys that may differ, at whatever depth they stand; text that is no JSON stays.
fn without(params: &str, free: &[&str]) -> String {
    fn prune(value: &mut Value, free: &[&str]) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| !free.contains(&key.as_str()));
                map.values_mut().for_each(|inner| prune(inner, free));
            }
            Value::Array(items) => items.iter_mut().for_each(|inner| prune(inner, free)),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(params) {
        Ok(mut value) => {
            prune(&mut value, free);
            value.to_string()
        }
        Err(_) => params.to_owned(),
    }
}
