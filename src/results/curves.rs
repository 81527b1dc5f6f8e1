//! The worst case per sample over attacks and seeds, for every model, data set, defense, aim, norm and budget.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::ops::Range;

use super::aims::{concerns, concerns_all, keeps};
use super::outcomes::OutcomeRow;
use super::reader::Results;
use super::records::{CellRow, CurveRow};
use super::schema::Row;
use super::summary::FEW_GROUPS;
use super::table_file::{lasting, publish, write_temporary};
use super::text::Text;
use crate::statistics::{mean, share_interval};
use crate::{Error, Result};

/// What the cells of one curve have in common; contents and not only names, so that stale cells never mix with new ones.
fn curve_of(cell: &CellRow) -> Option<String> {
    let norm = cell.norm.as_ref()?;
    let parts = [
        cell.study.as_str(),
        &cell.model,
        &cell.model_sha256,
        &cell.data,
        &cell.data_sha256,
        &cell.split,
        &cell.sample_set_sha256,
        &cell.defense,
        cell.aim.as_deref().unwrap_or(""),
        cell.finding.as_deref().unwrap_or(""),
        cell.inputs.as_deref().unwrap_or(""),
        norm,
    ];
    Some(format!("{parts:?} {:?}", cell.target))
}

/// The number of a name in a list, from 1; an `Option` of it takes no more room.
type Number = NonZeroU32;

/// Names and their numbers.
#[derive(Default)]
struct Names {
    names: Vec<Text>,
    numbers: HashMap<Text, Number>,
}

impl Names {
    /// The number of `name`, a new one where it has none yet.
    fn number(&mut self, name: &Text) -> Result<Number> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let number = u32::try_from(self.names.len() + 1).ok().and_then(Number::new);
        let number = number.ok_or_else(|| Error::Failed(format!("{name}: more names than 2^32")))?;
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        Ok(number)
    }

    fn name(&self, number: Number) -> Text {
        self.names.get(number.get() as usize - 1).cloned().unwrap_or_default()
    }
}

/// One sample under all cells of a row so far.
struct Case {
    sample: u64,
    /// Smallest change that broke it.
    size: f64,
    cells: u32,
    group: Option<Number>,
    /// The attack that made that change; attacks are numbered by name.
    broken_by: Option<Number>,
    /// Whether every clean answer was the true class ...
    right: bool,
    /// ... and whether it was one that keeps what the aim is after.
    kept: bool,
    /// Whether the aim concerns it.
    concerned: bool,
}

/// What the worst case takes in memory for each sample of each curve row, besides the row itself.
const _: () = assert!(size_of::<Case>() == 32);

impl Case {
    /// Whether it keeps what the aim is after, whatever was tried.
    fn held(&self) -> bool {
        self.kept && self.broken_by.is_none()
    }

    /// Takes one more cell into account.
    fn add(&mut self, row: &OutcomeRow, size: f64, attack: Number, group: Option<Number>) {
        // Right when clean under every defense draw, so that no cell's luck makes a sample count.
        self.right &= row.clean_pred == row.label;
        self.cells += 1;
        if row.success == Some(true) {
            let smaller = self
                .broken_by
                .is_none_or(|best| size.total_cmp(&self.size).then_with(|| attack.cmp(&best)).is_lt());
            if smaller {
                (self.size, self.broken_by) = (size, Some(attack));
            }
        }
        self.group = group.or(self.group);
    }
}

/// A curve row while the samples of its cells are read.
struct Open {
    /// Its curve's place among the curves.
    curve: usize,
    row: CurveRow,
    /// Whose cells they are.
    attacks: BTreeSet<Text>,
    /// The cells, by their positions among all that have a budget.
    cells: Vec<usize>,
    /// Samples of the largest of them.
    samples: u64,
    /// By sample, ascending.
    cases: Vec<Case>,
}

impl Open {
    /// The case of a sample, a new one where there is none yet.
    fn case(&mut self, sample: u64) -> &mut Case {
        let at = match self.cases.binary_search_by_key(&sample, |case| case.sample) {
            Ok(at) => at,
            Err(at) => {
                let new = Case {
                    sample,
                    size: f64::INFINITY,
                    cells: 0,
                    group: None,
                    broken_by: None,
                    right: true,
                    kept: true,
                    concerned: true,
                };
                self.cases.insert(at, new);
                at
            }
        };
        &mut self.cases[at]
    }
}

/// The rows of all cells, no sample read yet.
#[derive(Default)]
struct Rows {
    open: Vec<Open>,
    index: HashMap<(usize, u64), usize>,
    order: HashMap<String, usize>,
    /// In the order in which they came.
    attacks: Names,
    /// The row and the attack of each cell that has a budget.
    homes: HashMap<Text, (usize, Number)>,
    /// Those cells in their order.
    cells: Vec<Text>,
}

