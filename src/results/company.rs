//! The checks of cells against each other: counts say which cells contradict each other, and the samples that they share decide.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::flags::{
    BLACK_BOX_STRONGER, FLAT_CURVE, ITERATED_WEAKER, LARGER_BUDGET_WEAKER, MORE_STEPS_WEAKER, mark,
};
use super::outcomes::HeldRow;
use super::records::{CellRow, SampleRow};
use super::sources::Homes;
use super::text::Text;
use crate::Result;
use crate::digest::{Digest, digest};
use crate::statistics::sign_test;

/// At what level a difference between two cells counts: so rarely would chance alone part the samples on which they differ so unevenly.
pub const LEVEL: f64 = 0.01;
/// Attacked samples from which on it means something that none was broken: Wilson's interval of the success rate then ends at 0.11.
const MANY: u64 = 30;
/// The least number of samples that could: `2^-7 < LEVEL`.
const FEWEST: u64 = 7;

/// The checks of cells against each other; replaces the flags that an earlier call set, and leaves other flags alone. `robust` gives
/// the samples that stay robust, as the aim asks it, of the cells that it is asked for.
///
/// Nothing that works gets weaker when it may do more; but each of two runs breaks some samples that the other does not, so that a difference
/// counts only where a sign test over the samples on which the two differ (McNemar 1947, exact, one-sided) rejects chance at [`LEVEL`].
///
/// # Errors
/// Whatever `robust` fails with.
pub fn check_across(
    cells: &mut [CellRow],
    robust: impl FnOnce(&[Text]) -> Result<HashMap<Text, Bits>>,
) -> Result<()> {
    let mut company = Company::default();
    cells.iter().for_each(|cell| company.add(cell));
    company.fired(robust)?.iter().zip(cells).for_each(|(fired, cell)| mark(cell, fired));
    Ok(())
}

/// One bit a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(last) = self.words.last_mut() {
            *last |= u64::from(bit) << (self.len % 64);
        }
        self.len += 1;
    }

    /// How many are set here and not there, and there and not here; `None` of different lengths.
    fn differences(&self, other: &Self) -> Option<[u64; 2]> {
        let count = |a: &Self, b: &Self| {
            a.words.iter().zip(&b.words).map(|(a, b)| u64::from((a & !b).count_ones())).sum::<u64>()
        };
        (self.len == other.len).then(|| [count(self, other), count(other, self)])
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Self::default();
        bits.into_iter().for_each(|bit| all.push(bit));
        all
    }
}

/// The samples of cells on which what their aim asks holds, in the samples' order.
pub(super) fn held_samples(homes: &Homes, cells: &[Text]) -> Result<HashMap<Text, Bits>> {
    let mut found: HashMap<Text, Bits> = HashMap::new();
    if cells.is_empty() {
        return Ok(found);
    }
    let places = homes.places::<SampleRow>()?;
    for batch in places.row_batches::<HeldRow>(cells.iter().map(Text::as_str)) {
        for row in batch? {
            let held = row.held();
            found.entry(row.cell_id).or_default().push(held);
        }
    }
    Ok(found)
}

/// Two cells of which one leaves more robust than it should.
struct Suspect {
    flag: &'static str,
    /// The cell that leaves too many.
    weaker: usize,
    /// The one that shows it.
    stronger: usize,
    /// Those that get the flag.
    marked: Vec<usize>,
}

/// What the checks need of cells, which come one after the other: far less than the cells themselves.
#[derive(Default)]
pub(super) struct Company {
    names: Numbers,
    cells: Vec<Text>,
    standings: Vec<Standing>,
}

impl Company {
    /// One more cell.
    pub(super) fn add(&mut self, row: &CellRow) {
        let standing = held(row).map(|held| Standing::of(self.cells.len(), row, held, &mut self.names));
        self.standings.extend(standing);
        self.cells.push(row.cell_id.clone());
    }

