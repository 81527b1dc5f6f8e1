//! Sanity checks: signs that a robust accuracy says more about the attack than about the model.
//!
//! They follow Athalye, Carlini and Wagner 2018 (section 3.1) and Carlini et al. 2019 (section 4): gradients that
//! are masked make a white-box attack fail where a weaker one succeeds.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::records::CellRow;
use super::text::Text;
use crate::digest::{Digest, digest};

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
pub fn check_alone(cell: &CellRow, huge: bool, softmax: bool) -> Vec<Text> {
    let any = cell.aim.as_deref().is_none_or(|aim| aim == "any");
    let fired = [
        (HUGE_BUDGET_NOT_ZERO, huge && any && cell.robust_accuracy.is_some_and(|share| share > EQUAL)),
        (ZERO_GRADIENTS, cell.zero_gradient_share.is_some_and(|share| share > 0.5)),
        (FINAL_SOFTMAX, softmax),
    ];
    fired.into_iter().filter(|(_, fired)| *fired).map(|(flag, _)| flag.into()).collect()
}

/// The checks of cells against each other; replaces what an earlier call set, and leaves other flags alone.
///
/// Any difference counts, a single sample's too: nothing that works gets weaker when it may do more.
pub fn check_across(cells: &mut [CellRow]) {
    let mut company = Company::default();
    cells.iter().for_each(|cell| company.add(cell));
    company.fired().iter().zip(cells).for_each(|(fired, cell)| mark(cell, fired));
}

/// Sets the flags of a cell among others in the place of those that an earlier check set.
pub(super) fn mark(cell: &mut CellRow, fired: &[&'static str]) {
    cell.flags.retain(|flag| !ACROSS.contains(&flag.as_str()));
    cell.flags.extend(fired.iter().map(|flag| Text::from(*flag)));
    cell.flags.sort();
    cell.flags.dedup();
}

/// What the checks need of cells, which come one after the other: far less than the cells themselves.
#[derive(Default)]
pub(super) struct Company {
    names: Numbers,
    cells: usize,
    standings: Vec<Standing>,
}

impl Company {
    /// One more cell.
    pub(super) fn add(&mut self, row: &CellRow) {
        let standing =
            row.robust_accuracy.map(|robust| Standing::of(self.cells, row, robust, &mut self.names));
        self.standings.extend(standing);
        self.cells += 1;
    }

    /// The flags of every cell, in the order in which they came.
    pub(super) fn fired(&self) -> Vec<Vec<&'static str>> {
        let all = &self.standings;
        let checks = [
            (BLACK_BOX_STRONGER, black_box_stronger(all)),
            (MORE_STEPS_WEAKER, weaker_with_more(all, |one| one.steps, |one| (one.eps, one.but_steps))),
            (LARGER_BUDGET_WEAKER, weaker_with_more(all, |one| one.eps, |one| (one.steps, one.but_budget))),
        ];
        let mut fired = vec![Vec::new(); self.cells];
        for (flag, cells) in checks {
            cells.into_iter().for_each(|cell| fired[cell].push(flag));
        }
        fired
    }
}

/// Texts by number: equal ones have equal numbers. Digests are kept, since the texts would be most of a large study's memory.
#[derive(Default)]
struct Numbers(HashMap<Digest, usize>);

impl Numbers {
    fn of(&mut self, text: String) -> usize {
        let next = self.0.len();
        *self.0.entry(digest(&text)).or_insert(next)
    }
}

/// A cell among others.
struct Standing {
    /// Its position.
    cell: usize,
    robust: f64,
    /// What two cells must share to be comparable at all.
    setting: usize,
    white: bool,
    black: bool,
    eps: Option<f64>,
    steps: Option<f64>,
    /// The configuration and seed but for what comes with more steps ...
    but_steps: usize,
    /// ... and but for what comes with a larger budget.
    but_budget: usize,
}

impl Standing {
    fn of(cell: usize, row: &CellRow, robust: f64, names: &mut Numbers) -> Self {
        let who = (&row.model, &row.model_sha256, &row.data, &row.data_sha256, &row.sample_set_sha256);
        let what = (&row.defense, &row.threat, &row.aim, row.target, &row.finding, &row.inputs, &row.norm);
        let params: Option<Value> = serde_json::from_str(&row.params).ok();
        let mut without = |free: &[&str]| {
            // Text that is no JSON stays.
            let params = params.clone().map_or_else(|| row.params.to_string(), |params| pruned(params, free));
            names.of(format!("{} {:?} {params}", row.attack, row.seed))
        };
        let (but_steps, but_budget) = (without(&["steps"]), without(&["eps", "step_size"]));
        Self {
            cell,
            robust,
            setting: names.of(format!("{who:?} {what:?}")),
            white: row.knowledge.starts_with("white"),
            black: row.knowledge.starts_with("black"),
            eps: row.eps,
            steps: row.steps.map(|steps| steps as f64),
            but_steps,
            but_budget,
        }
    }
}

/// Black-box cells that beat the strongest white-box cell of their setting and budget, and those white-box cells.
fn black_box_stronger(cells: &[Standing]) -> Vec<usize> {
    let mut groups: BTreeMap<(usize, u64), Vec<&Standing>> = BTreeMap::new();
    for (one, eps) in cells.iter().filter_map(|one| Some((one, one.eps?))) {
        groups.entry((one.setting, eps.to_bits())).or_default().push(one);
    }
    let mut fired = Vec::new();
    for group in groups.values() {
        let white = || group.iter().filter(|one| one.white);
        let Some(strongest) = white().map(|one| one.robust).min_by(f64::total_cmp) else { continue };
        let black = group.iter().filter(|one| one.black && one.robust < strongest - EQUAL);
        let beat: Vec<usize> = black.map(|one| one.cell).collect();
        if !beat.is_empty() {
            fired.extend(beat);
            fired.extend(white().filter(|one| one.robust <= strongest + EQUAL).map(|one| one.cell));
        }
    }
    fired
}

/// Cells that leave more robust than a cell with a smaller `amount` and otherwise the same configuration: the same other
/// axis, and the same number for the rest, by `fixed`.
fn weaker_with_more(
    cells: &[Standing],
    amount: fn(&Standing) -> Option<f64>,
    fixed: fn(&Standing) -> (Option<f64>, usize),
) -> Vec<usize> {
    // By setting, the other axis and the rest.
    type Key = (usize, Option<u64>, usize);
    let mut groups: BTreeMap<Key, Vec<(f64, &Standing)>> = BTreeMap::new();
    for (one, amount) in cells.iter().filter_map(|one| Some((one, amount(one)?))) {
        let (axis, rest) = fixed(one);
        groups.entry((one.setting, axis.map(f64::to_bits), rest)).or_default().push((amount, one));
    }
    let mut fired = Vec::new();
    for group in groups.values_mut() {
        group.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut strongest = f64::INFINITY;
        for level in group.chunk_by(|a, b| a.0 == b.0) {
            let weaker = level.iter().filter(|(_, one)| one.robust > strongest + EQUAL);
            fired.extend(weaker.map(|(_, one)| one.cell));
            strongest = level.iter().map(|(_, one)| one.robust).fold(strongest, f64::min);
        }
    }
    fired
}

/// The configuration without the keys that may differ, at whatever depth they stand.
fn pruned(mut params: Value, free: &[&str]) -> String {
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
    prune(&mut params, free);
    params.to_string()
}