impl Rows {
    fn add(&mut self, cell: &CellRow) -> Result<()> {
        let Some((curve, eps)) = curve_of(cell).zip(cell.eps) else { return Ok(()) };
        let next = self.order.len();
        let curve = *self.order.entry(curve).or_insert(next);
        let at = *self.index.entry((curve, eps.to_bits())).or_insert_with(|| {
            let (row, attacks) = (row_of(cell), BTreeSet::new());
            self.open.push(Open { curve, row, attacks, cells: vec![], samples: 0, cases: vec![] });
            self.open.len() - 1
        });
        let open = &mut self.open[at];
        open.row.n_cells += 1;
        for flag in &cell.flags {
            if !open.row.flags.contains(flag) {
                open.row.flags.push(flag.clone());
            }
        }
        open.row.n_bisected += u64::from(cell.curve.as_deref() == Some("bisect"));
        open.attacks.insert(cell.attack.clone());
        open.cells.push(self.cells.len());
        open.samples = open.samples.max(cell.n);
        let attack = self.attacks.number(&cell.attack)?;
        self.homes.insert(cell.cell_id.clone(), (at, attack));
        self.cells.push(cell.cell_id.clone());
        Ok(())
    }
}

/// What the cells of a row have in common.
fn row_of(cell: &CellRow) -> CurveRow {
    CurveRow {
        study: cell.study.clone(),
        model: cell.model.clone(),
        model_sha256: cell.model_sha256.clone(),
        data: cell.data.clone(),
        data_sha256: cell.data_sha256.clone(),
        split: cell.split.clone(),
        sample_set_sha256: cell.sample_set_sha256.clone(),
        synthetic: cell.synthetic,
        defense: cell.defense.clone(),
        aim: cell.aim.clone(),
        target: cell.target,
        finding: cell.finding.clone(),
        inputs: cell.inputs.clone(),
        norm: cell.norm.clone().unwrap_or_default(),
        eps: cell.eps.unwrap_or_default(),
        eps_unit: cell.eps_unit.clone(),
        asked: cell.asked.clone(),
        ..CurveRow::default()
    }
}

/// Samples of curve rows that are held at a time, about.
const CASES: u64 = 1 << 16;

/// The curve rows of a folder, in their order, on the way to their worst cases.
struct Curves<'r> {
    results: &'r Results,
    open: Vec<Open>,
    /// The row and the attack of each cell that has a budget, by id.
    homes: HashMap<Text, (usize, Number)>,
    /// Those cells in the folder's order.
    cells: Vec<Text>,
    /// Numbered by name, so that numbers compare as names do.
    attacks: Names,
    groups: Names,
}

impl<'r> Curves<'r> {
    /// The rows of all cells, no sample read yet.
    fn of(results: &'r Results) -> Result<Self> {
        let mut rows = Rows::default();
        results.for_each_cell(|cell| rows.add(&cell))?;
        let Rows { open, attacks: came, mut homes, cells, .. } = rows;
        let mut attacks = Names::default();
        for attack in came.names.iter().collect::<BTreeSet<_>>() {
            attacks.number(attack)?;
        }
        let mut order: Vec<(usize, Open)> = open.into_iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| a.curve.cmp(&b.curve).then(a.row.eps.total_cmp(&b.row.eps)));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, (before, _))| places[*before] = place);
        for (row, attack) in homes.values_mut() {
            (*row, *attack) = (places[*row], attacks.number(&came.name(*attack))?);
        }
        let open = order.into_iter().map(|(_, open)| open).collect();
        Ok(Self { results, open, homes, cells, attacks, groups: Names::default() })
    }

    /// The rows in parts of so many samples, about.
    fn parts(&self) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut held = CASES;
        for (i, open) in self.open.iter().enumerate() {
            match parts.last_mut() {
                Some(part) if held + open.samples <= CASES => part.end = i + 1,
                _ => {
                    parts.push(i..i + 1);
                    held = 0;
                }
            }
            held += open.samples;
        }
        parts
    }

    /// A part's rows; its cells' samples are read once, in file order, and let go of.
    fn read(&mut self, part: Range<usize>) -> Result<Vec<CurveRow>> {
        let Self { results, open, homes, cells, attacks, groups } = self;
        let mut own: Vec<usize> =
            open[part.clone()].iter_mut().flat_map(|open| std::mem::take(&mut open.cells)).collect();
        own.sort_unstable();
        for batch in results.outcomes(own.iter().map(|&at| cells[at].as_str()))? {
            for outcomes in batch?.chunk_by(|a, b| a.cell_id == b.cell_id) {
                let home = outcomes.first().and_then(|first| homes.get(&first.cell_id));
                let Some((row, attack)) = home else { continue };
                let row = &mut open[*row];
                for outcome in outcomes {
                    let group = outcome.group.as_ref().map(|group| groups.number(group)).transpose()?;
                    let size = outcome.size(&row.row.norm);
                    let (aim, target) = (row.row.aim.as_deref(), row.row.target);
                    let concerned = concerns(aim, target, outcome.label);
                    // Rows of an earlier percuss lack attacks on findings that were taken for another one: nobody knows what they withstand.
                    let tried = outcome.success.is_some() || !concerned;
                    let kept = tried && keeps(aim, target, outcome.label, outcome.clean_pred);
                    let case = row.case(outcome.sample);
                    case.concerned = concerned;
                    case.kept &= kept;
                    case.add(outcome, size, *attack, group);
                }
            }
        }
        Ok(open[part].iter_mut().map(|open| worst_case(open, attacks, groups)).collect())
    }
}