    /// The flags of every cell, in the order in which they came. `robust` is asked once, for cells that may get one.
    pub(super) fn fired(
        &self,
        robust: impl FnOnce(&[Text]) -> Result<HashMap<Text, Bits>>,
    ) -> Result<Vec<Vec<&'static str>>> {
        let all = &self.standings;
        let mut suspects = black_box_stronger(all);
        suspects.extend(more_steps_weaker(all));
        suspects.extend(larger_budget_weaker(all));
        suspects.extend(iterated_weaker(all));
        let mut asked: Vec<usize> = suspects.iter().flat_map(|s| [s.weaker, s.stronger]).collect();
        asked.sort_unstable();
        asked.dedup();
        let asked: Vec<Text> = asked.into_iter().map(|cell| self.cells[cell].clone()).collect();
        let samples = if asked.is_empty() { HashMap::new() } else { robust(&asked)? };
        let differ = |suspect: &Suspect| {
            let [weaker, stronger] =
                [suspect.weaker, suspect.stronger].map(|cell| samples.get(&self.cells[cell]));
            let counts = weaker.zip(stronger).and_then(|(weaker, stronger)| weaker.differences(stronger));
            counts.is_some_and(|[more, fewer]| sign_test(more, fewer) < LEVEL)
        };
        let mut fired = vec![Vec::new(); self.cells.len()];
        flat_curves(all).into_iter().for_each(|cell| fired[cell].push(FLAT_CURVE));
        for suspect in suspects.iter().filter(|suspect| differ(suspect)) {
            suspect.marked.iter().for_each(|&cell| fired[cell].push(suspect.flag));
        }
        Ok(fired)
    }
}

/// On how many samples what a cell's aim asks holds; rows that say nothing of an aim are of all samples.
fn held(row: &CellRow) -> Option<u64> {
    let (share, of) = match row.n_concerned {
        Some(n) => (row.asked_robust?, n),
        None => (row.robust_accuracy?, row.n),
    };
    Some((share * of as f64).round() as u64)
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
    /// Samples that it leaves robust.
    robust: u64,
    /// Whether it broke none of those that it attacked, [`MANY`] at least.
    harmless: bool,
    /// What two cells must share to be comparable at all.
    setting: usize,
    white: bool,
    black: bool,
    eps: Option<f64>,
    steps: Option<f64>,
    step_size: f64,
    random_start: bool,
    /// The configuration and seed but for what comes with more steps ...
    but_steps: usize,
    /// ... and but for what comes with a larger budget.
    but_budget: usize,
}

impl Standing {
    fn of(cell: usize, row: &CellRow, robust: u64, names: &mut Numbers) -> Self {
        let who = (&row.model, &row.model_sha256, &row.data, &row.data_sha256, &row.sample_set_sha256);
        let what = (&row.defense, &row.threat, &row.aim, row.target, &row.finding, &row.inputs, &row.norm);
        let params: Option<Value> = serde_json::from_str(&row.params).ok();
        let mut without = |free: &[&str]| {
            // Text that is no JSON stays.
            let params = params.clone().map_or_else(|| row.params.to_string(), |params| pruned(params, free));
            names.of(format!("{} {:?} {params}", row.attack, row.seed))
        };
        let (but_steps, but_budget) = (without(&["steps", "step_size"]), without(&["eps", "step_size"]));
        Self {
            cell,
            robust,
            harmless: row.n_attacked >= MANY && row.n_success == 0,
            setting: names.of(format!("{who:?} {what:?} {}", row.n)),
            white: row.knowledge.starts_with("white"),
            black: row.knowledge.starts_with("black"),
            eps: row.eps,
            steps: row.steps.map(|steps| steps as f64),
            step_size: row.step_size.unwrap_or(0.0),
            random_start: row.random_start == Some(true),
            but_steps,
            but_budget,
        }
    }

    /// Whether it leaves so many more than the other that a test could tell.
    fn exceeds(&self, other: &Self) -> bool {
        self.robust >= other.robust + FEWEST
    }

    /// Whether it is one gradient at the clean input.
    fn single(&self) -> bool {
        self.steps == Some(1.0) && !self.random_start
    }

    /// Whether it may do all that the other may, and take more steps: as long ones, or shorter ones that cross the ball all the same.
    fn goes_further(&self, other: &Self) -> bool {
        let (Some(steps), Some(fewer), Some(eps)) = (self.steps, other.steps, self.eps) else { return false };
        let crosses = self.step_size <= other.step_size && steps * self.step_size >= 2.0 * eps;
        fewer < steps && (self.step_size == other.step_size || crosses)
    }
}

