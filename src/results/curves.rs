//! The worst case per sample over attacks and seeds, for every model, data set, defense, aim, norm and budget.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::reader::Results;
use super::records::{CellRow, CurveRow, SampleRow};
use super::statistics::{mean, share_interval};
use super::summary::FEW_GROUPS;
use super::table_file::write_rows;
use crate::Result;

/// What the cells of one row have in common; contents and not only names, so that stale cells never mix with new ones.
fn key(cell: &CellRow) -> Option<(String, u64)> {
    let (norm, eps) = (cell.norm.as_ref()?, cell.eps?);
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
        norm,
    ];
    Some((format!("{parts:?} {:?}", cell.target), eps.to_bits()))
}

/// One sample under all cells of a row.
#[derive(Default)]
struct Case {
    cells: u64,
    right: bool,
    group: Option<String>,
    /// Smallest change that broke it, and the attack.
    broken: Option<(f64, String)>,
}

impl Case {
    /// Takes one more cell into account.
    fn add(&mut self, row: SampleRow, norm: &str, attack: &str) {
        // Right when clean under every defense draw, so that no cell's luck makes a sample count.
        let right = row.clean_pred == row.label;
        self.right = right && (self.cells == 0 || self.right);
        self.cells += 1;
        if right && !row.robust {
            let size = match norm {
                "l0" => row.l0 as f64,
                "l1" => row.l1,
                "l2" => row.l2,
                _ => row.linf,
            };
            let smaller = self.broken.as_ref().is_none_or(|(best, name)| {
                size.total_cmp(best).then_with(|| attack.cmp(name.as_str())).is_lt()
            });
            if smaller {
                self.broken = Some((size, attack.to_owned()));
            }
        }
        self.group = row.group.or(self.group.take());
    }
}

/// The curves of every evasion cell in the folder, in the cells' order and by ascending budget; memory holds one row's samples.
pub fn worst_cases(results: &Results) -> Result<Vec<CurveRow>> {
    let cells = results.cells()?;
    let mut rows: Vec<Vec<&CellRow>> = Vec::new();
    let mut index: HashMap<(String, u64), usize> = HashMap::new();
    let mut order: HashMap<String, usize> = HashMap::new();
    let mut first: Vec<usize> = Vec::new();
    for cell in &cells {
        let Some(key) = key(cell) else { continue };
        let next = order.len();
        let curve = *order.entry(key.0.clone()).or_insert(next);
        let row = *index.entry(key).or_insert_with(|| {
            rows.push(Vec::new());
            first.push(curve);
            rows.len() - 1
        });
        rows[row].push(cell);
    }
    let mut curves: Vec<(usize, CurveRow)> = Vec::new();
    for (cells, curve) in rows.iter().zip(first) {
        curves.extend(worst_case(results, cells)?.map(|row| (curve, row)));
    }
    curves.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.eps.total_cmp(&y.eps)));
    Ok(curves.into_iter().map(|(_, row)| row).collect())
}

/// [`worst_cases`], written to `curves.parquet` in the folder.
pub fn write_curves(results: &Results) -> Result<Vec<CurveRow>> {
    let curves = worst_cases(results)?;
    write_rows(&results.dir().join("curves.parquet"), &curves)?;
    Ok(curves)
}

/// One row, from cells that share a [`key`].
fn worst_case(results: &Results, cells: &[&CellRow]) -> Result<Option<CurveRow>> {
    let (Some(cell), Some((norm, eps))) =
        (cells.first(), cells.first().and_then(|c| Some((c.norm.clone()?, c.eps?))))
    else {
        return Ok(None);
    };
    let mut cases: BTreeMap<u64, Case> = BTreeMap::new();
    for cell in cells {
        for row in results.samples(&cell.cell_id)? {
            cases.entry(row.sample).or_default().add(row, &norm, &cell.attack);
        }
    }
    // A sample that one of the cells lacks has no worst case over all of them.
    cases.retain(|_, case| case.cells == cells.len() as u64);
    let mut row = CurveRow {
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
        norm,
        eps,
        eps_unit: cell.eps_unit.clone(),
        n: cases.len() as u64,
        n_cells: cells.len() as u64,
        clean_accuracy: mean(cases.values().map(|case| f64::from(u8::from(case.right)))),
        samples: cases.keys().copied().collect(),
        robust: cases.values().map(|case| case.right && case.broken.is_none()).collect(),
        broken_by: cases
            .values()
            .map(|case| case.broken.as_ref().map(|(_, attack)| attack.clone()))
            .collect(),
        ..Default::default()
    };
    count_attacks(&mut row, cells);
    let groups: Option<Vec<&str>> = cases.values().map(|case| case.group.as_deref()).collect();
    let groups = groups.filter(|g| !g.is_empty());
    row.n_groups = groups.as_ref().map(|g| g.iter().collect::<BTreeSet<_>>().len() as u64);
    row.robust_accuracy = mean(row.robust.iter().map(|robust| f64::from(u8::from(*robust))));
    if let Some(interval) = share_interval(&row.robust, groups.as_deref(), 0) {
        (row.robust_accuracy_low, row.robust_accuracy_high) = (Some(interval.low), Some(interval.high));
        row.ci_method = Some(interval.method.to_owned());
        row.flags.extend(interval.few_groups.then(|| FEW_GROUPS.to_owned()));
    }
    Ok(Some(row))
}

/// Fills in which attacks there are, how many samples each was the one to break, and the one that broke most (ties by name).
fn count_attacks(row: &mut CurveRow, cells: &[&CellRow]) {
    let mut broke: BTreeMap<&str, u64> = cells.iter().map(|cell| (cell.attack.as_str(), 0)).collect();
    for attack in row.broken_by.iter().flatten() {
        *broke.entry(attack).or_default() += 1;
    }
    let most = broke.values().copied().max().filter(|most| *most > 0);
    row.worst_attack =
        most.and_then(|most| broke.iter().find(|(_, n)| **n == most)).map(|(a, _)| (*a).to_owned());
    (row.attacks, row.attack_broke) = broke.into_iter().map(|(attack, n)| (attack.to_owned(), n)).unzip();
}