/// The curves of every evasion cell in the folder, in the cells' order and by ascending budget.
///
/// # Errors
/// A file that cannot be read.
pub fn worst_cases(results: &Results) -> Result<Vec<CurveRow>> {
    let mut curves = Curves::of(results)?;
    let mut rows = Vec::new();
    for part in curves.parts() {
        rows.extend(curves.read(part)?);
    }
    Ok(rows)
}

/// [`worst_cases`], written to `curves.parquet` in the folder, some rows after the other; what comes back has no columns a sample.
///
/// Every cell's samples are read once. Memory holds the cells' names, the rows without their samples, and 32 bytes for each of some 65,000
/// samples: neither the number of budgets nor that of samples adds to it.
///
/// # Errors
/// A file that cannot be read or written.
pub fn write_curves(results: &Results) -> Result<Vec<CurveRow>> {
    let mut curves = Curves::of(results)?;
    let mut outlines = Vec::new();
    let batches = curves.parts().into_iter().map(|part| {
        let rows = curves.read(part)?;
        let batch = CurveRow::to_batch(&rows);
        outlines.extend(rows.into_iter().map(without_samples));
        batch
    });
    let path = results.dir().join("curves.parquet");
    write_temporary::<CurveRow>(&path, lasting(), batches)?;
    publish(&path)?;
    Ok(outlines)
}

fn without_samples(row: CurveRow) -> CurveRow {
    CurveRow { samples: Vec::new(), robust: Vec::new(), broken_by: Vec::new(), ..row }
}

/// One row, all of its cells' samples read.
fn worst_case(open: &mut Open, attacks: &Names, groups: &Names) -> CurveRow {
    let (mut row, mut cases) = (std::mem::take(&mut open.row), std::mem::take(&mut open.cases));
    // A sample that one of the cells lacks has no worst case over all of them.
    cases.retain(|case| u64::from(case.cells) == row.n_cells);
    row.n = cases.len() as u64;
    row.clean_accuracy = mean(cases.iter().map(|case| f64::from(u8::from(case.right))));
    row.samples = cases.iter().map(|case| case.sample).collect();
    row.robust = cases.iter().map(Case::held).collect();
    row.broken_by = cases.iter().map(|case| Some(attacks.name(case.broken_by?))).collect();
    count_attacks(&mut row, &open.attacks);
    let of: Option<Vec<Text>> = cases.iter().map(|case| Some(groups.name(case.group?))).collect();
    let of = of.filter(|groups| !groups.is_empty());
    row.n_groups = of.as_ref().map(|groups| groups.iter().collect::<BTreeSet<_>>().len() as u64);
    let names: Option<Vec<&str>> = of.as_ref().map(|groups| groups.iter().map(Text::as_str).collect());
    summarise_asked(&mut row, &cases, names.as_deref());
    if concerns_all(row.aim.as_deref()) {
        row.robust_accuracy = row.asked_robust;
        (row.robust_accuracy_low, row.robust_accuracy_high) = (row.asked_robust_low, row.asked_robust_high);
    }
    row.flags.sort();
    row
}

/// Fills what the aim asks of the samples that it concerns.
fn summarise_asked(row: &mut CurveRow, cases: &[Case], groups: Option<&[&str]>) {
    let of: Vec<usize> = (0..cases.len()).filter(|&i| cases[i].concerned).collect();
    let held: Vec<bool> = of.iter().map(|&i| cases[i].held()).collect();
    let groups: Option<Vec<&str>> = groups.map(|groups| of.iter().map(|&i| groups[i]).collect());
    row.n_concerned = Some(of.len() as u64);
    row.asked_clean = mean(of.iter().map(|&i| f64::from(u8::from(cases[i].kept))));
    row.asked_robust = mean(held.iter().map(|held| f64::from(u8::from(*held))));
    if let Some(interval) = share_interval(&held, groups.as_deref()) {
        (row.asked_robust_low, row.asked_robust_high) = (Some(interval.low), Some(interval.high));
        row.ci_method = Some(interval.method.into());
        let few = interval.few_groups && !row.flags.iter().any(|flag| flag == FEW_GROUPS);
        row.flags.extend(few.then(|| FEW_GROUPS.into()));
    }
}

/// Fills in which attacks there are, how many samples each was the one to break, and the one that broke most (ties by name).
fn count_attacks(row: &mut CurveRow, attacks: &BTreeSet<Text>) {
    let mut broke: BTreeMap<&str, u64> = attacks.iter().map(|attack| (attack.as_str(), 0)).collect();
    for attack in row.broken_by.iter().flatten() {
        *broke.entry(attack).or_default() += 1;
    }
    let most = broke.values().copied().max().filter(|most| *most > 0);
    row.worst_attack =
        most.and_then(|most| broke.iter().find(|(_, n)| **n == most)).map(|(a, _)| (*a).into());
    (row.attacks, row.attack_broke) = broke.into_iter().map(|(attack, n)| (attack.into(), n)).unzip();
}