/// Cells by something that they share.
fn grouped<K: Ord>(
    cells: &[Standing],
    key: impl Fn(&Standing) -> Option<K>,
) -> impl Iterator<Item = Vec<&Standing>> {
    let mut groups: BTreeMap<K, Vec<&Standing>> = BTreeMap::new();
    for (one, key) in cells.iter().filter_map(|one| Some((one, key(one)?))) {
        groups.entry(key).or_default().push(one);
    }
    groups.into_values()
}

/// The cell that leaves fewest; of equal ones the first.
fn strongest<'a>(cells: impl Iterator<Item = &'a Standing>) -> Option<&'a Standing> {
    cells.min_by_key(|one| one.robust)
}

/// Of black-box cells that beat the strongest white-box cell of their setting and budget: they, and the white-box cells that are as strong.
fn black_box_stronger(cells: &[Standing]) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for group in grouped(cells, |one| Some((one.setting, one.eps?.to_bits()))) {
        let white = || group.iter().copied().filter(|one| one.white);
        let Some(best) = strongest(white()) else { continue };
        for black in group.iter().filter(|one| one.black && best.exceeds(one)) {
            let beaten = white().filter(|one| one.robust == best.robust).map(|one| one.cell);
            suspects.push(Suspect {
                flag: BLACK_BOX_STRONGER,
                weaker: best.cell,
                stronger: black.cell,
                marked: beaten.chain([black.cell]).collect(),
            });
        }
    }
    suspects
}

/// One suspect for each cell that leaves more than the strongest of those that may do `less`.
fn weaker_than(
    flag: &'static str,
    groups: impl Iterator<Item = Vec<impl std::ops::Deref<Target = Standing>>>,
    less: fn(&Standing, &Standing) -> bool,
) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for group in groups {
        for one in &group {
            let best = strongest(group.iter().map(|other| &**other).filter(|other| less(other, one)));
            if let Some(best) = best.filter(|best| one.exceeds(best)) {
                suspects.push(Suspect {
                    flag,
                    weaker: one.cell,
                    stronger: best.cell,
                    marked: vec![one.cell],
                });
            }
        }
    }
    suspects
}

fn more_steps_weaker(cells: &[Standing]) -> Vec<Suspect> {
    let groups = grouped(cells, |one| Some((one.setting, one.eps.map(f64::to_bits), one.but_steps)));
    weaker_than(MORE_STEPS_WEAKER, groups, |fewer, more| more.goes_further(fewer))
}

fn larger_budget_weaker(cells: &[Standing]) -> Vec<Suspect> {
    let groups = grouped(cells, |one| Some((one.setting, one.steps.map(f64::to_bits), one.but_budget)));
    weaker_than(LARGER_BUDGET_WEAKER, groups, |smaller, larger| smaller.eps < larger.eps)
}

/// The cells of ladders none of which broke anything: of three budgets or more, the largest four times the smallest at least, or of two that are
/// ten times apart.
fn flat_curves(cells: &[Standing]) -> Vec<usize> {
    let groups = grouped(cells, |one| Some((one.setting, one.steps.map(f64::to_bits), one.but_budget)));
    let flat = |group: &Vec<&Standing>| {
        let budgets = || group.iter().filter_map(|one| one.eps);
        let (least, most) = (budgets().fold(f64::INFINITY, f64::min), budgets().fold(0.0, f64::max));
        let apart = if budgets().filter(|eps| ![least, most].contains(eps)).count() > 0 { 4.0 } else { 10.0 };
        // Of decimals such as 0.3 and 1.2.
        most >= apart * least * (1.0 - 1e-9) && group.iter().all(|one| one.harmless)
    };
    groups.filter(flat).flatten().map(|one| one.cell).collect()
}

/// Iterated attacks that leave more than the strongest single step at the same budget.
fn iterated_weaker(cells: &[Standing]) -> Vec<Suspect> {
    let white = |one: &Standing| Some((one.setting, one.eps?.to_bits())).filter(|_| one.white);
    weaker_than(ITERATED_WEAKER, grouped(cells, white), |single, iterated| {
        single.single() && !iterated.single()
    })
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
